// What a leader sends: appends, snapshots, heartbeats (sections 5.2, 5.3, 7).
#include <algorithm>
#include <utility>

#include "engine/raft/raft.h"

namespace quorate::raft {

namespace {
// Entry lists kept for the next messages; more than this are never under way for long.
constexpr size_t kMaxSpareLists = 64;
}  // namespace

std::vector<Entry> Raft::TakeEntryList() {
  if (spare_lists_.empty()) return {};
  std::vector<Entry> list = std::move(spare_lists_.back());
  spare_lists_.pop_back();
  return list;
}

void Raft::Recycle(std::vector<Entry> entries) {
  if (entries.capacity() == 0 || spare_lists_.size() == kMaxSpareLists) return;
  entries.clear();
  spare_lists_.push_back(std::move(entries));
}

// True if a message was sent. An empty append carries the commit index; it makes no
// sense among others of one burst.
bool Raft::MaybeSendAppend(MemberId to, Progress* progress, bool send_if_empty) {
  if (progress->IsPaused()) return false;
  const LogIndex previous = progress->next - 1;
  const std::optional<Term> previous_term = log_.TermAt(previous);
  if (!previous_term.has_value()) return MaybeSendSnapshot(to, progress);  // compacted
  EntryRange entries;
  // With a full window only empty appends go: if all that fills it was lost, the answer
  // to one of them gets replication going again.
  if (progress->state != ProgressState::kReplicate || !progress->inflights.full()) {
    entries = log_.RangeFrom(progress->next, config_.max_append_bytes);
  }
  if (entries.empty() && !send_if_empty) return false;
  uint64_t bytes = 0;
  Message m;
  m.type = MessageType::kApp;
  m.to = to;
  m.index = previous;
  m.log_term = *previous_term;
  m.commit = log_.committed();
  if (!entries.empty()) {
    m.entries = TakeEntryList();
    entries.CopyTo(&m.entries);
    for (const Entry& entry : m.entries) bytes += entry.data.size();
  }
  progress->SentEntries(m.entries.size(), bytes);
  progress->SentCommit(log_.committed());
  Send(std::move(m));
  return true;
}

bool Raft::MaybeSendSnapshot(MemberId to, Progress* progress) {
  if (!progress->recent_active) return false;  // it is large: not to the dead
  const std::shared_ptr<const Snapshot>& snapshot =
      log_.pending_snapshot() != nullptr ? log_.pending_snapshot() : snapshot_;
  // None that the log continues from: the application makes one, a heartbeat asks again.
  if (snapshot == nullptr || snapshot->meta.index + 1 < log_.first_index()) return false;
  progress->BecomeSnapshot(snapshot->meta.index);
  ++counters_.snapshots_sent;
  Message m;
  m.type = MessageType::kSnap;
  m.to = to;
  m.snapshot = snapshot;
  Send(std::move(m));
  return true;
}

void Raft::BroadcastAppend() {
  for (Member& member : tracker_.members()) {
    if (member.id != config_.id) SendAppend(member.id, &member.progress);
  }
}

void Raft::BroadcastHeartbeat() {
  HeartbeatTag tag;
  if (!reads_.empty()) tag.read = reads_.last_number();
  if (config_.read_only == ReadOnlyMode::kLeaseBased) tag.sent = now_;
  const Bytes context = tag.Encode();
  for (Member& member : tracker_.members()) {
    if (member.id == config_.id) continue;
    // Not more than the follower is known to hold: the rest of its log may differ.
    const LogIndex commit = std::min(member.progress.match, log_.committed());
    Message m;
    m.type = MessageType::kHeartbeat;
    m.to = member.id;
    m.commit = commit;
    m.context = context;
    member.progress.SentCommit(commit);
    Send(std::move(m));
  }
}

bool Raft::MaybeCommit() {
  const LogIndex at = tracker_.Committed();
  if (log_.MaybeCommit({term_, at})) return true;
  // Section 5.4.2: not by counting, until an entry of this term follows it.
  if (at > log_.committed()) ++counters_.rare.commits_withheld;
  return false;
}

}  // namespace quorate::raft
