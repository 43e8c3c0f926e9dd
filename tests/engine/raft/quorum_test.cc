// Quorum arithmetic against a naive twin, and what every rule must guarantee.
#include "engine/raft/quorum.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace quorate::raft {
namespace {

using Acks = std::map<MemberId, LogIndex>;

// The largest index that more than half of the voters have, by trying each.
LogIndex NaiveCommitted(const VoterSet& voters, const Acks& acks) {
  LogIndex best;
  for (const auto& [id, candidate] : acks) {
    const auto holders =
        std::count_if(voters.begin(), voters.end(), [&, candidate = candidate](MemberId voter) {
          const auto ack = acks.find(voter);
          return ack != acks.end() && ack->second >= candidate;
        });
    if (static_cast<size_t>(holders) * 2 > voters.size()) best = std::max(best, candidate);
  }
  return voters.empty() ? kEverythingCommitted : best;
}

VoterSet VotersFromBits(uint32_t bits) {
  VoterSet voters;
  for (uint64_t id = 1; id <= 9; ++id) {
    if ((bits >> id & 1) != 0) voters.push_back(MemberId(id));
  }
  return voters;
}

VoterSet FirstVoters(uint64_t n) { return VotersFromBits((1u << (n + 1)) - 2); }

VoteResult TallyOf(const QuorumRule& rule, const VoterSet& voters, const VoterSet& yes) {
  return TallyVotes(rule, voters, [&](MemberId id) -> std::optional<bool> {
    return std::binary_search(yes.begin(), yes.end(), id);
  });
}

bool Replicates(const QuorumRule& rule, const VoterSet& voters, const VoterSet& holders) {
  return HasReplicationQuorum(rule, {voters, {}}, [&](MemberId id) {
    return std::binary_search(holders.begin(), holders.end(), id);
  });
}

bool Intersect(const VoterSet& a, const VoterSet& b) {
  return std::any_of(a.begin(), a.end(),
                     [&](MemberId id) { return std::binary_search(b.begin(), b.end(), id); });
}

RC_GTEST_PROP(Quorum, CommitsWhatTheNaiveCountCommits, ()) {
  const VoterSet incoming = VotersFromBits(*rc::gen::inRange<uint32_t>(0, 1024));
  const VoterSet outgoing = VotersFromBits(*rc::gen::inRange<uint32_t>(0, 1024));
  Acks acks;
  for (uint64_t id = 1; id <= 9; ++id) {
    if (*rc::gen::inRange(0, 4) > 0) acks[MemberId(id)] = LogIndex(*rc::gen::inRange(0, 12));
  }
  const auto acked = [&](MemberId id) -> std::optional<LogIndex> {
    const auto at = acks.find(id);
    if (at == acks.end()) return std::nullopt;
    return at->second;
  };
  const QuorumRule rule;
  RC_ASSERT(CommittedIndex(rule, incoming, acked) == NaiveCommitted(incoming, acks));
  RC_ASSERT(CommittedIndex(rule, JointVoters{incoming, outgoing}, acked) ==
            std::min(NaiveCommitted(incoming, acks), NaiveCommitted(outgoing, acks)));
}

// A vote is lost exactly when no way of casting the missing votes wins it.
RC_GTEST_PROP(Quorum, AVoteIsPendingWhileItCanStillBeWon, ()) {
  const VoterSet voters = VotersFromBits(*rc::gen::inRange<uint32_t>(2, 1024));
  const VoterSet yes = VotersFromBits(*rc::gen::inRange<uint32_t>(0, 1024));
  const VoterSet no = VotersFromBits(*rc::gen::inRange<uint32_t>(0, 1024));
  const auto tally = [&](bool missing_say_yes, bool missing_vote) {
    return TallyVotes(QuorumRule(), voters, [&](MemberId id) -> std::optional<bool> {
      if (std::binary_search(yes.begin(), yes.end(), id)) return true;
      if (std::binary_search(no.begin(), no.end(), id)) return false;
      if (!missing_vote) return std::nullopt;
      return missing_say_yes;
    });
  };
  if (voters.empty()) return;
  const bool won = tally(false, true) == VoteResult::kWon;
  const bool winnable = tally(true, true) == VoteResult::kWon;
  const VoteResult expected = won        ? VoteResult::kWon
                              : winnable ? VoteResult::kPending
                                         : VoteResult::kLost;
  RC_ASSERT(tally(false, false) == expected);
}

// Section 2 of the paper: n members go on with floor((n - 1) / 2) failures, no more.
TEST(Quorum, NMembersTolerateJustUnderHalfFailing) {
  for (uint64_t n = 1; n <= 9; ++n) {
    const VoterSet voters = FirstVoters(n);
    for (uint64_t failed = 0; failed <= n; ++failed) {
      const bool goes_on = failed <= (n - 1) / 2;
      const VoterSet alive = FirstVoters(n - failed);
      EXPECT_EQ(TallyOf(QuorumRule(), voters, alive) == VoteResult::kWon, goes_on) << n;
      EXPECT_EQ(Replicates(QuorumRule(), voters, alive), goes_on) << n << " - " << failed;
    }
  }
}

// Whatever Validate accepts: any two election quorums, and any election and replication
// quorum, have a member in common. What it refuses has a pair that has none.
RC_GTEST_PROP(Quorum, FlexibleRulesAreAcceptedIfAndOnlyIfTheirQuorumsIntersect, ()) {
  const auto n = *rc::gen::inRange<uint64_t>(1, 6);
  const auto election = *rc::gen::inRange<uint64_t>(1, n + 1);
  const auto replication = *rc::gen::inRange<uint64_t>(1, n + 1);
  const QuorumRule rule = *QuorumRule::Flexible(election, replication);
  const VoterSet voters = FirstVoters(n);
  bool intersect = true;
  for (uint32_t a = 0; a < 1u << (n + 1); a += 2) {
    if (TallyOf(rule, voters, VotersFromBits(a)) != VoteResult::kWon) continue;
    for (uint32_t b = 0; b < 1u << (n + 1); b += 2) {
      const VoterSet other = VotersFromBits(b);
      const bool quorum =
          TallyOf(rule, voters, other) == VoteResult::kWon || Replicates(rule, voters, other);
      if (quorum && !Intersect(VotersFromBits(a), other)) intersect = false;
    }
  }
  RC_ASSERT(rule.Validate(voters).ok() == intersect);
}

TEST(Quorum, FlexibleRulesLetFewCommitIfManyElect) {
  const QuorumRule rule = *QuorumRule::Flexible(/*election=*/4, /*replication=*/2);
  const VoterSet voters = FirstVoters(5);
  ASSERT_TRUE(rule.Validate(voters).ok());
  EXPECT_TRUE(Replicates(rule, voters, FirstVoters(2)));
  EXPECT_EQ(TallyOf(rule, voters, FirstVoters(3)), VoteResult::kLost);
  EXPECT_EQ(TallyOf(rule, voters, FirstVoters(4)), VoteResult::kWon);
  // Of seven voters four and two need not meet.
  EXPECT_FALSE(rule.Validate(FirstVoters(7)).ok());
  EXPECT_FALSE(rule.Validate(JointVoters{voters, FirstVoters(7)}).ok());
}

TEST(Quorum, WeightsCountInsteadOfHeads) {
  const QuorumRule rule = *QuorumRule::Weighted({{MemberId(1), 3}});
  const VoterSet voters = FirstVoters(3);  // total 5: three decide
  EXPECT_EQ(TallyOf(rule, voters, {MemberId(1)}), VoteResult::kWon);
  EXPECT_EQ(TallyOf(rule, voters, {MemberId(2), MemberId(3)}), VoteResult::kLost);
  EXPECT_FALSE(QuorumRule::Weighted({{MemberId(1), 0}}).ok());
  EXPECT_FALSE(QuorumRule::Weighted({{MemberId(1), 1}, {MemberId(1), 2}}).ok());
  EXPECT_FALSE(QuorumRule::Flexible(0, 1).ok());
}

}  // namespace
}  // namespace quorate::raft
