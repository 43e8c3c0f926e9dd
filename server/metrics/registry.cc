#include "server/metrics/registry.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "base/check.h"

namespace quorate::metrics {
namespace {

std::string PrintLabels(const Labels& labels) {
  std::string text;
  for (const auto& [name, value] : labels) {
    absl::StrAppend(&text, text.empty() ? "" : ",", name, "=\"",
                    absl::StrReplaceAll(value, {{"\\", "\\\\"}, {"\"", "\\\""}, {"\n", "\\n"}}),
                    "\"");
  }
  return text;
}

std::string PrintNumber(double value) {
  constexpr double kExactIntegers = 9007199254740992.0;  // 2^53
  if (value > -kExactIntegers && value < kExactIntegers) {
    const auto whole = static_cast<int64_t>(value);
    if (static_cast<double>(whole) == value) return absl::StrCat(whole);
  }
  return absl::StrFormat("%.12g", value);
}

std::string PrintSeconds(int64_t nanos, double seconds = 0) {
  return absl::StrFormat("%.9g", static_cast<double>(nanos) / 1e9 + seconds);
}

// A label is text: as Go writes numbers, "1.048576e+06" from a million on.
std::string PrintBound(int64_t nanos) {
  std::string plain = PrintSeconds(nanos);
  if (nanos < int64_t{1'000'000} * 1'000'000'000) return plain;
  double value = 0;
  CHECK(absl::SimpleAtod(plain, &value));
  for (int digits = 0; digits < 17; ++digits) {
    std::string text = absl::StrFormat("%.*e", digits, value);
    double read = 0;
    if (absl::SimpleAtod(text, &read) && read == value) return text;
  }
  return plain;
}

void AppendSample(absl::string_view name, absl::string_view labels, absl::string_view value,
                  std::string* out) {
  absl::StrAppend(out, name);
  if (!labels.empty()) absl::StrAppend(out, "{", labels, "}");
  absl::StrAppend(out, " ", value, "\n");
}

}  // namespace

Histogram::Histogram(absl::Span<const Duration> bounds) {
  for (const Duration bound : bounds) bounds_nanos_.push_back(bound.nanos());
  CHECK(std::is_sorted(bounds_nanos_.begin(), bounds_nanos_.end()));
  counts_.resize(bounds_nanos_.size() + 1);
}

void Histogram::Observe(Duration value) {
  const auto at = std::lower_bound(bounds_nanos_.begin(), bounds_nanos_.end(), value.nanos());
  ++counts_[static_cast<size_t>(at - bounds_nanos_.begin())];
  ++count_;
  sum_nanos_ += value.nanos();
}

void Histogram::Set(absl::Span<const uint64_t> counts, double sum_seconds) {
  CHECK_EQ(counts.size(), counts_.size());
  counts_.assign(counts.begin(), counts.end());
  count_ = std::accumulate(counts.begin(), counts.end(), uint64_t{0});
  sum_seconds_ = sum_seconds;
}

Registry::Series& Registry::Find(absl::string_view name, absl::string_view help, Kind kind,
                                 const Labels& labels) {
  const auto [at, fresh] = families_.try_emplace(std::string(name));
  Family& family = at->second;
  if (fresh) {
    family.kind = kind;
    family.help = std::string(help);
  }
  CHECK_MSG(family.kind == kind, at->first);
  return family.series[PrintLabels(labels)];
}

Counter* Registry::AddCounter(absl::string_view name, absl::string_view help,
                              const Labels& labels) {
  Series& series = Find(name, help, Kind::kCounter, labels);
  if (series.counter == nullptr) series.counter = std::make_unique<Counter>();
  return series.counter.get();
}

Gauge* Registry::AddGauge(absl::string_view name, absl::string_view help, const Labels& labels) {
  Series& series = Find(name, help, Kind::kGauge, labels);
  if (series.gauge == nullptr) series.gauge = std::make_unique<Gauge>();
  return series.gauge.get();
}

Gauge* Registry::AddRealCounter(absl::string_view name, absl::string_view help,
                                const Labels& labels) {
  Series& series = Find(name, help, Kind::kCounter, labels);
  if (series.gauge == nullptr) series.gauge = std::make_unique<Gauge>();
  return series.gauge.get();
}

Histogram* Registry::AddHistogram(absl::string_view name, absl::string_view help, Duration first,
                                  int buckets, const Labels& labels) {
  CHECK(first > Duration());
  std::vector<Duration> bounds;
  for (Duration bound = first; buckets > 0; --buckets, bound = bound * 2) bounds.push_back(bound);
  return AddHistogram(name, help, bounds, labels);
}

Histogram* Registry::AddHistogram(absl::string_view name, absl::string_view help,
                                  absl::Span<const Duration> bounds, const Labels& labels) {
  Series& series = Find(name, help, Kind::kHistogram, labels);
  if (series.histogram == nullptr) series.histogram = std::make_unique<Histogram>(bounds);
  return series.histogram.get();
}

void Registry::AppendHistogram(absl::string_view name, absl::string_view labels,
                               const Histogram& histogram, std::string* out) {
  const std::string bucket = absl::StrCat(name, "_bucket");
  const absl::string_view comma = labels.empty() ? "" : ",";
  uint64_t total = 0;
  for (size_t i = 0; i < histogram.counts_.size(); ++i) {
    total += histogram.counts_[i];
    const bool last = i == histogram.bounds_nanos_.size();
    const std::string bound = last ? "+Inf" : PrintBound(histogram.bounds_nanos_[i]);
    AppendSample(bucket, absl::StrCat(labels, comma, "le=\"", bound, "\""), absl::StrCat(total),
                 out);
  }
  AppendSample(absl::StrCat(name, "_sum"), labels,
               PrintSeconds(histogram.sum_nanos_, histogram.sum_seconds_), out);
  AppendSample(absl::StrCat(name, "_count"), labels, absl::StrCat(histogram.count_), out);
}

std::string Registry::Text() {
  for (const auto& refresh : refreshers_) refresh();
  std::string out;
  for (const auto& [name, family] : families_) {
    const absl::string_view kind = family.kind == Kind::kCounter ? "counter"
                                   : family.kind == Kind::kGauge ? "gauge"
                                                                 : "histogram";
    absl::StrAppend(&out, "# HELP ", name, " ", family.help, "\n# TYPE ", name, " ", kind, "\n");
    for (const auto& [labels, series] : family.series) {
      if (series.counter != nullptr) {
        AppendSample(name, labels, absl::StrCat(series.counter->value()), &out);
      } else if (series.gauge != nullptr) {
        AppendSample(name, labels, PrintNumber(series.gauge->value()), &out);
      } else {
        AppendHistogram(name, labels, *series.histogram, &out);
      }
    }
  }
  return out;
}

}  // namespace quorate::metrics
