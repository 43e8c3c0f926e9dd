// A configuration change takes effect when it is applied (section 6; thesis, chapter 4).
#include <utility>

#include "base/status.h"
#include "engine/raft/raft.h"

namespace quorate::raft {

absl::StatusOr<ConfState> Raft::ApplyConfChange(const ConfChangeV2& change, Instant now) {
  SetNow(now);
  ASSIGN_OR_RETURN(ChangedConfig changed, TryChange(change));
  SwitchConfig(std::move(changed));
  return tracker_.config();
}

absl::StatusOr<ChangedConfig> Raft::TryChange(const ConfChangeV2& change) const {
  ASSIGN_OR_RETURN(ChangedConfig changed, ApplyChange(tracker_.config(), change));
  RETURN_IF_ERROR(
      tracker_.rule().Validate({changed.config.voters, changed.config.voters_outgoing}));
  return changed;
}

void Raft::SwitchConfig(ChangedConfig changed) {
  tracker_.SetConfig(std::move(changed), log_.last_index());
  if (role_ != Role::kLeader) return;
  const Progress* self = tracker_.Find(config_.id);
  if (self == nullptr || self->is_learner) {
    // Section 6: a leader may manage a cluster that it is not part of, not counting
    // itself, until the change is committed; that is now.
    if (config_.step_down_on_removal) BecomeFollower(term_, kNobody);
    return;
  }
  // Fewer voters may have more in common.
  if (MaybeCommit()) {
    ReleasePendingReads();
    BroadcastAppend();
  } else {
    for (Member& member : tracker_.members()) {
      if (member.id == config_.id) continue;
      MaybeSendAppend(member.id, &member.progress, /*send_if_empty=*/false);
    }
  }
  if (transferee_ != kNobody && !tracker_.voters().Contains(transferee_)) AbortTransfer();
  // Reads may have been waiting for members that are gone.
  AnswerConfirmedReads();
}

}  // namespace quorate::raft
