// Changes of the membership: which are possible, what refuses the others, and how they
// meet with transfers, snapshots, removals and reads.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/raft/codec.h"
#include "tests/engine/raft/group.h"

namespace quorate::raft::test {
namespace {

using Payloads = std::vector<std::string>;

ConfChangeSingle Voter(uint64_t id) { return {ConfChangeType::kAddNode, MemberId(id)}; }
ConfChangeSingle Learner(uint64_t id) { return {ConfChangeType::kAddLearnerNode, MemberId(id)}; }
ConfChangeSingle Removal(uint64_t id) { return {ConfChangeType::kRemoveNode, MemberId(id)}; }

ConfChangeV2 Change(std::vector<ConfChangeSingle> changes,
                    ConfChangeTransition transition = ConfChangeTransition::kAuto) {
  ConfChangeV2 change;
  change.changes = std::move(changes);
  change.transition = transition;
  return change;
}

std::string ConfigOf(Group* group, uint64_t id) { return Describe(group->raft(id).conf_state()); }

void Beat(Group* group, uint64_t leader, int times = 3) {
  for (int i = 0; i < times; ++i) {
    group->Elapse(leader, Group::kHeartbeat);
    group->Settle();
  }
}

TEST(Membership, AChangeThatIsNotPossibleIsRefusedWithTheReason) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  EXPECT_EQ(group.ProposeChange(1, ConfChangeV2()).message(),
            "not in joint state; refusing empty conf change");
  ASSERT_TRUE(group.ProposeChange(1, RemoveMember(3)).ok());
  EXPECT_EQ(group.ProposeChange(1, RemoveMember(2)).code(),
            absl::StatusCode::kFailedPrecondition);  // the first is not applied yet
  group.Settle();
  EXPECT_TRUE(group.ProposeChange(1, RemoveMember(2)).ok());
  group.Settle();
  EXPECT_EQ(group.ProposeChange(1, RemoveMember(1)).message(), "removed all voters");
}

TEST(Membership, ARemovedLeaderStepsDownIfToldTo) {
  for (const bool step_down : {false, true}) {
    Group group({.voters = 3, .tune = [=](Config* c) { c->step_down_on_removal = step_down; }});
    ASSERT_TRUE(group.Elect(1));
    ASSERT_TRUE(group.ProposeChange(1, RemoveMember(1)).ok());
    group.Settle();
    EXPECT_EQ(group.raft(1).role(), step_down ? Role::kFollower : Role::kLeader);
    EXPECT_FALSE(group.Propose(1, "x").ok());
  }
}

TEST(Membership, EveryReasonForARefusalIsTold) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  group.AddStranger(4);
  EXPECT_EQ(group.ProposeChange(1, Change({Removal(1), Removal(2), Removal(3)})).message(),
            "removed all voters");
  EXPECT_EQ(
      group.ProposeChange(1, Change({{static_cast<ConfChangeType>(9), MemberId(4)}})).message(),
      "unexpected conf type 9");
  ASSERT_TRUE(
      group.ProposeChange(1, Change({Voter(4)}, ConfChangeTransition::kJointExplicit)).ok());
  EXPECT_EQ(group.ProposeChange(1, Change({Removal(2)})).message(),
            "possible unapplied conf change at index 2 (applied to 1)");
  group.Settle();
  EXPECT_EQ(group.ProposeChange(1, Change({Removal(2)})).message(),
            "must transition out of joint config first");
  EXPECT_EQ(group.raft(1).counters().conf_changes_refused, 4u);
  ASSERT_TRUE(group.ProposeChange(1, Change({})).ok());
  group.Settle();
  EXPECT_EQ(ConfigOf(&group, 4), "voters=(1 2 3 4)");
}

// A member that was not told of the present configuration forwards what is impossible.
TEST(Membership, AnImpossibleChangeOfAFollowerBecomesAnEmptyEntry) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  ASSERT_TRUE(group.ProposeChange(2, Change({})).ok());  // not joint, and 2 cannot know
  group.Settle();
  EXPECT_EQ(ConfigOf(&group, 1), "voters=(1 2 3)");
  EXPECT_EQ(group.raft(1).log().last_index(), LogIndex(2));
  EXPECT_EQ(group.raft(1).log().EntryAt(LogIndex(2)).type, EntryType::kNormal);
}

