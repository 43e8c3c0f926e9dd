// Whole worlds from a seed: the same again and again, clean, and with what they promise
// to inject.
#include "sim/world.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sim/report.h"
#include "sim/swarm.h"

namespace quorate::sim {
namespace {

Options Draw(absl::string_view profile, uint64_t seed) {
  absl::StatusOr<Options> options = DrawOptions(profile, seed);
  EXPECT_TRUE(options.ok()) << options.status();
  return *options;
}

Options Short(absl::string_view profile, uint64_t seed) {
  Options options = Draw(profile, seed);
  options.duration = Seconds(4);
  return options;
}

// What a replay prints and the digest that goes with it.
struct Printed {
  std::string text;
  uint64_t digest = 0;
  uint64_t trace_events = 0;
};

Printed Print(const Options& options) {
  Printed out;
  {
    World world(options, [&out](absl::string_view line) {
      out.text.append(line.data(), line.size());
      out.text.push_back('\n');
    });
    const SeedReport report = world.Run();
    out.digest = report.digest;
    out.trace_events = report.trace_events;
  }
  return out;
}

TEST(World, ASeedRunsTheSameEveryTime) {
  for (const char* profile : {"swarm", "streams"}) {
    const Printed first = Print(Short(profile, 11));
    const Printed second = Print(Short(profile, 11));
    EXPECT_EQ(first.digest, second.digest);
    EXPECT_EQ(first.text, second.text);
    EXPECT_GT(first.text.size(), 10'000u);
  }
}

TEST(World, ASeedRunsTheSameAloneAndAfterAnother) {
  for (const char* profile : {"swarm", "streams"}) {
    const uint64_t alone = World(Short(profile, 6)).Run().digest;
    World(Short(profile, 5)).Run();
    EXPECT_EQ(World(Short(profile, 6)).Run().digest, alone);
  }
}

TEST(World, AWorldBesideAnotherDoesNotDisturbIt) {
  const uint64_t alone = World(Short("swarm", 6)).Run().digest;
  World other(Short("swarm", 7));
  World world(Short("swarm", 6));
  EXPECT_EQ(world.Run().digest, alone);
}

TEST(World, PrintingDoesNotChangeTheDigest) {
  EXPECT_EQ(Print(Short("swarm", 3)).digest, World(Short("swarm", 3)).Run().digest);
}

// From the first event, before anything runs, to the last, and not how the world ends.
TEST(World, PrintsJustTheEventsThatTheDigestFolds) {
  const Printed printed = Print(Short("swarm", 3));
  EXPECT_EQ(std::count(printed.text.begin(), printed.text.end(), '\n'),
            static_cast<int64_t>(printed.trace_events));
}

TEST(World, SeedsDiffer) {
  EXPECT_NE(World(Short("swarm", 1)).Run().digest, World(Short("swarm", 2)).Run().digest);
}

TEST(World, ABoundedCampaignIsCleanAndInjectsWhatItPromises) {
  Tally tally("default");
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    const SeedReport report = World(Draw("default", seed)).Run();
    EXPECT_TRUE(report.violations.empty()) << Explain("default", report);
    EXPECT_FALSE(report.bound_reached) << seed;
    tally.Add(report);
  }
  for (const std::string& missing : tally.Missing()) ADD_FAILURE() << "never: " << missing;
  EXPECT_GT(tally.simulated(), Seconds(60 * 30));
}

TEST(World, AQuietWorldAnswersEverything) {
  const SeedReport report = World(Draw("quiet", 4)).Run();
  EXPECT_TRUE(report.violations.empty()) << Explain("quiet", report);
  EXPECT_EQ(report.unknown, 0u);
  EXPECT_GT(report.acknowledged_writes, 100u);
  EXPECT_LE(report.elections, 2u) << "nobody had a reason to stand again";
}

// A typed cluster of three in which nothing but this class of faults happens, often.
Options Only(FaultClass fault_class, uint64_t seed) {
  Options options = Draw("quiet", seed);
  options.members = 3;
  options.streams = false;
  FaultPlan& plan = options.faults[static_cast<size_t>(fault_class)];
  plan.on = true;
  plan.interval = Seconds(2);
  plan.duration_min = Milliseconds(10);
  plan.duration_mean = Milliseconds(700);
  plan.ppm = 400'000;
  return options;
}

TEST(World, ADamagedLogIsNoticedAndComesBackFromTheOthers) {
  uint64_t repairs = 0;
  uint64_t rotten = 0;
  uint64_t lost = 0;
  uint64_t misdirected = 0;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    const SeedReport report = World(Only(FaultClass::kBitRot, seed)).Run();
    EXPECT_TRUE(report.violations.empty()) << Explain("bit-rot", report);
    const uint64_t before = rotten + lost + misdirected;
    rotten += report.faults[static_cast<size_t>(Fault::kDiskBitRot)];
    lost += report.faults[static_cast<size_t>(Fault::kDiskLostWrite)];
    misdirected += report.faults[static_cast<size_t>(Fault::kDiskMisdirectedWrite)];
    EXPECT_GT(rotten + lost + misdirected, before) << seed;
    for (const std::string& failure : report.failures) {
      EXPECT_NE(failure.find("DATA_LOSS"), std::string::npos) << failure;
    }
    repairs += report.repairs;
  }
  EXPECT_GT(repairs, 0u) << "some of the damage was to what had been acknowledged";
  EXPECT_GT(rotten, 0u);
  EXPECT_GT(lost, 0u);
  EXPECT_GT(misdirected, 0u);
}

TEST(World, ClientsThatMustSayWhoTheyAreAreServedOrRefusedAsTheLogHasIt) {
  for (const bool streams : {false, true}) {
    Options options = Draw("quiet", 5);
    options.members = 3;
    options.streams = streams;
    options.workload.auth = true;
    options.workload.administrator = false;
    // Tokens go with each process.
    FaultPlan& plan = options.faults[static_cast<size_t>(FaultClass::kKill)];
    plan.on = true;
    plan.interval = Seconds(3);
    plan.duration_mean = Milliseconds(300);
    const SeedReport report = World(options).Run();
    EXPECT_TRUE(report.violations.empty()) << Explain("auth", report);
    EXPECT_GT(report.auth_changes, 30u);
    EXPECT_GT(report.auth_refusals, 0u);
    EXPECT_GT(report.auth_denials, 10u);
    EXPECT_GT(report.acknowledged_writes, 100u);
    EXPECT_GT(report.checks[static_cast<size_t>(Rule::kAuth)], 500u);
  }
}

TEST(World, GarbledClientsHarmNoMember) {
  uint64_t garbled = 0;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    const SeedReport report = World(Draw("garbled-clients", seed)).Run();
    EXPECT_TRUE(report.violations.empty()) << Explain("garbled-clients", report);
    garbled += report.faults[static_cast<size_t>(Fault::kStreamCorrupt)];
  }
  EXPECT_GT(garbled, 20u);
}

