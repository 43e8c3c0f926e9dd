// From every key to the revisions at which it changed and the places of those records.
//
// Most keys have one revision: their place lies in the index itself (8 bytes beside the
// key). A key with more gets a list in a pool. The index counts live keys (whose newest
// record is no tombstone) of any range in O(log n).
#ifndef QUORATE_ENGINE_MVCC_KEY_INDEX_H_
#define QUORATE_ENGINE_MVCC_KEY_INDEX_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/strong_int.h"
#include "engine/mvcc/counted_tree.h"
#include "engine/mvcc/key_range.h"
#include "engine/mvcc/revision_log.h"
#include "engine/mvcc/work.h"

namespace quorate::mvcc {

class KeyIndex {
 public:
  // One change of a key.
  struct Version {
    Revision main;
    Location location;
    bool tombstone = false;
  };

  // What is known of one key; valid until the index changes.
  class Entry {
   public:
    Entry() = default;
    explicit operator bool() const { return word_ != 0; }
    bool live() const { return (word_ & 1) != 0; }

   private:
    friend class KeyIndex;
    explicit Entry(uint64_t word) : word_(word) {}
    uint64_t word_ = 0;
  };

  // Walks keys in order, dead ones included.
  class Cursor {
   public:
    bool valid() const { return tree_.valid(); }
    absl::string_view key() const { return tree_.key(); }
    Entry entry() const { return Entry(tree_.word()); }
    void Next() { tree_.Next(); }
    void Prev() { tree_.Prev(); }

   private:
    friend class KeyIndex;
    explicit Cursor(CountedTree::Cursor tree) : tree_(tree) {}
    CountedTree::Cursor tree_;
  };

  // Fills an index with keys in ascending order, each with all of its changes, much faster
  // than Append could. Nobody else may add keys before it is done.
  class Loader {
   public:
    explicit Loader(KeyIndex* index) : index_(index), tree_(&index->tree_) {}
    // `versions`: oldest first, at least one.
    void Append(absl::string_view key, const std::vector<Version>& versions);
    // Prune() was called.
    void Reset() { tree_.Reset(); }

   private:
    KeyIndex* index_;
    CountedTree::Appender tree_;
  };

  // `log` holds the records and must outlive the index.
  explicit KeyIndex(const RevisionLog* log) : log_(log) {}
  KeyIndex(const KeyIndex&) = delete;
  KeyIndex& operator=(const KeyIndex&) = delete;

  // Exchanges the contents; each index goes on reading its own log.
  void Swap(KeyIndex* other);

  Entry Find(absl::string_view key) const;
  // Brings what the next looks for these keys, and for their newest records, will read into the
  // caches. Changes nothing.
  void Prefetch(std::span<const absl::string_view> keys) const;

  // Notes a key's newest change. Looks the key up once: `at(entry)` is called with what
  // was known of it, and returns the new version.
  template <typename MakeVersion>
  void Append(absl::string_view key, MakeVersion&& at) {
    CountedTree::Path path = tree_.Descend(key);
    const Entry before = path.found ? Entry(CountedTree::WordAt(path)) : Entry();
    const Version version = at(before);
    AppendAt(path, key, before, version);
  }

  // The newest change; the newest at or before `main`, if there is one.
  Version Newest(Entry entry) const;
  std::optional<Version> NewestAt(Entry entry, Revision main) const;
  // All changes, oldest first.
  size_t Count(Entry entry) const;
  Version At(Entry entry, size_t i) const;

  Cursor LowerBound(absl::string_view key) const { return Cursor(tree_.LowerBound(key)); }
  Cursor First() const { return Cursor(tree_.First()); }
  // The last key of a range that may be empty (then: a key before it, or invalid).
  Cursor LastOf(const KeyRange& range) const;

