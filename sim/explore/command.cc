#include "sim/explore/command.h"

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/check.h"
#include "nlohmann/json.hpp"
#include "sim/progress_line.h"

namespace quorate::sim::explore {

namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kMiB = 1 << 20;

double Rate(uint64_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

void ShowProgress(const Findings& findings, ProgressLine* line) {
  if (!line->Due()) return;
  const double seconds = line->seconds();
  line->Show(absl::StrFormat(
      "depth %d, %d states visited, %d distinct, %d waiting, %.0f s, %.0f/s, %d MiB",
      findings.depth, findings.visited, findings.distinct, findings.frontier, seconds,
      Rate(findings.distinct, seconds), findings.memory / kMiB));
}

std::string Text(const Bounds& bounds, const Findings& findings, double seconds) {
  std::string out;
  if (findings.violation.has_value()) {
    absl::StrAppend(&out, "VIOLATION of ", RuleName(findings.violation->rule), ": ",
                    findings.violation->text, "\nA shortest way there:\n");
    int number = 0;
    for (const std::string& line : findings.violation->evidence) {
      absl::StrAppendFormat(&out, "%3d. %s\n", ++number, line);
    }
    absl::StrAppend(&out, "Again with: quorate-sim explore ", bounds.CommandLine(), "\n");
  } else if (findings.exhaustive) {
    out += "exhaustive: no state within the bounds breaks a rule\n";
  } else {
    absl::StrAppend(&out, "NOT exhaustive: ended early, with ", findings.frontier,
                    " states whose successors are unknown; no rule broken so far\n");
  }
  const auto line = [&out](absl::string_view name, uint64_t value, absl::string_view note = "") {
    absl::StrAppendFormat(&out, "%-16s %12d%s\n", name, value, note);
  };
  absl::StrAppend(&out, "explore ", bounds.CommandLine(), "\n");
  line("states visited", findings.visited);
  line("distinct", findings.distinct,
       bounds.symmetry ? absl::StrCat(" (", findings.renamed, " without symmetry)") : "");
  line("depth", findings.depth);
  line("latest leader", findings.latest_leader, " (term)");
  line("committed", findings.committed, " entries at most");
  line("member states", findings.member_states);
  line("messages", findings.messages);
  line("raft steps", findings.reactions);
  absl::StrAppendFormat(&out, "%-16s %12.1f s, %.0f visited/s, %.0f distinct/s\n", "time", seconds,
                        Rate(findings.visited, seconds), Rate(findings.distinct, seconds));
  line("memory", findings.memory / kMiB, " MiB");
  return out;
}

std::string JsonText(const Bounds& bounds, const Findings& findings, double seconds) {
  Json out = {{"bounds", bounds.CommandLine()},
              {"exhaustive", findings.exhaustive},
              {"violations", Json::array()},
              {"visited", findings.visited},
              {"distinct", findings.distinct},
              {"distinct_without_symmetry", findings.renamed},
              {"depth", findings.depth},
              {"frontier", findings.frontier},
              {"latest_leader", findings.latest_leader},
              {"committed", findings.committed},
              {"reads_served", findings.reads_served},
              {"member_states", findings.member_states},
              {"messages", findings.messages},
              {"raft_steps", findings.reactions},
              {"seconds", seconds},
              {"visited_per_second", Rate(findings.visited, seconds)},
              {"distinct_per_second", Rate(findings.distinct, seconds)},
              {"memory_bytes", findings.memory}};
  if (findings.violation.has_value()) {
    out["violations"].push_back(Json{{"rule", static_cast<int>(findings.violation->rule)},
                                     {"name", std::string(RuleName(findings.violation->rule))},
                                     {"text", findings.violation->text},
                                     {"evidence", findings.violation->evidence}});
  }
  return out.dump(2) + "\n";
}

// For an assertion that fails while raft takes a step.
struct Running {
  Explorer* explorer;
  const Bounds* bounds;
  const CommandOptions* options;
  ProgressLine* progress;
};
Running* running = nullptr;

void Print(const Running& run, const Findings& findings) {
  run.progress->Clear();
  const double seconds = run.progress->seconds();
  std::cout << (run.options->json ? JsonText(*run.bounds, findings, seconds)
                                  : Text(*run.bounds, findings, seconds))
            << std::flush;
}

void OnFailedAssertion(const char* text) {
  if (running == nullptr) return;
  const Running run = *std::exchange(running, nullptr);
  Print(run, run.explorer->FailedAssertion(text));
  std::_Exit(1);
}

}  // namespace

void AddOptions(CLI::App* app, CommandOptions* options) {
  Bounds& bounds = options->bounds;
  const auto number = [app](const char* name, uint64_t* value, const char* about) {
    return app->add_option(name, *value, about)->capture_default_str();
  };
  number("--members", &bounds.members, "members of the cluster, 1 to 5");
  number("--terms", &bounds.terms, "nobody stands for election in a later term");
  number("--entries", &bounds.entries, "proposals, to whoever leads");
  number("--crashes", &bounds.crashes, "crashes, each followed by a restart");
  app->add_option("--duplicates", options->duplicates,
                  "deliveries after which the message is still in flight; 'any': no bound")
      ->capture_default_str();
  number("--drops", &bounds.drops,
         "messages lost for good (one that is never delivered is as good as lost)");
  number("--heartbeats", &bounds.heartbeats, "firings of heartbeat timers");
  app->add_option("--timeouts", options->timeouts,
                  "firings of election timers; default: as many as --terms leaves room for");
  number("--reads", &bounds.reads, "linearizable reads, of any member");
  number("--transfers", &bounds.transfers, "leadership transfers");
  app->add_flag("--pre-vote", bounds.pre_vote, "members ask before they stand");
  app->add_flag("--check-quorum", bounds.check_quorum,
                "leaders without a quorum step down, followers stick to their leader");
  app->add_flag("--one-entry-appends", bounds.one_entry_appends,
                "append messages carry at most one entry");
  app->add_flag("--instant-disk", bounds.instant_disk, "writes are durable at once");
  app->add_flag("!--no-symmetry", bounds.symmetry,
                "count clusters that differ in the members' names only as different");
  app->add_flag("--audit", options->audit,
                "take every step of raft anew in each state and compare: slow");
  number("--max-states", &options->max_states, "end, with status 3, at so many; 0: no bound");
  number("--max-seconds", &options->max_seconds,
         "end, with status 3, if it takes longer; 0: no bound");
  number("--max-memory-mb", &options->max_memory_mb, "end, with status 3, if it takes more");
  app->add_flag("--json", options->json, "what was found as JSON");
}

absl::StatusOr<Bounds> BoundsOf(const CLI::App& app, const CommandOptions& options) {
  Bounds bounds = options.bounds;
  uint64_t duplicates = 0;
  if (options.duplicates == "any") {
    bounds.duplicates.reset();
  } else if (absl::SimpleAtoi(options.duplicates, &duplicates)) {
    bounds.duplicates = duplicates;
  } else {
    return absl::InvalidArgumentError("--duplicates is neither a number nor 'any'");
  }
  if (app.count("--timeouts") > 0) bounds.timeouts = options.timeouts;
  if (absl::Status status = bounds.Validate(); !status.ok()) return status;
  return bounds;
}

Verdict Run(const Bounds& bounds, const CommandOptions& options,
            const std::function<Duration()>& now) {
  ProgressLine progress(now);
  ExploreOptions explore;
  explore.audit = options.audit;
  explore.max_states = options.max_states;
  explore.max_memory_bytes = options.max_memory_mb * kMiB;
  explore.on_progress = [&](const Findings& findings) {
    ShowProgress(findings, &progress);
    return options.max_seconds == 0 ||
           progress.elapsed() < quorate::Seconds(static_cast<int64_t>(options.max_seconds));
  };
  Explorer explorer(bounds, std::move(explore));
  Running run = {&explorer, &bounds, &options, &progress};
  running = &run;
  SetCrashHook(OnFailedAssertion);
  const Findings& findings = explorer.Run();
  running = nullptr;
  Print(run, findings);
  if (findings.violation.has_value()) return Verdict::kViolation;
  return findings.exhaustive ? Verdict::kExhaustive : Verdict::kBoundReached;
}

}  // namespace quorate::sim::explore
