// quorate-sim: runs simulated clusters under faults and judges them.
//
//   quorate-sim run --seeds 1..500
//   quorate-sim replay --seed 17
//   quorate-sim shrink --seed 17 --out FILE
//   quorate-sim explore --members 3 --terms 2 --entries 1
//   quorate-sim study election --timeout 150-155,150-300
//
// Exit status: 0 clean, 1 a violation (or a campaign that injected too little), 2 wrong
// usage, 3 a bound reached before the end, 4 a schedule that this build does not repeat.
#include <time.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/check.h"
#include "sim/exit_status.h"
#include "sim/explore/command.h"
#include "sim/markup.h"
#include "sim/progress_line.h"
#include "sim/replay.h"
#include "sim/report.h"
#include "sim/speed.h"
#include "sim/study/command.h"
#include "sim/swarm.h"
#include "sim/workers.h"
#include "sim/world.h"

namespace quorate::sim {
namespace {

// Campaigns below this size only warn about faults that never came up.
constexpr uint64_t kSeedsForCoverage = 50;

// Every so many seeds one is run twice and compared, also without --verify-determinism.
constexpr uint64_t kSeedsForDeterminism = 16;

struct Arguments {
  std::string seeds = "1..100";
  std::string shard;
  std::string profile = "default";
  uint64_t jobs = 1;
  uint64_t minutes = 0;
  uint64_t max_seconds = 0;
  bool json = false;
  bool stop_at_first = false;
  bool verify_determinism = false;
  std::string junit;
};

Duration Now() {
  return Nanoseconds(std::chrono::duration_cast<std::chrono::nanoseconds>(
                         std::chrono::steady_clock::now().time_since_epoch())
                         .count());
}

// What the CPUs gave this process, whoever else wants them.
Duration CpuTime() {
  timespec time{};
  CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0);
  return Seconds(time.tv_sec) + Nanoseconds(time.tv_nsec);
}

// "A..B" or "N".
std::optional<std::pair<uint64_t, uint64_t>> ParseSeeds(const std::string& text) {
  const size_t dots = text.find("..");
  uint64_t first = 0;
  uint64_t last = 0;
  const std::string from = text.substr(0, dots);
  const std::string to = dots == std::string::npos ? from : text.substr(dots + 2);
  if (!absl::SimpleAtoi(from, &first) || !absl::SimpleAtoi(to, &last) || first > last) {
    return std::nullopt;
  }
  return std::make_pair(first, last);
}

// "I/N", I from 0 on: the I-th of N machines that share a campaign.
struct Shard {
  uint64_t number = 0;
  uint64_t of = 1;
};

std::optional<Shard> ParseShard(const std::string& text) {
  if (text.empty()) return Shard();
  const size_t slash = text.find('/');
  Shard shard;
  if (slash == std::string::npos || !absl::SimpleAtoi(text.substr(0, slash), &shard.number) ||
      !absl::SimpleAtoi(text.substr(slash + 1), &shard.of) || shard.number >= shard.of) {
    return std::nullopt;
  }
  return shard;
}

int UsageError(const std::string& text) {
  std::cerr << "quorate-sim: " << text << "\n";
  return kUsage;
}

// The profile was checked before.
SeedReport RunSeed(const std::string& profile, uint64_t seed, bool twice) {
  const Options options = *DrawOptions(profile, seed);
  SeedReport report = World(options).Run();
  // It came to its end: a failed assertion or a crash would have ended the process.
  ++report.checks[static_cast<size_t>(Rule::kAssertion)];
  if (!twice) return report;
  const SeedReport again = World(options).Run();
  ++report.checks[static_cast<size_t>(Rule::kDeterminism)];
  if (again.digest != report.digest || again.trace_events != report.trace_events) {
    report.violations.push_back(
        Violation{Rule::kDeterminism,
                  VirtualTime(),
                  absl::StrCat("the same seed gave digest ", absl::Hex(report.digest), " (",
                               report.trace_events, " events) and then ", absl::Hex(again.digest),
                               " (", again.trace_events, " events)"),
                  {}});
  }
  return report;
}

// A case a seed, in the form that CI systems read.
class JUnit {
 public:
  explicit JUnit(const std::string& profile) : profile_(profile) {}

