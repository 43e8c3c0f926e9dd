#include "server/node/times.h"

#include <gtest/gtest.h>

#include <numeric>

namespace quorate::node {
namespace {

using engine::DurationCounts;
using engine::RequestKind;

template <typename Counts>
uint64_t CountOf(const Counts& counts) {
  return std::accumulate(counts.counts.begin(), counts.counts.end(), uint64_t{0});
}

TEST(DurationCountsTest, ABoundBelongsToTheBucketBelowIt) {
  DurationCounts<1'000'000, 3> counts;  // 1, 2, 4 ms, longer
  for (const Duration time : {Nanoseconds(-1), Nanoseconds(0), Milliseconds(1)}) counts.Add(time);
  EXPECT_EQ(counts.counts[0], 3u);
  counts.Add(Milliseconds(1) + Nanoseconds(1));
  counts.Add(Milliseconds(2));
  EXPECT_EQ(counts.counts[1], 2u);
  counts.Add(Milliseconds(2) + Nanoseconds(1), 7);
  EXPECT_EQ(counts.counts[2], 7u);
  counts.Add(Milliseconds(4));
  EXPECT_EQ(counts.counts[2], 8u);
  counts.Add(Milliseconds(4) + Nanoseconds(1));
  counts.Add(Seconds(1'000'000));
  EXPECT_EQ(counts.counts[3], 2u);
}

TEST(CommandNamesTest, AreFoundByTheirField) {
  EXPECT_STREQ(engine::kCommandNames[engine::CommandKindOf(4)].name, "Put");
  EXPECT_STREQ(engine::kCommandNames[engine::CommandKindOf(1301)].name, "ClusterMemberAttrSet");
  EXPECT_STREQ(engine::kCommandNames[engine::CommandKindOf(77777)].name, "unknown");
}

TEST(TimesTest, WhatATurnDidSharesItsTime) {
  engine::DoneCounts done;
  done.CountCommand(4, true);
  done.CountCommand(4, true);
  done.CountCommand(6, false);
  done.CountRange(true);
  Times times;
  times.AddTurn(done, Milliseconds(4));
  times.AddTurn(done, Seconds(9));  // in which nothing was done
  const auto& puts = times.commands[engine::CommandKindOf(4)][1];
  EXPECT_EQ(CountOf(puts), 2u);
  EXPECT_EQ(puts.total_nanos, 2'000'000);
  EXPECT_EQ(puts.counts[4], 2u);  // up to 1.6 ms
  EXPECT_EQ(CountOf(times.commands[engine::CommandKindOf(6)][0]), 1u);
  EXPECT_EQ(CountOf(times.commands[engine::CommandKindOf(6)][1]), 0u);
  EXPECT_EQ(CountOf(times.ranges[1]), 1u);
}

TEST(TimesTest, TransactionsThatOnlyReadAreApart) {
  Times times;
  times.AddRequest(RequestKind::kTxn, /*read=*/true, /*ok=*/true, Milliseconds(3));
  times.AddRequest(RequestKind::kTxn, /*read=*/false, /*ok=*/true, Milliseconds(3));
  times.AddRequest(RequestKind::kTxn, /*read=*/false, /*ok=*/true, Milliseconds(3));
  times.AddRequest(RequestKind::kAuthenticate, /*read=*/false, /*ok=*/false, Seconds(100));
  EXPECT_EQ(CountOf(times.read_txns[1]), 1u);
  EXPECT_EQ(times.requests[static_cast<size_t>(RequestKind::kTxn)][1].counts[2], 2u);
  EXPECT_EQ(times.requests[static_cast<size_t>(RequestKind::kAuthenticate)][0].counts[14], 1u);
}

}  // namespace
}  // namespace quorate::node
