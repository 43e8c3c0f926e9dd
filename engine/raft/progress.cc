#include "engine/raft/progress.h"

#include <algorithm>

#include "base/check.h"

namespace quorate::raft {

void Inflights::Add(LogIndex last, uint64_t bytes) {
  CHECK(!full());
  if (count_ == ring_.size()) Grow();
  ring_[(start_ + count_) % ring_.size()] = Slot{last, bytes};
  ++count_;
  bytes_ += bytes;
}

void Inflights::Grow() {
  std::vector<Slot> bigger(std::min(std::max<size_t>(8, ring_.size() * 2), max_messages_));
  for (size_t i = 0; i < count_; ++i) bigger[i] = ring_[(start_ + i) % ring_.size()];
  ring_ = std::move(bigger);
  start_ = 0;
}

void Inflights::FreeUpTo(LogIndex index) {
  while (count_ > 0 && ring_[start_].last <= index) {
    bytes_ -= ring_[start_].bytes;
    start_ = (start_ + 1) % ring_.size();
    --count_;
  }
}

void Inflights::Clear() {
  start_ = 0;
  count_ = 0;
  bytes_ = 0;
}

void Progress::ResetTo(ProgressState next_state) {
  paused_appends = false;
  pending_snapshot = LogIndex(0);
  state = next_state;
  inflights.Clear();
}

void Progress::BecomeProbe() {
  // A snapshot that is known to have arrived moves the probe behind it.
  const LogIndex base =
      state == ProgressState::kSnapshot ? std::max(match, pending_snapshot) : match;
  ResetTo(ProgressState::kProbe);
  next = base + 1;
  sent_commit = std::min(sent_commit, next - 1);
}

void Progress::BecomeReplicate() {
  ResetTo(ProgressState::kReplicate);
  next = match + 1;
}

void Progress::BecomeSnapshot(LogIndex snapshot_index) {
  ResetTo(ProgressState::kSnapshot);
  pending_snapshot = snapshot_index;
  next = snapshot_index + 1;
  sent_commit = snapshot_index;
}

void Progress::SentEntries(size_t entries, uint64_t bytes) {
  CHECK(state != ProgressState::kSnapshot);
  if (state == ProgressState::kProbe) {
    if (entries > 0) paused_appends = true;
    return;
  }
  if (entries > 0) {
    next += entries;
    inflights.Add(next - 1, bytes);
  }
  // A message that fills the window, or goes out with a full one, serves as a probe.
  paused_appends = inflights.full();
}

bool Progress::MaybeUpdate(LogIndex index) {
  if (index <= match) return false;
  match = index;
  next = std::max(next, index + 1);
  paused_appends = false;
  return true;
}

bool Progress::MaybeDecreaseTo(LogIndex rejected, LogIndex hint) {
  if (state == ProgressState::kSnapshot) return false;  // of before the snapshot was sent
  if (state == ProgressState::kReplicate) {
    if (rejected <= match) return false;  // it has matched since
    next = match + 1;
  } else {
    // One probe is out at a time: a rejection of another one is late.
    if (next - 1 != rejected) return false;
    next = std::max(std::min(rejected, hint + 1), match + 1);
    paused_appends = false;
  }
  // What was sent beyond is taken for lost.
  sent_commit = std::min(sent_commit, next - 1);
  return true;
}

}  // namespace quorate::raft
