// The state machine of this example: a dispenser of numbered tickets.
//
// Applying a command is a pure function of the state and the command, so members that
// apply the same log are equal. A customer that asks again because the answer was lost
// gets the ticket that was meant for it: commands carry an identity.
#ifndef QUORATE_EXAMPLES_EXTERNAL_DISPENSER_H_
#define QUORATE_EXAMPLES_EXTERNAL_DISPENSER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace tickets {

// Who asks, and for the how manieth time it asks for a new ticket.
struct Wish {
  uint64_t customer = 0;
  uint64_t number = 0;

  friend auto operator<=>(const Wish&, const Wish&) = default;
};

std::string Encode(const Wish& wish);
// Nothing for any other bytes.
std::optional<Wish> Decode(absl::string_view command);

class Dispenser {
 public:
  // The ticket for this wish: the next one, from 1 on, or the one that it got before.
  uint64_t Apply(const Wish& wish);

  uint64_t given() const { return tickets_.size(); }
  const std::map<Wish, uint64_t>& tickets() const { return tickets_; }
  // Equal on dispensers that have done the same.
  uint64_t Digest() const;

 private:
  std::map<Wish, uint64_t> tickets_;
};

}  // namespace tickets

#endif  // QUORATE_EXAMPLES_EXTERNAL_DISPENSER_H_