// A bit flipped in the length of a frame: what the member answered to one client from then on, that
// took for the rest of the frame. The members agreed all the while, and served everybody else.
TEST(World, AConnectionThatSwallowsRequestsIsGivenUpByItsClient) {
  const SeedReport report = World(Draw("garbled-clients", 758462786411)).Run();
  EXPECT_TRUE(report.violations.empty()) << Explain("garbled-clients", report);
}

// Of this class alone, in these seeds, every fault that it is to inject happened.
void ExpectAllOf(FaultClass fault_class, const std::vector<SeedReport>& reports) {
  for (const Fault fault : FaultsOf(fault_class, /*streams=*/false, /*datagrams=*/true)) {
    uint64_t injected = 0;
    for (const SeedReport& report : reports) injected += report.faults[static_cast<size_t>(fault)];
    EXPECT_GT(injected, 0u) << FaultName(fault);
  }
}

std::vector<SeedReport> RunOnly(FaultClass fault_class) {
  std::vector<SeedReport> reports;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    reports.push_back(World(Only(fault_class, seed)).Run());
    EXPECT_TRUE(reports.back().violations.empty())
        << Explain(FaultClassName(fault_class), reports.back());
  }
  ExpectAllOf(fault_class, reports);
  return reports;
}

TEST(World, SlowLinksHoldUpWhatTheyCannotCarryAndLoseTheRest) {
  uint64_t lost = 0;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    Options options = Only(FaultClass::kBandwidth, seed);
    options.faults[static_cast<size_t>(FaultClass::kBandwidth)].bytes_per_second = 64'000;
    options.link.line_queue_max = Milliseconds(50);
    options.workload.value_bytes_max = 1000;
    options.workload.rate = 400;
    options.workload.clients = 12;
    const SeedReport report = World(options).Run();
    EXPECT_TRUE(report.violations.empty()) << Explain("bandwidth", report);
    EXPECT_GT(report.faults[static_cast<size_t>(Fault::kSlowLink)], 0u);
    lost += report.faults[static_cast<size_t>(Fault::kLinkOverflow)];
  }
  EXPECT_GT(lost, 0u);
}

TEST(World, AlarmsOfAnOperatorStandForAWhileAndUpkeepHarmsNothing) {
  uint64_t compared = 0;
  for (const SeedReport& report : RunOnly(FaultClass::kUpkeep)) {
    compared += report.checks[static_cast<size_t>(Rule::kEqualState)];
  }
  EXPECT_GT(compared, 30u) << "hashes of members, while they work";
}

