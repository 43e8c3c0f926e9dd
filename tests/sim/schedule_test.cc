// Schedules: they repeat their seed, survive being written and read, name the place of a
// mistake; and shrinking leaves what breaks the rule and nothing else.
#include "sim/schedule.h"

#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sim/shrink.h"
#include "sim/world.h"

namespace quorate::sim {
namespace {

Schedule Short(uint64_t seed) {
  absl::StatusOr<Schedule> schedule = WholeSchedule("swarm", seed);
  EXPECT_TRUE(schedule.ok()) << schedule.status();
  schedule->duration = Seconds(3);
  return *schedule;
}

SeedReport RunIt(const Schedule& schedule) {
  const absl::StatusOr<Options> options = OptionsOf(schedule);
  EXPECT_TRUE(options.ok()) << options.status();
  return World(*options).Run();
}

TEST(Schedule, AWholeOneIsTheSeed) {
  const absl::StatusOr<Options> drawn = DrawOptions("default", 11);
  const absl::StatusOr<Options> made = OptionsOf(*WholeSchedule("default", 11));
  ASSERT_TRUE(drawn.ok() && made.ok());
  EXPECT_EQ(Describe(*made), Describe(*drawn));
}

TEST(Schedule, ItIsTheSameWhenReadBack) {
  Schedule schedule = Short(5);
  schedule.reduction.requests[1] = {2, 5, 9};
  schedule.reduction.requests[2] = {};
  for (size_t i = 0; i < kFaultClasses; ++i) {
    if (schedule.classes[i] && i % 2 == 0) schedule.reduction.actions[i] = {1, 3};
  }
  schedule.expected_rule = "R11 read safety";
  schedule.expected_digest = 0x0123456789abcdef;
  const absl::StatusOr<Schedule> back = ParseSchedule(ToText(schedule), "file");
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back, schedule);
}

TEST(Schedule, ItRepeatsItsRunExactly) {
  Schedule schedule = Short(7);
  schedule.reduction.requests[1] = {1, 2, 3};
  EXPECT_EQ(RunIt(schedule).digest, RunIt(*ParseSchedule(ToText(schedule), "file")).digest);
}

TEST(Schedule, WhatIsLeftOutDoesNotHappen) {
  Schedule schedule = Short(7);
  for (uint32_t client = 1; client <= schedule.clients; ++client) {
    schedule.reduction.requests[client] = {};
  }
  for (size_t i = 0; i < kFaultClasses; ++i) schedule.reduction.actions[i].emplace();
  const SeedReport report = RunIt(schedule);
  EXPECT_TRUE(report.violations.empty());
  // Probes of the second phase, through every member by every client, and no more.
  EXPECT_LE(report.acknowledged_writes, schedule.clients * schedule.members * 20);
  EXPECT_EQ(report.faults[static_cast<size_t>(Fault::kPowerLoss)], schedule.members)
      << "only the last one, that everybody must come back from";
  EXPECT_EQ(report.faults[static_cast<size_t>(Fault::kPartition)], 0u);
}

// The lines of the trace that tell of the nemesis' actions.
std::vector<std::string> ActionsOf(const Schedule& schedule) {
  std::vector<std::string> lines;
  World world(*OptionsOf(schedule), [&lines](absl::string_view line) {
    if (line.find(" nemesis ") != absl::string_view::npos) lines.emplace_back(line);
  });
  world.Run();
  return lines;
}

TEST(Schedule, LeavingOneActionOutDoesNotChangeTheOthers) {
  const auto clock = static_cast<size_t>(FaultClass::kClock);
  Schedule whole;
  std::vector<std::string> all;
  for (uint64_t seed = 7; all.size() < 3; ++seed) {
    ASSERT_LT(seed, 50u);
    whole = *WholeSchedule("uniform", seed);
    whole.classes.fill(false);
    whole.classes[clock] = true;
    whole.duration = Seconds(10);
    all = ActionsOf(whole);
  }
  Schedule reduced = whole;
  reduced.reduction.actions[clock].emplace();
  for (uint64_t n = 1; n <= all.size(); ++n) {
    if (n != 2) reduced.reduction.actions[clock]->insert(n);
  }
  all.erase(all.begin() + 1);
  EXPECT_EQ(ActionsOf(reduced), all) << "the same actions at the same times";
}

TEST(Schedule, AMistakeIsNamedWithItsPlace) {
  const std::string good = ToText(Short(5));
  const auto error = [](const std::string& text) {
    return std::string(ParseSchedule(text, "bug.txt").status().message());
  };
  EXPECT_EQ(error(good + "membrs 4\n").substr(0, 8), "bug.txt:");
  EXPECT_NE(
      error("quorate-sim schedule 1\nseed 5\nmembers many\n").find("bug.txt:3:9: 'many' is no"),
      std::string::npos);
  EXPECT_NE(
      error("quorate-sim schedule 1\nseed 5\nseed 6\n").find("bug.txt:3:1: 'seed' is here twice"),
      std::string::npos);
  EXPECT_NE(error("quorate-sim schedule 1\nfaults fire 1\n").find("bug.txt:2:8: 'faults'"),
            std::string::npos);
  EXPECT_NE(error("quorate-sim schedule 1\nfaults kill 3 2\n").find("bug.txt:2:15: 2 does not"),
            std::string::npos);
  EXPECT_NE(error("quorate-sim schedule 1\ndigest 12\n").find("bug.txt:2:8: a digest"),
            std::string::npos);
  EXPECT_NE(error("quorate-sim schedule 1\nseed 5\n").find("ends without a line 'members'"),
            std::string::npos);
  EXPECT_NE(error("hello\n").find("bug.txt:1:1: a schedule begins with"), std::string::npos);
  EXPECT_NE(error("").find("bug.txt:1:1:"), std::string::npos);
}

TEST(Schedule, AnotherVersionIsRefused) {
  const absl::Status status = ParseSchedule("quorate-sim schedule 999\n", "old").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_NE(std::string(status.message()).find("old:1:22: the schedule has version 999"),
            std::string::npos);
}

TEST(Schedule, AClassThatTheSeedDoesNotHaveIsRefused) {
  Schedule schedule = *WholeSchedule("quiet", 3);
  schedule.classes[static_cast<size_t>(FaultClass::kKill)] = true;
  EXPECT_TRUE(absl::IsInvalidArgument(OptionsOf(schedule).status()));
}

// A run that needs two faults and one request to fail, and a third fault that is in the way.
SeedReport Imagined(const Schedule& schedule) {
  SeedReport report;
  report.actions.fill(40);
  report.numbered.assign(schedule.clients, 100);
  const Reduction& left = schedule.reduction;
  const bool fails = schedule.members >= 3 && schedule.clients >= 2 &&
                     schedule.duration >= Milliseconds(1200) &&
                     schedule.classes[static_cast<size_t>(FaultClass::kKill)] &&
                     left.Keeps(FaultClass::kKill, 7) && left.Keeps(FaultClass::kKill, 31) &&
                     left.Keeps(uint32_t{2}, 55);
  if (fails) {
    report.violations.push_back({Rule::kReadSafety, VirtualTime() + Milliseconds(1199), "", {}});
  }
  return report;
}

TEST(Shrinker, LeavesWhatIsNeeded) {
  Schedule whole = *WholeSchedule("uniform", 3);
  whole.members = 5;
  whole.clients = 8;
  ShrinkOptions options;
  options.run = Imagined;
  options.may_go_on = [] { return true; };
  options.on_progress = [](const Schedule&) {};
  Shrinker shrinker(options);
  const Schedule small = shrinker.Shrink(whole);
  ASSERT_TRUE(shrinker.broken());
  EXPECT_EQ(small.members, 3u);
  EXPECT_EQ(small.clients, 2u);
  EXPECT_EQ(small.watchers, 0u);
  EXPECT_EQ(small.duration, Milliseconds(1200));
  for (size_t i = 0; i < kFaultClasses; ++i) {
    EXPECT_EQ(small.classes[i], i == static_cast<size_t>(FaultClass::kKill)) << i;
  }
  const auto& kills = small.reduction.actions[static_cast<size_t>(FaultClass::kKill)];
  EXPECT_EQ(kills, std::set<uint64_t>({7, 31}));
  EXPECT_EQ(small.reduction.requests.at(1), std::set<uint64_t>());
  EXPECT_EQ(small.reduction.requests.at(2), std::set<uint64_t>({55}));
  EXPECT_EQ(small.expected_rule, "R11 read safety");
  EXPECT_LT(shrinker.runs(), 200u);
}

// A planted fault: disks that now and then say that a write is durable and never make it.
SeedReport RunOnLyingDisks(const Schedule& schedule) {
  Options options = *OptionsOf(schedule);
  options.disk.lost_write_ppm = 200'000;
  return World(options).Run();
}

size_t FaultsAndRequests(const Schedule& schedule) {
  size_t count = 0;
  for (const auto& actions : schedule.reduction.actions) {
    if (actions.has_value()) count += actions->size();
  }
  for (const auto& [client, requests] : schedule.reduction.requests) count += requests.size();
  return count;
}

TEST(Shrinker, ADiskThatLiesIsShownInAFewEvents) {
  // Either what was acknowledged is gone, or members notice that their logs have holes, and stop;
  // at the latest when all power is lost at the end.
  Schedule whole;
  std::optional<Rule> rule;
  for (uint64_t seed = 1; !rule.has_value(); ++seed) {
    ASSERT_LT(seed, 10u) << "no seed found the lost writes";
    whole = *WholeSchedule("crashes", seed);
    whole.duration = Seconds(5);
    const SeedReport report = RunOnLyingDisks(whole);
    if (!report.violations.empty()) rule = report.violations[0].rule;
  }
  ASSERT_TRUE(rule == Rule::kCommitDurability || rule == Rule::kLiveness) << RuleName(*rule);
  ShrinkOptions options;
  options.run = RunOnLyingDisks;
  options.may_go_on = [] { return true; };
  options.on_progress = [](const Schedule&) {};
  Shrinker shrinker(options);
  const Schedule small = shrinker.Shrink(whole);
  ASSERT_TRUE(shrinker.broken());
  EXPECT_EQ(small.expected_rule, RuleName(*rule));
  EXPECT_LE(FaultsAndRequests(small), 25u) << ToText(small);
  const SeedReport again = RunOnLyingDisks(*ParseSchedule(ToText(small), "file"));
  EXPECT_EQ(again.digest, small.expected_digest);
  ASSERT_FALSE(again.violations.empty());
  EXPECT_EQ(again.violations[0].rule, *rule);
}

TEST(Shrinker, ACleanRunStaysAsItIs) {
  const Schedule whole = *WholeSchedule("quiet", 3);
  ShrinkOptions options;
  options.run = [](const Schedule&) { return SeedReport(); };
  options.may_go_on = [] { return true; };
  options.on_progress = [](const Schedule&) {};
  Shrinker shrinker(options);
  EXPECT_EQ(shrinker.Shrink(whole), whole);
  EXPECT_FALSE(shrinker.broken());
}

}  // namespace
}  // namespace quorate::sim
