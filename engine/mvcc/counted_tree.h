// An ordered map from byte strings to 64-bit words that can count.
//
// A B+-tree of 4 KiB slotted pages: keys up to 512 bytes lie in the page itself, longer
// ones in memory of their own. The lowest bit of a word is its weight, 0 or 1; every
// inner page keeps the weight below each child, so that the weight of any range of keys
// is known in O(log n).
//
// Weights have a past: each change of one says when it is (a number that never gets less, such as
// a revision), and inner pages note the last two moments at which something below a child changed.
// WeightAt and SkipWeightless ask for a moment in the past, and look at the entries of those
// leaves only where these notes do not suffice.
//
//   CountedTree::Path path = tree.Descend(key);
//   if (path.found) tree.Assign(path, word, when); else tree.Insert(path, key, word, when);
//   for (auto c = tree.LowerBound(begin); c.valid(); c.Next()) use(c.key(), c.word());
#ifndef QUORATE_ENGINE_MVCC_COUNTED_TREE_H_
#define QUORATE_ENGINE_MVCC_COUNTED_TREE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "engine/mvcc/work.h"

namespace quorate::mvcc {

namespace tree_internal {
struct Page;

// What is known of all entries below a page without a look at them: how much they weigh, and how
// much they weighed lately.
struct Summary {
  uint64_t weight = 0;
  int64_t newest = 0;    // no weight changed after it
  int64_t previous = 0;  // none changed between it and `newest`; the same if that is not known
  uint64_t before = 0;   // the weight from `previous` until `newest`

  // The weight at `at`, if it is known.
  std::optional<uint64_t> At(int64_t at) const {
    if (at >= newest) return weight;
    if (at >= previous) return before;
    return std::nullopt;
  }
  // An entry weighs more, or less (modulo 2^64), from `when` on.
  void Change(int64_t when, uint64_t delta) {
    if (when > newest) {
      previous = newest;
      before = weight;
      newest = when;
    } else if (when < newest) {
      previous = newest;
    }
    weight += delta;
  }
  // An entry has come or gone that did not always weigh the same until `when`.
  void ChangePast(int64_t when, uint64_t delta) {
    newest = std::max(newest, when);
    previous = newest;
    weight += delta;
  }
  // Adds what is known of the entries beside.
  void Add(const Summary& other) {
    const int64_t last = std::max(newest, other.newest);
    const int64_t from = std::max(newest < last ? newest : previous,
                                  other.newest < last ? other.newest : other.previous);
    before =
        (newest < last ? weight : before) + (other.newest < last ? other.weight : other.before);
    weight += other.weight;
    newest = last;
    previous = from;
  }
};
static_assert(sizeof(Summary) == 32);

}  // namespace tree_internal

class CountedTree {
 public:
  static constexpr int kMaxDepth = 24;

  // The way from the root to a key's place. Valid until the tree's structure changes
  // (Insert, Erase); Assign leaves it valid.
  struct Path {
    tree_internal::Page* page[kMaxDepth];
    int slot[kMaxDepth];
    int depth = 0;       // pages on the way; the last one is the leaf
    bool found = false;  // the leaf's slot holds the key itself
  };

  // Points at one entry; invalid behind the last and before the first. Any Insert or
  // Erase invalidates it.
  class Cursor {
   public:
    bool valid() const { return page_ != nullptr; }
    absl::string_view key() const;
    uint64_t word() const;
    void Next();
    void Prev();

   private:
    friend class CountedTree;
    Cursor(tree_internal::Page* page, int slot) : page_(page), slot_(slot) {}
    tree_internal::Page* page_;
    int slot_;
  };

  // Adds keys behind all others, each greater than the one before, without looking for
  // their places. Nobody else may change the tree between two of them but after Reset.
  class Appender {
   public:
    explicit Appender(CountedTree* tree) : tree_(tree) {}
    // The key may have weighed something else before `when`.
    void Append(absl::string_view key, uint64_t word, int64_t when = 0);
    void Reset() { end_.depth = 0; }

   private:
    CountedTree* tree_;
    Path end_;  // where the next key goes; of no depth if that is not known
  };

  CountedTree();
  ~CountedTree();
  CountedTree(const CountedTree&) = delete;
  CountedTree& operator=(const CountedTree&) = delete;

