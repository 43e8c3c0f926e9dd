// What a member does about a disk that is full or does not answer (docs/ARCHITECTURE.md). A full
// one: nothing more is added, by the NOSPACE alarm, which is put out again once there is
// space. One that stalls: nothing of this member counts until it answers, so somebody else
// had better lead.
#include "engine/replica/impl.h"

namespace quorate::engine {

void Replica::Impl::On(const DiskState& event) {
  disk_ = event;
  raft_.AllowCampaigns(!disk_.stalled);
  if (disk_.stalled) HandOver();
  if (disk_.low_space) {
    RaiseNoSpace();
  } else {
    PutOutNoSpace();
  }
  PutOutNoSpaceOfRemoved();
}

void Replica::Impl::On(const CheckpointWanted&) { checkpoint_wanted_ = true; }

void Replica::Impl::HandOver() {
  if (raft_.role() != raft::Role::kLeader || raft_.transferee() != raft::kNobody) return;
  const MemberId target = MostAdvancedVoter();
  if (target != raft::kNobody) raft_.TransferLeader(target, now_);
}

// The voter, other than this member, that holds most of the log; of those that were heard of
// lately.
MemberId Replica::Impl::MostAdvancedVoter() const {
  MemberId best = raft::kNobody;
  LogIndex match;
  for (const raft::Member& member : raft_.tracker().members()) {
    const raft::Progress& progress = member.progress;
    if (member.id == config_.member_id || progress.is_learner || !progress.recent_active) continue;
    if (best != raft::kNobody && progress.match <= match) continue;
    best = member.id;
    match = progress.match;
  }
  return best;
}

}  // namespace quorate::engine
