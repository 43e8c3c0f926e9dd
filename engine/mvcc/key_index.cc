#include "engine/mvcc/key_index.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/check.h"

namespace quorate::mvcc {
namespace {

// A word of the tree: bit 0 = the key is live (its weight); bit 1 = the rest is the
// number of a list, else the place of the only record. Bit 2 of a list's word is set so
// that no word is ever 0; a single live record sets bit 0, and a single tombstone says so
// by bit 63, which no place reaches.
constexpr uint64_t kLiveBit = 1;
constexpr uint64_t kListBit = 2;
constexpr uint64_t kSingleTombstone = uint64_t{1} << 63;

static_assert(kMaxSegments << Location::kOffsetBits <= uint64_t{1} << 61);

bool IsList(uint64_t word) { return (word & kListBit) != 0; }
uint32_t ListOf(uint64_t word) { return static_cast<uint32_t>(word >> 3); }
uint64_t ListWord(uint32_t list, bool live) {
  return uint64_t{list} << 3 | 4 | kListBit | (live ? kLiveBit : 0);
}
Location PlaceOf(uint64_t word) { return Location::FromPacked((word & ~kSingleTombstone) >> 2); }

}  // namespace

// ---- the versions of one key ----

size_t KeyIndex::List::CountUntil(int64_t main) const {
  size_t low = 0;
  for (size_t high = size(); low < high;) {
    const size_t middle = low + (high - low) / 2;
    if ((*this)[middle].main <= main) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

void KeyIndex::List::Append(const Packed& packed) {
  if (items_.size() == kChunk) {
    if (chunks_ == nullptr) chunks_ = std::make_unique<std::deque<std::vector<Packed>>>();
    chunks_->push_back(std::exchange(items_, {}));
  }
  items_.push_back(packed);
}

void KeyIndex::List::DropOldest(size_t count) {
  head_ += count;
  for (; chunked() > 0 && head_ >= kChunk; head_ -= kChunk) chunks_->pop_front();
  if (chunked() > 0) return;
  chunks_.reset();
  if (head_ < items_.size() - head_) return;
  // Half or more of it is gone: give that back.
  items_ = std::vector<Packed>(items_.begin() + static_cast<ptrdiff_t>(head_), items_.end());
  head_ = 0;
}

// ---- the index ----

void KeyIndex::Swap(KeyIndex* other) {
  tree_.Swap(&other->tree_);
  std::swap(lists_, other->lists_);
  std::swap(free_lists_, other->free_lists_);
  std::swap(list_bytes_, other->list_bytes_);
}

KeyIndex::Packed KeyIndex::Pack(const Version& version) {
  return {version.main.value(), version.location.packed() << 1 | uint64_t{version.tombstone}};
}

KeyIndex::Version KeyIndex::Unpack(const Packed& packed) {
  return {Revision(packed.main), Location::FromPacked(packed.place >> 1), (packed.place & 1) != 0};
}

uint64_t KeyIndex::SingleWord(const Version& version) const {
  CHECK_LT(version.location.packed(), uint64_t{1} << 61);
  const uint64_t place = version.location.packed() << 2;
  return version.tombstone ? place | kSingleTombstone : place | kLiveBit;
}

KeyIndex::Entry KeyIndex::Find(absl::string_view key) const {
  const CountedTree::Path path = tree_.Descend(key);
  return path.found ? Entry(CountedTree::WordAt(path)) : Entry();
}

void KeyIndex::Prefetch(std::span<const absl::string_view> keys) const {
  std::vector<uint64_t> words(keys.size());
  tree_.Prefetch(keys, words.data());
  for (const uint64_t word : words) {
    if (word == 0) continue;
    log_->Prefetch(IsList(word) ? Unpack(lists_[ListOf(word)].back()).location : PlaceOf(word));
  }
}

size_t KeyIndex::Count(Entry entry) const {
  if (!entry) return 0;
  return IsList(entry.word_) ? lists_[ListOf(entry.word_)].size() : 1;
}

KeyIndex::Version KeyIndex::At(Entry entry, size_t i) const {
  if (IsList(entry.word_)) return Unpack(lists_[ListOf(entry.word_)][i]);
  CHECK_EQ(i, size_t{0});
  const Location location = PlaceOf(entry.word_);
  return {log_->Get(location).revision.main, location, !entry.live()};
}

KeyIndex::Version KeyIndex::Newest(Entry entry) const { return At(entry, Count(entry) - 1); }

std::optional<KeyIndex::Version> KeyIndex::NewestAt(Entry entry, Revision main) const {
  if (!entry) return std::nullopt;
  if (!IsList(entry.word_)) {
    const Version only = At(entry, 0);
    if (only.main > main) return std::nullopt;
    return only;
  }
  const List& list = lists_[ListOf(entry.word_)];
  // Mostly the newest one is asked for.
  if (list.back().main <= main.value()) return Unpack(list.back());
  const size_t until = list.CountUntil(main.value());
  if (until == 0) return std::nullopt;
  return Unpack(list[until - 1]);
}

void KeyIndex::AppendAt(CountedTree::Path& path, absl::string_view key, Entry before,
                        const Version& version) {
  const int64_t when = version.main.value();
  if (!before) return tree_.Insert(path, key, SingleWord(version), when);
  uint32_t number = 0;
  if (IsList(before.word_)) {
    number = ListOf(before.word_);
  } else {
    const Version only = At(before, 0);
    number = NewList();
    lists_[number].Append(Pack(only));
  }
  List& list = lists_[number];
  CHECK(list.back().main <= version.main.value());
  list_bytes_ -= list.bytes();
  list.Append(Pack(version));
  list_bytes_ += list.bytes();
  tree_.Assign(path, ListWord(number, !version.tombstone), when);
}

void KeyIndex::Loader::Append(absl::string_view key, const std::vector<Version>& versions) {
  // When it was born or died.
  size_t last = versions.size() - 1;
  while (last > 0 && versions[last].tombstone == versions[last - 1].tombstone) --last;
  const int64_t when = versions[last].main.value();
  if (versions.size() == 1) return tree_.Append(key, index_->SingleWord(versions.front()), when);
  const uint32_t number = index_->NewList();
  List& list = index_->lists_[number];
  index_->list_bytes_ -= list.bytes();
  list.Reserve(versions.size());
  for (const Version& version : versions) list.Append(Pack(version));
  index_->list_bytes_ += list.bytes();
  tree_.Append(key, ListWord(number, !versions.back().tombstone), when);
}

KeyIndex::Cursor KeyIndex::LastOf(const KeyRange& range) const {
  switch (range.kind) {
    case KeyRange::Kind::kFrom:
      return Cursor(tree_.Last());
    case KeyRange::Kind::kHalfOpen:
      return Cursor(tree_.Before(range.end));
    case KeyRange::Kind::kSingle:
      break;
  }
  return LowerBound(range.begin);
}

uint64_t KeyIndex::CountLive(const KeyRange& range) const {
  switch (range.kind) {
    case KeyRange::Kind::kSingle:
      return Find(range.begin).live() ? 1 : 0;
    case KeyRange::Kind::kFrom:
      return tree_.weight() - tree_.WeightBefore(range.begin);
    case KeyRange::Kind::kHalfOpen:
      break;
  }
  if (range.end <= range.begin) return 0;
  return tree_.WeightBefore(range.end) - tree_.WeightBefore(range.begin);
}

bool KeyIndex::CountLiveAt(const KeyRange& range, Revision at, std::string* from, Work* work,
                           uint64_t* count) const {
  if (range.kind != KeyRange::Kind::kFrom && range.end <= *from) return true;
  const auto lived = [this, at](uint64_t word) {
    const std::optional<Version> version = NewestAt(Entry(word), at);
    return version.has_value() && !version->tombstone;
  };
  const absl::string_view* const end = range.kind == KeyRange::Kind::kFrom ? nullptr : &range.end;
  return tree_.WeightAt(at.value(), from, end, lived, work, count);
}

void KeyIndex::SkipDeadBackwards(Revision at, Work* work, Cursor* cursor) const {
  if (!cursor->valid()) return;
  std::string behind(cursor->key());
  behind.push_back('\0');
  *cursor = Cursor(tree_.SkipWeightlessBefore(behind, at.value(), work));
}

size_t KeyIndex::PrunedCount(Entry entry, Revision main) const {
  size_t at_or_before = 0;
  if (IsList(entry.word_)) {
    at_or_before = lists_[ListOf(entry.word_)].CountUntil(main.value());
  } else if (At(entry, 0).main <= main) {
    at_or_before = 1;
  }
  if (at_or_before == 0) return 0;
  const Version newest = At(entry, at_or_before - 1);
  return newest.tombstone && newest.main < main ? at_or_before : at_or_before - 1;
}

void KeyIndex::DropOldest(CountedTree::Path& path, Entry entry, size_t count) {
  if (count == Count(entry)) {
    if (IsList(entry.word_)) FreeList(ListOf(entry.word_));
    return tree_.Erase(path);
  }
  const uint32_t number = ListOf(entry.word_);  // a single record is dropped whole or not
  List& list = lists_[number];
  if (list.size() - count == 1) {
    const Version rest = Unpack(list.back());
    FreeList(number);
    return tree_.Assign(path, SingleWord(rest));
  }
  list_bytes_ -= list.bytes();
  list.DropOldest(count);
  list_bytes_ += list.bytes();
}

bool KeyIndex::Relocate(absl::string_view key, Location from, Location to) {
  const CountedTree::Path path = tree_.Descend(key);
  if (!path.found) return false;
  const Entry entry(CountedTree::WordAt(path));
  if (!IsList(entry.word_)) {
    if (PlaceOf(entry.word_) != from) return false;
    tree_.Assign(path, SingleWord({Revision(), to, !entry.live()}));
    return true;
  }
  // Places of one key ascend, as its revisions do.
  List& list = lists_[ListOf(entry.word_)];
  size_t low = 0;
  for (size_t high = list.size(); low < high;) {
    const size_t middle = low + (high - low) / 2;
    if (list[middle].place >> 1 < from.packed()) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == list.size() || list[low].place >> 1 != from.packed()) return false;
  list[low].place = to.packed() << 1 | (list[low].place & 1);
  return true;
}

bool KeyIndex::Release(Work* work) {
  for (; !lists_.empty(); lists_.pop_back()) {
    if (work->spent()) return false;
    work->SpendLook();
  }
  free_lists_.clear();
  return tree_.Release(work);
}

uint32_t KeyIndex::NewList() {
  if (free_lists_.empty()) {
    lists_.emplace_back();
    list_bytes_ += sizeof(List);
    free_lists_.push_back(static_cast<uint32_t>(lists_.size() - 1));
  }
  const uint32_t number = free_lists_.back();
  free_lists_.pop_back();
  lists_[number].Begin();
  list_bytes_ += lists_[number].bytes();
  return number;
}

void KeyIndex::FreeList(uint32_t number) {
  list_bytes_ -= lists_[number].bytes();
  lists_[number] = List();
  free_lists_.push_back(number);
}

}  // namespace quorate::mvcc