  void Add(const SeedReport& report) {
    ++cases_;
    absl::StrAppend(&body_, "  <testcase classname=\"sim.", profile_, "\" name=\"seed ",
                    report.seed, "\"");
    if (report.violations.empty() && !report.bound_reached) {
      body_ += "/>\n";
      return;
    }
    ++failures_;
    const std::string title = report.violations.empty()
                                  ? "bound reached"
                                  : std::string(RuleName(report.violations[0].rule));
    absl::StrAppend(&body_, ">\n    <failure message=\"", Escaped(title), "\">",
                    Escaped(Explain(profile_, report)), "</failure>\n  </testcase>\n");
  }

  bool WriteTo(const std::string& path) const {
    std::ofstream out(path);
    out << "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"quorate-sim\" tests=\""
        << cases_ << "\" failures=\"" << failures_ << "\">\n"
        << body_ << "</testsuite>\n";
    return static_cast<bool>(out.flush());
  }

 private:
  const std::string profile_;
  std::string body_;
  uint64_t cases_ = 0;
  uint64_t failures_ = 0;
};

// `seeds`: how many there are; 0: no end.
void ShowProgress(const Tally& tally, uint64_t seeds, ProgressLine* line) {
  if (!line->Due()) return;
  const double seconds = line->seconds();
  const std::string of = seeds == 0 ? "" : absl::StrCat("/", seeds);
  line->Show(absl::StrFormat("%d%s seeds, %d with violations, %.0f s, %.1f seeds/s, %.0f x",
                             tally.seeds(), of, tally.violations(), seconds,
                             static_cast<double>(tally.seeds()) / seconds,
                             static_cast<double>(tally.simulated().millis()) / 1000.0 / seconds));
}

int Verdict(const Tally& tally, bool complete) {
  const std::vector<std::string> missing = tally.Missing();
  bool failed = tally.violations() > 0;
  for (const std::string& name : missing) {
    const bool counts = tally.seeds() >= kSeedsForCoverage;
    std::cerr << (counts ? "FAILED" : "warning") << ": never happened in this campaign: " << name
              << "\n";
    failed = failed || counts;
  }
  if (failed) return kFoundViolation;
  return complete && tally.bounds() == 0 ? kClean : kBound;
}

int RunCampaign(const Arguments& arguments) {
  const auto seeds = ParseSeeds(arguments.seeds);
  if (!seeds.has_value()) {
    return UsageError(absl::StrCat("--seeds ", arguments.seeds, " is neither N nor A..B"));
  }
  const std::optional<Shard> shard = ParseShard(arguments.shard);
  if (!shard.has_value()) {
    return UsageError(
        absl::StrCat("--shard ", arguments.shard, " is not I/N with I from 0 to N-1"));
  }
  if (arguments.minutes == 0 && seeds->second - seeds->first < shard->number) {
    return UsageError(
        absl::StrCat("none of --seeds ", arguments.seeds, " is in --shard ", arguments.shard));
  }
  // A file that cannot be written should not show after an hour.
  if (!arguments.junit.empty() && !std::ofstream(arguments.junit)) {
    return UsageError(absl::StrCat("cannot write ", arguments.junit));
  }
  const bool endless = arguments.minutes > 0;
  const uint64_t last = endless ? std::numeric_limits<uint64_t>::max() : seeds->second;
  Tally tally(arguments.profile);
  JUnit junit(arguments.profile);
  // Every N-th seed is this machine's, by its place in the range.
  const uint64_t first = seeds->first + shard->number;
  const uint64_t count = endless ? 0 : (last - first) / shard->of + 1;
  ProgressLine progress(Now);
  const uint64_t seconds_max = endless ? arguments.minutes * 60 : arguments.max_seconds;

  WorkerOptions options;
  options.jobs = arguments.jobs;
  options.stride = shard->of;
  options.run = [&](uint64_t seed) {
    const bool twice = arguments.verify_determinism || seed % kSeedsForDeterminism == 0;
    return RunSeed(arguments.profile, seed, twice);
  };
  options.on_report = [&](const SeedReport& report) {
    tally.Add(report);
    junit.Add(report);
    if (!report.violations.empty()) {
      progress.Clear();
      std::cerr << Explain(arguments.profile, report) << std::flush;
    }
    return !(arguments.stop_at_first && !report.violations.empty());
  };
  options.on_tick = [&] {
    ShowProgress(tally, count, &progress);
    return seconds_max == 0 || progress.elapsed() < Seconds(static_cast<int64_t>(seconds_max));
  };
  options.now = Now;
  const bool complete = Workers(std::move(options), first, last).Run() || endless;
  progress.Clear();

  const Duration wall = progress.elapsed();
  std::cout << (arguments.json ? tally.Json(wall, arguments.jobs) + "\n"
                               : tally.Text(wall, arguments.jobs))
            << std::flush;
  if (!arguments.junit.empty() && !junit.WriteTo(arguments.junit)) {
    return UsageError(absl::StrCat("cannot write ", arguments.junit));
  }
  return Verdict(tally, complete);
}

int PrintDigests(const Arguments& arguments) {
  const auto seeds = ParseSeeds(arguments.seeds);
  if (!seeds.has_value()) {
    return UsageError(absl::StrCat("--seeds ", arguments.seeds, " is neither N nor A..B"));
  }
  for (uint64_t seed = seeds->first; seed <= seeds->second; ++seed) {
    const SeedReport report = RunSeed(arguments.profile, seed, false);
    std::cout << absl::StrFormat("%d %016x %d\n", seed, report.digest, report.trace_events)
              << std::flush;
  }
  return kClean;
}

int PrintProfiles() {
  for (const ProfileInfo& profile : Profiles()) {
    std::cout << absl::StrFormat("%-16s %s\n", profile.name, profile.about);
  }
  return kClean;
}

int Explore(const CLI::App& app, const explore::CommandOptions& options) {
  const absl::StatusOr<explore::Bounds> bounds = explore::BoundsOf(app, options);
  if (!bounds.ok()) return UsageError(std::string(bounds.status().message()));
  switch (explore::Run(*bounds, options, Now)) {
    case explore::Verdict::kExhaustive:
      return kClean;
    case explore::Verdict::kViolation:
      return kFoundViolation;
    case explore::Verdict::kBoundReached:
      return kBound;
  }
  UNREACHABLE("verdict");
}

void AddReplay(CLI::App* app, ReplayArguments* arguments) {
  CLI::Option* const seed = app->add_option("--seed", arguments->seed, "which");
  CLI::Option* const schedule =
      app->add_option("--schedule", arguments->schedule, "a file that `shrink` made, instead");
  schedule->excludes(seed);
  app->add_option("--profile", arguments->profile, "see `quorate-sim profiles`")
      ->capture_default_str();
  app->add_flag("--no-trace", arguments->no_trace, "print the verdict and the digest only");
  app->add_flag("--history", arguments->history, "also print what each client asked and saw");
  app->add_option("--format", arguments->format,
                  "explain the run instead: html (one page), text, jsonl, shiviz");
  app->add_option("--out", arguments->out, "write the explanation to this file");
}

void AddShrink(CLI::App* app, ShrinkArguments* arguments) {
  app->add_option("--seed", arguments->seed, "which")->required();
  app->add_option("--profile", arguments->profile, "see `quorate-sim profiles`")
      ->capture_default_str();
  app->add_option("--out", arguments->out, "write the schedule to this file");
  app->add_option("--max-seconds", arguments->max_seconds, "end with what there is by then")
      ->capture_default_str();
}

int Study(const CLI::App& app, const study::CommandOptions& options, int argc, char** argv) {
  std::string command = "quorate-sim";
  for (int i = 1; i < argc; ++i) absl::StrAppend(&command, " ", argv[i]);
  const absl::StatusOr<bool> agrees = study::Run(app, options, command, Now);
  if (agrees.ok()) return *agrees ? kClean : kFoundViolation;
  const int status = UsageError(std::string(agrees.status().message()));
  return absl::IsInternal(agrees.status()) ? kFoundViolation : status;
}

void AddRun(CLI::App* app, Arguments* arguments) {
  app->add_option("--seeds", arguments->seeds, "A..B, or one seed")->capture_default_str();
  app->add_option("--shard", arguments->shard, "I/N: every N-th of the seeds, from the I-th on");
  app->add_option("--jobs", arguments->jobs, "processes to run seeds in")
      ->check(CLI::Range(uint64_t{1}, uint64_t{256}))
      ->capture_default_str();
  app->add_option("--minutes", arguments->minutes,
                  "run fresh seeds, from the first of --seeds on, for so long");
  app->add_option("--max-seconds", arguments->max_seconds,
                  "end, with status 3, if it takes longer; 0: no bound");
  app->add_flag("--json", arguments->json, "the summary as JSON");
  app->add_option("--junit", arguments->junit, "write a case a seed to this file");
  app->add_flag("--stop-at-first", arguments->stop_at_first, "end at the first violation");
  app->add_flag("--verify-determinism", arguments->verify_determinism,
                "run each seed twice, not only every 16th, and compare the digests");
}

int Main(int argc, char** argv) {
  CLI::App app("Runs clusters of whole members in a simulated world under faults.", "quorate-sim");
  app.require_subcommand(1);
  Arguments arguments;
  CLI::App* const run = app.add_subcommand("run", "run many seeds and judge them");
  AddRun(run, &arguments);
  CLI::App* const replay = app.add_subcommand("replay", "run one seed and print its trace");
  ReplayArguments replay_arguments;
  AddReplay(replay, &replay_arguments);
  CLI::App* const shrink =
      app.add_subcommand("shrink", "cut a failing seed down to a small schedule");
  ShrinkArguments shrink_arguments;
  AddShrink(shrink, &shrink_arguments);
  CLI::App* const digest = app.add_subcommand("digest", "print each seed's digest");
  digest->add_option("--seeds", arguments.seeds, "A..B, or one seed")->capture_default_str();
  CLI::App* const exploration =
      app.add_subcommand("explore", "walk every state of a small cluster, within bounds");
  explore::CommandOptions explore_options;
  explore::AddOptions(exploration, &explore_options);
  CLI::App* const speed = app.add_subcommand("speed", "measure how fast worlds run on one core");
  uint64_t speed_seeds = 20;
  speed->add_option("--seeds", speed_seeds, "worlds of each kind")->capture_default_str();
  CLI::App* const studies =
      app.add_subcommand("study", "experiments on elections, partitions, quorums, memberships");
  study::CommandOptions study_options;
  study::AddOptions(studies, &study_options);
  CLI::App* const profiles = app.add_subcommand("profiles", "list the profiles");
  for (CLI::App* const command : {run, digest}) {
    command->add_option("--profile", arguments.profile, "see `quorate-sim profiles`")
        ->capture_default_str();
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? kClean : kUsage;
  }
  if (profiles->parsed()) return PrintProfiles();
  if (replay->parsed()) {
    if (replay->count("--seed") + replay->count("--schedule") == 0) {
      return UsageError("replay needs --seed N or --schedule FILE");
    }
    return Replay(replay_arguments);
  }
  if (speed->parsed()) return MeasureSpeed(speed_seeds, CpuTime);
  if (shrink->parsed()) return Shrink(shrink_arguments, Now);
  if (exploration->parsed()) return Explore(*exploration, explore_options);
  if (studies->parsed()) return Study(*studies, study_options, argc, argv);
  const absl::StatusOr<Options> options = DrawOptions(arguments.profile, 1);
  if (!options.ok()) return UsageError(std::string(options.status().message()));
  if (digest->parsed()) return PrintDigests(arguments);
  return RunCampaign(arguments);
}

}  // namespace
}  // namespace quorate::sim

int main(int argc, char** argv) { return quorate::sim::Main(argc, argv); }
