// Latencies in buckets of bounded relative width, as HdrHistogram does: exact below 256
// units, then 128 buckets for every doubling (an error below 0.8 %).
#ifndef QUORATE_BENCH_LOAD_HISTOGRAM_H_
#define QUORATE_BENCH_LOAD_HISTOGRAM_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace quorate::load {

class Histogram {
 public:
  void Add(uint64_t value) {
    const size_t index = IndexOf(value);
    if (index >= counts_.size()) counts_.resize(index + 1);
    ++counts_[index];
    ++count_;
    sum_ += value;
    max_ = std::max(max_, value);
  }

  uint64_t count() const { return count_; }
  uint64_t max() const { return max_; }
  double mean() const {
    return count_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(count_);
  }

  // The smallest recorded value (to the bucket's upper end) that this share of all values
  // does not exceed; `per_mille` = 990 for p99.
  uint64_t Quantile(uint64_t per_mille) const {
    const uint64_t wanted = (count_ * per_mille + 999) / 1000;
    uint64_t seen = 0;
    for (size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen >= wanted && seen > 0) return std::min(max_, UpperEnd(i));
    }
    return max_;
  }

 private:
  static constexpr uint64_t kSub = 128;  // buckets a doubling

  static size_t IndexOf(uint64_t value) {
    if (value < 2 * kSub) return value;
    const int shift = 56 - __builtin_clzll(value);  // value >> shift is in [128, 256)
    return kSub * static_cast<uint64_t>(shift) + (value >> shift);
  }
  static uint64_t UpperEnd(size_t index) {
    if (index < 2 * kSub) return index;
    const uint64_t shift = index / kSub - 1;
    return ((index - kSub * shift + 1) << shift) - 1;
  }

  std::vector<uint64_t> counts_;
  uint64_t count_ = 0;
  uint64_t sum_ = 0;
  uint64_t max_ = 0;
};

}  // namespace quorate::load

#endif  // QUORATE_BENCH_LOAD_HISTOGRAM_H_
