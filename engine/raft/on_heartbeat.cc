// Heartbeats: the leader is alive, and this is what it has committed (section 5.2).
#include <utility>

#include "engine/raft/raft.h"

namespace quorate::raft {

void Raft::OnHeartbeat(Message m) {
  if (m.commit > log_.last_index()) {
    // The leader never commits beyond what we acknowledged: either is mistaken.
    ++counters_.contradictory;
  } else {
    log_.CommitTo(m.commit);
  }
  Message answer;
  answer.type = MessageType::kHeartbeatResp;
  answer.to = m.from;
  answer.context = std::move(m.context);
  Send(std::move(answer));
}

void Raft::OnHeartbeatResponse(const Message& m, Progress* progress) {
  progress->recent_active = true;
  progress->paused_appends = false;
  // The window may be full of messages that were lost: an append, empty if need be,
  // finds out. One that is being probed leaves that state by its answer.
  if (progress->match < log_.last_index() || progress->state == ProgressState::kProbe) {
    SendAppend(m.from, progress);
  }
  if (!m.context.empty()) OnHeartbeatTag(m);
}

void Raft::OnHeartbeatTag(const Message& m) {
  const std::optional<HeartbeatTag> tag = HeartbeatTag::Decode(m.context);
  const bool leased = config_.read_only == ReadOnlyMode::kLeaseBased;
  if (!tag.has_value() || tag->sent.has_value() != leased || tag->read > reads_.last_number() ||
      (leased && *tag->sent > now_)) {
    ++counters_.contradictory;  // we never sent that
    return;
  }
  if (leased) lease_.Acknowledge(m.from, *tag->sent);
  if (tag->read == 0) return;
  reads_.Acknowledge(m.from, tag->read);
  AnswerConfirmedReads();
}

}  // namespace quorate::raft
