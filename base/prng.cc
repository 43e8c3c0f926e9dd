#include "base/prng.h"

namespace quorate {
namespace {

// -ln(u) for u = numerator / 2^32, in units of 2^-32, by the binary logarithm's
// repeated squaring: no libm, so every build computes the same bits.
uint64_t MinusLnQ32(uint32_t numerator) {
  // Normalise to m in [1, 2) with 32 fraction bits: u = m * 2^-shift.
  const int shift = __builtin_clz(numerator) + 1;
  uint64_t m = uint64_t{numerator} << shift;
  uint64_t log2_fraction = 0;
  for (int bit = 31; bit >= 0; --bit) {
    m = static_cast<uint64_t>((static_cast<unsigned __int128>(m) * m) >> 32);
    // One if m has reached 2; without a branch, which would be a coin toss each time.
    const uint64_t high = m >> 33;
    m >>= high;
    log2_fraction = (log2_fraction << 1) | high;
  }
  const uint64_t minus_log2 = (static_cast<uint64_t>(shift) << 32) - log2_fraction;
  constexpr uint64_t kLn2Q32 = 2977044472ULL;  // ln 2 * 2^32
  return static_cast<uint64_t>((static_cast<unsigned __int128>(minus_log2) * kLn2Q32) >> 32);
}

}  // namespace

Duration Prng::Exponential(Duration mean) {
  CHECK(mean >= Duration());
  const uint32_t u = static_cast<uint32_t>(Below(0xffffffffULL)) + 1;  // never 0
  uint64_t factor_q32 = MinusLnQ32(u);
  constexpr uint64_t kCap = uint64_t{40} << 32;
  if (factor_q32 > kCap) factor_q32 = kCap;
  const auto product =
      static_cast<unsigned __int128>(static_cast<uint64_t>(mean.nanos())) * factor_q32;
  return Duration::FromNanos(static_cast<int64_t>(static_cast<uint64_t>(product >> 32)));
}

}  // namespace quorate
