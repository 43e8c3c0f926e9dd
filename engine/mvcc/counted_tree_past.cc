// What a CountedTree knows of the weights at a moment in the past.
#include "engine/mvcc/counted_tree.h"
#include "engine/mvcc/tree_page.h"

namespace quorate::mvcc {

using namespace tree_internal;  // NOLINT: the pages are the tree's own

namespace {

// Of a walk over the notes of an inner page, in units of work.
constexpr uint64_t kInnerPageCost = 4;
// Inner pages of which a skip passes over what weighed nothing.
constexpr int kPagesSkipped = 16;

// Whether all below a child certainly weighed nothing at `at`.
bool Weightless(const Page* page, int slot, int64_t at) {
  return SummaryOf(page, slot).At(at) == uint64_t{0};
}

}  // namespace

// Where a walk of WeightAt is.
struct CountedTree::Tally {
  const int64_t at;
  std::string* const from;
  const absl::string_view* const end;
  const absl::FunctionRef<bool(uint64_t word)> weighed;
  Work* const work;
  uint64_t sum = 0;
  bool moved = false;  // any allowance makes some progress
};

// `settled`: no weight in it changed since.
bool CountedTree::TallyLeaf(const Page* page, bool begins_before, bool settled, Tally* tally) {
  bool equal = false;
  int slot = begins_before ? LowerBoundSlot(page, *tally->from, 0, &equal) : 0;
  for (; slot < page->count; ++slot) {
    const absl::string_view key = KeyAt(page, slot);
    if (tally->end != nullptr && key >= *tally->end) return true;
    if (settled) {
      tally->sum += WordOf(page, slot) & 1;
      continue;
    }
    if (tally->work->spent() && tally->moved) {
      tally->from->assign(key.data(), key.size());
      return false;
    }
    tally->work->SpendLook();
    tally->moved = true;
    if (tally->weighed(WordOf(page, slot))) ++tally->sum;
  }
  return true;
}

// `begins_before`: keys before *from may be below this page. `upper`: all keys below it are less;
// null if nothing bounds them.
bool CountedTree::TallyPage(const Page* page, bool begins_before, const absl::string_view* upper,
                            Tally* tally) {
  tally->work->Spend(kInnerPageCost);
  const int first = begins_before ? ChildSlot(page, *tally->from) : 0;
  for (int slot = first; slot < page->count; ++slot) {
    const bool cut =
        begins_before && slot == first && (slot == 0 || KeyAt(page, slot) != *tally->from);
    if (!cut && slot > 0 && tally->end != nullptr && KeyAt(page, slot) >= *tally->end) return true;
    const absl::string_view next =
        slot + 1 < page->count ? KeyAt(page, slot + 1) : absl::string_view();
    const absl::string_view* const bound = slot + 1 < page->count ? &next : upper;
    if (!cut && (tally->end == nullptr || (bound != nullptr && *bound <= *tally->end))) {
      const std::optional<uint64_t> known = SummaryOf(page, slot).At(tally->at);
      if (known.has_value()) {
        tally->sum += *known;
        tally->moved = true;
        continue;
      }
    }
    const Page* const child = ChildOf(page, slot);
    // All may be known below each of very many pages of which it is not.
    if (!child->leaf && !cut && slot > 0 && tally->moved && tally->work->spent()) {
      const absl::string_view key = KeyAt(page, slot);
      tally->from->assign(key.data(), key.size());
      return false;
    }
    const bool settled = child->leaf && SummaryOf(page, slot).newest <= tally->at;
    if (!(child->leaf ? TallyLeaf(child, cut, settled, tally)
                      : TallyPage(child, cut, bound, tally))) {
      return false;
    }
  }
  return true;
}

bool CountedTree::WeightAt(int64_t at, std::string* from, const absl::string_view* end,
                           absl::FunctionRef<bool(uint64_t word)> weighed, Work* work,
                           uint64_t* sum) const {
  if (from->empty() && end == nullptr) {
    const std::optional<uint64_t> known = all_.At(at);
    if (known.has_value()) {
      *sum += *known;
      return true;
    }
  }
  Tally tally{at, from, end, weighed, work};
  const bool done = root_->leaf ? TallyLeaf(root_, true, all_.newest <= at, &tally)
                                : TallyPage(root_, true, nullptr, &tally);
  *sum += tally.sum;
  return done;
}

CountedTree::Cursor CountedTree::SkipWeightless(absl::string_view key, int64_t at,
                                                Work* work) const {
  work->SpendFind();
  Path path = Descend(key);
  int level = path.depth - 1;
  Page* leaf = path.page[level];
  if (path.slot[level] < leaf->count &&
      (level == 0 || !Weightless(path.page[level - 1], path.slot[level - 1], at))) {
    return Cursor(leaf, path.slot[level]);
  }
  // Up, until something on the right is left; then down to its first leaf. Or, once that takes
  // long, to the leaf that is next.
  int pages = 0;
  for (--level; level >= 0;) {
    Page* const page = path.page[level];
    const bool skips = ++pages <= kPagesSkipped;
    if (skips) work->Spend(kInnerPageCost);
    int slot = path.slot[level] + 1;
    while (skips && slot < page->count && Weightless(page, slot, at)) ++slot;
    if (slot == page->count) {
      --level;
      continue;
    }
    path.slot[level] = slot;
    Page* const child = ChildOf(page, slot);
    if (child->leaf) return Cursor(child, 0);
    path.page[++level] = child;
    path.slot[level] = -1;
  }
  return Cursor(nullptr, 0);
}

CountedTree::Cursor CountedTree::SkipWeightlessBefore(absl::string_view key, int64_t at,
                                                      Work* work) const {
  work->SpendFind();
  Path path = Descend(key);
  int level = path.depth - 1;
  Page* leaf = path.page[level];
  if (path.slot[level] > 0 &&
      (level == 0 || !Weightless(path.page[level - 1], path.slot[level - 1], at))) {
    return Cursor(leaf, path.slot[level] - 1);
  }
  int pages = 0;
  for (--level; level >= 0;) {
    Page* const page = path.page[level];
    const bool skips = ++pages <= kPagesSkipped;
    if (skips) work->Spend(kInnerPageCost);
    int slot = path.slot[level] - 1;
    while (skips && slot >= 0 && Weightless(page, slot, at)) --slot;
    if (slot < 0) {
      --level;
      continue;
    }
    path.slot[level] = slot;
    Page* const child = ChildOf(page, slot);
    if (child->leaf) return Cursor(child, child->count - 1);
    path.page[++level] = child;
    path.slot[level] = child->count;
  }
  return Cursor(nullptr, 0);
}

}  // namespace quorate::mvcc
