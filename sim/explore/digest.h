// 128-bit hashes of states and of their parts.
//
// A cluster's digest is the sum of its parts' digests: a multiset of messages needs no
// sorting, and a step that changes two parts costs two subtractions and two additions.
// Same bytes, same digest, in every build.
#ifndef QUORATE_SIM_EXPLORE_DIGEST_H_
#define QUORATE_SIM_EXPLORE_DIGEST_H_

#include <compare>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace quorate::sim::explore {

struct Digest {
  uint64_t high = 0;
  uint64_t low = 0;

  Digest& operator+=(const Digest& other) {
    high += other.high;
    low += other.low;
    return *this;
  }
  Digest& operator-=(const Digest& other) {
    high -= other.high;
    low -= other.low;
    return *this;
  }
  friend auto operator<=>(const Digest&, const Digest&) = default;

  template <typename H>
  friend H AbslHashValue(H h, const Digest& digest) {
    return H::combine(std::move(h), digest.low);
  }
};

// `kind` keeps parts of different kinds apart.
Digest DigestOf(uint64_t kind, absl::string_view bytes);

}  // namespace quorate::sim::explore

#endif  // QUORATE_SIM_EXPLORE_DIGEST_H_
