#include "engine/raft/tracker.h"

#include <algorithm>
#include <optional>

namespace quorate::raft {

Progress* Tracker::Find(MemberId id) {
  // A handful of members: a scan beats a search.
  for (Member& member : members_) {
    if (member.id == id) return &member.progress;
  }
  return nullptr;
}

const Progress* Tracker::Find(MemberId id) const { return const_cast<Tracker*>(this)->Find(id); }

void Tracker::SetConfig(ChangedConfig changed, LogIndex last_index) {
  std::vector<Member> members;
  for (const MemberId id : MembersOf(changed.config)) {
    Progress* known = Find(id);
    const bool fresh =
        known == nullptr || std::binary_search(changed.fresh.begin(), changed.fresh.end(), id);
    if (fresh) {
      // Probed at the end of the log, which says where its own ends. Taken for active,
      // or the next check for a quorum could fail before it had a chance to speak.
      members.push_back({id, Progress(std::max(last_index, LogIndex(1)), max_inflight_messages_,
                                      max_inflight_bytes_)});
      members.back().progress.recent_active = true;
    } else {
      members.push_back({id, std::move(*known)});
    }
    members.back().progress.is_learner = IsLearner(changed.config, id);
  }
  members_ = std::move(members);
  config_ = std::move(changed.config);
  voters_ = {config_.voters, config_.voters_outgoing};
}

void Tracker::ResetProgress(MemberId self, LogIndex last_index) {
  for (Member& member : members_) {
    Progress& progress = member.progress;
    progress.match = member.id == self ? last_index : LogIndex(0);
    progress.next = last_index + 1;
    progress.sent_commit = LogIndex(0);
    progress.state = ProgressState::kProbe;
    progress.pending_snapshot = LogIndex(0);
    progress.recent_active = false;
    progress.paused_appends = false;
    progress.inflights.Clear();
  }
}

LogIndex Tracker::Committed() const {
  return CommittedIndex(rule_, voters_, [this](MemberId id) -> std::optional<LogIndex> {
    const Progress* progress = Find(id);
    if (progress == nullptr) return std::nullopt;
    return progress->match;
  });
}

bool Tracker::QuorumActive() const {
  return HasReplicationQuorum(rule_, voters_, [this](MemberId id) {
    const Progress* progress = Find(id);
    return progress != nullptr && progress->recent_active;
  });
}

void Tracker::RecordVote(MemberId id, bool granted) {
  for (const auto& [voter, vote] : votes_) {
    if (voter == id) return;
  }
  votes_.emplace_back(id, granted);
}

VoteResult Tracker::Tally() const {
  return TallyVotes(rule_, voters_, [this](MemberId id) -> std::optional<bool> {
    for (const auto& [voter, vote] : votes_) {
      if (voter == id) return vote;
    }
    return std::nullopt;
  });
}

}  // namespace quorate::raft