TEST(Membership, OfTwoChangesInOneProposalTheSecondBecomesAnEmptyEntry) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  Message m;
  m.type = MessageType::kProp;
  m.from = MemberId(2);
  m.to = MemberId(1);
  for (const uint64_t id : {2, 3}) {
    m.entries.push_back(
        {.type = EntryType::kConfChangeV2, .data = EncodeToBytes(RemoveMember(id))});
  }
  ASSERT_TRUE(group.Step(1, m).ok());
  group.Settle();
  EXPECT_EQ(ConfigOf(&group, 1), "voters=(1 3)");
}

TEST(Membership, WithoutValidationChangesGoInAndApplyingTellsWhatIsImpossible) {
  Group group({.voters = 3, .tune = [](auto* c) { c->disable_conf_change_validation = true; }});
  ASSERT_TRUE(group.Elect(1));
  // One is not applied yet when the next comes; the second and third are both impossible.
  ASSERT_TRUE(
      group.ProposeChange(1, Change({Learner(3)}, ConfChangeTransition::kJointExplicit)).ok());
  ASSERT_TRUE(group.ProposeChange(1, Change({Removal(2)})).ok());
  ASSERT_TRUE(
      group.ProposeChange(1, Change({Voter(4)}, ConfChangeTransition::kJointExplicit)).ok());
  group.Settle();
  for (const uint64_t id : {1, 2, 3}) {
    EXPECT_EQ(ConfigOf(&group, id), "voters=(1 2)&&(1 2 3) learners_next=(3)") << id;
  }
  EXPECT_EQ(group.raft(1).ApplyConfChange(Change({Removal(2)}), Instant()).status().message(),
            "can't apply simple config change in joint config");
  ASSERT_TRUE(group.ProposeChange(1, Change({})).ok());
  group.Settle();
  EXPECT_EQ(ConfigOf(&group, 3), "voters=(1 2) learners=(3)");
  EXPECT_EQ(group.violation(), "");
}

TEST(Membership, AnImplicitTransitionEndsByItselfAnExplicitOneDoesNot) {
  for (const bool implicit : {true, false}) {
    Group group({.voters = 3});
    ASSERT_TRUE(group.Elect(1));
    ASSERT_TRUE(
        group
            .ProposeChange(1, Change({Removal(3)}, implicit ? ConfChangeTransition::kJointImplicit
                                                            : ConfChangeTransition::kJointExplicit))
            .ok());
    group.Settle();
    EXPECT_EQ(ConfigOf(&group, 1), implicit ? "voters=(1 2)" : "voters=(1 2)&&(1 2 3)");
  }
}

TEST(Membership, APromotedLearnerCountsAndADemotedVoterDoesNot) {
  Group group({.voters = 2, .learners = 1});
  ASSERT_TRUE(group.Elect(1));
  ASSERT_TRUE(group.ProposeChange(1, Change({Voter(3)})).ok());
  group.Settle();
  EXPECT_EQ(ConfigOf(&group, 1), "voters=(1 2 3)");
  group.Isolate({2});
  ASSERT_TRUE(group.Propose(1, "with 3").ok());
  group.Settle();
  EXPECT_EQ(group.Applied(1), Payloads{"with 3"});
  ASSERT_TRUE(group.ProposeChange(1, Change({Learner(3)})).ok());
  group.Settle();
  ASSERT_EQ(ConfigOf(&group, 1), "voters=(1 2) learners=(3)");
  ASSERT_TRUE(group.Propose(1, "needs 2").ok());
  group.Settle();
  EXPECT_EQ(group.Applied(1), Payloads{"with 3"});
  group.Heal();
  Beat(&group, 1);
  EXPECT_EQ(group.Applied(1), (Payloads{"with 3", "needs 2"}));
}

// learners_next: in the joint phase the member still votes in the outgoing half.
TEST(Membership, AVoterOnItsWayToLearnerVotesUntilTheJointPhaseEnds) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  ASSERT_TRUE(
      group.ProposeChange(1, Change({Learner(3)}, ConfChangeTransition::kJointExplicit)).ok());
  group.Settle();
  ASSERT_EQ(ConfigOf(&group, 3), "voters=(1 2)&&(1 2 3) learners_next=(3)");
  EXPECT_FALSE(group.raft(3).is_learner());
  EXPECT_TRUE(group.raft(3).IsPromotable());
  ASSERT_TRUE(group.ProposeChange(1, Change({})).ok());
  group.Settle();
  EXPECT_TRUE(group.raft(3).is_learner());
  EXPECT_FALSE(group.raft(3).IsPromotable());
}

