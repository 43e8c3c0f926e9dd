// Order statistics and their uncertainty. Floating point is fine here: nothing that a
// trial does depends on it.
#ifndef QUORATE_SIM_STUDY_STATISTICS_H_
#define QUORATE_SIM_STUDY_STATISTICS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace quorate::sim::study {

// A statistic with the 95% confidence interval that the percentile bootstrap gives
// (Efron 1979): the statistic of kResamples samples drawn with replacement.
struct Estimate {
  double value = 0;
  double low = 0;
  double high = 0;
};
inline constexpr int kResamples = 200;

struct Summary {
  uint64_t count = 0;
  double min = 0;
  double max = 0;
  double deviation = 0;  // of the sample (n - 1); 0 for a single value
  Estimate mean;
  Estimate p50;
  Estimate p90;
  Estimate p99;
  Estimate p999;
};

double Mean(absl::Span<const int64_t> values);
double Deviation(absl::Span<const int64_t> values);
// Of sorted values, not empty; linear between order statistics (Hyndman and Fan's
// definition 7, the default of R and NumPy). 0 <= q <= 1.
double Quantile(absl::Span<const int64_t> sorted, double q);

// Any order; not empty. The same values give the same intervals.
Summary Summarize(std::vector<int64_t> values);

// Mean of the greatest values of consecutive blocks of `block` values; the last block
// counts only if it is whole, unless it is the only one. Not empty.
double MeanOfBlockMaxima(absl::Span<const int64_t> values, uint64_t block);

}  // namespace quorate::sim::study

#endif  // QUORATE_SIM_STUDY_STATISTICS_H_
