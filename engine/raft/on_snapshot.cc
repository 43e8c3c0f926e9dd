// InstallSnapshot (section 7): the follower's side, and what the leader hears of one
// that it sent.
#include <utility>

#include "engine/raft/raft.h"

namespace quorate::raft {

void Raft::OnSnapshot(const Message& m) {
  Message answer;
  answer.type = MessageType::kAppResp;
  answer.to = m.from;
  answer.index = Restore(m.snapshot) ? log_.last_index() : log_.committed();
  Send(std::move(answer));
}

// False if there is nothing to install: it is old, or the log already holds what it
// covers, or it is not for us.
bool Raft::Restore(const std::shared_ptr<const Snapshot>& snapshot) {
  const SnapshotMeta& meta = snapshot->meta;
  if (meta.index <= log_.committed()) return false;
  const ConfState& config = meta.conf_state;
  const bool member = IsVoter(config, config_.id) || IsLearner(config, config_.id);
  if (!member || !tracker_.rule().Validate({config.voters, config.voters_outgoing}).ok()) {
    ++counters_.contradictory;
    return false;
  }
  if (log_.Matches({meta.term, meta.index})) {
    // A snapshot is committed state: so is our log up to it.
    log_.CommitTo(meta.index);
    ++counters_.rare.snapshots_needless;
    return false;
  }
  ++counters_.snapshots_restored;
  log_.Restore(snapshot);
  tracker_.SetConfig({config, MembersOf(config)}, log_.last_index());
  return true;
}

void Raft::ReportSnapshot(MemberId id, bool ok, Instant now) {
  SetNow(now);
  Progress* progress = role_ == Role::kLeader ? tracker_.Find(id) : nullptr;
  if (progress == nullptr || progress->state != ProgressState::kSnapshot) return;
  // One that did not arrive must not move the probe behind it.
  if (!ok) progress->pending_snapshot = LogIndex(0);
  progress->BecomeProbe();
  // Arrived: wait for the follower's word that it is installed. Lost: try again with
  // the next heartbeat.
  progress->paused_appends = true;
}

void Raft::AskInstalled(MemberId id, Instant now) {
  SetNow(now);
  const Progress* progress = role_ == Role::kLeader ? tracker_.Find(id) : nullptr;
  if (progress == nullptr || progress->state != ProgressState::kSnapshot) return;
  const std::optional<Term> term = log_.TermAt(progress->pending_snapshot);
  if (!term.has_value()) return;
  Message m;
  m.type = MessageType::kApp;
  m.to = id;
  m.index = progress->pending_snapshot;
  m.log_term = *term;
  m.commit = log_.committed();
  Send(std::move(m));
}

void Raft::ReportUnreachable(MemberId id, Instant now) {
  SetNow(now);
  Progress* progress = role_ == Role::kLeader ? tracker_.Find(id) : nullptr;
  if (progress == nullptr) return;
  // Of appends sent ahead some are probably lost.
  if (progress->state == ProgressState::kReplicate) progress->BecomeProbe();
}

void Raft::SetSnapshot(std::shared_ptr<const Snapshot> snapshot) {
  CHECK(snapshot != nullptr);
  CHECK(snapshot_ == nullptr || snapshot->meta.index >= snapshot_->meta.index);
  snapshot_ = std::move(snapshot);
}

absl::Status Raft::Compact(LogIndex index) {
  if (index > log_.applied() || index > log_.stable()) {
    return absl::OutOfRangeError("raft: only what is applied and durable can be compacted");
  }
  log_.Compact(index);
  return absl::OkStatus();
}

}  // namespace quorate::raft
