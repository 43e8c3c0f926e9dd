// The multi-version store: every change makes a revision, reads look at any revision
// that is not compacted.
//
//   Store store;
//   WriteTxn txn(&store);            // one revision for all changes of the transaction
//   txn.Put("a", "1", LeaseId());
//   txn.DeleteRange(KeyRange::FromRequest("b", "c"));
//   txn.Commit();                    // store.revision() has advanced by one
//
// Semantics are etcd's: a fresh store is at revision 1, a
// transaction that changed nothing leaves the revision alone.
#ifndef QUORATE_ENGINE_MVCC_STORE_H_
#define QUORATE_ENGINE_MVCC_STORE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/strong_int.h"
#include "engine/mvcc/key_index.h"
#include "engine/mvcc/key_range.h"
#include "engine/mvcc/revision.h"
#include "engine/mvcc/revision_log.h"
#include "engine/mvcc/work.h"

namespace quorate::mvcc {

// The leases that keys may be attached to, as the store needs them: which exist, and who
// is told when a key changes hands.
class LeaseTable {
 public:
  virtual ~LeaseTable() = default;
  virtual bool Exists(LeaseId lease) const = 0;
  // Whether any key is attached to any lease.
  virtual bool HasAttachments() const = 0;
  // `key` is no longer attached to `from` but to `to`. They differ; 0 = to none. Both
  // exist if they are not 0.
  virtual void Move(absl::string_view key, LeaseId from, LeaseId to) = 0;
};

class Store {
 public:
  explicit Store(size_t segment_bytes = RevisionLog::kSegmentBytes)
      : log_(segment_bytes), index_(&log_) {}
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // Exchanges everything with another store, which has no transaction open either.
  void Swap(Store* other);

  // Of the last committed transaction.
  Revision revision() const { return revision_; }
  // Reads below it are refused; kNeverCompacted at first.
  Revision compact_revision() const { return compact_revision_; }

  // `leases` is borrowed. Without it (null) no lease exists.
  void set_leases(LeaseTable* leases) { leases_ = leases; }
  LeaseTable* leases() const { return leases_; }

  const RevisionLog& log() const { return log_; }
  const KeyIndex& index() const { return index_; }

  // The live record of the key behind `entry` as of `at`; nothing if there is none.
  std::optional<Location> Visible(KeyIndex::Entry entry, Revision at) const {
    // Mostly the newest version is asked for, and that one is dead or old enough.
    const std::optional<KeyIndex::Version> version = index_.NewestAt(entry, at);
    if (!version.has_value() || version->tombstone) return std::nullopt;
    return version->location;
  }
  std::optional<Location> Visible(absl::string_view key, Revision at) const {
    return Visible(index_.Find(key), at);
  }

  // Of the newest record; above revision() while a transaction is open.
  Revision newest() const { return newest_; }

  // Whether the compact revision keeps this record; false also for one that cleaning has
  // yet to remove. What is kept follows from the applied entries alone.
  bool Keeps(const Record& record, Location location) const;

  // Gives memory back in pieces; true once little of it is left. The store is of no use any more.
  bool Release(Work* work) { return index_.Release(work) && log_.Release(work); }

 private:
  friend class WriteTxn;
  friend class StoreLoader;
  friend class Compactor;

  RevisionLog log_;
  KeyIndex index_;
  Revision revision_ = kFirstRevision;
  LeaseTable* leases_ = nullptr;
  Revision newest_;  // of the newest record, committed or not
  Revision compact_revision_ = kNeverCompacted;
};

// The changes of one revision. Reads through view() see them at once; the store's
// revision moves with Commit. At most one at a time; a transaction with changes must
// be committed.
class WriteTxn {
 public:
  explicit WriteTxn(Store* store) : store_(store), begin_(store->revision()) {}
  ~WriteTxn();
  WriteTxn(const WriteTxn&) = delete;
  WriteTxn& operator=(const WriteTxn&) = delete;

  const Store& store() const { return *store_; }
  // The revision that reads of this transaction look at, and that of its answers: the
  // store's, or one more once something changed.
  Revision view() const { return changes_ == 0 ? begin_ : begin_ + 1; }
  int64_t changes() const { return changes_; }

  // Writes a key; its create revision and version follow from what was there. It is then
  // attached to `lease` (which exists) and to no other; 0 = to none.
  void Put(absl::string_view key, absl::string_view value, LeaseId lease);
  // Deletes every live key of a range, in ascending order; returns how many.
  uint64_t DeleteRange(const KeyRange& range);
  // The same in pieces: goes on at *from, which is empty at first and then the first key
  // that was not looked at; adds to *deleted. True once the range is done.
  bool DeleteSome(const KeyRange& range, Work* work, std::string* from, uint64_t* deleted);
  // Deletes a key that lives.
  void Delete(absl::string_view key);
  void Commit();
  // The store is about to be given up: it is left with half of the changes.
  void Abandon() { changes_ = 0; }

 private:
  Store* store_;
  Revision begin_;
  int64_t changes_ = 0;
};

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_STORE_H_
