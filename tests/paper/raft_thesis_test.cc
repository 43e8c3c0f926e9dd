// Rules that only Ongaro's thesis ("Consensus: Bridging Theory and Practice") spells
// out: leadership transfer (3.10), membership (4), reads (6.4), check-quorum (6.2) and
// the pre-vote (9.6).
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/engine/raft/group.h"

namespace quorate::raft::test {
namespace {

using Payloads = std::vector<std::string>;

void Transfer(Group* group, uint64_t at, uint64_t target) {
  group->raft(at).TransferLeader(MemberId(target), group->peer(at).now);
}

// ---- 3.10: leadership transfer ----

TEST(Thesis3_10, TheTargetCatchesUpThenStandsAtOnce) {
  Group group({.voters = 3, .check_quorum = true});
  ASSERT_TRUE(group.Elect(1));
  group.Isolate({2});
  ASSERT_TRUE(group.Propose(1, "x").ok());
  group.Settle();
  group.Heal();
  Transfer(&group, 1, 2);
  group.Elapse(1, Group::kHeartbeat);
  group.Settle();
  EXPECT_EQ(group.Leaders(), std::vector<uint64_t>{2});
  EXPECT_EQ(group.Applied(2), Payloads{"x"});
}

TEST(Thesis3_10, ALeaderThatHandsOverTakesNoProposals) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  group.Isolate({2});
  Transfer(&group, 1, 2);
  EXPECT_FALSE(group.Propose(1, "x").ok());
  // Given up after an election timeout.
  group.Elapse(1, Group::kElection);
  EXPECT_TRUE(group.Propose(1, "x").ok());
}

TEST(Thesis3_10, AFollowerPassesTheRequestOnAndALearnerIsNoTarget) {
  Group group({.voters = 3, .learners = 1});
  ASSERT_TRUE(group.Elect(1));
  Transfer(&group, 1, 4);
  EXPECT_EQ(group.raft(1).transferee(), MemberId(0));
  Transfer(&group, 2, 3);
  group.Settle();
  EXPECT_EQ(group.Leaders(), std::vector<uint64_t>{3});
}

// ---- 4: membership ----

TEST(Thesis4_1, MembersAreAddedAndRemovedOneByOne) {
  Group group({.voters = 1});
  ASSERT_TRUE(group.Elect(1));
  for (const uint64_t id : {2, 3}) {
    group.AddStranger(id);
    ASSERT_TRUE(group.ProposeChange(1, AddVoter(id)).ok());
    group.Settle();
  }
  ASSERT_TRUE(group.Propose(1, "of three").ok());
  group.Settle();
  EXPECT_EQ(group.Applied(3), Payloads{"of three"});
  ASSERT_TRUE(group.ProposeChange(1, RemoveMember(2)).ok());
  group.Settle();
  EXPECT_EQ(Describe(group.raft(3).conf_state()), "voters=(1 3)");
  EXPECT_EQ(group.violation(), "");
}

TEST(Thesis4_2_1, ALearnerReceivesTheLogAndDoesNotCount) {
  Group group({.voters = 2, .learners = 1});
  ASSERT_TRUE(group.Elect(1));
  ASSERT_TRUE(group.Propose(1, "a").ok());
  group.Settle();
  EXPECT_EQ(group.Applied(3), Payloads{"a"});
  group.Isolate({2});
  ASSERT_TRUE(group.Propose(1, "b").ok());
  group.Settle();
  EXPECT_EQ(group.Applied(1), Payloads{"a"});  // 1 and the learner are no majority
  group.ElapseToDeadline(3);
  EXPECT_EQ(group.raft(3).role(), Role::kFollower);
}

TEST(Thesis4_2_3, ARemovedMemberDoesNotDisturbTheOthers) {
  Group group({.voters = 3, .pre_vote = true, .check_quorum = true});
  ASSERT_TRUE(group.Elect(1));
  group.Isolate({3});
  ASSERT_TRUE(group.ProposeChange(1, RemoveMember(3)).ok());
  group.Settle();
  group.Heal();  // it never learned that it was removed
  for (int i = 0; i < 5; ++i) {
    group.Elapse(3, Group::kElection * 2);
    for (const uint64_t id : {1, 2}) group.Elapse(id, Group::kHeartbeat);
    group.Settle();
  }
  EXPECT_EQ(group.raft(1).role(), Role::kLeader);
  EXPECT_EQ(group.raft(1).term(), Term(1));
}

TEST(Thesis4_3, AJointChangeEndsByItself) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  group.AddStranger(4);
  ConfChangeV2 replace;
  replace.changes = {{ConfChangeType::kAddNode, MemberId(4)},
                     {ConfChangeType::kRemoveNode, MemberId(3)}};
  ASSERT_TRUE(group.ProposeChange(1, replace).ok());
  group.Settle();
  EXPECT_EQ(Describe(group.raft(4).conf_state()), "voters=(1 2 4)");
}

// ---- 6.2: a leader without its cluster ----

