// Deterministic random numbers with explicit state. Results are the same with
// every compiler and library: no std:: distribution, no floating point.
//
// Two shapes:
//   Prng        a generator that is part of somebody's state (xoshiro256**);
//   NamedDraw   one number keyed by (seed, component, purpose, counter), so that
//               removing one draw never shifts another. The simulator uses it.
#ifndef QUORATE_BASE_PRNG_H_
#define QUORATE_BASE_PRNG_H_

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/strings/string_view.h"
#include "base/check.h"
#include "base/time.h"

namespace quorate {

// SplitMix64's output function: a bijective mix of 64 bits.
constexpr uint64_t Mix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

// FNV-1a over the bytes of a name, then mixed.
constexpr uint64_t HashName(absl::string_view name) {
  uint64_t h = 0xcbf29ce484222325ULL;
  for (size_t i = 0; i < name.size(); ++i) {
    h = (h ^ static_cast<unsigned char>(name[i])) * 0x100000001b3ULL;
  }
  return Mix64(h);
}

// One draw with a name. `component` and `purpose` are usually HashName()s or small ids.
constexpr uint64_t NamedDraw(uint64_t seed, uint64_t component, uint64_t purpose,
                             uint64_t counter) {
  return Mix64(Mix64(Mix64(Mix64(seed) ^ component) ^ purpose) ^ counter);
}

class Prng {
 public:
  explicit constexpr Prng(uint64_t seed) {
    uint64_t x = seed;
    for (uint64_t& word : s_) {
      x += 0x9e3779b97f4a7c15ULL;
      word = Mix64(x);
    }
  }

  constexpr uint64_t Next() {
    const uint64_t result = Rotl(s_[1] * 5, 7) * 9;
    const uint64_t t = s_[1] << 17;
    s_[2] ^= s_[0];
    s_[3] ^= s_[1];
    s_[1] ^= s_[2];
    s_[0] ^= s_[3];
    s_[2] ^= t;
    s_[3] = Rotl(s_[3], 45);
    return result;
  }

  // Uniform in [0, bound); bound > 0. Rejection keeps it exact.
  constexpr uint64_t Below(uint64_t bound) {
    CHECK(bound > 0);
    const uint64_t limit = (~uint64_t{0}) - (~uint64_t{0}) % bound;
    uint64_t x = Next();
    while (x >= limit) x = Next();
    return x % bound;
  }

  // Uniform in [low, high], both ends included.
  constexpr int64_t Between(int64_t low, int64_t high) {
    CHECK(low <= high);
    const uint64_t span = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
    if (span == ~uint64_t{0}) return static_cast<int64_t>(Next());
    return static_cast<int64_t>(static_cast<uint64_t>(low) + Below(span + 1));
  }

  constexpr Duration Between(Duration low, Duration high) {
    return Duration::FromNanos(Between(low.nanos(), high.nanos()));
  }

  // True with probability numerator / denominator.
  constexpr bool Chance(uint64_t numerator, uint64_t denominator) {
    return Below(denominator) < numerator;
  }

  // Exponentially distributed with the given mean (integer arithmetic; capped at 40 means).
  Duration Exponential(Duration mean);

  // Fisher-Yates over anything indexable.
  template <typename Container>
  void Shuffle(Container& items) {
    for (size_t i = items.size(); i > 1; --i) {
      const size_t j = static_cast<size_t>(Below(i));
      using std::swap;
      swap(items[i - 1], items[j]);
    }
  }

 private:
  static constexpr uint64_t Rotl(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

  uint64_t s_[4] = {};
};

}  // namespace quorate

#endif  // QUORATE_BASE_PRNG_H_
