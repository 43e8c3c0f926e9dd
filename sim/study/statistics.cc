#include "sim/study/statistics.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/prng.h"

namespace quorate::sim::study {
namespace {

// Of all resamplings; the intervals are a function of the values alone.
constexpr uint64_t kBootstrapSeed = HashName("bootstrap");

// The quantile of a sample given as how often each of `sorted` is in it.
double CountedQuantile(absl::Span<const int64_t> sorted, absl::Span<const uint32_t> counts,
                       double q) {
  const double position = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<uint64_t>(position);
  const double part = position - static_cast<double>(below);
  uint64_t seen = 0;
  for (size_t i = 0; i < sorted.size(); ++i) {
    seen += counts[i];
    if (seen <= below) continue;
    const auto value = static_cast<double>(sorted[i]);
    if (part == 0 || seen > below + 1) return value;
    size_t next = i + 1;
    while (next < sorted.size() && counts[next] == 0) ++next;
    if (next == sorted.size()) return value;
    return value + part * (static_cast<double>(sorted[next]) - value);
  }
  UNREACHABLE("the counts add up to the size of the sample");
}

void Interval(std::vector<double> values, Estimate* estimate) {
  std::sort(values.begin(), values.end());
  const size_t cut = values.size() / 40;  // 2.5% at either end
  estimate->low = values[cut];
  estimate->high = values[values.size() - 1 - cut];
}

}  // namespace

double Mean(absl::Span<const int64_t> values) {
  double sum = 0;
  for (const int64_t value : values) sum += static_cast<double>(value);
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

double Deviation(absl::Span<const int64_t> values) {
  if (values.size() < 2) return 0;
  const double mean = Mean(values);
  double squares = 0;
  for (const int64_t value : values) {
    const double off = static_cast<double>(value) - mean;
    squares += off * off;
  }
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

double Quantile(absl::Span<const int64_t> sorted, double q) {
  CHECK(!sorted.empty());
  CHECK(q >= 0 && q <= 1);
  const double position = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(position);
  const auto value = static_cast<double>(sorted[below]);
  if (below + 1 == sorted.size()) return value;
  const double part = position - static_cast<double>(below);
  return value + part * (static_cast<double>(sorted[below + 1]) - value);
}

Summary Summarize(std::vector<int64_t> values) {
  CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  Summary summary;
  summary.count = values.size();
  summary.min = static_cast<double>(values.front());
  summary.max = static_cast<double>(values.back());
  summary.deviation = Deviation(values);
  summary.mean.value = Mean(values);
  struct Wanted {
    double q;
    Estimate* estimate;
    std::vector<double> resampled;
  };
  Wanted wanted[] = {{0.5, &summary.p50, {}},
                     {0.9, &summary.p90, {}},
                     {0.99, &summary.p99, {}},
                     {0.999, &summary.p999, {}}};
  for (Wanted& want : wanted) want.estimate->value = Quantile(values, want.q);
  std::vector<double> means;
  std::vector<uint32_t> counts(values.size());
  Prng prng(kBootstrapSeed);
  for (int i = 0; i < kResamples; ++i) {
    std::fill(counts.begin(), counts.end(), 0);
    double sum = 0;
    for (size_t k = 0; k < values.size(); ++k) {
      const size_t drawn = prng.Below(values.size());
      ++counts[drawn];
      sum += static_cast<double>(values[drawn]);
    }
    means.push_back(sum / static_cast<double>(values.size()));
    for (Wanted& want : wanted) want.resampled.push_back(CountedQuantile(values, counts, want.q));
  }
  Interval(std::move(means), &summary.mean);
  for (Wanted& want : wanted) Interval(std::move(want.resampled), want.estimate);
  return summary;
}

double MeanOfBlockMaxima(absl::Span<const int64_t> values, uint64_t block) {
  CHECK(!values.empty() && block > 0);
  double sum = 0;
  uint64_t blocks = 0;
  for (size_t at = 0; at < values.size(); at += block) {
    if (at + block > values.size() && blocks > 0) break;
    const auto part = values.subspan(at, block);
    sum += static_cast<double>(*std::max_element(part.begin(), part.end()));
    ++blocks;
  }
  return sum / static_cast<double>(blocks);
}

}  // namespace quorate::sim::study
