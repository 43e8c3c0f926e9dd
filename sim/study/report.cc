#include "sim/study/report.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "nlohmann/json.hpp"
#include "sim/study/trials.h"

namespace quorate::sim::study {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kNanosPerMilli = 1e6;

std::string WithInterval(const Plan& plan, const Estimate& estimate) {
  return absl::StrCat(HeadlineText(plan, estimate.value), " [", HeadlineText(plan, estimate.low),
                      ", ", HeadlineText(plan, estimate.high), "]");
}

std::string CsvField(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

Json JsonOf(const Estimate& estimate) {
  return {{"value", estimate.value / kNanosPerMilli},
          {"low", estimate.low / kNanosPerMilli},
          {"high", estimate.high / kNanosPerMilli}};
}

}  // namespace

std::string NumberText(double value) {
  const double size = std::fabs(value);
  if (size >= 1000 || value == 0) return absl::StrFormat("%.0f", value);
  if (size >= 100) return absl::StrFormat("%.1f", value);
  if (size >= 1) return absl::StrFormat("%.2f", value);
  return absl::StrFormat("%.4f", value);
}

std::string ErrorText(double value, double expected) {
  return absl::StrFormat("%+.1f%%", (value / expected - 1) * 100);
}

std::string Text(const Table& table) {
  std::vector<size_t> widths;
  for (const auto& row : table) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : table) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string blanks(widths[i] - row[i].size(), ' ');
      absl::StrAppend(&line, i == 0 ? "" : "  ", i == 0 ? row[i] : blanks,
                      i == 0 ? blanks : row[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppend(&out, line, "\n");
  }
  return out;
}

std::vector<std::optional<Summary>> Summaries(const Plan& plan, const Results& results) {
  std::vector<std::optional<Summary>> summaries;
  for (const std::vector<Trial>& trials : results) {
    summaries.emplace_back();
    if (!trials.empty()) summaries.back() = Summarize(Values(trials, plan.headline));
  }
  return summaries;
}

std::string HeadlineText(const Plan& plan, double nanos) {
  const bool cut = plan.limit != 0 && nanos >= static_cast<double>(plan.limit);
  return absl::StrCat(cut ? ">" : "", NumberText(nanos / kNanosPerMilli));
}

Table SummaryTable(const Plan& plan, const std::vector<std::optional<Summary>>& summaries) {
  Table table = {{"case", "trials", "mean ms", "p50 ms", "p90 ms", "p99 ms", "max ms"}};
  for (size_t i = 0; i < summaries.size(); ++i) {
    table.push_back({plan.cases[i].label});
    std::vector<std::string>& row = table.back();
    if (!summaries[i].has_value()) {
      row.push_back("0");
      continue;
    }
    const Summary& summary = *summaries[i];
    row.push_back(absl::StrCat(summary.count));
    for (const Estimate* estimate : {&summary.mean, &summary.p50, &summary.p90, &summary.p99}) {
      row.push_back(WithInterval(plan, *estimate));
    }
    row.push_back(HeadlineText(plan, summary.max));
  }
  return table;
}

Table MeansTable(const Plan& plan, const Results& results) {
  Table table = {{"case"}};
  for (size_t c = 0; c < plan.columns.size(); ++c) {
    if (c == plan.headline) continue;
    const Column& column = plan.columns[c];
    table[0].push_back(column.unit == Unit::kSpan ? absl::StrCat(column.name, " ms") : column.name);
  }
  for (size_t i = 0; i < results.size(); ++i) {
    table.push_back({plan.cases[i].label});
    for (size_t c = 0; c < plan.columns.size(); ++c) {
      if (c == plan.headline) continue;
      const double mean = Mean(Values(results[i], c));
      switch (plan.columns[c].unit) {
        case Unit::kSpan:
          table.back().push_back(NumberText(mean / kNanosPerMilli));
          break;
        case Unit::kCount:
          table.back().push_back(NumberText(mean));
          break;
        case Unit::kFlag:
          table.back().push_back(absl::StrFormat("%.2f%%", mean * 100));
          break;
      }
    }
  }
  return table;
}

std::vector<Outlier> Outliers(const Plan& plan, const Results& results) {
  std::vector<Outlier> outliers;
  for (size_t i = 0; i < results.size(); ++i) {
    if (results[i].empty()) continue;
    // The first of equals, so that the choice does not depend on anything else.
    const auto most =
        std::max_element(results[i].begin(), results[i].end(), [&](const Trial& a, const Trial& b) {
          return a.row[plan.headline] < b.row[plan.headline];
        });
    outliers.push_back({i, *most});
  }
  return outliers;
}

std::string CsvText(const Plan& plan, const Results& results) {
  std::string out = "study";
  for (const auto& [name, value] : plan.cases.at(0).settings) {
    absl::StrAppend(&out, ",", CsvField(name));
  }
  out += ",seed";
  for (const Column& column : plan.columns) {
    absl::StrAppend(&out, ",", column.name, column.unit == Unit::kSpan ? "_ms" : "");
  }
  out += "\n";
  for (size_t i = 0; i < results.size(); ++i) {
    std::string start = plan.name;
    for (const auto& [name, value] : plan.cases[i].settings) {
      absl::StrAppend(&start, ",", CsvField(value));
    }
    for (const Trial& trial : results[i]) {
      absl::StrAppend(&out, start, ",", trial.seed);
      for (size_t c = 0; c < plan.columns.size(); ++c) {
        const int64_t value = trial.row[c];
        absl::StrAppend(
            &out, ",",
            plan.columns[c].unit == Unit::kSpan ? Millis(Nanoseconds(value)) : absl::StrCat(value));
      }
      out += "\n";
    }
  }
  return out;
}

std::string JsonText(const Plan& plan, const Results& results, uint64_t seed) {
  Json out = {{"study", plan.name},
              {"title", plan.title},
              {"notes", plan.notes},
              {"seed", seed},
              {"headline", plan.columns[plan.headline].name},
              {"unit", "ms"},
              {"confidence", 0.95},
              {"cases", Json::array()}};
  const std::vector<std::optional<Summary>> summaries = Summaries(plan, results);
  for (size_t i = 0; i < plan.cases.size(); ++i) {
    Json of = {{"label", plan.cases[i].label}, {"settings", Json::object()}};
    for (const auto& [name, value] : plan.cases[i].settings) of["settings"][name] = value;
    of["trials"] = results[i].size();
    if (const auto& summary = summaries[i]; summary.has_value()) {
      of["mean"] = JsonOf(summary->mean);
      of["p50"] = JsonOf(summary->p50);
      of["p90"] = JsonOf(summary->p90);
      of["p99"] = JsonOf(summary->p99);
      of["p99.9"] = JsonOf(summary->p999);
      of["min"] = summary->min / kNanosPerMilli;
      of["max"] = summary->max / kNanosPerMilli;
      of["deviation"] = summary->deviation / kNanosPerMilli;
    }
    out["cases"].push_back(std::move(of));
  }
  for (const Outlier& outlier : Outliers(plan, results)) {
    out["cases"][outlier.of_case]["slowest"] = {
        {"seed", outlier.trial.seed},
        {"value", static_cast<double>(outlier.trial.row[plan.headline]) / kNanosPerMilli},
        {"replay", ReplayCommand(plan.cases[outlier.of_case], outlier.trial.seed)}};
  }
  return out.dump(1) + "\n";
}

}  // namespace quorate::sim::study
