// `study partition` and `study table6.4`: scenarios times election rules.
#include <algorithm>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "sim/study/lists.h"
#include "sim/study/partition.h"

namespace quorate::sim::study {
namespace {

constexpr uint64_t kTrials = 20;
// With both rules on a cluster commits again within so many election timeouts.
constexpr int64_t kTimeoutsToRecover = 4;

struct Rules {
  absl::string_view name;
  bool pre_vote;
  bool check_quorum;
};
constexpr Rules kRules[] = {{"plain", false, false},
                            {"prevote", true, false},
                            {"checkquorum", false, true},
                            {"both", true, true}};

absl::Status Refuse(absl::string_view option, absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("--", option, " '", text, "': ", why));
}

absl::StatusOr<std::vector<Scenario>> AllScenarios(const std::string& links) {
  if (links.empty()) return KnownScenarios();
  std::ifstream in(links);
  if (!in) return absl::InvalidArgumentError(absl::StrCat("cannot read ", links));
  std::stringstream text;
  text << in.rdbuf();
  return ParseScenarios(text.str());
}

absl::StatusOr<std::vector<Scenario>> Chosen(const PartitionArguments& arguments) {
  ASSIGN_OR_RETURN(const std::vector<Scenario> all, AllScenarios(arguments.links));
  if (arguments.scenario == "all") return all;
  std::vector<Scenario> chosen;
  for (const absl::string_view name : absl::StrSplit(arguments.scenario, ',')) {
    const auto at = std::find_if(all.begin(), all.end(),
                                 [&](const Scenario& scenario) { return scenario.name == name; });
    if (at == all.end()) {
      const std::string names = absl::StrJoin(
          all, ", ",
          [](std::string* out, const Scenario& scenario) { absl::StrAppend(out, scenario.name); });
      return Refuse("scenario", name, absl::StrCat("unknown; there are: ", names));
    }
    chosen.push_back(*at);
  }
  return chosen;
}

absl::StatusOr<std::vector<Rules>> ChosenRules(const std::string& text) {
  std::vector<Rules> chosen;
  for (const absl::string_view name : absl::StrSplit(text, ',')) {
    const auto* at = std::find_if(std::begin(kRules), std::end(kRules),
                                  [&](const Rules& rules) { return rules.name == name; });
    if (at == std::end(kRules)) {
      return Refuse("rules", name, "unknown; there are: plain, prevote, checkquorum, both");
    }
    chosen.push_back(*at);
  }
  return chosen;
}

absl::StatusOr<PartitionSetup> SetupOf(const PartitionArguments& arguments) {
  PartitionSetup setup;
  ASSIGN_OR_RETURN(const std::vector<WaitRange> timeouts,
                   ParseRanges("timeout", arguments.timeout));
  ASSIGN_OR_RETURN(const std::vector<DelayModel> models, ParseModels("latency", arguments.latency));
  if (timeouts.size() != 1) return Refuse("timeout", arguments.timeout, "one range only");
  if (models.size() != 1) return Refuse("latency", arguments.latency, "one model only");
  setup.cluster.timeout = timeouts[0];
  setup.cluster.latency = models[0];
  ASSIGN_OR_RETURN(setup.cluster.heartbeat, ParseSpan(arguments.heartbeat));
  ASSIGN_OR_RETURN(setup.length, ParseSpan(arguments.length));
  ASSIGN_OR_RETURN(setup.every, ParseSpan(arguments.every));
  if (setup.cluster.heartbeat <= Duration() || setup.cluster.heartbeat >= timeouts[0].low) {
    return Refuse("heartbeat", arguments.heartbeat, "must be above 0 and below the timeout");
  }
  if (setup.length <= Duration()) return Refuse("length", arguments.length, "must be above 0");
  if (setup.every <= Duration()) return Refuse("every", arguments.every, "must be above 0");
  return setup;
}

Settings SettingsOf(const PartitionArguments& arguments, const Scenario& scenario,
                    const Rules& rules) {
  Settings settings = {{"scenario", scenario.name},    {"rules", std::string(rules.name)},
                       {"timeout", arguments.timeout}, {"heartbeat", arguments.heartbeat},
                       {"latency", arguments.latency}, {"length", arguments.length},
                       {"every", arguments.every}};
  if (!arguments.links.empty()) settings.emplace_back("links", arguments.links);
  return settings;
}

// "1198/1/1/0.20 s": mean commits, leader changes, term growth, worst gap.
std::string CellText(const std::vector<Trial>& trials) {
  if (trials.empty()) return "-";
  const std::vector<int64_t> gaps = Values(trials, kGap);
  return absl::StrFormat("%.0f/%.3g/%.3g/%.2f s", Mean(Values(trials, kCommits)),
                         Mean(Values(trials, kLeaderChanges)), Mean(Values(trials, kTermGrowth)),
                         static_cast<double>(*std::max_element(gaps.begin(), gaps.end())) / 1e9);
}

NamedTable Matrix(const Plan& plan, const Results& results) {
  NamedTable out;
  out.title = "Mean commits / leader changes / term growth / worst commit gap";
  for (size_t i = 0; i < plan.cases.size(); ++i) {
    const std::string& scenario = plan.cases[i].settings[0].second;
    const std::string& rules = plan.cases[i].settings[1].second;
    if (i == 0) out.table.push_back({"scenario"});
    if (i == 0 || scenario != plan.cases[i - 1].settings[0].second) {
      out.table.push_back({scenario});
    }
    if (out.table.size() == 2) out.table[0].push_back(rules);
    out.table.back().push_back(CellText(results[i]));
  }
  return out;
}

// As measured on etcd-io/raft under the same conditions, in the order of kRules.
struct Reference {
  absl::string_view scenario;
  absl::string_view cells[4];
};
constexpr Reference kReference[] = {
    {"control", {"1200/0/0/0.05 s", "1200/0/0/0.05 s", "1200/0/0/0.05 s", "1200/0/0/0.05 s"}},
    {"quorum-loss", {"1195/1/3/1.3 s", "0, deadlock", "1188/1/6/2.4 s", "1198/1/1/0.39 s"}},
    {"constrained", {"0, 498 terms", "0", "0, 501 terms", "0"}},
    {"constrained-current",
     {"1195/1/2.5/0.7 s", "1198/1/1/0.19 s", "1194/1/412/0.6 s", "1197/1/1/0.2 s"}},
    {"chained", {"1197/1/3/0.5 s", "1200/0/0/0.05 s", "1200/0/414/0.05 s", "1200/0/0/0.05 s"}},
    {"chain-of-5", {"956/80/389/2.3 s", "1198/1/1/0.2 s", "1196/1/471/0.6 s", "1198/1/1/0.2 s"}},
    {"howard-1", {"936/108/451/1.5 s", "1200/0/0", "1200/0/411", "1200/0/0"}},
    {"howard-2", {"1193/1/413/1.2 s", "0, deadlock", "1190/1/412/1.5 s", "1198/1/1/0.39 s"}},
    {"cloudflare", {"1197/1/2.5/0.4 s", "1200/0/0", "1200/0/414", "1200/0/0"}},
    {"leader-deaf", {"0", "0", "1198/1/412/0.5 s", "1198/1/1/0.38 s"}},
    {"leader-mute", {"1198/1/1/0.2 s", "1198/1/1/0.3 s", "1198/1/1/0.2 s", "1198/1/1/0.2 s"}},
    {"follower-deaf-3", {"770/165", "1200/0/0", "1200/0/413", "1200/0/0"}},
    {"follower-deaf-5", {"877/185", "1200/0/0", "1200/0/413", "1200/0/0"}},
    {"follower-returns", {"1198/1/2/0.5 s", "1200/0/0", "1194/2/4/0.6 s", "1200/0/0/0.05 s"}},
};

NamedTable Beside(const Plan& plan, const Results& results) {
  NamedTable out;
  out.title = "Beside etcd's raft (each cell: its figures, then ours)";
  out.table = {{"scenario", "rules", "etcd's raft", "ours", "bar for both rules"}};
  for (size_t i = 0; i < plan.cases.size(); ++i) {
    if (results[i].empty()) continue;
    const Reference& reference = kReference[i / std::size(kRules)];
    const std::string& rules = plan.cases[i].settings[1].second;
    std::string bar;
    // Nobody who could win reaches a majority there: no rule of Raft's helps.
    if (rules == "both" && reference.scenario != "constrained") {
      const std::vector<int64_t> gaps = Values(results[i], kGap);
      const Duration worst = Nanoseconds(*std::max_element(gaps.begin(), gaps.end()));
      const bool met = worst <= Milliseconds(200) * kTimeoutsToRecover &&
                       Mean(Values(results[i], kTermGrowth)) <= 1.5;
      bar = met ? "met" : "MISSED";
      out.agrees = out.agrees && met;
    }
    out.table.push_back({std::string(reference.scenario), rules,
                         std::string(reference.cells[i % std::size(kRules)]), CellText(results[i]),
                         bar});
  }
  out.notes = {
      "The bar: with both rules a cluster commits again within 4 election timeouts (0.8 "
      "s), and the term grows by one, two after a split vote (mean at most 1.5)."};
  return out;
}

}  // namespace

