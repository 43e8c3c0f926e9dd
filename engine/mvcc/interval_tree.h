// Ranges of keys, and which of them hold a key: O(log n + matches).
//
// A treap ordered by the beginnings of the ranges, each node knowing the greatest end
// below it (Cormen et al., Introduction to Algorithms, section 14.3). Priorities come from
// the ranges' numbers, so that the shape follows from the contents.
#ifndef QUORATE_ENGINE_MVCC_INTERVAL_TREE_H_
#define QUORATE_ENGINE_MVCC_INTERVAL_TREE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/string_view.h"
#include "base/check.h"
#include "base/prng.h"
#include "engine/mvcc/key_range.h"

namespace quorate::mvcc {

template <typename Value>
class IntervalTree {
 public:
  // `number` tells apart ranges that are equal. The range's bytes must stay as long as it
  // is here.
  void Insert(const KeyRange& range, uint64_t number, Value value) {
    auto node = std::make_unique<Node>(range, number, std::move(value));
    auto [before, after] = Split(std::move(root_), *node);
    Update(node.get());
    root_ = Join(Join(std::move(before), std::move(node)), std::move(after));
    ++size_;
  }

  // One that is here.
  void Erase(const KeyRange& range, uint64_t number) {
    std::unique_ptr<Node>* at = &root_;
    EraseAt(at, std::tuple(range.begin, number));
    --size_;
  }

  // Calls visit(value) for each range that holds the key, in the order of their beginnings
  // and numbers.
  template <typename Visit>
  void Stab(absl::string_view key, Visit&& visit) const {
    StabAt(root_.get(), key, visit);
  }

  // The same in pieces: visit(range, number, value) for those behind `after`, a range's beginning
  // and number, until it gives false; then this does, too. The tree may change in between.
  template <typename Visit>
  bool StabSome(absl::string_view key, std::optional<std::pair<std::string, uint64_t>> after,
                Visit&& visit) const {
    std::tuple<absl::string_view, uint64_t> least;
    if (after.has_value()) least = {after->first, after->second};
    return StabSomeAt(root_.get(), key, after.has_value() ? &least : nullptr, visit);
  }

  bool empty() const { return root_ == nullptr; }
  size_t size() const { return size_; }

 private:
  struct Node {
    Node(const KeyRange& r, uint64_t n, Value v)
        : range(r), number(n), priority(Mix64(n)), value(std::move(v)) {}
    std::tuple<absl::string_view, uint64_t> order() const { return {range.begin, number}; }

    const KeyRange range;
    const uint64_t number;
    const uint64_t priority;
    Value value;
    // Whose range ends last, of the nodes from here down.
    const KeyRange* last = nullptr;
    std::unique_ptr<Node> left;
    std::unique_ptr<Node> right;
  };
  using Tree = std::unique_ptr<Node>;

  // Where both begin does not matter.
  static bool EndsBefore(const KeyRange& a, const KeyRange& b) {
    if (b.kind == KeyRange::Kind::kFrom) return a.kind != KeyRange::Kind::kFrom;
    return a.kind != KeyRange::Kind::kFrom && a.end < b.end;
  }

  static void Update(Node* node) {
    node->last = &node->range;
    for (const Tree* child : {&node->left, &node->right}) {
      if (*child != nullptr && EndsBefore(*node->last, *(*child)->last))
        node->last = (*child)->last;
    }
  }

  static std::pair<Tree, Tree> Split(Tree tree, const Node& at) {
    if (tree == nullptr) return {};
    if (tree->order() < at.order()) {
      auto [before, after] = Split(std::move(tree->right), at);
      tree->right = std::move(before);
      Update(tree.get());
      return {std::move(tree), std::move(after)};
    }
    auto [before, after] = Split(std::move(tree->left), at);
    tree->left = std::move(after);
    Update(tree.get());
    return {std::move(before), std::move(tree)};
  }

  // All of `a` come before all of `b`.
  static Tree Join(Tree a, Tree b) {
    if (a == nullptr) return b;
    if (b == nullptr) return a;
    if (a->priority > b->priority) {
      a->right = Join(std::move(a->right), std::move(b));
      Update(a.get());
      return a;
    }
    b->left = Join(std::move(a), std::move(b->left));
    Update(b.get());
    return b;
  }

  static void EraseAt(Tree* tree, const std::tuple<absl::string_view, uint64_t>& order) {
    CHECK(*tree != nullptr);
    if (order == (*tree)->order()) {
      const Tree gone = std::move(*tree);
      *tree = Join(std::move(gone->left), std::move(gone->right));
      return;
    }
    EraseAt(order < (*tree)->order() ? &(*tree)->left : &(*tree)->right, order);
    Update(tree->get());
  }

  template <typename Visit>
  static void StabAt(const Node* node, absl::string_view key, Visit& visit) {
    if (node == nullptr || !node->last->EndsAfter(key)) return;
    StabAt(node->left.get(), key, visit);
    if (key < node->range.begin) return;
    if (node->range.EndsAfter(key)) visit(node->value);
    StabAt(node->right.get(), key, visit);
  }

  template <typename Visit>
  static bool StabSomeAt(const Node* node, absl::string_view key,
                         const std::tuple<absl::string_view, uint64_t>* after, Visit& visit) {
    if (node == nullptr || !node->last->EndsAfter(key)) return true;
    const bool behind = after == nullptr || *after < node->order();
    if (behind && !StabSomeAt(node->left.get(), key, after, visit)) return false;
    if (key < node->range.begin) return true;
    const bool visited =
        !behind || !node->range.EndsAfter(key) || visit(node->range, node->number, node->value);
    return visited && StabSomeAt(node->right.get(), key, after, visit);
  }

  Tree root_;
  size_t size_ = 0;
};

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_INTERVAL_TREE_H_
