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

TEST(Thesis3_10, ATransferThatFailedLeavesTheLeaderInOfficeAndAnotherReplacesIt) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  group.Crash(2);
  Transfer(&group, 1, 2);
  group.Settle();
  ASSERT_EQ(group.raft(1).transferee(), MemberId(2));
  Transfer(&group, 1, 3);  // the latest request counts
  group.Settle();
  EXPECT_EQ(group.Leaders(), std::vector<uint64_t>{3});
  Transfer(&group, 3, 2);
  group.Elapse(3, Group::kElection);
  EXPECT_EQ(group.raft(3).transferee(), MemberId(0));
  ASSERT_TRUE(group.Propose(3, "goes on").ok());
  group.Settle();
  EXPECT_EQ(group.Applied(1), Payloads{"goes on"});
}

// The other members must not take the target for a disturber.
TEST(Thesis3_10, TheTargetIsVotedForThoughTheLeaderIsHeard) {
  Group group({.voters = 3, .pre_vote = true, .check_quorum = true});
  ASSERT_TRUE(group.Elect(1));
  EXPECT_FALSE(group.Elect(3));
  Transfer(&group, 1, 2);
  group.Settle();
  EXPECT_EQ(group.Leaders(), std::vector<uint64_t>{2});
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

// Section 4.2.2: a leader that removes itself commits the change without its own vote,
// then leaves.
TEST(Thesis4_2_2, ALeaderThatRemovesItselfStepsDownOnceTheOthersHaveCommitted) {
  Group group({.voters = 3, .tune = [](Config* c) { c->step_down_on_removal = true; }});
  ASSERT_TRUE(group.Elect(1));
  ASSERT_TRUE(group.ProposeChange(1, RemoveMember(1)).ok());
  EXPECT_EQ(group.raft(1).role(), Role::kLeader);  // not before
  group.Settle();
  EXPECT_EQ(group.raft(1).role(), Role::kFollower);
  group.ElapseToDeadline(1);
  EXPECT_EQ(group.raft(1).role(), Role::kFollower);  // not a voter: it does not stand
  EXPECT_TRUE(group.Elect(2));
  EXPECT_EQ(Describe(group.raft(3).conf_state()), "voters=(2 3)");
}

TEST(Thesis4_1, OneChangeAtATime) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  ASSERT_TRUE(group.ProposeChange(1, RemoveMember(3)).ok());
  EXPECT_FALSE(group.ProposeChange(1, RemoveMember(2)).ok());
  // Nor under a new leader, before everything in its log is applied.
  group.Pump(1);
  for (const uint64_t id : {2, 3}) {
    while (group.CountMessages(MessageType::kApp, id) > 0) group.DeliverAt(0);
  }
  group.Isolate({1});
  group.Campaign(2);
  for (int i = 0; i < 20 && group.raft(2).role() != Role::kLeader; ++i) {
    for (const uint64_t id : {2, 3}) {
      group.Pump(id);
      group.CompleteUnit(id);
    }
    if (!group.messages().empty()) group.DeliverAt(0);
  }
  ASSERT_EQ(group.raft(2).role(), Role::kLeader);
  EXPECT_FALSE(group.ProposeChange(2, AddVoter(4)).ok());
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

// ---- 6.4.1: reads by a lease ----

Group Leased() {
  return Group({.voters = 3, .check_quorum = true, .read_only = ReadOnlyMode::kLeaseBased});
}

size_t ReadsAt(Group* group, uint64_t id) {
  const size_t before = group->peer(id).reads.size();
  Read(group, id, "r");
  group->Pump(id);
  return group->peer(id).reads.size() - before;
}

// All clocks but those of `silent` members move on, and heartbeats go round.
void Beat(Group* group, const std::vector<uint64_t>& ids) {
  for (const uint64_t id : ids) group->Elapse(id, Group::kHeartbeat);
  group->Settle();
}

TEST(Thesis6_4_1, WithALeaseNoRoundIsNeeded) {
  Group group = Leased();
  ASSERT_TRUE(group.Elect(1));
  EXPECT_EQ(ReadsAt(&group, 1), 0u);  // no answers yet: this read goes the safe way
  group.Settle();
  EXPECT_EQ(group.peer(1).reads.size(), 1u);
  Beat(&group, {1, 2, 3});
  EXPECT_EQ(ReadsAt(&group, 1), 1u);
  EXPECT_EQ(group.raft(2).ForgetLeader(group.peer(2).now).code(),
            absl::StatusCode::kFailedPrecondition);  // the leader counts on it
}

// The lease counts from when the last answered heartbeat was sent, less the drift that
// clocks may have: past that, others may have elected somebody.
TEST(Thesis6_4_1, ALeaseEndsBeforeAnotherLeaderCanBeElected) {
  Group group = Leased();
  ASSERT_TRUE(group.Elect(1));
  Beat(&group, {1, 2, 3});
  const Instant heard = group.peer(1).now;
  group.Isolate({1});
  group.Elapse(1, Group::kElection - Group::kClockDrift - Nanoseconds(1));
  EXPECT_EQ(ReadsAt(&group, 1), 1u);
  group.Elapse(1, Nanoseconds(1));
  ASSERT_EQ(group.raft(1).role(), Role::kLeader);  // the check for a quorum comes later
  EXPECT_EQ(ReadsAt(&group, 1), 0u);
  // From the other side: no vote for anybody until then.
  group.peer(2).now = heard + Group::kElection - Nanoseconds(1);
  EXPECT_FALSE(group.Elect(3));
  group.Elapse(3, Group::kElection);
  group.peer(2).now = heard + Group::kElection;
  EXPECT_TRUE(group.Elect(3));
}

// Section 3.10: the target is elected in spite of a leader that is heard.
TEST(Thesis6_4_1, ATransferEndsTheLease) {
  Group group = Leased();
  ASSERT_TRUE(group.Elect(1));
  Beat(&group, {1, 2, 3});
  ASSERT_EQ(ReadsAt(&group, 1), 1u);
  Transfer(&group, 1, 2);
  group.Pump(1);  // the word to stand is under way
  group.Isolate({1});
  while (!group.messages().empty()) {
    const Message m = group.messages()[0];
    group.DropAt(0);
    if (m.type == MessageType::kTimeoutNow) group.Step(2, m).IgnoreError();
  }
  group.Settle();
  ASSERT_EQ(group.raft(2).role(), Role::kLeader);
  ASSERT_EQ(group.raft(1).role(), Role::kLeader);
  EXPECT_EQ(ReadsAt(&group, 1), 0u);
}

TEST(Thesis6_4_1, ARestartedMemberKeepsThePromiseThatItForgot) {
  Group group = Leased();
  ASSERT_TRUE(group.Elect(1));
  Beat(&group, {1, 2, 3});
  group.Isolate({1});
  group.Crash(2);
  group.Restart(2);
  group.Crash(3);
  group.Restart(3);
  EXPECT_FALSE(group.Elect(3));
  ASSERT_EQ(group.raft(1).role(), Role::kLeader);
  EXPECT_EQ(ReadsAt(&group, 1), 1u);  // rightly: nobody else leads
  for (const uint64_t id : {2, 3}) group.peer(id).now = group.peer(id).now + Group::kElection;
  EXPECT_TRUE(group.Elect(3));
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

TEST(Thesis9_6, APreVoteIsRefusedByMembersThatHearALeaderOrHaveMore) {
  Group group({.voters = 3, .pre_vote = true, .check_quorum = true});
  ASSERT_TRUE(group.Elect(1));
  group.Campaign(3);
  group.Settle();
  EXPECT_EQ(group.raft(1).term(), Term(1));
  EXPECT_EQ(group.Leaders(), std::vector<uint64_t>{1});
  GroupOptions longer{.voters = 3, .pre_vote = true, .term = 2};
  longer.terms_of_logs = {{1, {1, 2}}, {2, {1, 2}}, {3, {1}}};
  Group other(longer);
  EXPECT_FALSE(other.Elect(3));
  EXPECT_EQ(other.raft(3).term(), Term(2));  // it never stood
  EXPECT_TRUE(other.Elect(2));
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
