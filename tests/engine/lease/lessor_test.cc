// The leader's clockwork, moved by hand.
#include "engine/lease/lessor.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/prng.h"

namespace quorate::lease {
namespace {

using Ids = std::vector<LeaseId>;

constexpr Term kTerm{3};
constexpr LeaseId kOne{1};
constexpr LeaseId kTwo{2};

Instant At(int64_t seconds) { return Instant::FromNanos(0) + Seconds(1000 + seconds); }

class LessorTest : public ::testing::Test {
 protected:
  // Min TTL 2 s, extended by 1 s, checkpoints every 100 s.
  LessorTest() : lessor_(&leases_, {2, Seconds(1), Seconds(100)}) {}

  void Grant(LeaseId id, int64_t ttl, Instant now) {
    ASSERT_TRUE(leases_.Grant(id, ttl).ok());
    lessor_.OnGranted(id, now);
  }
  void Revoke(LeaseId id) {
    leases_.Remove(id);
    lessor_.OnRevoked(id);
  }
  Ids Expired(Instant at) { return lessor_.Expired(at, 100); }

  Leases leases_;
  Lessor lessor_;
};

TEST_F(LessorTest, ALeaseIsDueWhenItsTimeIsOver) {
  lessor_.Promote(kTerm, At(0));
  Grant(kOne, 10, At(0));
  Grant(kTwo, 5, At(1));
  EXPECT_EQ(lessor_.next_deadline(), At(6));
  EXPECT_EQ(Expired(At(6) - Nanoseconds(1)), Ids{});
  EXPECT_EQ(Expired(At(6)), Ids{kTwo});
  EXPECT_EQ(Expired(At(10)), (Ids{kTwo, kOne}));
  EXPECT_EQ(lessor_.Expired(At(10), 1), Ids{kTwo});
  EXPECT_EQ(lessor_.Remaining(kOne, At(3)), Seconds(7));
}

TEST_F(LessorTest, ShortLeasesLastTheMinimum) {
  lessor_.Promote(kTerm, At(0));
  Grant(kOne, 1, At(0));
  Grant(kTwo, -5, At(0));
  EXPECT_EQ(lessor_.GrantedTtl(kTwo), 2);
  EXPECT_EQ(Expired(At(2) - Nanoseconds(1)), Ids{});
  EXPECT_EQ(Expired(At(2)), (Ids{kOne, kTwo}));
}

TEST_F(LessorTest, TheLongestLeaseNeverEnds) {
  const Instant late = Instant::FromNanos(int64_t{1} << 62);
  lessor_.Promote(kTerm, late);
  Grant(kOne, kMaxTtl, late);
  EXPECT_EQ(lessor_.next_deadline(), Instant::Infinite());
  EXPECT_EQ(Expired(late), Ids{});
}

TEST_F(LessorTest, RenewalStartsTheTimeAnew) {
  lessor_.Promote(kTerm, At(0));
  Grant(kOne, 10, At(0));
  lessor_.Renew(kOne, At(9));
  EXPECT_EQ(Expired(At(18)), Ids{});
  EXPECT_EQ(Expired(At(19)), Ids{kOne});
  // Overdue, but nobody has proposed to revoke it: it can be renewed.
  lessor_.Renew(kOne, At(25));
  EXPECT_EQ(Expired(At(34)), Ids{});
}

TEST_F(LessorTest, WhatIsBeingRevokedIsNotExpiredTwice) {
  lessor_.Promote(kTerm, At(0));
  Grant(kOne, 5, At(0));
  lessor_.OnRevokeProposed(kOne);
  EXPECT_TRUE(lessor_.Revoking(kOne));
  EXPECT_EQ(lessor_.revoking(), 1u);
  EXPECT_EQ(Expired(At(100)), Ids{});
  EXPECT_EQ(lessor_.next_deadline(), Instant::Infinite());
  Revoke(kOne);
  EXPECT_EQ(lessor_.revoking(), 0u);
  EXPECT_FALSE(lessor_.Revoking(kOne));
}

TEST_F(LessorTest, ARefusedRevocationIsTriedAgainLater) {
  lessor_.Promote(kTerm, At(0));
  Grant(kOne, 5, At(0));
  lessor_.OnRevokeProposed(kOne);
  lessor_.OnRevokeRefused(kOne, At(6));
  EXPECT_FALSE(lessor_.Revoking(kOne));
  EXPECT_EQ(Expired(At(6)), Ids{});
  EXPECT_EQ(Expired(At(9)), Ids{kOne});
}

TEST_F(LessorTest, ALeaseThatIsAboutToBeGrantedAnewIsLeftAlone) {
  lessor_.Promote(kTerm, At(0));
  Grant(kOne, 5, At(0));
  // A client's revocation and new grant are in the log, at 10 and 11.
  lessor_.OnGrantProposed(kOne, LogIndex(11));
  EXPECT_EQ(Expired(At(6)), Ids{});
  lessor_.OnApplied(LogIndex(10));
  Revoke(kOne);
  EXPECT_EQ(Expired(At(6)), Ids{});
  Grant(kOne, 5, At(6));
  lessor_.OnApplied(LogIndex(11));
  EXPECT_EQ(Expired(At(10)), Ids{});
  EXPECT_EQ(Expired(At(11)), Ids{kOne});
}

TEST_F(LessorTest, AGrantThatFailedLeavesTheOldLeaseToExpire) {
  lessor_.Promote(kTerm, At(0));
  Grant(kOne, 5, At(0));
  lessor_.OnGrantProposed(kOne, LogIndex(11));
  lessor_.OnGrantProposed(kOne, LogIndex(13));
  lessor_.OnApplied(LogIndex(12));
  EXPECT_EQ(Expired(At(6)), Ids{});
  lessor_.OnApplied(LogIndex(13));
  EXPECT_EQ(Expired(At(6)), Ids{kOne});
}

TEST_F(LessorTest, ANewLeaderGivesAllOfTheTimeAgainAndSomeMore) {
  ASSERT_TRUE(leases_.Grant(kOne, 10).ok());
  ASSERT_TRUE(leases_.Grant(kTwo, 500).ok());
  leases_.Checkpoint(kTwo, 30);
  lessor_.Promote(kTerm, At(0));
  // Known before Walk has come by.
  EXPECT_EQ(lessor_.Remaining(kOne, At(2)), Seconds(9));
  EXPECT_EQ(lessor_.Remaining(kTwo, At(2)), Seconds(29));
  while (lessor_.walking()) lessor_.Walk(1);
  EXPECT_EQ(lessor_.Remaining(kOne, At(2)), Seconds(9));
  EXPECT_EQ(Expired(At(11)), Ids{kOne});
  EXPECT_EQ(Expired(At(31)), (Ids{kOne, kTwo}));
}

TEST_F(LessorTest, AfterADemotionNothingIsKnown) {
  lessor_.Promote(kTerm, At(0));
  Grant(kOne, 5, At(0));
  lessor_.OnRevokeProposed(kOne);
  lessor_.Demote();
  EXPECT_FALSE(lessor_.primary());
  EXPECT_EQ(lessor_.revoking(), 0u);
  EXPECT_EQ(lessor_.next_deadline(), Instant::Infinite());
  lessor_.Promote(Term(5), At(20));
  EXPECT_EQ(lessor_.Remaining(kOne, At(20)), Seconds(6));
  while (lessor_.walking()) lessor_.Walk(1);
  EXPECT_EQ(Expired(At(26)), Ids{kOne});
}

TEST_F(LessorTest, OfManyShortReignsNothingIsLeftOver) {
  for (int64_t id = 1; id <= 20; ++id) ASSERT_TRUE(leases_.Grant(LeaseId(id), 500).ok());
  for (uint64_t term = 1; term <= 5; ++term) {
    lessor_.Promote(Term(term), At(static_cast<int64_t>(term)));
    for (int step = 0; step < 7; ++step) lessor_.Walk(2);
    lessor_.Demote();
  }
  for (int step = 0; lessor_.walking(); ++step) {
    ASSERT_LT(step, 200);
    lessor_.Walk(2);
  }
  lessor_.Promote(Term(6), At(10));
  while (lessor_.walking()) lessor_.Walk(3);
  EXPECT_EQ(Expired(At(511) - Nanoseconds(1)), Ids{});
  EXPECT_EQ(Expired(At(511)).size(), 20u);
}

TEST_F(LessorTest, WhatComesAndGoesDuringTheWalkIsSeenOnce) {
  Prng prng(7);
  for (int64_t n = 1; n <= 200; ++n) ASSERT_TRUE(leases_.Grant(LeaseId(n * 2), 50).ok());
  lessor_.Promote(kTerm, At(0));
  for (int64_t n = 1; lessor_.walking(); ++n) {
    ASSERT_LT(n, 199);
    lessor_.Walk(5);
    const LeaseId victim(prng.Between(1, 200) * 2);
    if (leases_.Exists(victim)) Revoke(victim);
    Grant(LeaseId(n * 37 % 199 * 2 + 1), 50, At(1));  // each odd id once
    const LeaseId renewed(prng.Between(1, 200) * 2);
    if (leases_.Exists(renewed)) lessor_.Renew(renewed, At(2));
  }
  EXPECT_EQ(lessor_.Expired(At(200), 10'000).size(), leases_.all().size());
}

TEST_F(LessorTest, LongLeasesAreCheckpointed) {
  lessor_.Promote(kTerm, At(0));
  Grant(kOne, 1000, At(0));
  Grant(kTwo, 90, At(0));  // over before the first checkpoint
  EXPECT_EQ(lessor_.next_checkpoint(), At(100));
  const auto due = lessor_.TakeCheckpoints(At(100) + Milliseconds(1), 10);
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].id, kOne);
  EXPECT_EQ(due[0].remaining, 900);  // 899.999 rounded up
  EXPECT_EQ(lessor_.next_checkpoint(), At(200) + Milliseconds(1));
}

TEST_F(LessorTest, AFreshlyRenewedLeaseHasNothingToCheckpoint) {
  lessor_.Promote(kTerm, At(0));
  Grant(kOne, 1000, At(0));
  lessor_.Renew(kOne, At(100));
  EXPECT_TRUE(lessor_.TakeCheckpoints(At(100), 10).empty());
  EXPECT_FALSE(lessor_.NeedsClear(kOne));
}

TEST_F(LessorTest, ARenewalMustClearACheckpointThatIsInTheLogOrOnItsWayThere) {
  lessor_.Promote(kTerm, At(0));
  Grant(kOne, 1000, At(0));
  ASSERT_EQ(lessor_.TakeCheckpoints(At(100), 10).size(), 1u);
  EXPECT_TRUE(lessor_.NeedsClear(kOne));  // proposed
  leases_.Checkpoint(kOne, 900);
  lessor_.OnCheckpointed(kOne);
  EXPECT_TRUE(lessor_.NeedsClear(kOne));  // applied
  leases_.Checkpoint(kOne, 0);
  EXPECT_FALSE(lessor_.NeedsClear(kOne));
}

// A checkpoint that was proposed after the entry that clears the one before.
TEST_F(LessorTest, OneClearIsNotEnoughForTwoCheckpoints) {
  lessor_.Promote(kTerm, At(0));
  Grant(kOne, 1000, At(0));
  ASSERT_EQ(lessor_.TakeCheckpoints(At(100), 10).size(), 1u);
  ASSERT_EQ(lessor_.TakeCheckpoints(At(200), 10).size(), 1u);
  leases_.Checkpoint(kOne, 900);
  lessor_.OnCheckpointed(kOne);
  leases_.Checkpoint(kOne, 0);
  EXPECT_TRUE(lessor_.NeedsClear(kOne));
}

TEST_F(LessorTest, RanksLeasesByWhenTheyEnd) {
  lessor_.Promote(kTerm, At(0));
  Grant(kOne, 10, At(0));
  Grant(kTwo, 5, At(0));
  EXPECT_LT(lessor_.RankOf(kTwo), lessor_.RankOf(kOne));
  lessor_.OnRevokeProposed(kOne);
  EXPECT_LT(lessor_.RankOf(kOne), lessor_.RankOf(kTwo));
  lessor_.Demote();
  EXPECT_EQ(lessor_.RankOf(kOne), lessor_.RankOf(kTwo));
}

}  // namespace
}  // namespace quorate::lease
