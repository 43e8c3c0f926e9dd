// AppendEntries at a follower (figure 2; section 5.3).
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "engine/raft/raft.h"

namespace quorate::raft {

void Raft::OnAppend(Message m) {
  Message answer;
  answer.type = MessageType::kAppResp;
  answer.to = m.from;
  if (m.index < log_.committed()) {
    // An old message; what is committed matches any leader's log.
    answer.index = log_.committed();
    Send(std::move(answer));
    return;
  }
  if (!log_.Matches({m.log_term, m.index})) {
    RejectAppend(m);
    return;
  }
  const size_t conflict = log_.FindConflict(m.entries);
  if (conflict < m.entries.size() && m.entries[conflict].index <= log_.last_index()) {
    ++counters_.rare.tails_replaced;
  }
  // Never over committed entries: all of these stand behind the commit index.
  log_.Append(absl::MakeSpan(m.entries).subspan(conflict));
  const LogIndex last_new = m.index + m.entries.size();
  // Not beyond the new entries: what stands behind them may not be the leader's.
  log_.CommitTo(std::min(m.commit, last_new));
  answer.index = last_new;
  Send(std::move(answer));
  Recycle(std::move(m.entries));
}

void Raft::RejectAppend(const Message& m) {
  ++counters_.rare.appends_rejected;
  // Section 5.3, last paragraph: where the logs can still agree, skipping everything
  // here of later terms than the leader's at that place.
  const EntryId hint = log_.FindConflictByTerm(std::min(m.index, log_.last_index()), m.log_term);
  Message answer;
  answer.type = MessageType::kAppResp;
  answer.to = m.from;
  answer.index = m.index;
  answer.reject = true;
  answer.reject_hint = hint.index;
  answer.log_term = hint.term;
  Send(std::move(answer));
}

}  // namespace quorate::raft
