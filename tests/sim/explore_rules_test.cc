// The rules about clusters, on states made by hand: each accepts what Raft allows and
// refuses a state that breaks it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "sim/explore/rules.h"

namespace quorate::sim::explore {
namespace {

// A log of these terms; logs that begin alike are alike.
std::vector<Link> LogOf(const std::vector<uint64_t>& terms) {
  std::vector<Link> log;
  uint64_t chain = 7;
  for (const uint64_t term : terms) {
    chain = chain * 31 + term;
    log.push_back({Term(term), chain});
  }
  return log;
}

class RulesTest : public testing::Test {
 protected:
  // Followers of term 1 with empty logs.
  RulesTest() {
    for (uint64_t id = 1; id <= 3; ++id) {
      members_[id - 1].id = MemberId(id);
      members_[id - 1].term = Term(1);
      members_[id - 1].durable_term = Term(1);
      views_[id - 1] = &members_[id - 1];
    }
  }

  MemberView& member(uint64_t id) { return members_[id - 1]; }

  void Log(uint64_t id, const std::vector<uint64_t>& terms) {
    member(id).log = LogOf(terms);
    member(id).durable = LogOf(terms);
  }

  void Lead(uint64_t id, uint64_t term) {
    member(id).role = raft::Role::kLeader;
    member(id).term = Term(term);
  }

  // Member `id` has just reacted.
  std::optional<Rule> Judge(uint64_t id, std::vector<ReadAnswer> answers = {}) {
    const Rules rules(views_);
    auto violation = rules.OnReaction(id - 1, answers, &history_);
    if (!violation.has_value()) violation = rules.OnState(id - 1, history_);
    if (!violation.has_value()) return std::nullopt;
    EXPECT_FALSE(violation->text.empty());
    return violation->rule;
  }

  MemberView members_[3];
  const MemberView* views_[3];
  History history_;
};

TEST_F(RulesTest, OneLeaderInATermAndLaterAnotherInTheNext) {
  Lead(1, 1);
  EXPECT_EQ(Judge(1), std::nullopt);
  EXPECT_EQ(Judge(1), std::nullopt);
  Lead(2, 2);
  EXPECT_EQ(Judge(2), std::nullopt);
}

TEST_F(RulesTest, TwoLeadersInATermEvenIfTheFirstIsGone) {
  Lead(1, 1);
  EXPECT_EQ(Judge(1), std::nullopt);
  member(1).role = raft::Role::kFollower;
  Lead(2, 1);
  EXPECT_EQ(Judge(2), Rule::kElectionSafety);
}

TEST_F(RulesTest, LogsWithTheSameIndexAndTermAreTheSame) {
  Log(1, {1, 1, 2});
  Log(2, {1, 1, 3, 3});
  Log(3, {1});
  EXPECT_EQ(Judge(1), std::nullopt);
  // Index 4 has term 3 at both, index 3 has not.
  Log(1, {1, 1, 2, 3});
  EXPECT_EQ(Judge(1), Rule::kLogMatching);
}

TEST_F(RulesTest, ALeaderHoldsWhatWasCommittedInEarlierTerms) {
  for (const uint64_t id : {1, 2}) Log(id, {1, 1});
  Lead(1, 1);
  member(1).commit = LogIndex(2);
  EXPECT_EQ(Judge(1), std::nullopt);
  // Its votes came late: nothing had been committed before its term.
  Lead(3, 1);
  member(3).term = Term(1);
  history_.leaders.clear();
  EXPECT_EQ(Judge(3), std::nullopt);
  Lead(3, 2);
  EXPECT_EQ(Judge(3), Rule::kLeaderCompleteness);
}

TEST_F(RulesTest, NobodyCommitsAnotherEntryAtAnIndex) {
  for (const uint64_t id : {1, 2}) Log(id, {1, 1});
  Lead(1, 1);
  member(1).commit = LogIndex(2);
  EXPECT_EQ(Judge(1), std::nullopt);
  Log(3, {1, 2});
  member(3).commit = LogIndex(1);
  EXPECT_EQ(Judge(3), std::nullopt);
  member(3).commit = LogIndex(2);
  EXPECT_EQ(Judge(3), Rule::kStateMachineSafety);
}

TEST_F(RulesTest, WhatIsCommittedIsOnTheDisksOfAMajority) {
  for (const uint64_t id : {1, 2}) Log(id, {1});
  Lead(1, 1);
  member(1).commit = LogIndex(1);
  EXPECT_EQ(Judge(1), std::nullopt);
  // In memory only does not count, neither at once nor later.
  member(2).durable.clear();
  EXPECT_EQ(Judge(2), Rule::kCommitDurability);
}

TEST_F(RulesTest, AReadSeesWhatWasCommittedBeforeIt) {
  history_.reads_from = {LogIndex(0), LogIndex(2)};
  EXPECT_EQ(Judge(1, {{.read = 0, .index = LogIndex(0)}}), std::nullopt);
  EXPECT_EQ(Judge(1, {{.read = 1, .index = LogIndex(2)}}), std::nullopt);
  EXPECT_EQ(Judge(1, {{.read = 1, .index = LogIndex(1)}}), Rule::kReadSafety);
}

TEST_F(RulesTest, NewsIsWhatTheHistoryDoesNotHold) {
  const Rules rules(views_);
  EXPECT_FALSE(rules.IsNews(0, history_));
  Lead(1, 1);
  EXPECT_TRUE(rules.IsNews(0, history_));
  EXPECT_EQ(Judge(1), std::nullopt);
  EXPECT_FALSE(rules.IsNews(0, history_));
  for (const uint64_t id : {1, 2}) Log(id, {1});
  member(1).commit = LogIndex(1);
  EXPECT_TRUE(rules.IsNews(0, history_));
}

}  // namespace
}  // namespace quorate::sim::explore