TEST(World, AMemberRefusesTheDirectoryOfAnotherOneOrOfAnotherCluster) {
  size_t of_members = 0;
  size_t of_clusters = 0;
  for (const SeedReport& report : RunOnly(FaultClass::kWrongDirectory)) {
    for (const std::string& failure : report.failures) {
      of_members += failure.find(" of this cluster, but --name ") != std::string::npos ? 1 : 0;
      of_clusters += failure.find("name cluster ") != std::string::npos ? 1 : 0;
    }
  }
  EXPECT_GT(of_members, 0u);
  EXPECT_GT(of_clusters, 0u);
}

TEST(World, MembersWithDifferentSettingsServeTogether) {
  uint64_t changed = 0;
  for (const SeedReport& report : RunOnly(FaultClass::kSettings)) {
    changed += report.faults[static_cast<size_t>(Fault::kSettingsChanged)];
  }
  EXPECT_GT(changed, 6u);
}

// The others know that it was a member: who has lost what it promised may not vote.
TEST(World, AFounderWithoutItsDataIsRefused) {
  size_t refused = 0;
  for (const SeedReport& report : RunOnly(FaultClass::kAmnesia)) {
    for (const std::string& failure : report.failures) {
      refused += failure.find("has already been bootstrapped") != std::string::npos ? 1 : 0;
    }
  }
  EXPECT_GT(refused, 6u);
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    Options options = Only(FaultClass::kAmnesia, seed);
    options.streams = true;
    const SeedReport report = World(options).Run();
    EXPECT_TRUE(report.violations.empty()) << Explain("amnesia", report);
    EXPECT_GT(report.faults[static_cast<size_t>(Fault::kDirectoryRefused)], 0u) << seed;
  }
}

TEST(World, MembersWithoutDescriptorsStopAndComeBack) { RunOnly(FaultClass::kDescriptors); }

uint64_t LossesDetected(const char* profile, uint64_t seeds) {
  uint64_t detected = 0;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    const SeedReport report = World(Draw(profile, seed)).Run();
    EXPECT_TRUE(report.violations.empty()) << Explain(profile, report);
    detected += report.faults[static_cast<size_t>(Fault::kLossDetected)];
  }
  return detected;
}

// What these break on purpose no member can notice, but the oracles do.
TEST(World, PromisesThatADiskForgetsAreMissed) {
  EXPECT_GT(LossesDetected("aged-directory", 4), 0u);
}

TEST(World, StaleReadsByLeasesThatAllowForNoDriftAreNoticed) {
  EXPECT_GT(LossesDetected("understated-drift", 10), 0u);
}

TEST(World, MembersThatLeaveWorkLyingForAWhileDoItInTheEnd) { RunOnly(FaultClass::kHindrance); }

TEST(World, AMajorityGoesOnAloneAndAMemberThatMissesTheLeaderDeposesNobody) {
  for (const bool streams : {false, true}) {
    Options options = Draw("quiet", 6);
    options.members = 5;
    options.streams = streams;
    options.pre_vote = true;
    options.core_first = true;
    options.cut_from_leader = true;
    const SeedReport report = World(options).Run();
    EXPECT_TRUE(report.violations.empty()) << Explain("quiet", report);
    EXPECT_EQ(report.checks[static_cast<size_t>(Rule::kStability)], 1u);
    options.core_first = false;
    const SeedReport all = World(options).Run();
    const auto liveness = static_cast<size_t>(Rule::kLiveness);
    EXPECT_EQ(report.checks[liveness], all.checks[liveness] + 2) << "a leader, and a commit";
    const auto kills = static_cast<size_t>(Fault::kProcessKill);
    EXPECT_EQ(report.faults[kills], all.faults[kills] + 2) << "all but a majority";
  }
}

// What a member keeps for a reader who is slow has a bound, and who comes above it learns that
// there is no more; who is just slow gets what was there when it asked.
TEST(World, SlowReadersOfLongAnswersAreServedWholeOrCutOff) {
  SometimesCounts reached = {};
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    Options options = Draw("quiet", seed);
    options.members = 3;
    options.streams = false;
    options.copied_answer_bytes = 0;
    options.max_dead_answer_bytes = seed % 2 == 0 ? 1 : 1 << 28;
    options.store_segment_bytes = 512;
    options.workload.compact = 3;
    options.workload.slow_reader_percent = 40;
    options.workload.request_timeout = Seconds(3);
    const SeedReport report = World(options).Run();
    EXPECT_TRUE(report.violations.empty()) << Explain("quiet", report);
    for (size_t i = 0; i < kSometimes; ++i) reached[i] += report.sometimes[i];
  }
  for (size_t i = 0; i < kSometimes; ++i) {
    const absl::string_view name = SometimesName(i);
    const bool expected = name.find("slow reader was cut off") != absl::string_view::npos ||
                          name.find("outlived") != absl::string_view::npos;
    if (expected) {
      EXPECT_GT(reached[i], 0u) << name;
    }
  }
}

