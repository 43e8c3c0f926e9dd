// Members written by hand: each broken promise of raft must be caught by its own rule.
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/raft/codec.h"
#include "engine/raft/conf_change.h"
#include "engine/replica/replica.h"
#include "sim/oracle/membership.h"
#include "sim/oracle/raft.h"

namespace quorate::sim {
namespace {

// A member that is whatever a test says.
class FakeMember final : public engine::ReplicaInspector {
 public:
  LogIndex first_index() const override { return LogIndex(1); }
  LogIndex last_index() const override { return LogIndex(log.size()); }
  std::optional<Term> TermAt(LogIndex index) const override {
    if (index == LogIndex(0) || index > last_index()) return std::nullopt;
    return log[index.value() - 1].term;
  }
  std::optional<raft::Entry> EntryAt(LogIndex index) const override {
    if (index == LogIndex(0) || index > last_index()) return std::nullopt;
    return log[index.value() - 1];
  }
  raft::HardState hard_state() const override { return state; }
  raft::ConfState conf_state() const override { return configuration; }
  engine::Role role() const override { return now; }
  MemberId leader() const override { return MemberId(0); }
  LogIndex applied() const override { return applied_index; }
  uint64_t applied_chain() const override { return chain; }
  uint64_t StateDigest() const override { return 0; }

  void Append(uint64_t term, const std::string& data) {
    raft::Entry entry;
    entry.term = Term(term);
    entry.index = LogIndex(log.size() + 1);
    entry.data = Bytes::Copy(data);
    log.push_back(entry);
  }

  std::vector<raft::Entry> log;
  raft::HardState state;
  raft::ConfState configuration;
  engine::Role now = engine::Role::kFollower;
  LogIndex applied_index;
  uint64_t chain = 0;
};

class RaftOracleTest : public testing::Test {
 protected:
  RaftOracleTest()
      : oracle_(
            &judge_, {MemberId(1), MemberId(2), MemberId(3)}, /*founders=*/3,
            [this](VirtualTime, const raft::Entry& entry) { committed_.push_back(entry); },
            MembershipRule()) {
    for (size_t m = 1; m <= 3; ++m) {
      FakeMember& member = members_[m];
      member.configuration.voters = {MemberId(1), MemberId(2), MemberId(3)};
      member.log = engine::Replica::Bootstrap({{MemberId(1), "m1", {"http://m1:1"}},
                                               {MemberId(2), "m2", {"http://m2:1"}},
                                               {MemberId(3), "m3", {"http://m3:1"}}})
                       .entries;
      member.state.term = Term(1);
      member.state.commit = LogIndex(3);
      See(m);
    }
  }

  void See(size_t member) {
    now_ = now_ + Milliseconds(1);
    oracle_.Observe(now_, member, incarnation_[member], members_[member]);
  }
  void Restart(size_t member) {
    ++incarnation_[member];
    members_[member].now = engine::Role::kFollower;
    members_[member].state.commit = LogIndex(3);
    See(member);
  }
  void Repair(size_t member, uint64_t term) {
    ++incarnation_[member];
    now_ = now_ + Milliseconds(1);
    members_[member].now = engine::Role::kFollower;
    members_[member].state.term = Term(term);
    members_[member].state.commit = LogIndex(3);
    oracle_.Observe(now_, member, incarnation_[member], members_[member], /*repaired=*/true);
  }
  void Lead(size_t member, uint64_t term) {
    members_[member].state.term = Term(term);
    members_[member].now = engine::Role::kLeader;
    See(member);
  }
  // A follower takes an entry and says so.
  void Follow(size_t member, uint64_t term, const std::string& data) {
    members_[member].state.term = Term(term);
    members_[member].Append(term, data);
    See(member);
    Acknowledge(member, term);
  }
  void Acknowledge(size_t member, uint64_t term) {
    Acknowledge(member, term, members_[member].last_index());
  }
  void Acknowledge(size_t member, uint64_t term, LogIndex index) {
    raft::Message message;
    message.type = raft::MessageType::kAppResp;
    message.term = Term(term);
    message.index = index;
    oracle_.OnSend(now_, member, message);
  }
  void Vote(size_t member, uint64_t term, uint64_t candidate) {
    raft::Message message;
    message.type = raft::MessageType::kVoteResp;
    message.term = Term(term);
    message.to = MemberId(candidate);
    members_[member].state.term = Term(term);
    members_[member].state.vote = MemberId(candidate);
    See(member);
    oracle_.OnSend(now_, member, message);
  }
  void Commit(size_t member, uint64_t index) {
    members_[member].state.commit = LogIndex(index);
    See(member);
  }