absl::StatusOr<Study> PartitionStudy(const PartitionArguments& arguments) {
  Study study;
  study.trials = kTrials;
  Plan& plan = study.plan;
  plan.name = "partition";
  plan.title = "Partial connectivity";
  plan.notes = {absl::StrCat("Timeouts ", arguments.timeout, " ms, heartbeat ", arguments.heartbeat,
                             ", one way ", arguments.latency, ", no write latency; ",
                             arguments.length, " of fault, a proposal every ", arguments.every,
                             " to whoever leads the latest term (none if nobody does).")};
  plan.columns = {{"longest_gap", Unit::kSpan},
                  {"commits", Unit::kCount},
                  {"leader_changes", Unit::kCount},
                  {"term_growth", Unit::kCount},
                  {"unsafe", Unit::kFlag}};
  plan.headline = kGap;
  ASSIGN_OR_RETURN(const std::vector<Scenario> scenarios, Chosen(arguments));
  ASSIGN_OR_RETURN(const std::vector<Rules> chosen, ChosenRules(arguments.rules));
  ASSIGN_OR_RETURN(PartitionSetup setup, SetupOf(arguments));
  plan.limit = setup.length.nanos();
  for (const Scenario& scenario : scenarios) {
    Plot plot{scenario.name, {}, {}};
    for (const Rules& rules : chosen) {
      setup.scenario = scenario;
      setup.cluster.pre_vote = rules.pre_vote;
      setup.cluster.check_quorum = rules.check_quorum;
      Case of;
      of.settings = SettingsOf(arguments, scenario, rules);
      of.label = absl::StrCat(scenario.name, ", ", rules.name);
      of.command = CommandOf("partition", of.settings);
      of.run = [setup](uint64_t seed, Observer* observer) {
        return RunPartition(setup, seed, observer);
      };
      plot.cases.push_back(plan.cases.size());
      plot.names.emplace_back(rules.name);
      plan.cases.push_back(std::move(of));
    }
    plan.plots.push_back(std::move(plot));
  }
  study.tables = [plan](const Results& results) {
    return std::vector<NamedTable>{Matrix(plan, results)};
  };
  return study;
}

absl::StatusOr<Study> Table64() {
  ASSIGN_OR_RETURN(Study study, PartitionStudy(PartitionArguments()));
  study.plan.title = "Partial connectivity, beside etcd's raft";
  study.tables = [plan = study.plan](const Results& results) {
    return std::vector<NamedTable>{Beside(plan, results)};
  };
  return study;
}

}  // namespace quorate::sim::study
