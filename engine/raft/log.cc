#include "engine/raft/log.h"

#include <algorithm>
#include <utility>

#include "engine/raft/codec.h"

namespace quorate::raft {

void EntryStore::AddChunk() {
  chunks_.push_back(std::exchange(spare_, Chunk()));
  chunks_.back().reserve(kChunkEntries);
}

void EntryStore::Append(Entry entry) {
  CHECK_EQ(entry.index, next_);
  if (chunks_.empty()) base_ = next_;
  if (next_ - base_ == chunks_.size() * kChunkEntries) AddChunk();
  chunks_.back().push_back(std::move(entry));
  ++next_;
}

void EntryStore::TruncateFrom(LogIndex index) {
  CHECK(index >= first_ && index <= next_);
  for (; next_ > index; --next_) {
    chunks_.back().pop_back();
    if (!chunks_.back().empty()) continue;
    spare_ = std::move(chunks_.back());
    chunks_.pop_back();
  }
}

void EntryStore::DropBelow(LogIndex index) {
  CHECK(index >= first_ && index <= next_);
  for (; first_ < index; ++first_) {
    const uint64_t offset = first_ - base_;
    chunks_[offset / kChunkEntries][offset % kChunkEntries].data = Bytes();
  }
  const size_t unused = (first_ - base_) / kChunkEntries;
  if (unused == 0) return;
  spare_ = std::move(chunks_[0]);
  spare_.clear();
  chunks_.erase(chunks_.begin(), chunks_.begin() + static_cast<ptrdiff_t>(unused));
  base_ += unused * kChunkEntries;
}

void EntryStore::Reset(LogIndex next) {
  chunks_.clear();
  first_ = next_ = base_ = next;
}

Log::Log(const SnapshotMeta& snapshot, std::vector<Entry> entries, uint64_t max_applying_bytes)
    : store_(snapshot.index + 1),
      prev_term_(snapshot.term),
      committed_(snapshot.index),
      applying_(snapshot.index),
      applied_(snapshot.index),
      max_applying_bytes_(max_applying_bytes) {
  for (Entry& entry : entries) store_.Append(std::move(entry));
  stable_ = last_index();
  in_progress_ = store_.next();
}

std::optional<Term> Log::TermAt(LogIndex index) const {
  if (store_.Contains(index)) return store_[index].term;
  if (index == prev_index()) return prev_term_;
  return std::nullopt;
}

EntryRange Log::Range(LogIndex first, LogIndex last) const {
  const LogIndex from = std::max(first, store_.first());
  const LogIndex end = std::min(last + 1, store_.next());
  if (from >= end) return EntryRange();
  return EntryRange(&store_, from, end);
}

EntryRange Log::RangeFrom(LogIndex first, uint64_t max_bytes) const {
  if (!store_.Contains(first)) return EntryRange();
  uint64_t bytes = EncodedSize(store_[first]);
  LogIndex end = first + 1;
  while (end < store_.next()) {
    bytes += EncodedSize(store_[end]);
    if (bytes > max_bytes) break;
    ++end;
  }
  return EntryRange(&store_, first, end);
}

bool Log::IsUpToDate(EntryId theirs) const {
  const EntryId ours = last_id();
  if (theirs.term != ours.term) return theirs.term > ours.term;
  return theirs.index >= ours.index;
}

EntryId Log::FindConflictByTerm(LogIndex index, Term term) const {
  for (LogIndex at = index; at > LogIndex(0); --at) {
    const std::optional<Term> here = TermAt(at);
    if (!here.has_value()) return {Term(0), at};  // compacted or beyond: may match
    if (*here <= term) return {*here, at};
  }
  return {};
}

size_t Log::FindConflict(absl::Span<const Entry> entries) const {
  for (size_t i = 0; i < entries.size(); ++i) {
    if (!Matches({entries[i].term, entries[i].index})) return i;
  }
  return entries.size();
}

void Log::Append(absl::Span<Entry> entries) {
  if (entries.empty()) return;
  const LogIndex from = entries.front().index;
  CHECK_GT(from, committed_);
  CHECK_LE(from, store_.next());
  store_.TruncateFrom(from);
  stable_ = std::min(stable_, from - 1);
  in_progress_ = std::min(in_progress_, from);
  for (Entry& entry : entries) store_.Append(std::move(entry));
}

void Log::CommitTo(LogIndex index) {
  if (index <= committed_) return;
  CHECK_LE(index, last_index());
  committed_ = index;
}

bool Log::MaybeCommit(EntryId at) {
  if (at.index <= committed_ || at.term == Term(0) || !Matches(at)) return false;
  CommitTo(at.index);
  return true;
}

void Log::AcceptUnstable() {
  in_progress_ = store_.next();
  if (snapshot_ != nullptr) snapshot_in_progress_ = true;
}

void Log::StableTo(EntryId id) {
  // An entry that was replaced since it was handed out does not count, nor does one
  // that only the snapshot covers.
  if (id.index <= stable_ || !store_.Contains(id.index) || store_[id.index].term != id.term) return;
  stable_ = id.index;
  in_progress_ = std::max(in_progress_, id.index + 1);
}

void Log::Restore(std::shared_ptr<const Snapshot> snapshot) {
  CHECK_GT(snapshot->meta.index, committed_);
  committed_ = snapshot->meta.index;
  store_.Reset(committed_ + 1);
  prev_term_ = snapshot->meta.term;
  stable_ = committed_;
  in_progress_ = store_.next();
  snapshot_ = std::move(snapshot);
  snapshot_in_progress_ = false;
}

void Log::StableSnapshotTo(LogIndex index) {
  if (snapshot_ == nullptr || snapshot_->meta.index != index) return;  // a newer one came
  snapshot_ = nullptr;
  snapshot_in_progress_ = false;
}

void Log::Compact(LogIndex index) {
  if (index <= prev_index()) return;
  CHECK_LE(index, applied_);
  CHECK_LE(index, stable_);
  prev_term_ = store_[index].term;
  store_.DropBelow(index + 1);
}

LogIndex Log::MaxAppliable(bool allow_unstable) const {
  return allow_unstable ? committed_ : std::min(committed_, stable_);
}

bool Log::HasNextCommitted(bool allow_unstable) const {
  // While a snapshot is pending its state comes first.
  if (applying_paused_ || snapshot_ != nullptr) return false;
  return applying_ < MaxAppliable(allow_unstable);
}

EntryRange Log::NextCommitted(bool allow_unstable) const {
  if (!HasNextCommitted(allow_unstable)) return EntryRange();
  CHECK_LT(applying_bytes_, max_applying_bytes_);
  const uint64_t budget = max_applying_bytes_ - applying_bytes_;
  const LogIndex last = MaxAppliable(allow_unstable);
  LogIndex end = applying_ + 1;
  for (uint64_t bytes = 0; end <= last; ++end) {
    bytes += EncodedSize(store_[end]);
    if (bytes > budget && end > applying_ + 1) break;  // the first one always goes
  }
  return EntryRange(&store_, applying_ + 1, end);
}

void Log::AcceptApplying(const EntryRange& entries, bool allow_unstable) {
  if (entries.empty()) return;
  CHECK_EQ(entries.first_index(), applying_ + 1);
  CHECK_LE(entries.last_index(), committed_);
  for (const Entry& entry : entries) applying_bytes_ += EncodedSize(entry);
  applying_ = entries.last_index();
  // Also paused when the next entry did not fit: it shall not go out alone, piecemeal,
  // before anything is acknowledged.
  applying_paused_ =
      applying_bytes_ >= max_applying_bytes_ || applying_ < MaxAppliable(allow_unstable);
}

uint64_t Log::AppliedTo(LogIndex index) {
  CHECK_LE(index, committed_);
  CHECK_GE(index, applied_);
  uint64_t payload = 0;
  for (const Entry& entry : Range(applied_ + 1, index)) {
    payload += entry.data.size();
    // Entries past `applying` were covered by a snapshot, not handed out.
    if (entry.index > applying_) continue;
    applying_bytes_ -= std::min<uint64_t>(applying_bytes_, EncodedSize(entry));
  }
  applied_ = index;
  applying_ = std::max(applying_, index);
  if (applied_ == applying_) applying_bytes_ = 0;
  applying_paused_ = applying_bytes_ >= max_applying_bytes_;
  return payload;
}

}  // namespace quorate::raft