TEST(World, MembersThatSayTheyAreOfOtherVersionsServeTogether) { RunOnly(FaultClass::kVersions); }

TEST(World, UsurpedLeadersHaveTailsThatNobodyElseHas) {
  uint64_t elections = 0;
  SometimesCounts reached = {};
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    const SeedReport report = World(Only(FaultClass::kUsurp, seed)).Run();
    EXPECT_TRUE(report.violations.empty()) << Explain("usurp", report);
    elections += report.elections;
    for (size_t i = 0; i < kSometimes; ++i) reached[i] += report.sometimes[i];
  }
  EXPECT_GT(elections, 30u);
  for (size_t i = 0; i < kSometimes; ++i) {
    const absl::string_view name = SometimesName(i);
    const bool expected = name.find("divergent tail") != absl::string_view::npos ||
                          name.find("lost its quorum") != absl::string_view::npos;
    if (expected) {
      EXPECT_GT(reached[i], 0u) << name;
    }
  }
}

TEST(Swarm, EveryClassIsOnInSomeSeedsAndOffInOthers) {
  std::vector<int> on(kFaultClasses);
  int streams = 0;
  bool sizes[8] = {};
  constexpr int kSeeds = 400;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const Options options = Draw("default", seed);
    streams += options.streams ? 1 : 0;
    ASSERT_LE(options.members, 7u);
    sizes[options.members] = true;
    EXPECT_GE(options.duration, Seconds(30));
    for (size_t i = 0; i < kFaultClasses; ++i) on[i] += options.faults[i].on ? 1 : 0;
  }
  EXPECT_GT(streams, kSeeds / 4) << "a quarter at least speaks bytes";
  for (size_t n = 1; n <= 7; ++n) EXPECT_TRUE(sizes[n]) << n << " members";
  for (size_t i = 0; i < kFaultClasses; ++i) {
    if (static_cast<FaultClass>(i) == FaultClass::kAgedDirectory ||
        static_cast<FaultClass>(i) == FaultClass::kUnderstatedDrift) {
      EXPECT_EQ(on[i], 0) << "it breaks a promise on purpose";
      continue;
    }
    // It needs surroundings of its own, and so has few seeds.
    const bool alone = static_cast<FaultClass>(i) == FaultClass::kAmnesia;
    EXPECT_GT(on[i], alone ? 0 : kSeeds / 20) << FaultClassName(static_cast<FaultClass>(i));
    EXPECT_LT(on[i], kSeeds * 9 / 10) << FaultClassName(static_cast<FaultClass>(i));
  }
}

TEST(Swarm, AnUnknownProfileIsRefusedWithTheNamesThereAre) {
  const absl::StatusOr<Options> options = DrawOptions("nonsense", 1);
  ASSERT_EQ(options.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(options.status().message().find("nonsense"), absl::string_view::npos);
  EXPECT_NE(options.status().message().find("leader-kill"), absl::string_view::npos);
}

TEST(Report, SurvivesItsTripThroughAPipe) {
  SeedReport report = World(Short("swarm", 9)).Run();
  report.violations.push_back(
      Violation{Rule::kWatch, VirtualTime::FromNanos(17), "told \"twice\"\n", {"a", "b"}});
  const absl::StatusOr<SeedReport> back = SeedReportFromJson(ToJson(report));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(ToJson(*back), ToJson(report));
  EXPECT_EQ(back->digest, report.digest);
  EXPECT_EQ(back->violations[0].evidence.size(), 2u);
  EXPECT_FALSE(SeedReportFromJson("{\"seed\":1}").ok());
  EXPECT_FALSE(SeedReportFromJson("nonsense").ok());
}

TEST(Tally, AClassThatIsOnButNeverActsIsMissing) {
  Tally tally("default");
  SeedReport report;
  report.classes[static_cast<size_t>(FaultClass::kPause)] = true;
  report.elections = report.requests = report.answered = report.acknowledged_writes =
      report.checked_reads = report.watch_events = report.leases_expired = 1;
  report.checkpoints = report.snapshots_installed = report.restarts_from_checkpoints =
      report.log_segments_cut = 1;
  report.checks.fill(1);
  tally.Add(report);
  ASSERT_EQ(tally.Missing().size(), 1u);
  EXPECT_NE(tally.Missing()[0].find("process-pause"), std::string::npos);
  report.faults[static_cast<size_t>(Fault::kProcessPause)] = 1;
  tally.Add(report);
  EXPECT_TRUE(tally.Missing().empty());
}

}  // namespace
}  // namespace quorate::sim
