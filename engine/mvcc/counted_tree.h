// An ordered map from byte strings to 64-bit words that can count.
//
// A B+-tree of 4 KiB slotted pages: keys up to 512 bytes lie in the page itself, longer
// ones in memory of their own. The lowest bit of a word is its weight, 0 or 1; every
// inner page keeps the weight below each child, so that the weight of any range of keys
// is known in O(log n).
//
//   CountedTree::Path path = tree.Descend(key);
//   if (path.found) tree.Assign(path, word); else tree.Insert(path, key, word);
//   for (auto c = tree.LowerBound(begin); c.valid(); c.Next()) use(c.key(), c.word());
#ifndef QUORATE_ENGINE_MVCC_COUNTED_TREE_H_
#define QUORATE_ENGINE_MVCC_COUNTED_TREE_H_

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/strings/string_view.h"
#include "engine/mvcc/work.h"

namespace quorate::mvcc {

namespace tree_internal {
struct Page;
}

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
    void Append(absl::string_view key, uint64_t word);
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
    std::swap(size_, other->size_);
    std::swap(allocated_bytes_, other->allocated_bytes_);
  }

  Path Descend(absl::string_view key) const;
  // The word at a path that was found.
  static uint64_t WordAt(const Path& path);
  static void Assign(const Path& path, uint64_t word);
  // Adds a key that was not found; the path is used up.
  void Insert(Path& path, absl::string_view key, uint64_t word);
  // Removes the key at a path that was found; the path is used up.
  void Erase(Path& path);

  // The first entry whose key is not less than `key`; the last entry whose key is less.
  Cursor LowerBound(absl::string_view key) const;
  Cursor Before(absl::string_view key) const;
  Cursor First() const { return LowerBound(absl::string_view()); }
  Cursor Last() const;

  // Weight of all keys less than `key`, and of all keys.
  uint64_t WeightBefore(absl::string_view key) const;
  uint64_t weight() const;

  // Gives memory back in pieces; true once little of it is left. The tree is of no use any more.
  bool Release(Work* work);

  uint64_t size() const { return size_; }
  // Memory held by pages and long keys.
  size_t allocated_bytes() const { return allocated_bytes_; }

  // Walks the whole tree and trips a CHECK on any broken invariant; for tests.
  void CheckInvariants() const;

 private:
  Path End() const;
  tree_internal::Page* NewPage(bool leaf);
  void FreePage(tree_internal::Page* page);
  void FreeSubtree(tree_internal::Page* page);
  void AddEntry(tree_internal::Page* page, int slot, absl::string_view key, uint64_t word,
                uint64_t count);
  void RemoveEntry(tree_internal::Page* page, int slot);
  void Compact(tree_internal::Page* page);
  tree_internal::Page* Split(tree_internal::Page* page, int slot, absl::string_view key,
                             uint64_t word, uint64_t count);
  void GrowRoot(tree_internal::Page* right);
  void TryMerge(Path& path, int level);
  void MergeRightInto(tree_internal::Page* parent, int left_slot);

  tree_internal::Page* root_;
  uint64_t size_ = 0;
  size_t allocated_bytes_ = 0;
};

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_COUNTED_TREE_H_
