#include "engine/mvcc/key_runs.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/coding.h"

namespace quorate::mvcc {
namespace {

// A packed record: offset, revision since the run's first, size of the key, 32 bits each, and
// flags, 8 bits; then the key.
constexpr size_t kOffsetAt = 0;
constexpr size_t kMainAt = 4;
constexpr size_t kKeySizeAt = 8;
constexpr size_t kFlagsAt = 12;
constexpr size_t kHeadBytes = 13;
// Of giving a run back, in units of work.
constexpr uint64_t kReleaseCost = 20;
constexpr char kTombstone = 1;
constexpr char kLeased = 2;

// Eight bytes from `from` on, zeros behind the end, as a number that orders as they do.
uint64_t WordAt(absl::string_view key, size_t from) {
  if (key.size() - from >= 8) return LoadBe64(key.data() + from);
  char bytes[8] = {};
  std::memcpy(bytes, key.data() + from, key.size() - from);
  return LoadBe64(bytes);
}

// Of the packed record that begins there.
absl::string_view KeyAt(const std::string& bytes, size_t at) {
  const char* const head = bytes.data() + at;
  return absl::string_view(head + kHeadBytes, LoadLe32(head + kKeySizeAt));
}

size_t CommonSize(absl::string_view a, absl::string_view b) {
  const size_t most = std::min(a.size(), b.size());
  size_t size = 0;
  while (size + 8 <= most && LoadLe64(a.data() + size) == LoadLe64(b.data() + size)) size += 8;
  while (size < most && a[size] == b[size]) ++size;
  return size;
}

}  // namespace

void KeyRuns::NoteCommon(absl::string_view key) {
  if (!common_.has_value()) common_.emplace(key.data(), key.size());
  common_->resize(CommonSize(*common_, key));
}

KeyRuns::Run KeyRuns::Sort(const std::vector<RevisionLog::Adopted>& records) {
  Run run;
  if (records.empty()) return run;
  const absl::string_view some_key = records.front().key;
  size_t common = some_key.size();
  size_t bytes = 0;
  for (const RevisionLog::Adopted& record : records) {
    common = std::min(common, CommonSize(record.key, some_key));
    bytes += kHeadBytes + record.key.size();
  }
  std::vector<Sorted> order;
  order.reserve(records.size());
  for (uint32_t i = 0; i < records.size(); ++i) {
    order.push_back({WordAt(records[i].key, common), i});
  }
  std::sort(order.begin(), order.end(), [&records](const Sorted& a, const Sorted& b) {
    if (a.word != b.word) return a.word < b.word;
    const int by_key = records[a.at].key.compare(records[b.at].key);
    return by_key != 0 ? by_key < 0 : a.at < b.at;
  });
  run.first = records.front().main;
  run.bytes.resize(bytes);
  char* at = run.bytes.data();
  for (const Sorted& sorted : order) {
    const RevisionLog::Adopted& record = records[sorted.at];
    const int64_t since = record.main - run.first;
    CHECK(since >= 0);
    CHECK(since <= int64_t{UINT32_MAX});
    run.last = static_cast<size_t>(at - run.bytes.data());
    StoreLe32(at + kOffsetAt, record.offset);
    StoreLe32(at + kMainAt, static_cast<uint32_t>(since));
    StoreLe32(at + kKeySizeAt, static_cast<uint32_t>(record.key.size()));
    at[kFlagsAt] =
        static_cast<char>((record.tombstone ? kTombstone : 0) | (record.leased ? kLeased : 0));
    std::memcpy(at + kHeadBytes, record.key.data(), record.key.size());
    at += kHeadBytes + record.key.size();
  }
  return run;
}

void KeyRuns::Add(uint64_t segment, Run run) {
  CHECK(!merging_);
  if (run.bytes.empty()) return;
  // All other keys of the run lie between these two.
  NoteCommon(KeyAt(run.bytes, 0));
  NoteCommon(KeyAt(run.bytes, run.last));
  Source& source = runs_.emplace_back();
  source.segment = segment;
  source.run = std::move(run);
}

// Takes the next record as the run's head.
void KeyRuns::Advance(Source* source) const {
  const std::string& bytes = source->run.bytes;
  source->at = source->next;
  if (source->at == bytes.size()) {
    source->key = {};
    return;
  }
  source->key = KeyAt(bytes, source->at);
  source->word = WordAt(source->key, common_->size());
  source->next = source->at + kHeadBytes + source->key.size();
  // It will be wanted when all other runs have had their turn.
  if (source->next < bytes.size()) __builtin_prefetch(bytes.data() + source->next);
}

// No key is empty: a run without a head comes last.
bool KeyRuns::Before(uint32_t a, uint32_t b) const {
  const Source& first = runs_[a];
  const Source& second = runs_[b];
  if (first.key.empty() || second.key.empty()) return !first.key.empty();
  if (first.word != second.word) return first.word < second.word;
  const int order = first.key.compare(second.key);
  return order != 0 ? order < 0 : a < b;
}

void KeyRuns::BeginMerge() {
  merging_ = true;
  for (Source& source : runs_) Advance(&source);
  const auto count = static_cast<uint32_t>(runs_.size());
  losers_.resize(count);
  std::vector<uint32_t> winners(2 * size_t{count});
  for (uint32_t i = 0; i < count; ++i) winners[count + i] = i;
  for (uint32_t i = count - 1; i > 0; --i) {
    const uint32_t left = winners[2 * size_t{i}];
    const uint32_t right = winners[2 * size_t{i} + 1];
    const bool left_wins = Before(left, right);
    winners[i] = left_wins ? left : right;
    losers_[i] = left_wins ? right : left;
  }
  winner_ = count == 1 ? 0 : winners[1];
}

bool KeyRuns::Next(Item* item) {
  if (runs_.empty()) return false;
  if (!merging_) BeginMerge();
  if (used_up_.has_value()) runs_[*std::exchange(used_up_, std::nullopt)].run.bytes = std::string();
  Source& source = runs_[winner_];
  if (source.key.empty()) return false;
  const char* const head = source.run.bytes.data() + source.at;
  *item = {source.key, source.run.first + LoadLe32(head + kMainAt),
           Location(source.segment, LoadLe32(head + kOffsetAt)), (head[kFlagsAt] & kTombstone) != 0,
           (head[kFlagsAt] & kLeased) != 0};
  if (source.next == source.run.bytes.size()) used_up_ = winner_;
  Advance(&source);
  for (size_t i = (runs_.size() + winner_) / 2; i > 0; i /= 2) {
    if (Before(losers_[i], winner_)) std::swap(losers_[i], winner_);
  }
  return true;
}

bool KeyRuns::Release(Work* work) {
  for (; !runs_.empty(); runs_.pop_back()) {
    if (work->spent()) return false;
    work->Spend(kReleaseCost);
  }
  return true;
}

}  // namespace quorate::mvcc
