#include "engine/raft/quorum.h"

#include <algorithm>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"

namespace quorate::raft {

namespace {

using Weights = std::vector<std::pair<MemberId, uint32_t>>;

absl::StatusOr<Weights> SortedWeights(Weights weights) {
  std::sort(weights.begin(), weights.end());
  for (size_t i = 0; i < weights.size(); ++i) {
    const std::string member = ToString(weights[i].first);
    if (weights[i].second == 0) {
      return absl::InvalidArgumentError(absl::StrCat("member ", member, " has no weight"));
    }
    if (i > 0 && weights[i - 1].first == weights[i].first) {
      return absl::InvalidArgumentError(absl::StrCat("member ", member, " is weighed twice"));
    }
  }
  return weights;
}

}  // namespace

bool JointVoters::Contains(MemberId id) const {
  return std::binary_search(incoming.begin(), incoming.end(), id) ||
         std::binary_search(outgoing.begin(), outgoing.end(), id);
}

absl::StatusOr<QuorumRule> QuorumRule::Weighted(Weights weights) {
  QuorumRule rule;
  ASSIGN_OR_RETURN(rule.weights_, SortedWeights(std::move(weights)));
  return rule;
}

absl::StatusOr<QuorumRule> QuorumRule::Flexible(uint64_t election, uint64_t replication,
                                                Weights weights) {
  if (election == 0 || replication == 0) {
    return absl::InvalidArgumentError("a quorum of nobody intersects with nothing");
  }
  QuorumRule rule;
  rule.election_ = election;
  rule.replication_ = replication;
  ASSIGN_OR_RETURN(rule.weights_, SortedWeights(std::move(weights)));
  return rule;
}

absl::Status QuorumRule::Validate(const VoterSet& voters) const {
  if (voters.empty() || election_ == 0) return absl::OkStatus();  // halves always intersect
  const uint64_t total = TotalWeight(voters);
  if (election_ > total || replication_ > total) {
    return absl::FailedPreconditionError(
        absl::StrCat("quorums of ", election_, " (election) and ", replication_,
                     " (replication) cannot be reached by voters of weight ", total));
  }
  if (election_ <= total - election_) {
    return absl::FailedPreconditionError(
        absl::StrCat("two election quorums of ", election_, " of ", total,
                     " need not intersect: a term could have two leaders"));
  }
  if (election_ <= total - replication_) {
    return absl::FailedPreconditionError(absl::StrCat(
        "an election quorum of ", election_, " and a replication quorum of ", replication_, " of ",
        total, " need not intersect: a leader could miss committed entries"));
  }
  return absl::OkStatus();
}

absl::Status QuorumRule::Validate(const JointVoters& voters) const {
  RETURN_IF_ERROR(Validate(voters.incoming));
  return Validate(voters.outgoing);
}

uint64_t QuorumRule::WeightOf(MemberId id) const {
  const auto at = std::lower_bound(
      weights_.begin(), weights_.end(), id,
      [](const std::pair<MemberId, uint32_t>& weight, MemberId key) { return weight.first < key; });
  return at != weights_.end() && at->first == id ? at->second : 1;
}

uint64_t QuorumRule::TotalWeight(const VoterSet& voters) const {
  if (weights_.empty()) return voters.size();
  uint64_t total = 0;
  for (const MemberId id : voters) total += WeightOf(id);
  return total;
}

LogIndex CommittedIndex(const QuorumRule& rule, const VoterSet& voters, AckedIndex acked) {
  if (voters.empty()) return kEverythingCommitted;
  // Highest first: the quorum is complete at the voter that makes up its weight.
  absl::InlinedVector<std::pair<LogIndex, uint64_t>, 16> indexes;
  for (const MemberId id : voters) {
    indexes.emplace_back(acked(id).value_or(LogIndex(0)), rule.WeightOf(id));
  }
  std::sort(indexes.begin(), indexes.end(), [](const auto& a, const auto& b) { return b < a; });
  const uint64_t needed = rule.ReplicationWeight(rule.TotalWeight(voters));
  uint64_t weight = 0;
  for (const auto& [index, voter_weight] : indexes) {
    weight += voter_weight;
    if (weight >= needed) return index;
  }
  return LogIndex(0);  // a flexible quorum larger than the set: never complete
}

LogIndex CommittedIndex(const QuorumRule& rule, const JointVoters& voters, AckedIndex acked) {
  return std::min(CommittedIndex(rule, voters.incoming, acked),
                  CommittedIndex(rule, voters.outgoing, acked));
}

VoteResult TallyVotes(const QuorumRule& rule, const VoterSet& voters, CastVote vote) {
  if (voters.empty()) return VoteResult::kWon;
  uint64_t granted = 0;
  uint64_t missing = 0;
  for (const MemberId id : voters) {
    const std::optional<bool> cast = vote(id);
    if (!cast.has_value()) {
      missing += rule.WeightOf(id);
    } else if (*cast) {
      granted += rule.WeightOf(id);
    }
  }
  const uint64_t needed = rule.ElectionWeight(rule.TotalWeight(voters));
  if (granted >= needed) return VoteResult::kWon;
  return granted + missing >= needed ? VoteResult::kPending : VoteResult::kLost;
}

VoteResult TallyVotes(const QuorumRule& rule, const JointVoters& voters, CastVote vote) {
  const VoteResult incoming = TallyVotes(rule, voters.incoming, vote);
  const VoteResult outgoing = TallyVotes(rule, voters.outgoing, vote);
  if (incoming == outgoing) return incoming;
  if (incoming == VoteResult::kLost || outgoing == VoteResult::kLost) return VoteResult::kLost;
  return VoteResult::kPending;  // one half is won, the other open
}

bool HasReplicationQuorum(const QuorumRule& rule, const JointVoters& voters,
                          absl::FunctionRef<bool(MemberId)> holds) {
  // Index 1 stands for "holds": a quorum holds if it has "committed" it.
  return CommittedIndex(rule, voters, [&](MemberId id) -> std::optional<LogIndex> {
           return LogIndex(holds(id) ? 1 : 0);
         }) >= LogIndex(1);
}

}  // namespace quorate::raft
