// A study as data: cases (one combination of settings each), what a trial measures, and
// which cases are drawn together. Studies make plans; trials.h runs them, report.h and
// page.h show what came out.
#ifndef QUORATE_SIM_STUDY_PLAN_H_
#define QUORATE_SIM_STUDY_PLAN_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "sim/study/cluster.h"

namespace quorate::sim::study {

inline constexpr size_t kMaxColumns = 8;

// What one trial measured: a value for each of the plan's columns. Spans in nanoseconds.
using Row = std::array<int64_t, kMaxColumns>;

enum class Unit : uint8_t { kSpan, kCount, kFlag };

struct Column {
  std::string name;  // of spans without the unit: "downtime"
  Unit unit = Unit::kCount;
};

// Names and values, in the order in which they are shown.
using Settings = std::vector<std::pair<std::string, std::string>>;

struct Case {
  Settings settings;
  std::string label;    // in plots and tables
  std::string command;  // runs this case alone; --seed N --trials 1 or --replay N follow
  uint64_t trials = 0;  // 0 = as many as were asked for
  // One trial; the same seed gives the same row. The observer may be null.
  std::function<Row(uint64_t seed, Observer* observer)> run;
};

struct Plot {
  std::string title;
  std::vector<size_t> cases;
  std::vector<std::string> names = {};  // of the curves; empty: the cases' labels
};

struct Plan {
  std::string name;                // "election"
  std::string title;               // of the page
  std::vector<std::string> notes;  // the model, in sentences
  std::vector<Column> columns;
  size_t headline = 0;  // the column that is summed up and drawn; a span
  int64_t limit = 0;    // a headline value of so much was cut there; 0 = none is cut
  std::vector<Case> cases;
  std::vector<Plot> plots;
};

struct Trial {
  uint64_t seed = 0;
  Row row{};
};

// The trials of each case, in the order of their seeds.
using Results = std::vector<std::vector<Trial>>;

// All values of one column.
inline std::vector<int64_t> Values(const std::vector<Trial>& trials, size_t column) {
  std::vector<int64_t> values;
  values.reserve(trials.size());
  for (const Trial& trial : trials) values.push_back(trial.row[column]);
  return values;
}

}  // namespace quorate::sim::study

#endif  // QUORATE_SIM_STUDY_PLAN_H_