TEST(Membership, ANewMemberBehindACompactedLogGetsTheJointConfigurationByASnapshot) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  for (const char* data : {"a", "b"}) ASSERT_TRUE(group.Propose(1, data).ok());
  ASSERT_TRUE(
      group.ProposeChange(1, Change({Voter(4), Learner(3)}, ConfChangeTransition::kJointExplicit))
          .ok());
  group.Settle();
  ASSERT_TRUE(group.Propose(1, "c").ok());
  group.Settle();
  group.Compact(1);
  group.AddStranger(4);
  group.raft(1).ReportSnapshot(MemberId(4), false, group.peer(1).now);
  Beat(&group, 1);
  EXPECT_EQ(group.raft(1).counters().snapshots_sent, 1u);
  EXPECT_EQ(ConfigOf(&group, 4), "voters=(1 2 4)&&(1 2 3) learners_next=(3)");
  EXPECT_EQ(group.Applied(4), (Payloads{"a", "b", "c"}));
  ASSERT_TRUE(group.ProposeChange(1, Change({})).ok());
  group.Settle();
  EXPECT_EQ(ConfigOf(&group, 4), "voters=(1 2 4) learners=(3)");
}

TEST(Membership, ALeaderMayReplaceItselfAndTheNextOneEndsTheJointPhase) {
  Group group({.voters = 3, .tune = [](auto* c) { c->step_down_on_removal = true; }});
  ASSERT_TRUE(group.Elect(1));
  group.AddStranger(4);
  ASSERT_TRUE(group.ProposeChange(1, Change({Removal(1), Voter(4)})).ok());
  group.Settle();
  EXPECT_EQ(group.raft(1).role(), Role::kFollower);
  EXPECT_EQ(ConfigOf(&group, 1), "voters=(2 3 4)");
  ASSERT_TRUE(group.Elect(4));
  EXPECT_EQ(group.violation(), "");
}

// ---- and transfers ----

TEST(Membership, ATransferToAMemberThatIsRemovedIsGivenUp) {
  Group group({.voters = 4});
  ASSERT_TRUE(group.Elect(1));
  ASSERT_TRUE(group.ProposeChange(1, Change({Removal(4)})).ok());
  group.Pump(1);
  group.Isolate({4});
  group.raft(1).TransferLeader(MemberId(4), group.peer(1).now);
  ASSERT_EQ(group.raft(1).transferee(), MemberId(4));
  group.Settle();
  EXPECT_EQ(group.raft(1).transferee(), MemberId(0));
  EXPECT_TRUE(group.Propose(1, "x").ok());
}

TEST(Membership, AJointPhaseThatATransferInterruptsEndsWhenTheTransferFails) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  ASSERT_TRUE(
      group.ProposeChange(1, Change({Removal(3)}, ConfChangeTransition::kJointImplicit)).ok());
  group.Pump(1);
  group.raft(1).TransferLeader(MemberId(2), group.peer(1).now);
  group.lost_type = MessageType::kTimeoutNow;
  group.Settle();
  // Nothing is proposed meanwhile.
  ASSERT_EQ(ConfigOf(&group, 1), "voters=(1 2)&&(1 2 3) autoleave");
  group.Elapse(1, Group::kElection);
  group.Settle();
  ASSERT_TRUE(group.Propose(1, "x").ok());  // the next applied entry tries again
  group.Settle();
  EXPECT_EQ(ConfigOf(&group, 1), "voters=(1 2)");
}

TEST(Membership, AJointPhaseThatATransferInterruptsEndsUnderTheNextLeader) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  ASSERT_TRUE(
      group.ProposeChange(1, Change({Removal(3)}, ConfChangeTransition::kJointImplicit)).ok());
  group.Pump(1);
  group.raft(1).TransferLeader(MemberId(2), group.peer(1).now);
  group.lost_type = MessageType::kTimeoutNow;  // until the change is applied everywhere
  group.Settle();
  ASSERT_EQ(ConfigOf(&group, 2), "voters=(1 2)&&(1 2 3) autoleave");
  Message stand;
  stand.type = MessageType::kTimeoutNow;
  stand.from = MemberId(1);
  stand.to = MemberId(2);
  stand.term = group.raft(1).term();
  ASSERT_TRUE(group.Step(2, stand).ok());
  group.Settle();
  EXPECT_EQ(group.Leaders(), std::vector<uint64_t>{2});
  EXPECT_EQ(ConfigOf(&group, 2), "voters=(1 2)");
}

