#include "engine/mvcc/counted_tree.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include "base/check.h"
#include "engine/mvcc/tree_page.h"

namespace quorate::mvcc {
namespace {

// Of giving back a leaf with what is in it, in units of work.
constexpr uint64_t kReleaseCost = 4;

}  // namespace

using namespace tree_internal;  // NOLINT: the pages are this file's own

absl::string_view CountedTree::Cursor::key() const { return KeyAt(page_, slot_); }
uint64_t CountedTree::Cursor::word() const { return WordOf(page_, slot_); }

void CountedTree::Cursor::Next() {
  if (++slot_ < page_->count) return;
  page_ = page_->next;
  slot_ = 0;
}

void CountedTree::Cursor::Prev() {
  if (--slot_ >= 0) return;
  page_ = page_->prev;
  slot_ = page_ == nullptr ? 0 : page_->count - 1;
}

CountedTree::CountedTree() : root_(nullptr) { root_ = NewPage(/*leaf=*/true); }
CountedTree::~CountedTree() { FreeSubtree(root_); }

Page* CountedTree::NewPage(bool leaf) {
  Page* page = static_cast<Page*>(::operator new(sizeof(Page)));
  page->prev = nullptr;
  page->next = nullptr;
  page->count = 0;
  page->heap = static_cast<uint16_t>(kBytes);
  page->garbage = 0;
  page->leaf = leaf;
  allocated_bytes_ += sizeof(Page);
  return page;
}

void CountedTree::FreePage(Page* page) {
  allocated_bytes_ -= sizeof(Page);
  ::operator delete(page);
}

void CountedTree::FreeSubtree(Page* page) {
  while (page->count > 0) {
    if (!page->leaf) FreeSubtree(ChildOf(page, page->count - 1));
    RemoveEntry(page, page->count - 1);
  }
  FreePage(page);
}

// Leaf by leaf, from the last one on, with the inner pages that have no child left.
bool CountedTree::Release(Work* work) {
  while (!root_->leaf && root_->count > 0) {
    if (work->spent()) return false;
    Page* parent = root_;
    Page* page = ChildOf(parent, parent->count - 1);
    while (!page->leaf && page->count > 0) {
      parent = page;
      page = ChildOf(page, page->count - 1);
    }
    work->Spend(kReleaseCost);
    FreeSubtree(page);
    RemoveEntry(parent, parent->count - 1);
  }
  return true;
}

CountedTree::Path CountedTree::Descend(absl::string_view key) const {
  Path path;
  Page* page = root_;
  while (!page->leaf) {
    CHECK_LT(path.depth, kMaxDepth - 1);
    const int slot = ChildSlot(page, key);
    path.page[path.depth] = page;
    path.slot[path.depth++] = slot;
    page = ChildOf(page, slot);
  }
  path.page[path.depth] = page;
  path.slot[path.depth++] = LowerBoundSlot(page, key, 0, &path.found);
  return path;
}

void CountedTree::Prefetch(std::span<const absl::string_view> keys, uint64_t* words) const {
  // A binary search in a page, by the rules of LowerBoundSlot and ChildSlot.
  struct Look {
    const Page* page;
    int low;
    int high;
    int equal = -1;
  };
  std::vector<Look> looks(keys.size(), Look{root_, root_->leaf ? 0 : 1, root_->count});
  std::vector<size_t> under_way(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    under_way[i] = i;
    words[i] = 0;
  }
  const auto ended = [&](size_t i) {
    Look& look = looks[i];
    if (look.low < look.high) {
      const int middle = (look.low + look.high) / 2;
      const int order = KeyAt(look.page, middle).compare(keys[i]);
      if (order < 0) {
        look.low = middle + 1;
      } else {
        look.high = middle;
        if (order == 0) look.equal = middle;
      }
    } else if (look.page->leaf) {
      if (look.equal >= 0) words[i] = WordOf(look.page, look.equal);
      return true;
    } else {
      const Page* const child = ChildOf(look.page, look.equal >= 0 ? look.equal : look.low - 1);
      __builtin_prefetch(child);
      look = {child, -1, -1};  // to be begun once it is there
      return false;
    }
    if (look.low < look.high) {
      __builtin_prefetch(EntryAt(look.page, (look.low + look.high) / 2));
    }
    return false;
  };
  while (!under_way.empty()) {
    std::erase_if(under_way, [&](size_t i) {
      Look& look = looks[i];
      if (look.low >= 0) return ended(i);
      look = {look.page, look.page->leaf ? 0 : 1, look.page->count};
      __builtin_prefetch(look.page->bytes + look.page->count);  // the slot in the middle
      return false;
    });
  }
}

uint64_t CountedTree::WordAt(const Path& path) {
  CHECK(path.found);
  return WordOf(path.page[path.depth - 1], path.slot[path.depth - 1]);
}

void CountedTree::Assign(const Path& path, uint64_t word, int64_t when) {
  const uint64_t before = WordAt(path);
  SetWord(path.page[path.depth - 1], path.slot[path.depth - 1], word);
  const uint64_t delta = (word & 1) - (before & 1);  // modulo 2^64
  if (delta == 0) return;
  all_.Change(when, delta);
  for (int i = 0; i + 1 < path.depth; ++i) {
    Summary summary = SummaryOf(path.page[i], path.slot[i]);
    summary.Change(when, delta);
    SetSummary(path.page[i], path.slot[i], summary);
  }
}

// An entry of so much weight has come, or gone (modulo 2^64), below these levels of the path.
void CountedTree::NoteAbove(const Path& path, int levels, uint64_t delta, int64_t when, Past past) {
  const auto note = [&](Summary* summary) {
    if (past == Past::kNone) {
      summary->Change(when, delta);
    } else {
      summary->ChangePast(when, delta);
    }
  };
  note(&all_);
  for (int i = 0; i < levels; ++i) {
    Summary summary = SummaryOf(path.page[i], path.slot[i]);
    note(&summary);
    SetSummary(path.page[i], path.slot[i], summary);
  }
}

void CountedTree::AddEntry(Page* page, int slot, absl::string_view key, uint64_t word,
                           const Summary& below) {
  const size_t bytes = BytesForKey(page, key);
  if (!FitsNow(page, bytes)) Compact(page);
  CHECK(FitsNow(page, bytes));
  page->heap = static_cast<uint16_t>(page->heap - bytes);
  char* entry = page->bytes + page->heap;
  const bool is_long = key.size() > kMaxInlineKey;
  const uint16_t size_field = is_long ? kLongKey : static_cast<uint16_t>(key.size());
  std::memcpy(entry, &size_field, 2);
  StoreLe64(entry + 2, word);
  if (!page->leaf) std::memcpy(entry + 10, &below, sizeof(below));
  char* at = entry + 2 + PayloadBytes(page);
  if (is_long) {
    auto* copy = static_cast<LongKey*>(::operator new(sizeof(LongKey) + key.size()));
    copy->size = key.size();
    std::memcpy(copy->data(), key.data(), key.size());
    allocated_bytes_ += sizeof(LongKey) + key.size();
    std::memcpy(at, &copy, kPointerBytes);
  } else if (!key.empty()) {
    std::memcpy(at, key.data(), key.size());
  }
  std::memmove(page->bytes + 2 * (slot + 1), page->bytes + 2 * slot,
               2 * static_cast<size_t>(page->count - slot));
  SetSlot(page, slot, page->heap);
  ++page->count;
}

void CountedTree::RemoveEntry(Page* page, int slot) {
  const char* entry = EntryAt(page, slot);
  if (KeySizeField(entry) == kLongKey) {
    LongKey* key = LongKeyOf(page, entry);
    allocated_bytes_ -= sizeof(LongKey) + key->size;
    ::operator delete(key);
  }
  page->garbage = static_cast<uint16_t>(page->garbage + EntryBytes(page, entry));
  std::memmove(page->bytes + 2 * slot, page->bytes + 2 * (slot + 1),
               2 * static_cast<size_t>(page->count - slot - 1));
  --page->count;
}

void CountedTree::Compact(Page* page) {
  char old[kBytes];
  std::memcpy(old + page->heap, page->bytes + page->heap, kBytes - page->heap);
  size_t heap = kBytes;
  for (int i = 0; i < page->count; ++i) {
    const char* entry = old + SlotAt(page, i);
    const size_t bytes = EntryBytes(page, entry);
    heap -= bytes;
    std::memcpy(page->bytes + heap, entry, bytes);
    SetSlot(page, i, heap);
  }
  page->heap = static_cast<uint16_t>(heap);
  page->garbage = 0;
}

// Moves the entries of `page` from slot `begin` on to the empty page `to`; the long keys
// go along.
static void MoveEntries(Page* page, int begin, Page* to) {
  for (int i = begin; i < page->count; ++i) {
    const char* entry = EntryAt(page, i);
    const size_t bytes = EntryBytes(page, entry);
    to->heap = static_cast<uint16_t>(to->heap - bytes);
    std::memcpy(to->bytes + to->heap, entry, bytes);
    SetSlot(to, to->count++, to->heap);
    page->garbage = static_cast<uint16_t>(page->garbage + bytes);
  }
  page->count = static_cast<uint16_t>(begin);
}

// Makes room by a new right neighbour and adds the entry to one of the two.
Page* CountedTree::Split(Page* page, int slot, absl::string_view key, uint64_t word,
                         const Summary& below) {
  Page* right = NewPage(page->leaf);
  if (page->leaf) {
    right->next = page->next;
    right->prev = page;
    if (page->next != nullptr) page->next->prev = right;
    page->next = right;
  }
  // Keys that arrive in ascending order leave full pages behind.
  if (page->leaf && slot == page->count && right->next == nullptr) {
    AddEntry(right, 0, key, word, below);
    return right;
  }
  const size_t half = UsedBytes(page) / 2;
  size_t bytes = 0;
  int begin = 0;
  while (begin + 1 < page->count && (begin == 0 || bytes < half)) {
    bytes += 2 + EntryBytes(page, EntryAt(page, begin));
    ++begin;
  }
  MoveEntries(page, begin, right);
  if (slot <= begin) {
    AddEntry(page, slot, key, word, below);
  } else {
    AddEntry(right, slot - begin, key, word, below);
  }
  return right;
}

void CountedTree::GrowRoot(const Summary& left_below, Page* right, const Summary& right_below) {
  Page* root = NewPage(/*leaf=*/false);
  AddEntry(root, 0, absl::string_view(), ChildWord(root_), left_below);
  AddEntry(root, 1, KeyAt(right, 0), ChildWord(right), right_below);
  root_ = root;
}

void CountedTree::InsertAt(Path& path, absl::string_view key, uint64_t word, int64_t when,
                           Past past) {
  CHECK(!path.found);
  ++size_;
  const uint64_t weight = word & 1;
  Summary below;  // of the entry that is added
  for (int level = path.depth - 1;; --level) {
    Page* page = path.page[level];
    const int slot = path.slot[level];
    if (FitsCompacted(page, BytesForKey(page, key))) {
      AddEntry(page, slot, key, word, below);
      return NoteAbove(path, level, weight, when, past);
    }
    Summary left = level == 0 ? all_ : SummaryOf(path.page[level - 1], path.slot[level - 1]);
    Page* right = Split(page, slot, key, word, below);
    below = Summary();
    if (!page->leaf) {
      left = Sum(page);
      below = Sum(right);
    } else if (right->count == 1 && slot == page->count) {
      // The new entry alone is on the right.
      below.weight = weight;
      below.newest = when;
      if (past != Past::kNone) below.previous = when;
    } else {
      left.newest = below.newest = std::max(left.newest, when);
      left.previous = below.previous = left.newest;
      left.weight = Weight(page);
      below.weight = Weight(right);
    }
    if (level == 0) {
      GrowRoot(left, right, below);
      return NoteAbove(path, 0, weight, when, past);
    }
    SetSummary(path.page[level - 1], path.slot[level - 1], left);
    ++path.slot[level - 1];  // where the new page's entry goes
    key = KeyAt(right, 0);
    word = ChildWord(right);
  }
}

CountedTree::Path CountedTree::End() const {
  Path path;
  Page* page = root_;
  for (; !page->leaf; page = ChildOf(page, page->count - 1)) {
    CHECK_LT(path.depth, kMaxDepth - 1);
    path.page[path.depth] = page;
    path.slot[path.depth++] = page->count - 1;
  }
  path.page[path.depth] = page;
  path.slot[path.depth++] = page->count;
  return path;
}

void CountedTree::Appender::Append(absl::string_view key, uint64_t word, int64_t when) {
  if (end_.depth == 0) end_ = tree_->End();
  const Page* leaf = end_.page[end_.depth - 1];
  if (leaf->count > 0) CHECK(KeyAt(leaf, leaf->count - 1) < key);
  tree_->InsertAt(end_, key, word, when, Past::kUnknown);
  ++end_.slot[end_.depth - 1];
  if (leaf->next != nullptr) Reset();  // it was full
}

void CountedTree::Erase(Path& path) {
  const uint64_t weight = WordAt(path) & 1;
  --size_;
  if (weight != 0) NoteAbove(path, path.depth - 1, -weight, 0, Past::kUnknown);
  RemoveEntry(path.page[path.depth - 1], path.slot[path.depth - 1]);
  for (int level = path.depth - 1; level > 0; --level) {
    Page* page = path.page[level];
    if (page->count > 0) {
      TryMerge(path, level);
      continue;
    }
    if (page->prev != nullptr) page->prev->next = page->next;
    if (page->next != nullptr) page->next->prev = page->prev;
    RemoveEntry(path.page[level - 1], path.slot[level - 1]);
    FreePage(page);
  }
  while (!root_->leaf && root_->count == 1) {
    Page* child = ChildOf(root_, 0);
    RemoveEntry(root_, 0);
    FreePage(root_);
    root_ = child;
  }
  if (!root_->leaf && root_->count == 0) {
    FreePage(root_);
    root_ = NewPage(/*leaf=*/true);
  }
}

// Joins a page that became rather empty with a neighbour under the same parent.
void CountedTree::TryMerge(Path& path, int level) {
  const Page* page = path.page[level];
  if (UsedBytes(page) >= kBytes / 4) return;
  Page* parent = path.page[level - 1];
  const int slot = path.slot[level - 1];
  if (slot + 1 < parent->count) {
    MergeRightInto(parent, slot);
  } else if (slot > 0) {
    MergeRightInto(parent, slot - 1);
  }
}

void CountedTree::MergeRightInto(Page* parent, int left_slot) {
  Page* left = ChildOf(parent, left_slot);
  Page* right = ChildOf(parent, left_slot + 1);
  const absl::string_view bound = KeyAt(parent, left_slot + 1);
  const size_t bytes = UsedBytes(left) + UsedBytes(right) + bound.size();
  if (bound.size() > kMaxInlineKey || bytes > kBytes * 3 / 4) return;
  const int begin = left->count;
  for (int i = 0; i < right->count; ++i) {
    // An inner page's first key is no bound: the parent's is.
    const absl::string_view key = !right->leaf && i == 0 ? bound : KeyAt(right, i);
    AddEntry(left, begin + i, key, WordOf(right, i), right->leaf ? Summary() : SummaryOf(right, i));
  }
  Summary both = SummaryOf(parent, left_slot);
  both.Add(SummaryOf(parent, left_slot + 1));
  SetSummary(parent, left_slot, both);
  if (left->leaf) {
    left->next = right->next;
    if (right->next != nullptr) right->next->prev = left;
  }
  RemoveEntry(parent, left_slot + 1);
  while (right->count > 0) RemoveEntry(right, right->count - 1);
  FreePage(right);
}

CountedTree::Cursor CountedTree::LowerBound(absl::string_view key) const {
  const Path path = Descend(key);
  Page* page = path.page[path.depth - 1];
  const int slot = path.slot[path.depth - 1];
  if (slot < page->count) return Cursor(page, slot);
  return Cursor(page->next, 0);
}

CountedTree::Cursor CountedTree::Before(absl::string_view key) const {
  const Path path = Descend(key);
  Cursor cursor(path.page[path.depth - 1], path.slot[path.depth - 1]);
  cursor.Prev();
  return cursor;
}

CountedTree::Cursor CountedTree::Last() const {
  Page* page = root_;
  while (!page->leaf) page = ChildOf(page, page->count - 1);
  Cursor cursor(page, page->count);
  cursor.Prev();
  return cursor;
}

uint64_t CountedTree::WeightBefore(absl::string_view key) const {
  const Path path = Descend(key);
  uint64_t sum = 0;
  for (int i = 0; i < path.depth; ++i) sum += WeightOfSlots(path.page[i], path.slot[i]);
  return sum;
}

uint64_t CountedTree::weight() const { return all_.weight; }

namespace {

struct Found {
  uint64_t entries = 0;
  Page* last_leaf = nullptr;
};

void CheckPage(const Page* page, absl::string_view low, const absl::string_view* high,
               Found* found) {
  CHECK_LE(SlotsEnd(page), size_t{page->heap});
  size_t entries_bytes = 0;
  for (int i = 0; i < page->count; ++i) {
    entries_bytes += EntryBytes(page, EntryAt(page, i));
    if (!page->leaf && i == 0) continue;
    const absl::string_view key = KeyAt(page, i);
    CHECK(key >= low);
    if (high != nullptr) CHECK(key < *high);
    if (i > (page->leaf ? 0 : 1)) CHECK(KeyAt(page, i - 1) < key);
  }
  CHECK_EQ(entries_bytes + page->garbage, kBytes - page->heap);
  if (page->leaf) {
    CHECK(page->prev == found->last_leaf);
    if (found->last_leaf != nullptr) CHECK(found->last_leaf->next == page);
    found->last_leaf = const_cast<Page*>(page);
    found->entries += page->count;
    return;
  }
  for (int i = 0; i < page->count; ++i) {
    const absl::string_view child_low = i == 0 ? low : KeyAt(page, i);
    const absl::string_view next = i + 1 < page->count ? KeyAt(page, i + 1) : absl::string_view();
    CHECK(ChildOf(page, i)->count > 0);
    CheckPage(ChildOf(page, i), child_low, i + 1 < page->count ? &next : high, found);
    CHECK_EQ(WeightOf(page, i), Weight(ChildOf(page, i)));
    CHECK_LE(SummaryOf(page, i).previous, SummaryOf(page, i).newest);
  }
}

}  // namespace

void CountedTree::CheckInvariants() const {
  Found found;
  CheckPage(root_, absl::string_view(), nullptr, &found);
  CHECK_EQ(found.entries, size_);
  CHECK_EQ(all_.weight, Weight(root_));
  if (found.last_leaf != nullptr) CHECK(found.last_leaf->next == nullptr);
}

}  // namespace quorate::mvcc
