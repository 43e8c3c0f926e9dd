#include "dispenser.h"

#include "base/coding.h"
#include "base/prng.h"

namespace tickets {

std::string Encode(const Wish& wish) {
  std::string out(16, '\0');
  quorate::StoreLe64(&out[0], wish.customer);
  quorate::StoreLe64(&out[8], wish.number);
  return out;
}

std::optional<Wish> Decode(absl::string_view command) {
  if (command.size() != 16) return std::nullopt;
  return Wish{quorate::LoadLe64(command.data()), quorate::LoadLe64(command.data() + 8)};
}

uint64_t Dispenser::Apply(const Wish& wish) {
  return tickets_.emplace(wish, tickets_.size() + 1).first->second;
}

uint64_t Dispenser::Digest() const {
  uint64_t digest = 0;
  for (const auto& [wish, ticket] : tickets_) {
    digest = quorate::NamedDraw(digest, wish.customer, wish.number, ticket);
  }
  return digest;
}

}  // namespace tickets
