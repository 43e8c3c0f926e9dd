// When and where a server compacts by itself.
#include "server/auto_compaction.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "server/config/config.h"

namespace quorate::server {
namespace {

const Instant kStart = Instant::FromNanos(1'000'000'000);

config::AutoCompaction Parsed(const std::string& mode, const std::string& retention) {
  config::Config config;
  config.auto_compaction_mode = mode;
  config.auto_compaction_retention = retention;
  const auto parsed = config.ParsedAutoCompaction();
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return parsed.ok() ? *parsed : config::AutoCompaction();
}

std::string Refusal(const std::string& mode, const std::string& retention) {
  config::Config config;
  config.auto_compaction_mode = mode;
  config.auto_compaction_retention = retention;
  return std::string(config.ParsedAutoCompaction().status().message());
}

TEST(AutoCompactionFlags, ABareNumberCountsHoursOrRevisions) {
  EXPECT_FALSE(Parsed("periodic", "0").enabled());
  EXPECT_FALSE(Parsed("revision", "0").enabled());
  EXPECT_EQ(Parsed("periodic", "2").period, Seconds(7200));
  EXPECT_EQ(Parsed("periodic", "30m").period, Seconds(1800));
  EXPECT_EQ(Parsed("revision", "1000").revisions, 1000);
}

TEST(AutoCompactionFlags, WhatIsNoRetentionIsRefused) {
  EXPECT_EQ(Refusal("sometimes", "1"), "unknown auto-compaction-mode \"sometimes\"");
  EXPECT_EQ(Refusal("periodic", "soon"),
            "error parsing CompactionRetention: time: invalid duration \"soon\"");
  EXPECT_NE(Refusal("periodic", "-1h"), "");
  EXPECT_NE(Refusal("revision", "1h"), "");
  EXPECT_NE(Refusal("revision", "-3"), "");
}

// A store that gets 100 revisions at each look; where it is compacted, by the number of the
// look.
struct Compaction {
  int look = 0;
  int64_t at = 0;
  friend bool operator==(const Compaction&, const Compaction&) = default;
};
std::vector<Compaction> Play(CompactionSchedule* schedule, int looks, int leads_from = 0) {
  std::vector<Compaction> compactions;
  for (int look = 0; look <= looks; ++look) {
    const Instant now = kStart + schedule->interval() * look;
    const auto at = schedule->Look(now, Revision(1 + 100 * look), look >= leads_from && look > 0);
    if (!at.has_value()) continue;
    compactions.push_back({look, at->value()});
    schedule->Compacted(now, *at);
  }
  return compactions;
}

TEST(AutoCompaction, AShortPeriodIsKeptAndCompactedOncePerPeriod) {
  CompactionSchedule schedule(Parsed("periodic", "10m"), kStart);
  EXPECT_EQ(schedule.interval(), Seconds(60));
  const std::vector<Compaction> expected = {{10, 1}, {20, 901}, {30, 1901}};
  EXPECT_EQ(Play(&schedule, 35), expected);
}

TEST(AutoCompaction, ALongPeriodIsCompactedEveryHourOnceItIsThere) {
  CompactionSchedule schedule(Parsed("periodic", "3h"), kStart);
  EXPECT_EQ(schedule.interval(), Seconds(360));
  // Ten looks an hour; what was the present one three hours and a look ago.
  const std::vector<Compaction> expected = {{30, 1}, {40, 901}, {50, 1901}};
  EXPECT_EQ(Play(&schedule, 55), expected);
}

TEST(AutoCompaction, ANewLeaderGoesOnWithWhatItSawAsAFollower) {
  CompactionSchedule schedule(Parsed("periodic", "10m"), kStart);
  const std::vector<Compaction> expected = {{17, 601}, {27, 1601}};
  EXPECT_EQ(Play(&schedule, 30, /*leads_from=*/17), expected);
}

TEST(AutoCompaction, AFailedOneIsTriedAgainAtTheNextLook) {
  CompactionSchedule schedule(Parsed("periodic", "10m"), kStart);
  for (int look = 0; look < 10; ++look) {
    schedule.Look(kStart + Seconds(60) * look, Revision(1 + look), look > 0);
  }
  EXPECT_EQ(schedule.Look(kStart + Seconds(600), Revision(11), true), Revision(1));
  EXPECT_EQ(schedule.Look(kStart + Seconds(660), Revision(12), true), Revision(1));
}

TEST(AutoCompaction, SoManyRevisionsAreKept) {
  CompactionSchedule schedule(Parsed("revision", "250"), kStart);
  EXPECT_EQ(schedule.interval(), Seconds(300));
  const std::vector<Compaction> expected = {{3, 51}, {4, 151}, {5, 251}};
  EXPECT_EQ(Play(&schedule, 5), expected);
  // Nothing new, nothing to compact.
  EXPECT_EQ(schedule.Look(kStart + Seconds(10'000), Revision(501), true), std::nullopt);
}

}  // namespace
}  // namespace quorate::server