  void Swap(CountedTree* other) {
    std::swap(root_, other->root_);
    std::swap(all_, other->all_);
    std::swap(size_, other->size_);
    std::swap(allocated_bytes_, other->allocated_bytes_);
  }

  Path Descend(absl::string_view key) const;
  // Looks for all of these keys at once, a step of each in turn, so that the memory that one waits
  // for comes while the others go on: the looks that follow find it in the caches. Of each key
  // that is there words[i] becomes the word, of others 0.
  void Prefetch(std::span<const absl::string_view> keys, uint64_t* words) const;
  // The word at a path that was found.
  static uint64_t WordAt(const Path& path);
  void Assign(const Path& path, uint64_t word, int64_t when = 0);
  // Adds a key that was not found; the path is used up.
  void Insert(Path& path, absl::string_view key, uint64_t word, int64_t when = 0) {
    InsertAt(path, key, word, when, Past::kNone);
  }
  // Removes the key at a path that was found, and its past; the path is used up.
  void Erase(Path& path);

  // The first entry whose key is not less than `key`; the last entry whose key is less.
  Cursor LowerBound(absl::string_view key) const;
  Cursor Before(absl::string_view key) const;
  Cursor First() const { return LowerBound(absl::string_view()); }
  Cursor Last() const;

  // Weight of all keys less than `key`, and of all keys.
  uint64_t WeightBefore(absl::string_view key) const;
  uint64_t weight() const;

  // The weight that keys had at `at`, a moment in the past, from *from up to `end` (null: up to the
  // last one), added to *sum; `weighed(word)` says whether the one of that word did. False if the
  // work was spent before; then *from has moved on. No change of the words may come in between that
  // tells another weight at `at`.
  //
  // Costs O(log n) if no weight in the range changed between `at` and the last moment at which one
  // did; else a look at each key of the leaves of which that is not true.
  bool WeightAt(int64_t at, std::string* from, const absl::string_view* end,
                absl::FunctionRef<bool(uint64_t word)> weighed, Work* work, uint64_t* sum) const;
  // A key from `key` on, or one before it, with none between the two that weighed anything at `at`:
  // the first, or last, one of a leaf of which it is not certain that nothing in it did; or of an
  // earlier one than that, if the way there is long. Invalid if there is none. It is another leaf
  // than that of `key` if nothing in that one did. O(log n), and what it cost is taken from *work.
  Cursor SkipWeightless(absl::string_view key, int64_t at, Work* work) const;
  Cursor SkipWeightlessBefore(absl::string_view key, int64_t at, Work* work) const;

  // Gives memory back in pieces; true once little of it is left. The tree is of no use any more.
  bool Release(Work* work);

  uint64_t size() const { return size_; }
  // Memory held by pages and long keys.
  size_t allocated_bytes() const { return allocated_bytes_; }

  // Walks the whole tree and trips a CHECK on any broken invariant; for tests.
  void CheckInvariants() const;

 private:
  struct Tally;
  enum class Past { kNone, kUnknown };

  Path End() const;
  void InsertAt(Path& path, absl::string_view key, uint64_t word, int64_t when, Past past);
  void NoteAbove(const Path& path, int levels, uint64_t delta, int64_t when, Past past);
  static bool TallyPage(const tree_internal::Page* page, bool begins_before,
                        const absl::string_view* upper, Tally* tally);
  static bool TallyLeaf(const tree_internal::Page* page, bool begins_before, bool settled,
                        Tally* tally);
  tree_internal::Page* NewPage(bool leaf);
  void FreePage(tree_internal::Page* page);
  void FreeSubtree(tree_internal::Page* page);
  void AddEntry(tree_internal::Page* page, int slot, absl::string_view key, uint64_t word,
                const tree_internal::Summary& below);
  void RemoveEntry(tree_internal::Page* page, int slot);
  void Compact(tree_internal::Page* page);
  tree_internal::Page* Split(tree_internal::Page* page, int slot, absl::string_view key,
                             uint64_t word, const tree_internal::Summary& below);
  void GrowRoot(const tree_internal::Summary& left_below, tree_internal::Page* right,
                const tree_internal::Summary& right_below);
  void TryMerge(Path& path, int level);
  void MergeRightInto(tree_internal::Page* parent, int left_slot);

  tree_internal::Page* root_;
  tree_internal::Summary all_;  // of what is below the root
  uint64_t size_ = 0;
  size_t allocated_bytes_ = 0;
};

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_COUNTED_TREE_H_
