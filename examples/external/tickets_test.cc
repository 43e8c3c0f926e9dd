// The dispenser by itself, and clusters of it in simulated worlds.
#include <gtest/gtest.h>

#include <set>

#include "dispenser.h"
#include "world.h"

namespace tickets {
namespace {

namespace sim = quorate::sim;

constexpr uint64_t kSeeds = 30;

TEST(Dispenser, AWishHasOneTicket) {
  Dispenser dispenser;
  EXPECT_EQ(dispenser.Apply({1, 1}), 1u);
  EXPECT_EQ(dispenser.Apply({2, 1}), 2u);
  EXPECT_EQ(dispenser.Apply({1, 1}), 1u) << "it asked again";
  EXPECT_EQ(dispenser.Apply({1, 2}), 3u);
  EXPECT_EQ(dispenser.given(), 3u);
}

TEST(Dispenser, CommandsAreReadBack) {
  const Wish wish{77, 3};
  EXPECT_EQ(Decode(Encode(wish)), wish);
  EXPECT_EQ(Decode(""), std::nullopt) << "the first entry of a leader";
}

TEST(World, CustomersGetTheirTicketsWhateverBreaks) {
  uint64_t crashes = 0;
  uint64_t partitions = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    WorldOptions options;
    options.seed = seed;
    const Report report = RunWorld(options);
    for (const sim::Violation& violation : report.violations) {
      ADD_FAILURE() << "seed " << seed << ": " << violation.text;
    }
    EXPECT_GT(report.tickets, 50u) << "seed " << seed;
    crashes += report.crashes;
    partitions += report.partitions;
  }
  EXPECT_GT(crashes, kSeeds);
  EXPECT_GT(partitions, kSeeds / 2);
}

TEST(World, TheSameSeedIsTheSameRun) {
  WorldOptions options;
  options.seed = 5;
  options.members = 5;
  const uint64_t digest = RunWorld(options).digest;
  EXPECT_EQ(RunWorld(options).digest, digest);
  options.seed = 6;
  EXPECT_NE(RunWorld(options).digest, digest);
}

// The oracles would be worth nothing if they could not tell.
TEST(World, AnAnswerBeforeTheCommitIsFound) {
  uint64_t found = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    WorldOptions options;
    options.seed = seed;
    options.answer_before_commit = true;
    const Report report = RunWorld(options);
    if (!report.violations.empty()) ++found;
  }
  EXPECT_GT(found, 0u);
}

}  // namespace
}  // namespace tickets
