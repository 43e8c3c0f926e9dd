// The pages of a CountedTree, and what is read and written in one. For counted_tree*.cc alone.
#ifndef QUORATE_ENGINE_MVCC_TREE_PAGE_H_
#define QUORATE_ENGINE_MVCC_TREE_PAGE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/strings/string_view.h"
#include "base/coding.h"
#include "engine/mvcc/counted_tree.h"

namespace quorate::mvcc::tree_internal {

constexpr size_t kPageBytes = 4096;
// The longest key that lies in a page: at least seven such entries fit.
constexpr size_t kMaxInlineKey = 512;
constexpr uint16_t kLongKey = 0xffff;
// A key that is not kept in its page takes one of these there.
constexpr size_t kPointerBytes = sizeof(void*);

// Slots (16-bit offsets, in key order) grow up from the front of `bytes`, entries down
// from its end. An entry is
//   leaf:  u16 key size, u64 word, key
//   inner: u16 key size, u64 child, Summary of what is below the child, key
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

constexpr size_t kBytes = sizeof(Page::bytes);

inline size_t PayloadBytes(const Page* page) { return page->leaf ? 8 : 8 + sizeof(Summary); }

inline uint16_t SlotAt(const Page* page, int slot) {
  uint16_t v;
  std::memcpy(&v, page->bytes + 2 * slot, 2);
  return v;
}
inline void SetSlot(Page* page, int slot, size_t offset) {
  const auto v = static_cast<uint16_t>(offset);
  std::memcpy(page->bytes + 2 * slot, &v, 2);
}
inline char* EntryAt(Page* page, int slot) { return page->bytes + SlotAt(page, slot); }
inline const char* EntryAt(const Page* page, int slot) { return page->bytes + SlotAt(page, slot); }

inline uint16_t KeySizeField(const char* entry) {
  uint16_t v;
  std::memcpy(&v, entry, 2);
  return v;
}

inline LongKey* LongKeyOf(const Page* page, const char* entry) {
  LongKey* key;
  std::memcpy(&key, entry + 2 + PayloadBytes(page), kPointerBytes);
  return key;
}

inline absl::string_view KeyAt(const Page* page, int slot) {
  const char* entry = EntryAt(page, slot);
  const uint16_t size = KeySizeField(entry);
  if (size == kLongKey) {
    LongKey* key = LongKeyOf(page, entry);
    return absl::string_view(key->data(), key->size);
  }
  return absl::string_view(entry + 2 + PayloadBytes(page), size);
}

inline size_t EntryBytes(const Page* page, const char* entry) {
  const uint16_t size = KeySizeField(entry);
  return 2 + PayloadBytes(page) + (size == kLongKey ? kPointerBytes : size);
}
inline size_t BytesForKey(const Page* page, absl::string_view key) {
  return 2 + PayloadBytes(page) + (key.size() > kMaxInlineKey ? kPointerBytes : key.size());
}

inline uint64_t WordOf(const Page* page, int slot) { return LoadLe64(EntryAt(page, slot) + 2); }
inline void SetWord(Page* page, int slot, uint64_t word) {
  StoreLe64(EntryAt(page, slot) + 2, word);
}
inline Page* ChildOf(const Page* page, int slot) {
  return reinterpret_cast<Page*>(static_cast<uintptr_t>(WordOf(page, slot)));
}
inline uint64_t ChildWord(const Page* child) {
  return static_cast<uint64_t>(reinterpret_cast<uintptr_t>(child));
}
// Of an inner page.
inline Summary SummaryOf(const Page* page, int slot) {
  Summary summary;
  std::memcpy(&summary, EntryAt(page, slot) + 10, sizeof(summary));
  return summary;
}
inline void SetSummary(Page* page, int slot, const Summary& summary) {
  std::memcpy(EntryAt(page, slot) + 10, &summary, sizeof(summary));
}

inline uint64_t WeightOf(const Page* page, int slot) {
  return page->leaf ? WordOf(page, slot) & 1 : LoadLe64(EntryAt(page, slot) + 10);
}
inline uint64_t WeightOfSlots(const Page* page, int end) {
  uint64_t sum = 0;
  for (int i = 0; i < end; ++i) sum += WeightOf(page, i);
  return sum;
}
inline uint64_t Weight(const Page* page) { return WeightOfSlots(page, page->count); }
// Of all that is below an inner page.
inline Summary Sum(const Page* page) {
  Summary sum = SummaryOf(page, 0);
  for (int i = 1; i < page->count; ++i) sum.Add(SummaryOf(page, i));
  return sum;
}

inline size_t SlotsEnd(const Page* page) { return 2 * size_t{page->count}; }
inline size_t UsedBytes(const Page* page) {
  return SlotsEnd(page) + kBytes - page->heap - page->garbage;
}
inline bool FitsNow(const Page* page, size_t bytes) {
  return page->heap >= SlotsEnd(page) + 2 + bytes;
}
inline bool FitsCompacted(const Page* page, size_t bytes) {
  return UsedBytes(page) + 2 + bytes <= kBytes;
}

// The first slot from `from` on whose key is not less than `key`.
inline int LowerBoundSlot(const Page* page, absl::string_view key, int from, bool* equal) {
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
inline int ChildSlot(const Page* page, absl::string_view key) {
  bool equal = false;
  const int slot = LowerBoundSlot(page, key, 1, &equal);
  return equal ? slot : slot - 1;
}

}  // namespace quorate::mvcc::tree_internal

#endif  // QUORATE_ENGINE_MVCC_TREE_PAGE_H_