TEST(Membership, NobodyStandsWithACommittedChangeThatIsNotApplied) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  ASSERT_TRUE(group.ProposeChange(1, Change({Removal(3)})).ok());
  group.Settle();
  // Member 2 again, from its disk: it has the change and has applied nothing.
  Peer& peer = group.peer(2);
  Raft raft(peer.config,
            DurableLog{peer.durable_state, peer.durable_snapshot, peer.durable_entries}, Instant());
  ASSERT_GT(raft.log().committed(), LogIndex(1));
  raft.Campaign(Instant());
  EXPECT_EQ(raft.role(), Role::kFollower);
  Ready ready;
  raft.TakeReady(&ready);
  for (const Entry& entry : ready.committed_entries) {
    if (entry.type == EntryType::kNormal) continue;
    ASSERT_TRUE(raft.ApplyConfChange(*DecodeChange(entry), Instant()).ok());
  }
  raft.AppliedTo(ready.committed_entries.last_index(), Instant());
  raft.Campaign(Instant());
  EXPECT_EQ(raft.role(), Role::kCandidate);
}

// ---- and reads ----

// The single voter left is somebody else: the removed leader may not answer for it.
TEST(Membership, ALeaderThatWasRemovedDoesNotAnswerReadsForTheOnlyVoter) {
  Group group({.voters = 2});
  ASSERT_TRUE(group.Elect(1));
  ASSERT_TRUE(group.ProposeChange(1, Change({Removal(1)})).ok());
  group.Settle();
  ASSERT_EQ(group.raft(1).role(), Role::kLeader);
  ASSERT_EQ(ConfigOf(&group, 1), "voters=(2)");
  group.Isolate({1});
  ASSERT_TRUE(group.Elect(2));
  ASSERT_TRUE(group.Propose(2, "newer").ok());
  group.Settle();
  ASSERT_EQ(group.raft(1).role(), Role::kLeader);
  ASSERT_TRUE(group.raft(1).ReadIndex(Bytes::Static("r"), group.peer(1).now).ok());
  group.Settle();
  EXPECT_TRUE(group.peer(1).reads.empty());
}

TEST(Membership, ReadsThatWaitedForARemovedMemberAreAnswered) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  ASSERT_TRUE(group.ProposeChange(1, Change({Removal(3)})).ok());
  group.Settle();
  group.Isolate({2});
  ASSERT_TRUE(group.raft(1).ReadIndex(Bytes::Static("r"), group.peer(1).now).ok());
  group.Settle();
  ASSERT_TRUE(group.peer(1).reads.empty());
  ASSERT_TRUE(group.raft(1).ApplyConfChange(Change({Removal(2)}), group.peer(1).now).ok());
  group.Settle();
  EXPECT_EQ(group.peer(1).reads.size(), 1u);
}

// ---- under other quorum rules ----

TEST(Membership, AChangeThatBreaksAFlexibleRuleIsRefused) {
  const auto tune = [](auto* c) { c->quorum = *QuorumRule::Flexible(3, 2); };
  Group group({.voters = 4, .tune = tune});  // 3 elect, 2 commit: they meet among 4
  ASSERT_TRUE(group.Elect(1));
  EXPECT_EQ(group.ProposeChange(1, Change({Voter(5)})).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(group.raft(1).ApplyConfChange(Change({Voter(5)}), Instant()).status().message(),
            "an election quorum of 3 and a replication quorum of 2 of 5 need not intersect: a "
            "leader could miss committed entries");
  EXPECT_EQ(ConfigOf(&group, 1), "voters=(1 2 3 4)");
  Snapshot snapshot;
  snapshot.meta = {LogIndex(9), Term(1), {.voters = {}}};
  for (uint64_t id = 1; id <= 5; ++id) snapshot.meta.conf_state.voters.push_back(MemberId(id));
  Message m;
  m.type = MessageType::kSnap;
  m.from = MemberId(1);
  m.to = MemberId(2);
  m.term = group.raft(2).term();
  m.snapshot = std::make_shared<Snapshot>(snapshot);
  ASSERT_TRUE(group.Step(2, m).ok());
  EXPECT_EQ(group.raft(2).counters().contradictory, 1u);
  EXPECT_EQ(ConfigOf(&group, 2), "voters=(1 2 3 4)");
}

}  // namespace
}  // namespace quorate::raft::test
