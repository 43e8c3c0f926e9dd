// The quorum rule as a value: how many of a set of voters must agree.
//
// Pure functions over (rule, voters, what each voter said). Production uses the
// majority rule; weighted voters and separate election and replication quorums
// (Flexible Paxos, Howard et al. 2016) are for studies, and are refused unless
// every pair of quorums that safety needs to intersect does:
//   - two election quorums (one leader a term: Raft paper, section 5.2), and
//   - an election and a replication quorum (leader completeness: section 5.4).
//
//   const QuorumRule rule = QuorumRule::Majority();
//   JointVoters voters{.incoming = {a, b, c}, .outgoing = {}};
//   LogIndex committed = CommittedIndex(rule, voters, [&](MemberId id) { return match(id); });
//
// In a joint configuration (Raft paper, section 6) both halves must agree. An empty
// half agrees to everything, so that "joint with nothing" equals "not joint".
#ifndef QUORATE_ENGINE_RAFT_QUORUM_H_
#define QUORATE_ENGINE_RAFT_QUORUM_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/strong_int.h"

namespace quorate::raft {

// Sorted and without duplicates.
using VoterSet = std::vector<MemberId>;

struct JointVoters {
  VoterSet incoming;
  VoterSet outgoing;  // empty unless joint

  bool Contains(MemberId id) const;
  friend bool operator==(const JointVoters&, const JointVoters&) = default;
};

enum class VoteResult : uint8_t {
  kPending,  // neither side has it yet
  kLost,     // the yes votes can no longer reach a quorum
  kWon,
};

// What an empty set of voters has committed: everything.
inline constexpr LogIndex kEverythingCommitted{std::numeric_limits<uint64_t>::max()};

class QuorumRule {
 public:
  // More than half of the voters, each counting one.
  QuorumRule() = default;
  static QuorumRule Majority() { return QuorumRule(); }

  // More than half of the total weight. Weights are positive; a voter that is not
  // listed weighs 1. InvalidArgument on a zero weight or a repeated member.
  static absl::StatusOr<QuorumRule> Weighted(std::vector<std::pair<MemberId, uint32_t>> weights);

  // Elections need `election` voters (or weight), commits need `replication`.
  // Whether they intersect depends on the voters: ask Validate.
  static absl::StatusOr<QuorumRule> Flexible(
      uint64_t election, uint64_t replication,
      std::vector<std::pair<MemberId, uint32_t>> weights = {});

  // Whether every pair of quorums that must intersect does, in a set of these voters;
  // the status names the sizes that do not. An empty set is fine.
  absl::Status Validate(const VoterSet& voters) const;
  absl::Status Validate(const JointVoters& voters) const;

  bool is_majority() const { return election_ == 0 && weights_.empty(); }
  uint64_t WeightOf(MemberId id) const;
  uint64_t TotalWeight(const VoterSet& voters) const;
  // Weight that an election (commit) needs in a set of this total weight.
  uint64_t ElectionWeight(uint64_t total) const {
    return election_ != 0 ? election_ : total / 2 + 1;
  }
  uint64_t ReplicationWeight(uint64_t total) const {
    return replication_ != 0 ? replication_ : total / 2 + 1;
  }

  friend bool operator==(const QuorumRule&, const QuorumRule&) = default;

 private:
  uint64_t election_ = 0;                               // 0 = majority
  uint64_t replication_ = 0;                            // 0 = majority
  std::vector<std::pair<MemberId, uint32_t>> weights_;  // sorted by member
};

// What a voter has acknowledged; nullopt = not heard of (counts as index 0).
using AckedIndex = absl::FunctionRef<std::optional<LogIndex>(MemberId)>;
// How a voter voted; nullopt = not yet.
using CastVote = absl::FunctionRef<std::optional<bool>(MemberId)>;

// The largest index that a replication quorum has acknowledged.
LogIndex CommittedIndex(const QuorumRule& rule, const VoterSet& voters, AckedIndex acked);
LogIndex CommittedIndex(const QuorumRule& rule, const JointVoters& voters, AckedIndex acked);

// Whether the yes votes are an election quorum, or can still become one.
VoteResult TallyVotes(const QuorumRule& rule, const VoterSet& voters, CastVote vote);
VoteResult TallyVotes(const QuorumRule& rule, const JointVoters& voters, CastVote vote);

// Whether the members for which `holds` is true include a replication quorum.
bool HasReplicationQuorum(const QuorumRule& rule, const JointVoters& voters,
                          absl::FunctionRef<bool(MemberId)> holds);

}  // namespace quorate::raft

#endif  // QUORATE_ENGINE_RAFT_QUORUM_H_
