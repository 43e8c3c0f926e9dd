// Requests that wait for a quorum or for a token, in numbers that only O(1) or O(log n) each
// gets through: whoever walks over all of them for each does not end within the test's time.
#include <gtest/gtest.h>

#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "engine/replica/reads.h"
#include "engine/replica/token_waits.h"

namespace quorate::engine {
namespace {

constexpr uint64_t kVeryMany = 1'000'000;

ClientRequest Request(uint64_t token) {
  return ClientRequest{RequestToken(token), RequestKind::kRange, Bytes(), {}};
}

std::vector<uint64_t> TakeAll(Reads* reads, LogIndex applied) {
  std::vector<uint64_t> tokens;
  while (reads->HasReady(applied)) tokens.push_back(reads->TakeReady().token.value());
  return tokens;
}

TEST(Reads, AreAbandonedWhereverTheyAre) {
  Reads reads(1);
  Instant now;
  reads.Add(Request(1));
  reads.Add(Request(2));
  const Bytes confirmed = reads.StartRound(now);
  reads.Confirm(confirmed, LogIndex(5));
  reads.Add(Request(3));
  reads.Add(Request(4));
  const Bytes waiting = reads.StartRound(now);
  reads.Add(Request(5));
  reads.Add(Request(6));
  for (const uint64_t token : {2, 3, 5}) EXPECT_TRUE(reads.Abandon(RequestToken(token)));
  for (const uint64_t token : {2, 3, 5, 9}) EXPECT_FALSE(reads.Abandon(RequestToken(token)));
  EXPECT_EQ(reads.pending(), 3u);
  reads.Confirm(waiting, LogIndex(7));
  reads.Confirm(reads.StartRound(now), LogIndex(6));
  EXPECT_FALSE(reads.HasReady(LogIndex(4)));
  EXPECT_EQ(TakeAll(&reads, LogIndex(6)), (std::vector<uint64_t>{1, 6}));
  EXPECT_EQ(TakeAll(&reads, LogIndex(7)), (std::vector<uint64_t>{4}));
  EXPECT_EQ(reads.pending(), 0u);
}

TEST(Reads, ARoundThatEverybodyHasLeftMakesRoom) {
  Reads reads(1);
  for (uint64_t token = 1; token <= kMaxReadRounds; ++token) {
    reads.Add(Request(token));
    reads.StartRound(Instant());
  }
  reads.Add(Request(99));
  EXPECT_FALSE(reads.CanStartRound());
  EXPECT_TRUE(reads.Abandon(RequestToken(2)));
  EXPECT_TRUE(reads.CanStartRound());
}

TEST(Reads, VeryManyAreAbandonedAtOnce) {
  Reads reads(1);
  for (uint64_t token = 1; token <= kVeryMany; ++token) {
    reads.Add(Request(token));
    if (token == kVeryMany / 2) reads.StartRound(Instant());
  }
  // The last ones first: they are the furthest from where a search would begin.
  for (uint64_t token = kVeryMany; token > 0; --token) {
    ASSERT_TRUE(reads.Abandon(RequestToken(token)));
  }
  EXPECT_EQ(reads.pending(), 0u);
}

TEST(TokenWaits, RequestsOfAStreamKeepTheirOrder) {
  TokenWaits waits(Seconds(5), 100);
  for (const char* body : {"create", "cancel", "progress"}) {
    waits.Add(WatchRequestBytes{StreamToken(7), Bytes::Copy(body)}, LogIndex(9), Instant());
  }
  waits.Add(Request(1), LogIndex(3), Instant());
  EXPECT_TRUE(waits.Holds(StreamToken(7)));
  EXPECT_FALSE(waits.HasReady(LogIndex(2), Instant()));
  ASSERT_TRUE(waits.HasReady(LogIndex(3), Instant()));
  EXPECT_EQ(std::get<ClientRequest>(waits.TakeReady(Instant())).token, RequestToken(1));
  for (const char* body : {"create", "cancel", "progress"}) {
    ASSERT_TRUE(waits.HasReady(LogIndex(9), Instant()));
    EXPECT_EQ(std::get<WatchRequestBytes>(waits.TakeReady(Instant())).body.view(), body);
  }
  EXPECT_TRUE(waits.empty());
  EXPECT_FALSE(waits.Holds(StreamToken(7)));
}

TEST(TokenWaits, WhoLeavesOrHasWaitedLongEnoughIsGone) {
  TokenWaits waits(Seconds(5), 100);
  const Instant start;
  waits.Add(Request(1), LogIndex(9), start);
  waits.Add(WatchRequestBytes{StreamToken(7), Bytes()}, LogIndex(9), start);
  waits.Add(Request(2), LogIndex(9), start + Seconds(1));
  waits.Add(Request(3), LogIndex(9), start + Seconds(2));
  EXPECT_TRUE(waits.Abandon(RequestToken(1)));
  EXPECT_FALSE(waits.Abandon(RequestToken(1)));
  waits.Close(StreamToken(7));
  EXPECT_EQ(waits.next_deadline(), start + Seconds(6));
  ASSERT_TRUE(waits.HasReady(LogIndex(0), start + Seconds(6)));
  EXPECT_EQ(std::get<ClientRequest>(waits.TakeReady(start + Seconds(6))).token, RequestToken(2));
  EXPECT_FALSE(waits.HasReady(LogIndex(0), start + Seconds(6)));
}

// Tokens of the next indexes need no login: each command that is applied lets one of them go.
TEST(TokenWaits, VeryManyGoOneByOne) {
  TokenWaits waits(Seconds(5), kVeryMany);
  for (uint64_t token = 1; token <= kVeryMany; ++token) {
    waits.Add(Request(token), LogIndex(kVeryMany - token + 1), Instant());
  }
  EXPECT_TRUE(waits.full());
  for (uint64_t index = 1; index <= kVeryMany / 2; ++index) {
    ASSERT_TRUE(waits.HasReady(LogIndex(index), Instant()));
    const auto next = std::get<ClientRequest>(waits.TakeReady(Instant()));
    ASSERT_EQ(next.token, RequestToken(kVeryMany - index + 1));
  }
  for (uint64_t token = kVeryMany / 2; token > 0; --token) {
    ASSERT_TRUE(waits.Abandon(RequestToken(token)));
  }
  EXPECT_TRUE(waits.empty());
}

}  // namespace
}  // namespace quorate::engine
