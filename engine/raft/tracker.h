// The configuration in force with the progress of its members, and the votes cast in
// an election.
#ifndef QUORATE_ENGINE_RAFT_TRACKER_H_
#define QUORATE_ENGINE_RAFT_TRACKER_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/strong_int.h"
#include "engine/raft/conf_change.h"
#include "engine/raft/progress.h"
#include "engine/raft/quorum.h"
#include "engine/raft/types.h"

namespace quorate::raft {

struct Member {
  MemberId id;
  Progress progress;
};

class Tracker {
 public:
  Tracker(QuorumRule rule, size_t max_inflight_messages, uint64_t max_inflight_bytes)
      : rule_(std::move(rule)),
        max_inflight_messages_(max_inflight_messages),
        max_inflight_bytes_(max_inflight_bytes) {}

  const QuorumRule& rule() const { return rule_; }
  const ConfState& config() const { return config_; }
  const JointVoters& voters() const { return voters_; }
  // A single voter: whatever it decides, a quorum did.
  bool IsSingleton() const { return voters_.incoming.size() == 1 && voters_.outgoing.empty(); }

  // Voters and learners in ascending id.
  std::vector<Member>& members() { return members_; }
  const std::vector<Member>& members() const { return members_; }
  // Null for a stranger.
  Progress* Find(MemberId id);
  const Progress* Find(MemberId id) const;

  // Takes over a configuration; `fresh` members (and all that are not tracked yet)
  // start by being probed after `last_index`.
  void SetConfig(ChangedConfig changed, LogIndex last_index);
  // A new term: every progress starts anew after `last_index`, matching nothing; `self`
  // matches all of its own log.
  void ResetProgress(MemberId self, LogIndex last_index);

  // Figure 2, last rule for leaders: the largest index that a quorum holds.
  LogIndex Committed() const;
  // Whether a quorum (self included) was heard of since the last check.
  bool QuorumActive() const;

  void ResetVotes() { votes_.clear(); }
  // Only a member's first vote counts.
  void RecordVote(MemberId id, bool granted);
  VoteResult Tally() const;

 private:
  friend class CanonicalState;

  QuorumRule rule_;
  size_t max_inflight_messages_;
  uint64_t max_inflight_bytes_;
  ConfState config_;
  JointVoters voters_;  // of config_
  std::vector<Member> members_;
  std::vector<std::pair<MemberId, bool>> votes_;
};

}  // namespace quorate::raft

#endif  // QUORATE_ENGINE_RAFT_TRACKER_H_
