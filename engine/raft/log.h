// The replicated log in memory: every entry since the last compaction, and how far
// each of them has come.
//
//        compacted   | stable         | in progress   | unstable
//   ... prev_index() | .. stable()    | .. given to   | .. last_index()
//                    |                |    the disk   |
//   applied <= applying <= committed <= last_index
//
// "Stable" is what the disk has acknowledged; "in progress" was handed out to be
// written. A conflicting append moves both marks back (Raft paper, section 5.3).
#ifndef QUORATE_ENGINE_RAFT_LOG_H_
#define QUORATE_ENGINE_RAFT_LOG_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "base/check.h"
#include "base/strong_int.h"
#include "engine/raft/types.h"

namespace quorate::raft {

// Term and index: names an entry, and with it the whole log up to it (Log Matching).
struct EntryId {
  Term term;
  LogIndex index;

  friend bool operator==(const EntryId&, const EntryId&) = default;
};

// Entries by index, in chunks that never move: appending costs no copy of what is
// there, and dropping a prefix frees whole chunks. A range of indexes is dense.
// Copying it copies the entries (which share their payloads) and no spare room.
class EntryStore {
 public:
  // Holds nothing; the next entry is `next`.
  explicit EntryStore(LogIndex next = LogIndex(1)) : first_(next), next_(next) {}

  LogIndex first() const { return first_; }  // of the entries held
  LogIndex next() const { return next_; }    // one past the last
  size_t size() const { return next_ - first_; }
  bool Contains(LogIndex index) const { return index >= first_ && index < next_; }
  const Entry& operator[](LogIndex index) const { return *Slot(index); }

  // entry.index == next().
  void Append(Entry entry);
  // Drops the entries at `index` and above; first() <= index <= next().
  void TruncateFrom(LogIndex index);
  // Drops the entries below `index`; first() <= index <= next().
  void DropBelow(LogIndex index);
  // Drops everything; the next entry is `next`.
  void Reset(LogIndex next);

 private:
  static constexpr size_t kChunkEntries = 256;
  // Full but for the last one, and made with room for all.
  using Chunk = std::vector<Entry>;

  const Entry* Slot(LogIndex index) const {
    const uint64_t offset = index - base_;
    return &chunks_[offset / kChunkEntries][offset % kChunkEntries];
  }
  void AddChunk();

  LogIndex first_;
  LogIndex next_;
  LogIndex base_{1};  // index of chunks_[0][0]
  std::vector<Chunk> chunks_;
  Chunk spare_;  // empty; its memory is kept, so that steady traffic allocates nothing
};

// A view of consecutive entries of a store. Entries don't move: a view holds until
// the entries in it are truncated, compacted or replaced by a snapshot.
class EntryRange {
 public:
  class Iterator {
   public:
    Iterator(const EntryStore* store, LogIndex index) : store_(store), index_(index) {}
    const Entry& operator*() const { return (*store_)[index_]; }
    const Entry* operator->() const { return &(*store_)[index_]; }
    Iterator& operator++() {
      ++index_;
      return *this;
    }
    friend bool operator==(const Iterator& a, const Iterator& b) { return a.index_ == b.index_; }

   private:
    const EntryStore* store_;
    LogIndex index_;
  };

  EntryRange() = default;
  // [first, end), all held by the store.
  EntryRange(const EntryStore* store, LogIndex first, LogIndex end)
      : store_(store), first_(first), end_(end) {}

  bool empty() const { return first_ == end_; }
  size_t size() const { return end_ - first_; }
  LogIndex first_index() const { return first_; }
  LogIndex last_index() const { return end_ - 1; }
  const Entry& operator[](size_t i) const { return (*store_)[first_ + i]; }
  const Entry& front() const { return (*this)[0]; }
  const Entry& back() const { return (*store_)[end_ - 1]; }
  Iterator begin() const { return Iterator(store_, first_); }
  Iterator end() const { return Iterator(store_, end_); }

  // Appends copies (which share the payloads).
  void CopyTo(std::vector<Entry>* out) const {
    out->reserve(out->size() + size());
    for (const Entry& entry : *this) out->push_back(entry);
  }

