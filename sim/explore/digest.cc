#include "sim/explore/digest.h"

#include <cstring>

#include "base/prng.h"

namespace quorate::sim::explore {

namespace {

// Both halves of the 128-bit product, folded.
uint64_t Fold(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

}  // namespace

Digest DigestOf(uint64_t kind, absl::string_view bytes) {
  Digest digest{Mix64(kind ^ 0x243f6a8885a308d3ULL), Mix64(bytes.size() ^ 0x13198a2e03707344ULL)};
  for (size_t at = 0; at < bytes.size(); at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, bytes.size() - at < 8 ? bytes.size() - at : 8);
    digest.high = Fold(digest.high ^ word, 0x9e3779b97f4a7c15ULL) + 0xa4093822299f31d0ULL;
    digest.low = Fold(digest.low ^ Mix64(word), 0xd1b54a32d192ed03ULL) + 0x082efa98ec4e6c89ULL;
  }
  return {Mix64(digest.high ^ Mix64(digest.low)), Mix64(digest.low + digest.high)};
}

}  // namespace quorate::sim::explore
