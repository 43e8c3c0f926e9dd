// What came out of a study, for terminals and for programs.
#ifndef QUORATE_SIM_STUDY_REPORT_H_
#define QUORATE_SIM_STUDY_REPORT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/study/plan.h"
#include "sim/study/statistics.h"

namespace quorate::sim::study {

// A table as cells; the first row is the head.
using Table = std::vector<std::vector<std::string>>;

// A table beside the plan's own: what a paper printed, analytic values.
struct NamedTable {
  std::string title;
  Table table;
  std::vector<std::string> notes = {};
  bool agrees = true;  // with what it is compared to, where that is to be checked
};

// Columns as wide as their widest cell, two blanks apart; the first is flush left.
std::string Text(const Table& table);

// Of each case's headline. Nothing for a case without trials (a small shard).
std::vector<std::optional<Summary>> Summaries(const Plan& plan, const Results& results);

// A headline value, of nanoseconds, in milliseconds; ">60000" where trials were cut.
std::string HeadlineText(const Plan& plan, double nanos);

// Settings, count, mean, quantiles with their intervals, extreme. One row a case.
Table SummaryTable(const Plan& plan, const std::vector<std::optional<Summary>>& summaries);

// Milliseconds, or a plain number, to the digits that mean something.
std::string NumberText(double value);
// "+3.4%": how far a value is from what was expected.
std::string ErrorText(double value, double expected);

// The means of the other columns (of flags: the share).
Table MeansTable(const Plan& plan, const Results& results);

// The trial with the greatest headline value of each case.
struct Outlier {
  size_t of_case = 0;
  Trial trial;
};
std::vector<Outlier> Outliers(const Plan& plan, const Results& results);

// A line a trial: the case's settings, the seed, the columns. Spans in milliseconds,
// exactly. Fields with commas or quotes are quoted (RFC 4180).
std::string CsvText(const Plan& plan, const Results& results);

// Plan, summaries with intervals, outliers with their commands; no single trials.
std::string JsonText(const Plan& plan, const Results& results, uint64_t seed);

}  // namespace quorate::sim::study

#endif  // QUORATE_SIM_STUDY_REPORT_H_
