// A follower's answer to AppendEntries, at the leader; also the own disk's, for the
// leader's own entries (section 5.3).
#include <utility>

#include "engine/raft/raft.h"

namespace quorate::raft {

void Raft::OnAppendResponse(const Message& m, Progress* progress) {
  progress->recent_active = true;
  if (m.index > log_.last_index()) {
    ++counters_.contradictory;  // we never sent that
  } else if (m.reject) {
    OnAppendRejected(m, progress);
  } else {
    OnAppendAccepted(m, progress);
  }
}

void Raft::OnAppendRejected(const Message& m, Progress* progress) {
  LogIndex probe = m.reject_hint;
  if (m.log_term > Term(0)) {
    // The follower has log_term at the hint. Where our terms are later, the logs
    // cannot agree: terms only rise along a log. At most one probe for each term.
    probe = log_.FindConflictByTerm(m.reject_hint, m.log_term).index;
  }
  if (!progress->MaybeDecreaseTo(m.index, probe)) return;
  if (progress->state == ProgressState::kReplicate) progress->BecomeProbe();
  SendAppend(m.from, progress);
}

void Raft::OnAppendAccepted(const Message& m, Progress* progress) {
  // A probe's answer ends the probing even if it tells nothing new.
  const bool probed = progress->state == ProgressState::kProbe && progress->match == m.index;
  if (!progress->MaybeUpdate(m.index) && !probed) return;
  switch (progress->state) {
    case ProgressState::kProbe:
      progress->BecomeReplicate();
      break;
    case ProgressState::kSnapshot:
      // Whatever brought the follower here, our log can continue from it.
      if (progress->match + 1 >= log_.first_index()) {
        progress->BecomeProbe();
        progress->BecomeReplicate();
      }
      break;
    case ProgressState::kReplicate:
      progress->inflights.FreeUpTo(m.index);
      break;
  }
  const bool self = m.from == config_.id;
  // What is committed already needs no count.
  if (m.index > log_.committed() && MaybeCommit()) {
    ReleasePendingReads();
    BroadcastAppend();
  } else if (!self && progress->CanBumpCommit(log_.committed())) {
    SendAppend(m.from, progress);
  }
  if (self) return;
  // The window may have room for more than one message now.
  while (MaybeSendAppend(m.from, progress, /*send_if_empty=*/false)) {
  }
  if (m.from == transferee_ && progress->match == log_.last_index()) SendTimeoutNow(m.from);
}

}  // namespace quorate::raft