 private:
  const EntryStore* store_ = nullptr;
  LogIndex first_;
  LogIndex end_;
};

// What recovery read from the disk; contiguous, entries after the snapshot.
struct DurableLog {
  HardState hard_state;
  SnapshotMeta snapshot;  // index 0: none; conf_state is the configuration at its index
  std::vector<Entry> entries;
};

class Log {
 public:
  // Starts from what is durable: everything given is stable, nothing in progress.
  // `max_applying_bytes` bounds what NextCommitted() hands out without acknowledgement.
  Log(const SnapshotMeta& snapshot, std::vector<Entry> entries, uint64_t max_applying_bytes);

  LogIndex first_index() const { return store_.first(); }
  LogIndex prev_index() const { return store_.first() - 1; }
  LogIndex last_index() const { return store_.next() - 1; }
  LogIndex committed() const { return committed_; }
  LogIndex applying() const { return applying_; }
  LogIndex applied() const { return applied_; }
  LogIndex stable() const { return stable_; }
  EntryId last_id() const { return {*TermAt(last_index()), last_index()}; }

  // Known for [prev_index(), last_index()].
  std::optional<Term> TermAt(LogIndex index) const;
  bool Matches(EntryId id) const { return TermAt(id.index) == id.term; }
  // index in [first_index(), last_index()].
  const Entry& EntryAt(LogIndex index) const { return store_[index]; }
  // [first, last], clipped to what is held.
  EntryRange Range(LogIndex first, LogIndex last) const;
  // From `first` on as many entries as fit in max_bytes, at least one if there is any;
  // none if `first` is compacted or beyond the end.
  EntryRange RangeFrom(LogIndex first, uint64_t max_bytes) const;

  // Section 5.4.1: whether a log that ends with `theirs` is at least as up to date.
  bool IsUpToDate(EntryId theirs) const;
  // The largest index <= `index` whose term here is <= `term`: where two logs can
  // still agree. Below what is held the term is unknown: {0, that index}.
  EntryId FindConflictByTerm(LogIndex index, Term term) const;
  // The first of `entries` that is not here with its term, or entries.size().
  size_t FindConflict(absl::Span<const Entry> entries) const;

  // Appends, dropping what stands at entries[0].index and above. The entries are
  // moved from; contiguous; entries[0].index in [committed + 1, last_index() + 1].
  void Append(absl::Span<Entry> entries);
  // Moves the commit index forward, never back; index <= last_index().
  void CommitTo(LogIndex index);
  // Figure 2, last rule for leaders: only an entry of the current term is committed
  // by counting. True if the commit index moved.
  bool MaybeCommit(EntryId at);

  // --- disk ---
  EntryRange NextUnstable() const { return EntryRange(&store_, in_progress_, store_.next()); }
  bool HasUnstableOrInProgress() const { return last_index() > stable_; }
  void AcceptUnstable();
  // The disk holds everything up to `id`; ignored if that entry is no longer here.
  void StableTo(EntryId id);

  // --- snapshots ---
  // The log is replaced by the snapshot, which must then be installed and made durable.
  void Restore(std::shared_ptr<const Snapshot> snapshot);
  const std::shared_ptr<const Snapshot>& pending_snapshot() const { return snapshot_; }
  bool HasNextSnapshot() const { return snapshot_ != nullptr && !snapshot_in_progress_; }
  void StableSnapshotTo(LogIndex index);
  // Drops entries up to and including `index` <= applied(), stable().
  void Compact(LogIndex index);

  // --- application ---
  // Committed entries to hand out next, within the limit; with !allow_unstable only
  // those that the own disk holds. Nothing while a snapshot is pending.
  EntryRange NextCommitted(bool allow_unstable) const;
  bool HasNextCommitted(bool allow_unstable) const;
  void AcceptApplying(const EntryRange& entries, bool allow_unstable);
  // Entries up to `index` are applied. Gives the payload bytes newly applied.
  uint64_t AppliedTo(LogIndex index);

 private:
  friend class CanonicalState;

  LogIndex MaxAppliable(bool allow_unstable) const;

  EntryStore store_;
  Term prev_term_;  // of prev_index()
  LogIndex stable_;
  LogIndex in_progress_;  // exclusive: the next index to hand to the disk
  std::shared_ptr<const Snapshot> snapshot_;
  bool snapshot_in_progress_ = false;

  LogIndex committed_;
  LogIndex applying_;
  LogIndex applied_;
  uint64_t max_applying_bytes_;
  uint64_t applying_bytes_ = 0;
  bool applying_paused_ = false;
};

}  // namespace quorate::raft

#endif  // QUORATE_ENGINE_RAFT_LOG_H_
