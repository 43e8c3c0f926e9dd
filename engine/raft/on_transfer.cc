// Handing leadership over (thesis, section 3.10), and letting go of a leader.
#include <utility>

#include "engine/raft/raft.h"

namespace quorate::raft {

void Raft::TransferLeader(MemberId target, Instant now) {
  SetNow(now);
  if (target == kNobody) return;
  Message m;
  m.type = MessageType::kTransferLeader;
  m.from = target;
  // Nothing to refuse: without a leader, or on a stranger's id, it has no effect.
  StepAnyTerm(std::move(m)).IgnoreError();
}

void Raft::OnTransferLeader(const Message& m, const Progress& progress) {
  const MemberId target = m.from;
  if (progress.is_learner || target == transferee_) return;
  AbortTransfer();
  if (target == config_.id) return;
  // It should succeed within an election timeout, or is given up.
  election_start_ = now_;
  transferee_ = target;
  if (progress.match != log_.last_index()) {
    SendAppend(target, tracker_.Find(target));
    return;
  }
  SendTimeoutNow(target);
}

void Raft::SendTimeoutNow(MemberId to) {
  timeout_now_sent_ = true;
  Message m;
  m.type = MessageType::kTimeoutNow;
  m.to = to;
  Send(std::move(m));
}

absl::Status Raft::ForgetLeader(Instant now) {
  SetNow(now);
  if (role_ != Role::kFollower) return absl::OkStatus();
  // The leader's lease rests on its followers' loyalty.
  if (config_.read_only == ReadOnlyMode::kLeaseBased) {
    return absl::FailedPreconditionError("raft: lease-based reads need the leader remembered");
  }
  leader_ = kNobody;
  return absl::OkStatus();
}

}  // namespace quorate::raft
