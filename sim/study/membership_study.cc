// `study membership`: the cases and what is expected of each.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "sim/study/lists.h"
#include "sim/study/membership.h"

namespace quorate::sim::study {
namespace {

constexpr uint64_t kTrials = 200;
// A commit takes some milliseconds and writes come every 10: more is a stall (half of an
// election timeout of the cases, and well below the delays that they bring about).
constexpr int64_t kStallNanos = 100'000'000;

bool Any(const std::vector<Trial>& trials, size_t column) {
  return std::any_of(trials.begin(), trials.end(),
                     [&](const Trial& trial) { return trial.row[column] != 0; });
}

bool Holds(Expectation expectation, const std::vector<Trial>& trials) {
  const bool safe = !Any(trials, kLost) && !Any(trials, kTwoLeaders);
  const bool done = std::all_of(trials.begin(), trials.end(),
                                [](const Trial& trial) { return trial.row[kDone] != 0; });
  const std::vector<int64_t> stalls = Values(trials, kStall);
  const auto [least, most] = std::minmax_element(stalls.begin(), stalls.end());
  switch (expectation) {
    case Expectation::kSafe:
      return safe;
    case Expectation::kCompletes:
      return safe && done;
    case Expectation::kNoStall:
      return safe && done && *most <= kStallNanos;
    case Expectation::kStall:
      return safe && *least > kStallNanos;
    case Expectation::kLoses:
      return Any(trials, kLost);
    case Expectation::kTwoLeadersInATerm:
      return Any(trials, kTwoLeaders);
  }
  return false;
}

absl::string_view NameOf(Expectation expectation) {
  switch (expectation) {
    case Expectation::kSafe:
      return "nothing lost";
    case Expectation::kCompletes:
      return "nothing lost, completes";
    case Expectation::kNoStall:
      return "nothing lost, completes, no stall";
    case Expectation::kStall:
      return "nothing lost, a stall";
    case Expectation::kLoses:
      return "loses a commit";
    case Expectation::kTwoLeadersInATerm:
      return "two leaders in a term";
  }
  return "?";
}

NamedTable Verdicts(const std::vector<MembershipCase>& chosen, const Results& results) {
  NamedTable out;
  out.title = "Expected and seen";
  out.table = {{"case", "expected", "trials", "lost a commit", "two leaders", "worst stall ms",
                "done", "changes", "refused", "as expected"}};
  for (size_t i = 0; i < chosen.size(); ++i) {
    const std::vector<Trial>& trials = results[i];
    if (trials.empty()) continue;
    const bool holds = Holds(chosen[i].expectation, trials);
    out.agrees = out.agrees && holds;
    const std::vector<int64_t> stalls = Values(trials, kStall);
    const auto share = [&](size_t column) {
      return absl::StrFormat("%.4g%%", Mean(Values(trials, column)) * 100);
    };
    out.table.push_back({std::string(chosen[i].name), std::string(NameOf(chosen[i].expectation)),
                         absl::StrCat(trials.size()), share(kLost), share(kTwoLeaders),
                         Millis(Nanoseconds(*std::max_element(stalls.begin(), stalls.end()))),
                         share(kDone), NumberText(Mean(Values(trials, kChanges))),
                         NumberText(Mean(Values(trials, kRefused))), holds ? "yes" : "NO"});
  }
  for (const MembershipCase& one : chosen) {
    out.notes.push_back(absl::StrCat(one.name, ": ", one.about));
  }
  return out;
}

}  // namespace

absl::StatusOr<Study> MembershipStudy(const std::string& cases) {
  std::vector<MembershipCase> chosen;
  if (cases == "all") {
    chosen.assign(MembershipCases().begin(), MembershipCases().end());
  } else {
    for (const absl::string_view name : absl::StrSplit(cases, ',')) {
      const auto* at = std::find_if(MembershipCases().begin(), MembershipCases().end(),
                                    [&](const MembershipCase& one) { return one.name == name; });
      if (at == MembershipCases().end()) {
        const std::string names = absl::StrJoin(
            MembershipCases(), ", ",
            [](std::string* out, const MembershipCase& one) { absl::StrAppend(out, one.name); });
        return absl::InvalidArgumentError(
            absl::StrCat("--case '", name, "': unknown; there are: ", names));
      }
      chosen.push_back(*at);
    }
  }
  Study study;
  study.trials = kTrials;
  Plan& plan = study.plan;
  plan.name = "membership";
  plan.title = "Changes of membership";
  plan.notes = {"One way uniform in 1 to 3 ms; a write every 10 ms where stalls are measured."};
  plan.columns = {{"stall", Unit::kSpan},    {"done", Unit::kFlag},
                  {"lost", Unit::kFlag},     {"two_leaders", Unit::kFlag},
                  {"refused", Unit::kCount}, {"changes", Unit::kCount}};
  plan.headline = kStall;
  for (const MembershipCase& one : chosen) {
    Case of;
    of.settings = {{"case", std::string(one.name)}};
    of.command = CommandOf("membership", of.settings);
    of.run = one.run;
    plan.cases.push_back(std::move(of));
  }
  LabelAndDraw(&plan);
  for (size_t i = 0; i < chosen.size(); ++i) plan.cases[i].label = std::string(chosen[i].name);
  study.tables = [chosen](const Results& results) {
    return std::vector<NamedTable>{Verdicts(chosen, results)};
  };
  return study;
}

}  // namespace quorate::sim::study
