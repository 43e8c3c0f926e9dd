#include "engine/mvcc/counted_tree.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "base/check.h"
#include "base/coding.h"

namespace quorate::mvcc {
namespace tree_internal {

constexpr size_t kPageBytes = 4096;
// The longest key that lies in a page: at least seven such entries fit.
constexpr size_t kMaxInlineKey = 512;
constexpr uint16_t kLongKey = 0xffff;
// A key that is not kept in its page takes one of these there.
constexpr size_t kPointerBytes = sizeof(void*);

// Of giving back a leaf with what is in it, in units of work.
constexpr uint64_t kReleaseCost = 4;

// Slots (16-bit offsets, in key order) grow up from the front of `bytes`, entries down
// from its end. An entry is
//   leaf:  u16 key size, u64 word, key
//   inner: u16 key size, u64 child, u64 weight below the child, key
// A key size of kLongKey means that `key` is a pointer to a LongKey.
// The key of an inner entry is a lower bound of all keys below its child, and an upper
// bound of all keys below the child before; that of slot 0 is never looked at.
struct Page {
  Page* prev;
  Page* next;
  uint16_t count;
  uint16_t heap;     // where the lowest entry begins
  uint16_t garbage;  // bytes of removed entries above `heap`
  bool leaf;
  char bytes[kPageBytes - 24];
};
static_assert(sizeof(Page) == kPageBytes);

struct LongKey {
  size_t size;
  char* data() { return reinterpret_cast<char*>(this + 1); }
};

namespace {

constexpr size_t kBytes = sizeof(Page::bytes);

size_t PayloadBytes(const Page* page) { return page->leaf ? 8 : 16; }

uint16_t SlotAt(const Page* page, int slot) {
  uint16_t v;
  std::memcpy(&v, page->bytes + 2 * slot, 2);
  return v;
}
void SetSlot(Page* page, int slot, size_t offset) {
  const auto v = static_cast<uint16_t>(offset);
  std::memcpy(page->bytes + 2 * slot, &v, 2);
}
char* EntryAt(Page* page, int slot) { return page->bytes + SlotAt(page, slot); }
const char* EntryAt(const Page* page, int slot) { return page->bytes + SlotAt(page, slot); }

uint16_t KeySizeField(const char* entry) {
  uint16_t v;
  std::memcpy(&v, entry, 2);
  return v;
}

LongKey* LongKeyOf(const Page* page, const char* entry) {
  LongKey* key;
  std::memcpy(&key, entry + 2 + PayloadBytes(page), kPointerBytes);
  return key;
}

absl::string_view KeyAt(const Page* page, int slot) {
  const char* entry = EntryAt(page, slot);
  const uint16_t size = KeySizeField(entry);
  if (size == kLongKey) {
    LongKey* key = LongKeyOf(page, entry);
    return absl::string_view(key->data(), key->size);
  }
  return absl::string_view(entry + 2 + PayloadBytes(page), size);
}

size_t EntryBytes(const Page* page, const char* entry) {
  const uint16_t size = KeySizeField(entry);
  return 2 + PayloadBytes(page) + (size == kLongKey ? kPointerBytes : size);
}
size_t BytesForKey(const Page* page, absl::string_view key) {
  return 2 + PayloadBytes(page) + (key.size() > kMaxInlineKey ? kPointerBytes : key.size());
}

uint64_t WordOf(const Page* page, int slot) { return LoadLe64(EntryAt(page, slot) + 2); }
void SetWord(Page* page, int slot, uint64_t word) { StoreLe64(EntryAt(page, slot) + 2, word); }
Page* ChildOf(const Page* page, int slot) {
  return reinterpret_cast<Page*>(static_cast<uintptr_t>(WordOf(page, slot)));
}
uint64_t ChildWord(const Page* child) {
  return static_cast<uint64_t>(reinterpret_cast<uintptr_t>(child));
}
uint64_t CountOf(const Page* page, int slot) {
  return page->leaf ? WordOf(page, slot) & 1 : LoadLe64(EntryAt(page, slot) + 10);
}
void SetCount(Page* page, int slot, uint64_t count) { StoreLe64(EntryAt(page, slot) + 10, count); }

uint64_t WeightOfSlots(const Page* page, int end) {
  uint64_t sum = 0;
  for (int i = 0; i < end; ++i) sum += CountOf(page, i);
  return sum;
}
uint64_t Weight(const Page* page) { return WeightOfSlots(page, page->count); }

size_t SlotsEnd(const Page* page) { return 2 * size_t{page->count}; }
size_t UsedBytes(const Page* page) { return SlotsEnd(page) + kBytes - page->heap - page->garbage; }
bool FitsNow(const Page* page, size_t bytes) { return page->heap >= SlotsEnd(page) + 2 + bytes; }
bool FitsCompacted(const Page* page, size_t bytes) { return UsedBytes(page) + 2 + bytes <= kBytes; }

// The first slot from `from` on whose key is not less than `key`.
int LowerBoundSlot(const Page* page, absl::string_view key, int from, bool* equal) {
  int low = from;
  int high = page->count;
  *equal = false;
  while (low < high) {
    const int middle = (low + high) / 2;
    const int order = KeyAt(page, middle).compare(key);
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
      if (order == 0) *equal = true;
    }
  }
  return low;
}

// The child of an inner page under which `key` belongs.
int ChildSlot(const Page* page, absl::string_view key) {
  bool equal = false;
  const int slot = LowerBoundSlot(page, key, 1, &equal);
  return equal ? slot : slot - 1;
}

}  // namespace
}  // namespace tree_internal

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