TEST(Thesis6_2, ALeaderThatHearsFromNoMajorityStepsDown) {
  Group group({.voters = 5, .check_quorum = true});
  ASSERT_TRUE(group.Elect(1));
  group.Isolate({1, 2});
  for (int i = 0; i < 25; ++i) {
    group.Elapse(1, Group::kHeartbeat);
    group.Settle();
  }
  EXPECT_EQ(group.raft(1).role(), Role::kFollower);
  EXPECT_EQ(group.raft(1).counters().quorum_lost, 1u);
}

// ---- 6.4: reads ----

void Read(Group* group, uint64_t id, const std::string& context) {
  ASSERT_TRUE(group->raft(id).ReadIndex(Bytes::Copy(context), group->peer(id).now).ok());
}

TEST(Thesis6_4, AReadWaitsForARoundOfHeartbeatsToAMajority) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  Read(&group, 1, "r");
  group.Pump(1);
  EXPECT_TRUE(group.peer(1).reads.empty());
  group.Settle();
  ASSERT_EQ(group.peer(1).reads.size(), 1u);
  EXPECT_EQ(group.peer(1).reads[0].context.view(), "r");
  EXPECT_EQ(group.peer(1).reads[0].index, group.raft(1).log().committed());
}

TEST(Thesis6_4, ALeaderThatWasReplacedAnswersNoReads) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  group.Isolate({1});
  ASSERT_TRUE(group.Elect(2));
  ASSERT_TRUE(group.Propose(2, "newer").ok());
  group.Settle();
  ASSERT_EQ(group.raft(1).role(), Role::kLeader);  // it does not know yet
  Read(&group, 1, "stale");
  group.Settle();
  EXPECT_TRUE(group.peer(1).reads.empty());
}

TEST(Thesis6_4, ANewLeaderAnswersAfterItsFirstCommit) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  ASSERT_TRUE(group.Propose(1, "x").ok());
  group.Settle();
  const LogIndex acknowledged = group.raft(1).log().committed();
  // Elected, and its first entry not yet anywhere else.
  group.Campaign(2);
  for (int i = 0; i < 20 && group.raft(2).role() != Role::kLeader; ++i) {
    for (const uint64_t id : group.ids()) {
      group.Pump(id);
      group.CompleteUnit(id);
    }
    if (!group.messages().empty()) group.DeliverAt(0);
  }
  ASSERT_EQ(group.raft(2).role(), Role::kLeader);
  ASSERT_FALSE(group.raft(2).HasCommittedInTerm());
  Read(&group, 2, "early");
  group.Pump(2);
  EXPECT_TRUE(group.peer(2).reads.empty());
  group.Settle();
  ASSERT_EQ(group.peer(2).reads.size(), 1u);
  EXPECT_GE(group.peer(2).reads[0].index, acknowledged);
}

TEST(Thesis6_4, ManyReadsShareARoundAndFollowersPassTheirsOn) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  for (const char* context : {"a", "b", "c"}) Read(&group, 1, context);
  Read(&group, 3, "d");
  group.Settle();
  EXPECT_EQ(group.peer(1).reads.size(), 3u);
  ASSERT_EQ(group.peer(3).reads.size(), 1u);
  EXPECT_EQ(group.peer(3).reads[0].context.view(), "d");
}

// Section 6.4.1: with a lease no round is needed.
TEST(Thesis6_4_1, ALeaseAnswersAtOnce) {
  Group group({.voters = 3, .check_quorum = true, .read_only = ReadOnlyMode::kLeaseBased});
  ASSERT_TRUE(group.Elect(1));
  Read(&group, 1, "r");
  group.Pump(1);
  EXPECT_EQ(group.peer(1).reads.size(), 1u);
  EXPECT_EQ(group.raft(2).ForgetLeader(group.peer(2).now).code(),
            absl::StatusCode::kFailedPrecondition);
}

// ---- 9.6: the pre-vote ----

TEST(Thesis9_6, AMemberThatWasCutOffDoesNotDisturbWhenItReturns) {
  Group group({.voters = 3, .pre_vote = true, .check_quorum = true});
  ASSERT_TRUE(group.Elect(1));
  group.Isolate({3});
  for (int i = 0; i < 5; ++i) {
    group.Elapse(3, Group::kElection * 2);
    for (const uint64_t id : {1, 2}) group.Elapse(id, Group::kHeartbeat);
    group.Settle();
  }
  EXPECT_EQ(group.raft(3).term(), Term(1));
  group.Heal();
  group.Elapse(1, Group::kHeartbeat);
  group.Settle();
  EXPECT_EQ(group.Leaders(), std::vector<uint64_t>{1});
  EXPECT_EQ(group.raft(3).leader(), MemberId(1));
}

TEST(Thesis9_6, APreVoteChangesNeitherTermNorVote) {
  Group group({.voters = 3, .pre_vote = true});
  group.Campaign(1);
  EXPECT_EQ(group.raft(1).role(), Role::kPreCandidate);
  EXPECT_EQ(group.raft(1).hard_state(), HardState());
  group.Pump(1);
  while (!group.messages().empty()) group.DeliverAt(0);
  EXPECT_EQ(group.raft(2).hard_state(), HardState());
  group.Settle();
  EXPECT_EQ(group.Leaders(), std::vector<uint64_t>{1});
  EXPECT_EQ(group.raft(1).term(), Term(1));
}

}  // namespace
}  // namespace quorate::raft::test