  // Live keys of a range, and in all.
  uint64_t CountLive(const KeyRange& range) const;
  // Adds to *count those that lived at `at`, from *from on, which is the range's beginning at
  // first; false with *from moved on if the work was spent before the range's end. Costs O(log n),
  // and a look at each key of those leaves in the range in which keys were born or died after `at`,
  // unless all of that was in one revision (as of a command that is half applied).
  bool CountLiveAt(const KeyRange& range, Revision at, std::string* from, Work* work,
                   uint64_t* count) const;
  // The cursor's key, or a later one (an earlier one), with none between the two that lived at
  // `at`. O(log n), and what it cost is taken from *work.
  void SkipDead(Revision at, Work* work, Cursor* cursor) const {
    if (cursor->valid()) *cursor = Cursor(tree_.SkipWeightless(cursor->key(), at.value(), work));
  }
  void SkipDeadBackwards(Revision at, Work* work, Cursor* cursor) const;
  uint64_t live_keys() const { return tree_.weight(); }

  // Drops the key's changes before the newest one at or before `main`, and that one too
  // if it is a tombstone older than `main`: what a compaction at `main` gives up.
  // `dropped(location)` is told each; a key without changes leaves the index. At most
  // `max` are dropped, oldest first; how many were.
  template <typename Dropped>
  size_t Prune(absl::string_view key, Revision main, size_t max, Dropped&& dropped) {
    CountedTree::Path path = tree_.Descend(key);
    if (!path.found) return 0;
    const Entry entry(CountedTree::WordAt(path));
    size_t count = PrunedCount(entry, main);
    if (count > max) count = max;
    for (size_t i = 0; i < count; ++i) dropped(At(entry, i).location);
    if (count > 0) DropOldest(path, entry, count);
    return count;
  }

  // The record of `key` moved. False if the index does not know it at `from`.
  bool Relocate(absl::string_view key, Location from, Location to);
  // Gives memory back in pieces; true once all of it is gone. The index is of no use any more.
  bool Release(Work* work);

  uint64_t keys() const { return tree_.size(); }
  size_t allocated_bytes() const { return tree_.allocated_bytes() + list_bytes_; }
  void CheckInvariants() const { tree_.CheckInvariants(); }

 private:
  // 16 bytes: revision, and place << 1 | tombstone.
  struct Packed {
    int64_t main;
    uint64_t place;
  };
  // The versions of one key, ascending. The older ones of very many lie in chunks, so that
  // the list grows, and is pruned, in small steps.
  class List {
   public:
    size_t size() const { return chunked() + items_.size() - head_; }
    const Packed& operator[](size_t i) const { return const_cast<List&>(*this)[i]; }
    Packed& operator[](size_t i) {
      i += head_;
      const size_t chunked = this->chunked();
      return i < chunked ? (*chunks_)[i / kChunk][i % kChunk] : items_[i - chunked];
    }
    const Packed& back() const { return items_.back(); }
    // How many are at or before `main`.
    size_t CountUntil(int64_t main) const;
    // Makes room for the first ones.
    void Begin() { Reserve(2); }
    void Reserve(size_t count) { items_.reserve(std::min(count, kChunk)); }
    void Append(const Packed& packed);
    // Some are left.
    void DropOldest(size_t count);
    // Of memory, beside the list itself.
    size_t bytes() const { return (items_.capacity() + chunked()) * sizeof(Packed); }

   private:
    static constexpr size_t kChunk = 1024;

    size_t chunked() const { return chunks_ == nullptr ? 0 : chunks_->size() * kChunk; }

    std::vector<Packed> items_;  // the newest; never empty once something was appended
    std::unique_ptr<std::deque<std::vector<Packed>>> chunks_;
    size_t head_ = 0;  // the first one that is still there
  };

  static Packed Pack(const Version& version);
  static Version Unpack(const Packed& packed);
  uint64_t SingleWord(const Version& version) const;
  void AppendAt(CountedTree::Path& path, absl::string_view key, Entry before,
                const Version& version);
  size_t PrunedCount(Entry entry, Revision main) const;
  void DropOldest(CountedTree::Path& path, Entry entry, size_t count);
  uint32_t NewList();
  void FreeList(uint32_t list);

  const RevisionLog* log_;
  CountedTree tree_;
  // Not vectors: these would move all of them when they grow.
  std::deque<List> lists_;
  std::deque<uint32_t> free_lists_;
  size_t list_bytes_ = 0;
};

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_KEY_INDEX_H_