  std::optional<Rule> Verdict() const {
    if (judge_.clean()) return std::nullopt;
    return judge_.violations()[0].rule;
  }

  Judge judge_;
  RaftOracle oracle_;
  std::vector<raft::Entry> committed_;
  std::map<size_t, FakeMember> members_;
  std::map<size_t, uint64_t> incarnation_ = {{1, 1}, {2, 1}, {3, 1}};
  VirtualTime now_;
};

TEST_F(RaftOracleTest, AnOrdinaryLifeIsFine) {
  Vote(2, 2, 1);
  Lead(1, 2);
  members_[1].Append(2, "x");
  See(1);
  Follow(2, 2, "x");
  Commit(1, 4);
  Commit(2, 4);
  EXPECT_EQ(Verdict(), std::nullopt);
  EXPECT_EQ(committed_.size(), 4u);
  EXPECT_EQ(oracle_.leaders_elected(), 1u);
}

TEST_F(RaftOracleTest, OneLeaderATerm) {
  Lead(1, 2);
  Lead(2, 2);
  EXPECT_EQ(Verdict(), Rule::kElectionSafety);
}

TEST_F(RaftOracleTest, EqualIndexAndTermMeansEqualEntries) {
  members_[1].Append(2, "x");
  members_[2].Append(2, "y");
  See(1);
  See(2);
  EXPECT_EQ(Verdict(), Rule::kLogMatching);
}

TEST_F(RaftOracleTest, EqualIndexAndTermMeansEqualLogsBefore) {
  members_[1].Append(2, "x");
  members_[1].Append(3, "z");
  members_[2].Append(1, "y");
  members_[2].Append(3, "z");
  See(1);
  See(2);
  EXPECT_EQ(Verdict(), Rule::kLogMatching);
}

TEST_F(RaftOracleTest, ALeaderNeverRemovesFromItsLog) {
  members_[1].Append(1, "x");
  Lead(1, 2);
  members_[1].log.pop_back();
  See(1);
  EXPECT_EQ(Verdict(), Rule::kLeaderAppendOnly);
}

TEST_F(RaftOracleTest, AFollowerMayReplaceWhatIsNotCommitted) {
  Follow(2, 2, "x");
  members_[2].log.pop_back();
  members_[2].state.term = Term(3);
  members_[2].Append(3, "y");
  See(2);
  EXPECT_EQ(Verdict(), std::nullopt);
}

TEST_F(RaftOracleTest, ALeaderHasAllThatEarlierTermsCommitted) {
  Lead(1, 2);
  members_[1].Append(2, "x");
  See(1);
  Follow(2, 2, "x");
  Commit(1, 4);
  Lead(3, 3);  // never got it
  EXPECT_EQ(Verdict(), Rule::kLeaderCompleteness);
}

TEST_F(RaftOracleTest, ALeaderOfAnOldTermNeedsNothingOfALaterOne) {
  Lead(1, 3);
  members_[1].Append(3, "x");
  See(1);
  Follow(2, 3, "x");
  Commit(1, 4);
  Lead(3, 2);  // votes of a past election, come late
  EXPECT_EQ(Verdict(), std::nullopt);
}

TEST_F(RaftOracleTest, NobodyCommitsAnythingElse) {
  Lead(1, 2);
  members_[1].Append(2, "x");
  See(1);
  Follow(2, 2, "x");
  Commit(1, 4);
  members_[3].state.term = Term(3);
  members_[3].Append(3, "y");
  See(3);
  Commit(3, 4);
  EXPECT_EQ(Verdict(), Rule::kStateMachineSafety);
}

TEST_F(RaftOracleTest, CommittedEntriesAreNeverReplaced) {
  Lead(1, 2);
  members_[1].Append(2, "x");
  See(1);
  Follow(2, 2, "x");
  Commit(1, 4);
  Commit(2, 4);
  members_[2].log.pop_back();
  members_[2].Append(3, "y");
  See(2);
  EXPECT_EQ(Verdict(), Rule::kStateMachineSafety);
}

TEST_F(RaftOracleTest, CommitNeedsAMajority) {
  Vote(2, 2, 1);
  Lead(1, 2);
  members_[1].Append(2, "x");
  See(1);
  Commit(1, 4);  // nobody else has it
  EXPECT_EQ(Verdict(), Rule::kCommitDurability);
}

TEST_F(RaftOracleTest, HavingIsNotAcknowledging) {
  Vote(2, 2, 1);
  Lead(1, 2);
  members_[1].Append(2, "x");
  See(1);
  members_[2].Append(2, "x");  // in memory, not yet acknowledged
  See(2);
  Commit(1, 4);
  EXPECT_EQ(Verdict(), Rule::kCommitDurability);
}

TEST_F(RaftOracleTest, WhatIsAcknowledgedSurvivesARestart) {
  Follow(2, 2, "x");
  members_[2].log.pop_back();  // the disk never got it
  Restart(2);
  EXPECT_EQ(Verdict(), Rule::kCommitDurability);
}

// Seed 1340: the disk was slow, and a later leader faster than the answer to the old one.
TEST_F(RaftOracleTest, AnAnswerToAnOldLeaderMayComeAfterALaterOneCutTheLog) {
  members_[2].state.term = Term(2);
  members_[2].Append(2, "x");
  See(2);
  members_[2].state.term = Term(3);
  members_[2].log.pop_back();
  See(2);
  Acknowledge(2, 2, LogIndex(4));
  EXPECT_EQ(Verdict(), std::nullopt);
  Acknowledge(2, 3, LogIndex(4));
  EXPECT_EQ(Verdict(), Rule::kCommitDurability);
}

TEST_F(RaftOracleTest, WhatIsNotAcknowledgedMayBeLost) {
  members_[2].Append(2, "x");
  See(2);
  members_[2].log.pop_back();
  Restart(2);
  EXPECT_EQ(Verdict(), std::nullopt);
}

TEST_F(RaftOracleTest, OneVoteATerm) {
  Vote(2, 2, 1);
  Vote(2, 2, 3);
  EXPECT_EQ(Verdict(), Rule::kVoteDurability);
}

TEST_F(RaftOracleTest, AVoteSurvivesARestart) {
  Vote(2, 2, 1);
  members_[2].state.vote = MemberId(0);
  Restart(2);
  EXPECT_EQ(Verdict(), Rule::kVoteDurability);
}

TEST_F(RaftOracleTest, ATermThatWasAnsweredInSurvivesARestart) {
  Vote(2, 5, 1);
  members_[2].state.term = Term(4);
  members_[2].state.vote = MemberId(0);
  Restart(2);
  EXPECT_EQ(Verdict(), Rule::kVoteDurability);
}

TEST_F(RaftOracleTest, TermsDoNotGoBack) {
  members_[2].state.term = Term(3);
  See(2);
  members_[2].state.term = Term(2);
  See(2);
  EXPECT_EQ(Verdict(), Rule::kMonotonicity);
}

TEST_F(RaftOracleTest, NothingIsAppliedBeforeItIsCommitted) {
  members_[2].Append(2, "x");
  members_[2].applied_index = LogIndex(4);
  See(2);
  EXPECT_EQ(Verdict(), Rule::kMonotonicity);
}

TEST_F(RaftOracleTest, MembersApplyTheSame) {
  members_[1].applied_index = LogIndex(3);
  members_[1].chain = 17;
  See(1);
  members_[2].applied_index = LogIndex(3);
  members_[2].chain = 18;
  See(2);
  EXPECT_EQ(Verdict(), Rule::kStateMachineSafety);
}

TEST_F(RaftOracleTest, AMemberCountsByTheConfigurationThatItsEntriesMake) {
  members_[1].applied_index = LogIndex(3);
  See(1);
  EXPECT_TRUE(judge_.clean());
  members_[2].applied_index = LogIndex(3);
  members_[2].configuration.voters = {MemberId(1), MemberId(2)};
  See(2);
  EXPECT_EQ(Verdict(), Rule::kStateMachineSafety);
}

TEST_F(RaftOracleTest, ALeaderBeginsNoChangeBeforeTheLastIsApplied) {
  for (FakeMember* const member : {&members_[1], &members_[2]}) {
    member->applied_index = LogIndex(3);
  }
  const auto change = [this](size_t member, uint64_t term) {
    members_[member].Append(term, "");
    members_[member].log.back().type = raft::EntryType::kConfChange;
    See(member);
  };
  Lead(1, 2);
  change(1, 2);
  EXPECT_TRUE(judge_.clean());
  // A follower takes what it is sent.
  members_[2].state.term = Term(2);
  change(2, 2);
  change(2, 2);
  EXPECT_TRUE(judge_.clean());
  change(1, 2);
  EXPECT_EQ(Verdict(), Rule::kOneChange);
}

TEST_F(RaftOracleTest, NobodyStandsByAConfigurationThatItKnowsToBeReplaced) {
  for (const size_t m : {1, 2}) {
    members_[m].applied_index = LogIndex(3);
    members_[m].Append(2, "");
    members_[m].log.back().type = raft::EntryType::kConfChange;
    members_[m].state.term = Term(2);
    See(m);
    Acknowledge(m, 2);
  }
  // Not committed, as far as this one knows.
  members_[1].now = engine::Role::kPreCandidate;
  See(1);
  EXPECT_TRUE(judge_.clean());
  members_[2].state.commit = LogIndex(4);
  See(2);
  members_[2].now = engine::Role::kPreCandidate;
  See(2);
  EXPECT_EQ(Verdict(), Rule::kOneChange);
}

TEST_F(RaftOracleTest, WhatARemovedMemberSaysChangesNothing) {
  const raft::ConfChange removal{.type = raft::ConfChangeType::kRemoveNode, .node_id = MemberId(3)};
  for (const size_t m : {1, 2}) {
    members_[m].Append(2, "");
    members_[m].log.back().type = raft::EntryType::kConfChange;
    members_[m].log.back().data = raft::EncodeToBytes(removal);
    members_[m].state.term = Term(2);
    See(m);
    Acknowledge(m, 2);
  }
  members_[1].state.commit = LogIndex(4);
  See(1);
  raft::Message message;
  message.type = raft::MessageType::kVote;
  message.from = MemberId(3);
  message.term = Term(7);
  // It may, of somebody who has not applied the removal.
  RaftOracle::Before before = oracle_.BeforeMessage(message, members_[1]);
  members_[1].state.term = Term(7);
  oracle_.AfterMessage(now_, 1, message, before, members_[1]);
  EXPECT_TRUE(judge_.clean());
  members_[1].applied_index = LogIndex(4);
  members_[1].configuration.voters = {MemberId(1), MemberId(2)};
  See(1);
  message.term = Term(8);
  before = oracle_.BeforeMessage(message, members_[1]);
  oracle_.AfterMessage(now_, 1, message, before, members_[1]);
  EXPECT_TRUE(judge_.clean()) << "nothing has changed";
  members_[1].state.term = Term(8);
  oracle_.AfterMessage(now_, 1, message, before, members_[1]);
  EXPECT_EQ(Verdict(), Rule::kRemoved);
}

TEST_F(RaftOracleTest, AChangeThatWasCutOffDoesNotCountForWhoeverHadIt) {
  FakeMember& member = members_[2];
  member.applied_index = LogIndex(3);
  const auto append = [&member](uint64_t term, raft::EntryType type) {
    member.Append(term, "");
    member.log.back().type = type;
  };
  member.state.term = Term(2);
  append(2, raft::EntryType::kNormal);
  append(2, raft::EntryType::kConfChange);
  See(2);
  member.log.resize(3);
  member.state.term = Term(3);
  append(3, raft::EntryType::kNormal);
  See(2);
  Lead(2, 4);
  append(4, raft::EntryType::kNormal);
  append(4, raft::EntryType::kConfChange);
  See(2);
  EXPECT_TRUE(judge_.clean());
}

TEST(RaftOracleOfOthers, AConfigurationThatNoEntriesMakeNeedsAMajorityToo) {
  for (const size_t holders : {1, 2}) {
    Judge judge;
    RaftOracle oracle(&judge, {MemberId(1), MemberId(2), MemberId(3)}, /*founders=*/0,
                      /*on_commit=*/nullptr, /*rule=*/nullptr);
    raft::ConfState voters;
    voters.voters = {MemberId(1), MemberId(2), MemberId(3)};
    oracle.SetFirstConfig(voters);
    FakeMember members[2];
    for (FakeMember& member : members) {
      member.configuration = voters;
      member.state.term = Term(1);
      member.Append(1, "x");
    }
    for (size_t m = holders; m >= 1; --m) {
      if (m == 1) members[0].state.commit = LogIndex(1);
      oracle.Observe(VirtualTime() + Milliseconds(static_cast<int64_t>(10 - m)), m, 1,
                     members[m - 1]);
    }
    EXPECT_EQ(judge.clean(), holders == 2);
  }
}

TEST_F(RaftOracleTest, TheCommitSinkGetsEveryEntryOnce) {
  Lead(1, 2);
  members_[1].Append(2, "x");
  members_[1].Append(2, "y");
  See(1);
  Follow(2, 2, "x");
  Follow(2, 2, "y");
  Commit(1, 5);
  Commit(2, 5);
  ASSERT_EQ(committed_.size(), 5u);
  EXPECT_EQ(committed_[4].data.view(), "y");
}

// ---- a life that begins with the state of another member ----

TEST_F(RaftOracleTest, ARepairedMemberMustHoldWhatALeaderOfItsTermWasTold) {
  Lead(1, 2);
  members_[1].Append(2, "a");
  See(1);
  Follow(2, 2, "a");
  members_[2].log.pop_back();  // its disk has lost it
  Repair(2, 2);
  EXPECT_EQ(Verdict(), Rule::kCommitDurability);
}

TEST_F(RaftOracleTest, WhatALaterLeaderWentOnWithoutIsVoid) {
  Lead(1, 2);
  members_[1].Append(2, "a");
  See(1);
  Follow(2, 2, "a");
  // Member 3 has led on, and committed another entry with the new member 1.
  members_[1].log.pop_back();
  members_[1].now = engine::Role::kFollower;
  Lead(3, 3);
  members_[3].Append(3, "b");
  See(3);
  Follow(1, 3, "b");
  Commit(3, 4);
  members_[2].log = members_[3].log;
  Repair(2, 3);
  EXPECT_EQ(Verdict(), std::nullopt);
}

TEST_F(RaftOracleTest, ARepairedMemberComesBackInNoEarlierTermThanItAcknowledgedIn) {
  Lead(1, 2);
  members_[1].Append(2, "a");
  See(1);
  Follow(2, 2, "a");
  Repair(2, 1);
  EXPECT_EQ(Verdict(), Rule::kVoteDurability);
}

// Seed 132: a candidate had told a leader that there is a later term, its own, and lost its disk.
TEST_F(RaftOracleTest, WhoOnlyTellsALeaderOfItsTermAcknowledgesNothingInIt) {
  raft::Message later;
  later.type = raft::MessageType::kAppResp;
  later.term = Term(2);
  later.to = MemberId(1);
  oracle_.OnSend(now_, 2, later);
  Repair(2, 1);
  EXPECT_EQ(Verdict(), std::nullopt);
}

TEST_F(RaftOracleTest, ARepairedMemberHasNoVoteInItsTerm) {
  Vote(2, 2, 1);
  members_[2].state.vote = MemberId(2);
  Repair(2, 2);
  EXPECT_EQ(Verdict(), std::nullopt) << "that it cannot tell whom it voted for is no offence";
  Vote(2, 2, 3);
  EXPECT_EQ(Verdict(), Rule::kVoteDurability);
}

}  // namespace
}  // namespace quorate::sim
