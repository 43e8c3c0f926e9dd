#include "sim/replay.h"

#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <sstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/check.h"
#include "sim/exit_status.h"
#include "sim/explain/explain.h"
#include "sim/report.h"
#include "sim/schedule.h"
#include "sim/shrink.h"
#include "sim/story.h"
#include "sim/workers.h"
#include "sim/world.h"

namespace quorate::sim {
namespace {

// Messages in an explanation: the newest of a run that has more.
constexpr size_t kMessagesTold = 60'000;

int UsageError(absl::string_view text) {
  std::cerr << "quorate-sim: " << text << "\n";
  return kUsage;
}

absl::StatusOr<Schedule> ScheduleOf(const ReplayArguments& arguments) {
  if (arguments.schedule.empty()) return WholeSchedule(arguments.profile, arguments.seed);
  std::ifstream in(arguments.schedule);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  if (!in) return absl::NotFoundError(absl::StrCat("cannot read ", arguments.schedule));
  return ParseSchedule(text.str(), arguments.schedule);
}

bool Write(const std::string& path, const std::string& text) {
  if (path.empty()) {
    std::cout << text << std::flush;
    return static_cast<bool>(std::cout);
  }
  std::ofstream out(path, std::ios::binary);
  out << text;
  return static_cast<bool>(out.flush());
}

std::string ReplayCommand(const ReplayArguments& arguments) {
  if (arguments.schedule.empty()) return ReplayLine(arguments.profile, arguments.seed);
  return absl::StrCat("quorate-sim replay --schedule ", arguments.schedule);
}

// The end of a run: tells of it, and gives the exit status.
using Ending = std::function<int(const SeedReport& report)>;

// Whose run an assertion ends that fails; set while one goes on.
World* running = nullptr;
const Ending* ending = nullptr;

// The assertion is the rule that is broken: the run is told of as far as it came.
void EndByAssertion(const char* text) {
  SeedReport report = running->Report();
  report.violations.insert(report.violations.begin(),
                           Violation{Rule::kAssertion,
                                     VirtualTime() + report.simulated,
                                     std::string(absl::StripAsciiWhitespace(text)),
                                     {}});
  std::_Exit((*ending)(report));
}

int RunTo(const Ending& end, World* world) {
  running = world;
  ending = &end;
  SetCrashHook(EndByAssertion);
  const SeedReport report = world->Run();
  SetCrashHook(nullptr);
  return end(report);
}

// Whether the run is the one that was saved; says so if it is not.
bool IsAsExpected(const Schedule& schedule, const SeedReport& report) {
  const std::string rule =
      report.violations.empty() ? "" : std::string(RuleName(report.violations[0].rule));
  const auto name = [](const std::string& r) { return r.empty() ? "no violation" : r; };
  if (!schedule.expected_rule.empty() && rule != schedule.expected_rule) {
    std::cerr << "DIFFERS: the schedule was saved with " << name(schedule.expected_rule)
              << ", this run ends with " << name(rule) << "\n";
    return false;
  }
  if (schedule.expected_digest.has_value() && *schedule.expected_digest != report.digest) {
    std::cerr << absl::StrFormat("DIFFERS: the schedule was saved with digest %016x\n",
                                 *schedule.expected_digest);
    return false;
  }
  return true;
}

int StatusOf(const Schedule& schedule, const SeedReport& report) {
  if (!IsAsExpected(schedule, report)) return kDiffers;
  if (!report.violations.empty()) return kFoundViolation;
  return report.bound_reached ? kBound : kClean;
}

int ExplainRun(const ReplayArguments& arguments, const Schedule& schedule, const Options& options,
               explain::Format format) {
  Story story(kMessagesTold);
  World world(options, nullptr, &story);
  const Ending end = [&](const SeedReport& report) -> int {
    explain::Run run;
    run.report = &report;
    run.story = &story;
    run.history = &world.history();
    run.hosts = world.HostNames();
    run.replay = ReplayCommand(arguments);
    if (!Write(arguments.out, explain::Explain(run, format))) {
      return UsageError(absl::StrCat("cannot write ", arguments.out));
    }
    if (!arguments.out.empty()) std::cout << "wrote " << arguments.out << "\n" << std::flush;
    return StatusOf(schedule, report);
  };
  return RunTo(end, &world);
}

}  // namespace

int Replay(const ReplayArguments& arguments) {
  const absl::StatusOr<Schedule> schedule = ScheduleOf(arguments);
  if (!schedule.ok()) return UsageError(schedule.status().message());
  const absl::StatusOr<Options> options = OptionsOf(*schedule);
  if (!options.ok()) return UsageError(options.status().message());
  if (!arguments.format.empty()) {
    const absl::StatusOr<explain::Format> format = explain::ParseFormat(arguments.format);
    if (!format.ok()) return UsageError(format.status().message());
    return ExplainRun(arguments, *schedule, *options, *format);
  }
  std::cout << "# seed " << schedule->seed << " " << Describe(*options) << "\n";
  Trace::LineSink print;
  if (!arguments.no_trace) print = [](absl::string_view line) { std::cout << line << '\n'; };
  World world(*options, std::move(print));
  const Ending end = [&](const SeedReport& report) -> int {
    if (arguments.history) {
      for (const Call& call : world.history().calls()) std::cout << "# " << Describe(call) << "\n";
    }
    std::cout << absl::StrFormat("# digest %016x over %d events\n", report.digest,
                                 report.trace_events)
              << std::flush;
    std::cerr << Explain(schedule->profile, report);
    return StatusOf(*schedule, report);
  };
  return RunTo(end, &world);
}

int Shrink(const ShrinkArguments& arguments, const std::function<Duration()>& now) {
  const absl::StatusOr<Schedule> whole = WholeSchedule(arguments.profile, arguments.seed);
  if (!whole.ok()) return UsageError(whole.status().message());
  if (!arguments.out.empty() && !std::ofstream(arguments.out, std::ios::app)) {
    return UsageError(absl::StrCat("cannot write ", arguments.out));
  }
  const Duration start = now();
  const Duration most = Seconds(static_cast<int64_t>(arguments.max_seconds));
  ShrinkOptions options;
  options.run = [&now](const Schedule& schedule) {
    SeedReport out;
    WorkerOptions worker;
    // In a child: the run may well end with a failed assertion.
    worker.run = [&schedule](uint64_t) { return World(*OptionsOf(schedule)).Run(); };
    worker.on_report = [&out](const SeedReport& report) {
      out = report;
      return true;
    };
    worker.on_tick = [] { return true; };
    worker.now = now;
    Workers(std::move(worker), schedule.seed, schedule.seed).Run();
    return out;
  };
  options.may_go_on = [&] { return now() - start < most; };
  options.on_progress = [](const Schedule& s) { std::cerr << "  " << Summary(s) << "\n"; };
  Shrinker shrinker(std::move(options));
  const Schedule shrunk = shrinker.Shrink(*whole);
  if (!shrinker.broken()) {
    std::cerr << "seed " << arguments.seed << " breaks no rule: there is nothing to shrink\n";
    return kClean;
  }
  if (!Write(arguments.out, ToText(shrunk))) {
    return UsageError(absl::StrCat("cannot write ", arguments.out));
  }
  std::cerr << absl::StrFormat("%s: %s, after %d runs in %d s\n", shrunk.expected_rule,
                               Summary(shrunk), shrinker.runs(), (now() - start).millis() / 1000);
  if (!arguments.out.empty()) {
    std::cerr << "replay: quorate-sim replay --schedule " << arguments.out << "\n";
  }
  return kFoundViolation;
}

}  // namespace quorate::sim
