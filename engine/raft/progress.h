// What a leader knows of one follower's log, and how fast it may send.
//
//            probe  --- an append was accepted --->  replicate
//              ^  <-- rejected, unreachable -------      |
//              |                                         | entry compacted
//              +---- snapshot reported / accepted --- snapshot
//
// probe: one append a heartbeat, until the logs are known to match somewhere.
// replicate: appends are pipelined, within the in-flight window.
// snapshot: nothing is sent while a snapshot is on its way.
#ifndef QUORATE_ENGINE_RAFT_PROGRESS_H_
#define QUORATE_ENGINE_RAFT_PROGRESS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/strong_int.h"

namespace quorate::raft {

// Append messages that are not yet acknowledged, oldest first: a ring that grows up to
// its limit and keeps its memory.
class Inflights {
 public:
  // At most `max_messages`; full also once max_bytes are in flight (0 = no limit).
  Inflights(size_t max_messages, uint64_t max_bytes)
      : max_messages_(max_messages), max_bytes_(max_bytes) {}

  bool full() const { return count_ == max_messages_ || (max_bytes_ != 0 && bytes_ >= max_bytes_); }
  size_t count() const { return count_; }
  uint64_t bytes() const { return bytes_; }

  // A message whose last entry is `last` left; not full, `last` above the ones before.
  void Add(LogIndex last, uint64_t bytes);
  // Everything up to and including `index` arrived.
  void FreeUpTo(LogIndex index);
  void Clear();

 private:
  friend class CanonicalState;

  struct Slot {
    LogIndex last;
    uint64_t bytes = 0;
  };

  void Grow();

  size_t max_messages_;
  uint64_t max_bytes_;
  size_t start_ = 0;
  size_t count_ = 0;
  uint64_t bytes_ = 0;
  std::vector<Slot> ring_;
};

enum class ProgressState : uint8_t { kProbe, kReplicate, kSnapshot };

struct Progress {
  Progress(LogIndex next_index, size_t max_inflight_messages, uint64_t max_inflight_bytes)
      : next(next_index), inflights(max_inflight_messages, max_inflight_bytes) {}

  // The follower's log is known to equal the leader's up to here.
  LogIndex match;
  // The next entry to send; those in (match, next) are in flight. match < next.
  LogIndex next;
  // Highest commit index sent; may go back when messages are taken for lost.
  LogIndex sent_commit;
  ProgressState state = ProgressState::kProbe;
  // In kSnapshot: index of the snapshot that was sent; next is one above.
  LogIndex pending_snapshot;
  // Something was received since the last check for a quorum; always true for oneself.
  bool recent_active = false;
  // One append is out and nothing more may follow until a heartbeat is answered.
  bool paused_appends = false;
  bool is_learner = false;
  Inflights inflights;

  bool IsPaused() const { return state == ProgressState::kSnapshot || paused_appends; }

  void BecomeProbe();
  void BecomeReplicate();
  void BecomeSnapshot(LogIndex snapshot_index);

  // An append with `entries` entries (`bytes` of payload) was sent; not in kSnapshot.
  void SentEntries(size_t entries, uint64_t bytes);
  void SentCommit(LogIndex commit) { sent_commit = commit; }
  // Whether sending this commit index now could move the follower's.
  bool CanBumpCommit(LogIndex commit) const {
    return commit > sent_commit && sent_commit < next - 1;
  }

  // The follower acknowledged up to `index`; false if that is old news.
  bool MaybeUpdate(LogIndex index);
  // The follower rejected an append after `rejected` and may match at `hint`; false if
  // the rejection is stale, true if `next` was moved back.
  bool MaybeDecreaseTo(LogIndex rejected, LogIndex hint);

 private:
  void ResetTo(ProgressState next_state);
};

}  // namespace quorate::raft

#endif  // QUORATE_ENGINE_RAFT_PROGRESS_H_