uint64_t CountedTree::WordAt(const Path& path) {
  CHECK(path.found);
  return WordOf(path.page[path.depth - 1], path.slot[path.depth - 1]);
}

void CountedTree::Assign(const Path& path, uint64_t word) {
  const uint64_t before = WordAt(path);
  SetWord(path.page[path.depth - 1], path.slot[path.depth - 1], word);
  const uint64_t delta = (word & 1) - (before & 1);  // modulo 2^64
  if (delta == 0) return;
  for (int i = 0; i + 1 < path.depth; ++i) {
    SetCount(path.page[i], path.slot[i], CountOf(path.page[i], path.slot[i]) + delta);
  }
}

void CountedTree::AddEntry(Page* page, int slot, absl::string_view key, uint64_t word,
                           uint64_t count) {
  const size_t bytes = BytesForKey(page, key);
  if (!FitsNow(page, bytes)) Compact(page);
  CHECK(FitsNow(page, bytes));
  page->heap = static_cast<uint16_t>(page->heap - bytes);
  char* entry = page->bytes + page->heap;
  const bool is_long = key.size() > kMaxInlineKey;
  const uint16_t size_field = is_long ? kLongKey : static_cast<uint16_t>(key.size());
  std::memcpy(entry, &size_field, 2);
  StoreLe64(entry + 2, word);
  if (!page->leaf) StoreLe64(entry + 10, count);
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
                         uint64_t count) {
  Page* right = NewPage(page->leaf);
  if (page->leaf) {
    right->next = page->next;
    right->prev = page;
    if (page->next != nullptr) page->next->prev = right;
    page->next = right;
  }
  // Keys that arrive in ascending order leave full pages behind.
  if (page->leaf && slot == page->count && right->next == nullptr) {
    AddEntry(right, 0, key, word, count);
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
    AddEntry(page, slot, key, word, count);
  } else {
    AddEntry(right, slot - begin, key, word, count);
  }
  return right;
}

void CountedTree::GrowRoot(Page* right) {
  Page* root = NewPage(/*leaf=*/false);
  AddEntry(root, 0, absl::string_view(), ChildWord(root_), Weight(root_));
  AddEntry(root, 1, KeyAt(right, 0), ChildWord(right), Weight(right));
  root_ = root;
}

void CountedTree::Insert(Path& path, absl::string_view key, uint64_t word) {
  CHECK(!path.found);
  ++size_;
  const uint64_t weight = word & 1;
  uint64_t count = 0;
  for (int level = path.depth - 1;; --level) {
    Page* page = path.page[level];
    const int slot = path.slot[level];
    if (FitsCompacted(page, BytesForKey(page, key))) {
      AddEntry(page, slot, key, word, count);
      for (int i = 0; i < level; ++i) {
        SetCount(path.page[i], path.slot[i], CountOf(path.page[i], path.slot[i]) + weight);
      }
      return;
    }
    Page* right = Split(page, slot, key, word, count);
    if (level == 0) return GrowRoot(right);
    SetCount(path.page[level - 1], path.slot[level - 1], Weight(page));
    ++path.slot[level - 1];  // where the new page's entry goes
    key = KeyAt(right, 0);
    word = ChildWord(right);
    count = Weight(right);
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

void CountedTree::Appender::Append(absl::string_view key, uint64_t word) {
  if (end_.depth == 0) end_ = tree_->End();
  const Page* leaf = end_.page[end_.depth - 1];
  if (leaf->count > 0) CHECK(KeyAt(leaf, leaf->count - 1) < key);
  tree_->Insert(end_, key, word);
  ++end_.slot[end_.depth - 1];
  if (leaf->next != nullptr) Reset();  // it was full
}

void CountedTree::Erase(Path& path) {
  const uint64_t weight = WordAt(path) & 1;
  --size_;
  for (int i = 0; i + 1 < path.depth; ++i) {
    SetCount(path.page[i], path.slot[i], CountOf(path.page[i], path.slot[i]) - weight);
  }
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
    AddEntry(left, begin + i, key, WordOf(right, i), CountOf(right, i));
  }
  SetCount(parent, left_slot, Weight(left));
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

uint64_t CountedTree::weight() const { return Weight(root_); }

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
    CHECK_EQ(CountOf(page, i), Weight(ChildOf(page, i)));
  }
}

}  // namespace

void CountedTree::CheckInvariants() const {
  Found found;
  CheckPage(root_, absl::string_view(), nullptr, &found);
  CHECK_EQ(found.entries, size_);
  if (found.last_leaf != nullptr) CHECK(found.last_leaf->next == nullptr);
}

}  // namespace quorate::mvcc
