#include "sim/study/papers.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "sim/study/election_study.h"
#include "sim/study/lists.h"
#include "sim/study/partition.h"
#include "sim/study/quorum.h"

namespace quorate::sim::study {
namespace {

// How far a cell may be off and still count as reproduced.
constexpr double kTolerance = 0.10;
// The papers' experiments have so many trials; a maximum is of as many.
constexpr uint64_t kPaperTrials = 1000;
constexpr uint64_t kTrials = 10 * kPaperTrials;

enum class Statistic : uint8_t { kMean, kMedian, kP99, kP999, kMax };

absl::string_view NameOf(Statistic statistic) {
  switch (statistic) {
    case Statistic::kMean:
      return "mean";
    case Statistic::kMedian:
      return "median";
    case Statistic::kP99:
      return "p99";
    case Statistic::kP999:
      return "p99.9";
    case Statistic::kMax:
      return "max of 1,000";
  }
  return "?";
}

// In milliseconds; the values are not empty.
double Of(Statistic statistic, const std::vector<int64_t>& values, const Summary& summary) {
  switch (statistic) {
    case Statistic::kMean:
      return summary.mean.value / 1e6;
    case Statistic::kMedian:
      return summary.p50.value / 1e6;
    case Statistic::kP99:
      return summary.p99.value / 1e6;
    case Statistic::kP999:
      return summary.p999.value / 1e6;
    case Statistic::kMax:
      return MeanOfBlockMaxima(values, kPaperTrials) / 1e6;
  }
  return 0;
}

// One printed figure and the case that measures it.
struct Cell {
  size_t of_case;
  Statistic statistic;
  double printed;  // ms
  bool bold;       // must agree
  size_t column = kDowntime;
};

NamedTable Compare(const std::string& title, const Plan& plan, const Results& results,
                   const std::vector<Cell>& cells) {
  NamedTable out;
  out.title = title;
  out.table = {{"case", "statistic", "expected ms", "ours ms", "error", "bold", "within 10%"}};
  for (const Cell& cell : cells) {
    if (results[cell.of_case].empty()) continue;
    const std::vector<int64_t> values = Values(results[cell.of_case], cell.column);
    const double ours = Of(cell.statistic, values, Summarize(values));
    const bool within = std::fabs(ours / cell.printed - 1) <= kTolerance;
    out.table.push_back({plan.cases[cell.of_case].label, std::string(NameOf(cell.statistic)),
                         NumberText(cell.printed), NumberText(ours), ErrorText(ours, cell.printed),
                         cell.bold ? "bold" : "", within ? "yes" : "no"});
    out.agrees = out.agrees && (within || !cell.bold);
  }
  return out;
}

// Adds one case and names it; its index.
absl::StatusOr<size_t> AddCase(const ElectionArguments& arguments, std::string label,
                               uint64_t trials, Plan* plan) {
  ASSIGN_OR_RETURN(std::vector<Case> cases, ElectionCases(arguments));
  cases[0].label = std::move(label);
  cases[0].trials = trials;
  plan->cases.push_back(std::move(cases[0]));
  return plan->cases.size() - 1;
}

// Cases of a paper name every setting, so that one CSV holds them all.
ElectionArguments Arguments(std::string timeout) {
  ElectionArguments arguments;
  arguments.timeout = std::move(timeout);
  arguments.candidate_timeout = arguments.timeout;
  return arguments;
}

void Begin(absl::string_view name, absl::string_view title, Study* study) {
  study->trials = kTrials;
  study->plan.name = std::string(name);
  study->plan.title = std::string(title);
  study->plan.columns = ElectionColumns();
  study->plan.headline = kDowntime;
  study->plan.limit = Seconds(60).nanos();
}

absl::Status AddFigure16Cases(Plan* plan) {
  Plot above{"Raft paper, figure 16, above: the range grows", {}, {}};
  Plot below{"Raft paper, figure 16, below: the least timeout shrinks", {}, {}};
  for (const char* timeout : {"150-150", "150-151", "150-155", "150-175", "150-200", "150-300",
                              "100-200", "50-100", "25-50", "12-24"}) {
    ASSIGN_OR_RETURN(const size_t i, AddCase(Arguments(timeout), timeout, 0, plan));
    if (i <= 5) above.cases.push_back(i);
    if (i >= 5) below.cases.push_back(i);
  }
  plan->plots = {above, below};
  Plot third{"Variants: constant delays; two of four survivors cannot win", {}, {}};
  ElectionArguments arguments = Arguments("150-150");
  arguments.latency = "const:2.4ms";
  arguments.write_latency = "const:8ms";
  ASSIGN_OR_RETURN(const size_t constant,
                   AddCase(arguments, "150-150, constant delays", 100, plan));
  third.cases.push_back(constant);
  for (const char* timeout : {"150-155", "150-200", "12-24"}) {
    arguments = Arguments(timeout);
    arguments.short_logs = "2";
    ASSIGN_OR_RETURN(const size_t i,
                     AddCase(arguments, absl::StrCat(timeout, ", 2 short logs"), 0, plan));
    third.cases.push_back(i);
  }
  plan->plots.push_back(third);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Study> Figure16() {
  Study study;
  Plan& plan = study.plan;
  Begin("figure16", "Raft paper, figure 16: downtime after the leader fails", &study);
  plan.notes = {
      "Five servers; the leader fails at a moment drawn uniformly from one heartbeat interval "
      "(half of the least timeout) after a heartbeat that arrived everywhere at once.",
      "The latency model: one way uniform in 1 to 4 ms, a vote is durable after uniform 4 to 12 "
      "ms (a broadcast of about 13 ms; the paper: roughly 15 ms), the candidate's own vote is "
      "written while its requests travel. It was chosen so that the bold cells agree.",
      "All four survivors can win. In the paper logs differed, so that some could not: see the "
      "variants with two short logs, which do not agree, and why.",
      "Maxima are of 1,000 trials, as the paper's: the mean over blocks of 1,000."};
  RETURN_IF_ERROR(AddFigure16Cases(&plan));
  study.tables = [plan](const Results& results) {
    NamedTable printed = Compare("Printed in the paper", plan, results,
                                 {{2, Statistic::kMedian, 287, true},
                                  {4, Statistic::kMax, 513, true},
                                  {9, Statistic::kMean, 35, true},
                                  {9, Statistic::kMax, 152, true}});
    NamedTable model =
        Compare("Read off the curves by an independent model of the experiment", plan, results,
                {{1, Statistic::kMean, 4300, false},
                 {1, Statistic::kMedian, 3400, false},
                 {3, Statistic::kMedian, 144, false},
                 {3, Statistic::kP99, 485, false},
                 {4, Statistic::kMedian, 148, false},
                 {5, Statistic::kMean, 182, false},
                 {5, Statistic::kMedian, 176, false},
                 {5, Statistic::kP99, 297, false},
                 {6, Statistic::kMean, 129, false},
                 {7, Statistic::kMean, 76, false},
                 {8, Statistic::kMean, 48, false}});
    model.notes = {
        "150-150 and 150-151: the paper reports more than 10 s for equal timeouts. With constant "
        "delays so do we (last cases). With delays that vary, this engine, as etcd's, begins a "
        "new wait when it learns that it lost, so that equal waits drift apart by themselves.",
        "Short logs: a candidate that cannot win raises the term, and this engine, as etcd's, "
        "then begins its wait anew on everybody; the paper's servers went on waiting. That is "
        "what the variants with two short logs cost."};
    return std::vector<NamedTable>{printed, model};
  };
  return study;
}

double SplitRate(int members, int alive, double latency) {
  // Candidates that take so many votes for themselves that nobody has a majority.
  const int candidates = alive - members / 2;
  double rate = 0;
  for (int k = candidates; k <= alive; ++k) {
    double ways = 1;
    for (int i = 0; i < k; ++i) ways = ways * (alive - i) / (i + 1);
    rate += ways * std::pow(latency, k) * std::pow(1 - latency, alive - k);
  }
  return rate;
}

namespace {

struct SplitCase {
  int members;
  int failed;
  double latency;  // of the range
  size_t of_case;
};

NamedTable SplitTable(const Plan& plan, const Results& results,
                      const std::vector<SplitCase>& splits) {
  NamedTable out;
  out.title = "Split elections: calculated and measured";
  out.table = {{"case", "split, calculated", "measured", "standard errors off", "terms, calculated",
                "measured", "downtime without split, calculated", "measured"}};
  for (const SplitCase& split : splits) {
    const std::vector<Trial>& trials = results[split.of_case];
    if (trials.empty()) continue;
    const int alive = split.members - split.failed;
    const double rate = SplitRate(split.members, alive, split.latency);
    double splits_seen = 0;
    double clean = 0;
    for (const Trial& trial : trials) {
      if (trial.row[kTerms] > 1) {
        splits_seen += 1;
      } else {
        clean += static_cast<double>(trial.row[kDowntime]) / 1e8;  // in ranges of 100 ms
      }
    }
    const double n = static_cast<double>(trials.size());
    const double measured = splits_seen / n;
    const double error = std::sqrt(std::max(rate * (1 - rate), 1 / n) / n);
    const double off = (measured - rate) / error;
    const double clean_calculated = 1 + 1.0 / (alive + 1) + 2 * split.latency - 0.25;
    out.table.push_back({plan.cases[split.of_case].label, absl::StrFormat("%.2f%%", rate * 100),
                         absl::StrFormat("%.2f%%", measured * 100), absl::StrFormat("%+.1f", off),
                         NumberText(1 / (1 - rate)), NumberText(Mean(Values(trials, kTerms))),
                         NumberText(clean_calculated),
                         splits_seen < n ? NumberText(clean / (n - splits_seen)) : "-"});
    // Four standard errors; the calculation itself is exact.
    out.agrees = out.agrees && std::fabs(off) <= 4;
  }
  out.notes = {
      "Timeouts are uniform in [1, 2] ranges, messages take the given part of a range, "
      "writes nothing. The calculated downtime (in ranges) takes the first timeout as it "
      "is on average; elections that do not split have a slightly earlier one."};
  return out;
}

}  // namespace

absl::StatusOr<Study> Table62() {
  Study study;
  Plan& plan = study.plan;
  Begin("table6.2", "Split elections and downtime by calculation (Ongaro's thesis, 9.4)", &study);
  plan.notes = {"Split rates: timeouts 100-200 ms, constant one-way latency, no write latency.",
                "WAN: one way uniform in 30 to 40 ms, timeouts 300-600 ms, no write latency."};
  std::vector<SplitCase> splits;
  const std::pair<int, int> sizes[] = {{3, 1}, {5, 1}, {5, 2}, {9, 1}, {9, 4}};
  for (const auto& [members, failed] : sizes) {
    Plot plot{absl::StrCat(members, " members, ", failed, " failed"), {}, {}};
    for (const char* latency : {"1ms", "5ms", "10ms", "20ms"}) {
      ElectionArguments arguments = Arguments("100-200");
      arguments.members = absl::StrCat(members);
      arguments.failed = absl::StrCat(failed);
      arguments.latency = latency;
      arguments.write_latency = "0ms";
      ASSIGN_OR_RETURN(const Duration one_way, ParseSpan(latency));
      const double part = static_cast<double>(one_way.nanos()) / 1e8;
      ASSIGN_OR_RETURN(
          const size_t i,
          AddCase(arguments, absl::StrFormat("%d (%d), l=%.2f", members, failed, part), 0, &plan));
      splits.push_back({members, failed, part, i});
      plot.cases.push_back(i);
    }
    plan.plots.push_back(plot);
  }
  std::vector<Cell> cells;
  Plot wan{"WAN", {}, {}};
  for (const char* failed : {"1", "2"}) {
    ElectionArguments arguments = Arguments("300-600");
    arguments.failed = failed;
    arguments.latency = "uniform:30ms..40ms";
    arguments.write_latency = "0ms";
    ASSIGN_OR_RETURN(const size_t i,
                     AddCase(arguments, absl::StrCat("WAN, 5 (", failed, ")"), 0, &plan));
    const bool one = failed[0] == '1';
    cells.push_back({i, Statistic::kMean, one ? 475.0 : 650.0, false, kSilence});
    cells.push_back({i, Statistic::kP999, one ? 1500.0 : 3000.0, false, kSilence});
    wan.cases.push_back(i);
  }
  plan.plots.push_back(wan);
  study.tables = [plan, splits, cells](const Results& results) {
    NamedTable wan_table = Compare("WAN, as in the thesis", plan, results, cells);
    wan_table.notes = {
        "Counted from the last heartbeat, as the thesis' figures must be: the failure comes 75 "
        "ms later on average. The thesis gives the p99.9 as upper bounds, 1.5 and 3 s."};
    return std::vector<NamedTable>{SplitTable(plan, results, splits), wan_table};
  };
  return study;
}

absl::StatusOr<Study> Table63() {
  Study study;
  Plan& plan = study.plan;
  Begin("table6.3", "Raft Refloated: a shorter timer for candidates", &study);
  plan.notes = {
      "Five members, followers 150-155 ms, leader's heartbeat 75 ms, one way 7 ms, no "
      "write latency: the preset of the paper's simulator. Its figures could not be "
      "re-read; those here are of an independent model of it."};
  std::vector<Cell> cells;
  Plot plot{"Raft Refloated", {}, {}};
  for (const char* candidate : {"150-155", "11-22", "23-46"}) {
    ElectionArguments arguments = Arguments("150-155");
    arguments.candidate_timeout = candidate;
    arguments.latency = "7ms";
    arguments.write_latency = "0ms";
    ASSIGN_OR_RETURN(const size_t i,
                     AddCase(arguments, absl::StrCat("candidates ", candidate), 0, &plan));
    plot.cases.push_back(i);
  }
  plan.plots = {plot};
  study.tables = [plan](const Results& results) {
    return std::vector<NamedTable>{Compare("Beside an independent model", plan, results,
                                           {{0, Statistic::kMean, 1825, false},
                                            {0, Statistic::kMedian, 1481, false},
                                            {0, Statistic::kP99, 7178, false},
                                            {1, Statistic::kMean, 276, false},
                                            {1, Statistic::kMedian, 239, false},
                                            {1, Statistic::kP99, 649, false},
                                            {2, Statistic::kMean, 262, false}})};
  };
  return study;
}

absl::Span<const Paper> Papers() {
  static constexpr Paper kPapers[] = {
      {"figure16", "Raft paper, figure 16: paper, ours, relative error", Figure16},
      {"table6.2", "split elections: calculated and measured", Table62},
      {"table6.3", "Raft Refloated: a shorter timer for candidates", Table63},
      {"table6.4", "partial connectivity, beside etcd's raft", Table64},
      {"table6.6", "flexible quorums: measured and calculated", Table66},
  };
  return kPapers;
}

}  // namespace quorate::sim::study
