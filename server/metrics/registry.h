// A server instance's metrics and their Prometheus text form. Counting is an addition to
// a plain integer (everything runs on one loop); all formatting happens when somebody
// scrapes.
//
//   Counter* puts = registry.AddCounter("etcd_mvcc_put_total", "Puts seen.");
//   puts->Add();
//   registry.OnScrape([&] { keys->Set(node.status().keys); });
//   std::string page = registry.Text();
#ifndef QUORATE_SERVER_METRICS_REGISTRY_H_
#define QUORATE_SERVER_METRICS_REGISTRY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/time.h"

namespace quorate::metrics {

// Label names with their values, in the order in which they are printed.
using Labels = std::vector<std::pair<std::string, std::string>>;

class Counter {
 public:
  void Add(uint64_t n = 1) { value_ += n; }
  // For counts that somebody else keeps; never lower than before.
  void Set(uint64_t value) { value_ = value; }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0;
};

class Gauge {
 public:
  void Set(double value) { value_ = value; }
  void Add(double delta) { value_ += delta; }
  double value() const { return value_; }

 private:
  double value_ = 0;
};

// Durations in buckets with ascending bounds, then infinity. Printed in seconds.
class Histogram {
 public:
  explicit Histogram(absl::Span<const Duration> bounds);
  void Observe(Duration value);
  // For counts that somebody else keeps, one more than there are bounds.
  void Set(absl::Span<const uint64_t> counts, double sum_seconds);
  uint64_t count() const { return count_; }

 private:
  friend class Registry;
  std::vector<int64_t> bounds_nanos_;
  std::vector<uint64_t> counts_;  // one more than bounds
  uint64_t count_ = 0;
  int64_t sum_nanos_ = 0;
  double sum_seconds_ = 0;  // on top
};

class Registry {
 public:
  Registry() = default;
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // Each returns an object that lives as long as the registry. One name has one kind and
  // one help text; adding the same name and labels twice gives the first object again.
  Counter* AddCounter(absl::string_view name, absl::string_view help, const Labels& labels = {});
  Gauge* AddGauge(absl::string_view name, absl::string_view help, const Labels& labels = {});
  // A counter that is no whole number (seconds): its owner sets it, to never less than before.
  Gauge* AddRealCounter(absl::string_view name, absl::string_view help, const Labels& labels = {});
  // With bounds that double (first, 2 x first, 4 x first, ...), as nearly all of etcd's do.
  Histogram* AddHistogram(absl::string_view name, absl::string_view help, Duration first,
                          int buckets, const Labels& labels = {});
  Histogram* AddHistogram(absl::string_view name, absl::string_view help,
                          absl::Span<const Duration> bounds, const Labels& labels = {});

  // Called before each Text(): refreshes values that are read from elsewhere.
  void OnScrape(std::function<void()> refresh) { refreshers_.push_back(std::move(refresh)); }

  // All metrics, families by name, series by labels (Prometheus text format 0.0.4).
  std::string Text();

 private:
  enum class Kind { kCounter, kGauge, kHistogram };
  struct Series {
    std::unique_ptr<Counter> counter;
    std::unique_ptr<Gauge> gauge;
    std::unique_ptr<Histogram> histogram;
  };
  struct Family {
    Kind kind = Kind::kCounter;
    std::string help;
    absl::btree_map<std::string, Series> series;  // by printed labels, without braces
  };

  Series& Find(absl::string_view name, absl::string_view help, Kind kind, const Labels& labels);
  static void AppendHistogram(absl::string_view name, absl::string_view labels,
                              const Histogram& histogram, std::string* out);

  absl::btree_map<std::string, Family> families_;
  std::vector<std::function<void()>> refreshers_;
};

}  // namespace quorate::metrics

#endif  // QUORATE_SERVER_METRICS_REGISTRY_H_
