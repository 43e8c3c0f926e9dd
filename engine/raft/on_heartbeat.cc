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
  if (config_.read_only != ReadOnlyMode::kSafe || m.context.empty()) return;
  if (reads_.Acknowledge(m.from, m.context)) {
    AnswerConfirmedReads();
  } else {
    ++counters_.contradictory;
  }
}

}  // namespace quorate::raft
