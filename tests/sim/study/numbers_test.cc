// What studies calculate: statistics, delays, lists on the command line, quorum systems.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "base/prng.h"
#include "sim/study/delay.h"
#include "sim/study/lists.h"
#include "sim/study/papers.h"
#include "sim/study/quorum.h"
#include "sim/study/statistics.h"

namespace quorate::sim::study {
namespace {

std::string Message(const absl::Status& status) { return std::string(status.message()); }

TEST(Statistics, QuantilesAreThoseOfDefinitionSeven) {
  const std::vector<int64_t> values = {10, 20, 30, 40};
  EXPECT_DOUBLE_EQ(Quantile(values, 0), 10);
  EXPECT_DOUBLE_EQ(Quantile(values, 0.25), 17.5);
  EXPECT_DOUBLE_EQ(Quantile(values, 0.5), 25);
  EXPECT_DOUBLE_EQ(Quantile(values, 0.9), 37);
  EXPECT_DOUBLE_EQ(Quantile(values, 1), 40);
  EXPECT_DOUBLE_EQ(Quantile(std::vector<int64_t>{7}, 0.99), 7);
}

TEST(Statistics, MeanAndDeviationOfASample) {
  const std::vector<int64_t> values = {2, 4, 4, 4, 5, 5, 7, 9};
  EXPECT_DOUBLE_EQ(Mean(values), 5);
  EXPECT_NEAR(Deviation(values), std::sqrt(32.0 / 7), 1e-12);
  EXPECT_DOUBLE_EQ(Deviation(std::vector<int64_t>{3}), 0);
}

TEST(Statistics, OrderDoesNotMatterAndTheSameValuesGiveTheSameIntervals) {
  const Summary a = Summarize({5, 1, 4, 2, 3});
  const Summary b = Summarize({1, 2, 3, 4, 5});
  EXPECT_EQ(a.count, 5u);
  EXPECT_DOUBLE_EQ(a.p50.value, 3);
  EXPECT_DOUBLE_EQ(a.min, 1);
  EXPECT_DOUBLE_EQ(a.max, 5);
  EXPECT_DOUBLE_EQ(a.mean.low, b.mean.low);
  EXPECT_DOUBLE_EQ(a.p90.high, b.p90.high);
}

// Of samples of 400 from a known distribution about 95 in 100 intervals hold its mean
// (and median); with 200 samples chance alone leaves 88 to 99.
TEST(Statistics, IntervalsHoldTheTruthAsOftenAsTheySay) {
  int mean_held = 0;
  int median_held = 0;
  for (uint64_t sample = 0; sample < 200; ++sample) {
    Prng prng(sample);
    std::vector<int64_t> values;
    for (int i = 0; i < 400; ++i) values.push_back(prng.Between(0, 1'000'000));
    const Summary summary = Summarize(values);
    mean_held += summary.mean.low <= 500'000 && summary.mean.high >= 500'000;
    median_held += summary.p50.low <= 500'000 && summary.p50.high >= 500'000;
  }
  EXPECT_GE(mean_held, 176);
  EXPECT_LE(mean_held, 199);
  EXPECT_GE(median_held, 176);
  EXPECT_LE(median_held, 199);
}

TEST(Statistics, AMaximumIsOfAsManyTrialsAsThePapers) {
  const std::vector<int64_t> values = {1, 9, 2, 3, 5, 4, 100};
  EXPECT_DOUBLE_EQ(MeanOfBlockMaxima(values, 3), (9 + 5) / 2.0);  // the rest is no block
  EXPECT_DOUBLE_EQ(MeanOfBlockMaxima(values, 10), 100);
}

TEST(Delay, TimesAreReadExactly) {
  EXPECT_EQ(ParseSpan("150")->nanos(), 150'000'000);
  EXPECT_EQ(ParseSpan("2.4ms")->nanos(), 2'400'000);
  EXPECT_EQ(ParseSpan("1.5s")->nanos(), 1'500'000'000);
  EXPECT_EQ(ParseSpan("30us")->nanos(), 30'000);
  EXPECT_EQ(Millis(Nanoseconds(2'400'000)), "2.4");
  EXPECT_EQ(Millis(Nanoseconds(1)), "0.000001");
  for (const char* text : {"", "ms", "1.2.3ms", "-1ms", "2h", "9999999s", "1e3"}) {
    EXPECT_FALSE(ParseSpan(text).ok()) << text;
  }
}

TEST(Delay, DrawsFollowTheModel) {
  Prng prng(1);
  for (const char* text : {"2.4ms", "uniform:1ms..4ms", "exp:15ms", "exp:1ms+14ms"}) {
    const DelayModel model = *DelayModel::Parse(text);
    double sum = 0;
    int below_mean = 0;
    for (int i = 0; i < 20'000; ++i) {
      const auto nanos = static_cast<double>(model.Draw(&prng).nanos());
      sum += nanos;
      below_mean += nanos <= model.MeanNanos();
    }
    EXPECT_NEAR(sum / 20'000 / model.MeanNanos(), 1, 0.03) << text;
    EXPECT_NEAR(below_mean / 20'000.0, model.Cdf(model.MeanNanos()), 0.02) << text;
  }
}

TEST(Delay, UnknownModelsAreRefusedByName) {
  EXPECT_EQ(Message(DelayModel::Parse("gamma:2ms").status()),
            "unknown delay model 'gamma:2ms'; there are: const:T, uniform:LOW..HIGH, exp:MEAN, "
            "exp:FIXED+MEAN, file:PATH");
  EXPECT_EQ(Message(DelayModel::Parse("uniform:4ms..1ms").status()),
            "'uniform:4ms..1ms': the range is upside down");
  EXPECT_EQ(Message(DelayModel::Parse("file:/nowhere/delays").status()),
            "cannot read the delays in /nowhere/delays");
}

TEST(Lists, RangesAndLists) {
  EXPECT_EQ(*ParseNumbers("members", "3..5,9", 1, 15), (std::vector<uint64_t>{3, 4, 5, 9}));
  EXPECT_EQ(Message(ParseNumbers("members", "9..3", 1, 15).status()),
            "--members '9..3': neither a number N nor a range A..B");
  EXPECT_EQ(Message(ParseNumbers("members", "3..99", 1, 15).status()),
            "--members '3..99': must be within 1 and 15");
  EXPECT_EQ(Message(ParseRanges("timeout", "155-150").status()),
            "--timeout '155-150': the range is upside down");
  EXPECT_EQ(Message(ParseSwitches("prevote", "on,maybe").status()),
            "--prevote 'maybe': neither on nor off");
  EXPECT_FALSE(ParseShard("3/2").ok());
  EXPECT_FALSE(ParseShard("0/2").ok());
  EXPECT_EQ(ParseShard("2/8")->number, 2u);
}

TEST(Quorums, NumbersAfterACommaBelongToTheSystemBefore) {
  const auto systems = *ParseQuorums("quorum", "majority,flexible:4,2,weighted:3,1,1");
  ASSERT_EQ(systems.size(), 3u);
  EXPECT_EQ(systems[1].text, "flexible:4,2");
  EXPECT_EQ(systems[2].weights, (std::vector<uint32_t>{3, 1, 1}));
  EXPECT_FALSE(ParseQuorums("quorum", "grid:2,2").ok());
  EXPECT_FALSE(ParseQuorums("quorum", "flexible:4").ok());
  EXPECT_FALSE(ParseQuorums("quorum", "weighted:1,0,1").ok());
}

TEST(Quorums, ThoseThatNeedNotIntersectAreRefusedWithACounterExample) {
  const auto refusal = [](const char* text, uint64_t members) {
    return Message(RuleOf((*ParseQuorums("quorum", text))[0], members).status());
  };
  EXPECT_EQ(refusal("flexible:3,2", 5),
            "--quorum flexible:3,2 of 5 members: the election quorum {1, 2, 3} and the commit "
            "quorum {4, 5} share nobody: a leader could miss committed entries");
  EXPECT_EQ(refusal("flexible:2,5", 5),
            "--quorum flexible:2,5 of 5 members: the election quorums {1, 2} and {3, 4, 5} share "
            "nobody: a term could have two leaders");
  EXPECT_EQ(refusal("weighted:1,1", 3), "--quorum weighted:1,1: 2 weights for 3 members");
  EXPECT_NE(refusal("flexible:9,2", 5).find("cannot be reached"), std::string::npos);
  EXPECT_TRUE(RuleOf((*ParseQuorums("quorum", "flexible:4,2"))[0], 5).ok());
  EXPECT_TRUE(RuleOf((*ParseQuorums("quorum", "weighted:3,1,1"))[0], 3).ok());
}

QuorumSetup Flexible(uint64_t members, uint64_t commit) {
  QuorumSetup setup;
  setup.members = members;
  setup.rule = *raft::QuorumRule::Flexible(members - commit + 1, commit);
  setup.round_trip = *DelayModel::Parse("exp:10ms");
  setup.fail_per_million = 100'000;
  return setup;
}

// The wait for the (q-1)-th of n-1 exponential answers, in their mean: the sum of
// 1/(n-1), 1/(n-2), ...
TEST(Quorums, CalculatedWaitsAreOrderStatistics) {
  const auto wait = [](uint64_t members, uint64_t commit) {
    return ExpectedCommitWait(Flexible(members, commit)) / 1e7;
  };
  EXPECT_NEAR(wait(4, 2), 1.0 / 3, 1e-3);
  EXPECT_NEAR(wait(4, 3), 1.0 / 3 + 1.0 / 2, 1e-3);
  EXPECT_NEAR(wait(5, 3), 1.0 / 4 + 1.0 / 3, 1e-3);
  EXPECT_NEAR(wait(9, 2), 1.0 / 8, 1e-3);
  EXPECT_NEAR(wait(9, 5), 1.0 / 8 + 1.0 / 7 + 1.0 / 6 + 1.0 / 5, 1e-3);
}

TEST(Quorums, CalculatedAvailabilityIsBinomial) {
  // 5 members, commits by 2: the leader and any one of four followers.
  EXPECT_NEAR(CommitAvailability(Flexible(5, 2)), 1 - std::pow(0.1, 4), 1e-12);
  // Elections by 4 of 5.
  EXPECT_NEAR(ElectionAvailability(Flexible(5, 2)), std::pow(0.9, 5) + 5 * std::pow(0.9, 4) * 0.1,
              1e-12);
}

// Thesis, section 9.4; the closed form for two candidates, and printed values.
TEST(Papers, SplitRates) {
  EXPECT_NEAR(SplitRate(3, 2, 0.05), 1 - 0.95 * 0.95, 1e-12);
  EXPECT_NEAR(SplitRate(5, 4, 0.1), 0.052, 0.0005);
  EXPECT_NEAR(SplitRate(5, 3, 0.2), 0.49, 0.005);
  EXPECT_NEAR(SplitRate(9, 5, 0.05), 0.23, 0.005);
  EXPECT_NEAR(SplitRate(9, 8, 0.2), 0.056, 0.001);
}

}  // namespace
}  // namespace quorate::sim::study
