#include "engine/mvcc/store.h"

#include <utility>

#include "base/check.h"
#include "engine/mvcc/key_value.h"

namespace quorate::mvcc {

uint64_t Store::CountByIndex(const KeyRange& range, Revision at) const {
  uint64_t count = 0;
  for (auto c = index_.LowerBound(range.begin); c.valid() && range.EndsAfter(c.key()); c.Next()) {
    if (Visible(c.entry(), at).has_value()) ++count;
  }
  return count;
}

uint64_t Store::CountAt(const KeyRange& range, Revision at) const {
  if (range.single()) return Visible(range.begin, at).has_value() ? 1 : 0;
  uint64_t count = index_.CountLive(range);
  if (at >= newest_) return count;
  // Undo the births and deaths since then, unless there are more of them than keys.
  uint64_t steps = count + 64;
  for (LogCursor c = log_.Seek(at + 1); log_.Valid(&c); log_.Next(&c)) {
    if (steps-- == 0) return CountByIndex(range, at);
    const Record record = log_.Get(c.location());
    if (!range.Contains(DecodeKey(record.bytes))) continue;
    if (record.tombstone) {
      ++count;
    } else if (Decode(record.bytes).version == 1) {
      --count;
    }
  }
  return count;
}

void Store::Swap(Store* other) {
  log_.Swap(&other->log_);
  index_.Swap(&other->index_);
  std::swap(revision_, other->revision_);
  std::swap(newest_, other->newest_);
  std::swap(compact_revision_, other->compact_revision_);
}

bool Store::Keeps(const Record& record, Location location) const {
  if (record.revision.main > compact_revision_) return true;
  const std::optional<KeyIndex::Version> newest =
      index_.NewestAt(index_.Find(DecodeKey(record.bytes)), compact_revision_);
  if (!newest.has_value() || newest->location != location) return false;
  return !record.tombstone || record.revision.main == compact_revision_;
}

WriteTxn::~WriteTxn() { CHECK_MSG(changes_ == 0, "a transaction with changes must be committed"); }

void WriteTxn::Put(absl::string_view key, absl::string_view value, LeaseId lease) {
  const Revision main = begin_ + 1;
  LeaseId previous_lease;
  store_->index_.Append(key, [&](KeyIndex::Entry before) {
    KeyValue kv{key, main, main, 1, value, lease};
    if (before.live()) {
      const Location last = store_->index_.Newest(before).location;
      const KeyValue previous = Decode(store_->log_.Get(last).bytes);
      kv.create_revision = previous.create_revision;
      kv.version = previous.version + 1;
      previous_lease = previous.lease;
    }
    char* bytes = nullptr;
    const Location location =
        store_->log_.Append({main, changes_}, /*tombstone=*/false, EncodedSize(kv), &bytes);
    Encode(kv, bytes);
    return KeyIndex::Version{main, location, /*tombstone=*/false};
  });
  if (store_->leases_ != nullptr && previous_lease != lease) {
    store_->leases_->Move(key, previous_lease, lease);
  }
  store_->newest_ = main;
  ++changes_;
}

void WriteTxn::Delete(absl::string_view key) {
  const Revision main = begin_ + 1;
  LeaseId lease;
  store_->index_.Append(key, [&](KeyIndex::Entry before) {
    CHECK(before.live());
    if (store_->leases_ != nullptr && store_->leases_->HasAttachments()) {
      const Location last = store_->index_.Newest(before).location;
      lease = Decode(store_->log_.Get(last).bytes).lease;
    }
    const KeyValue kv{key};
    char* bytes = nullptr;
    const Location location =
        store_->log_.Append({main, changes_}, /*tombstone=*/true, EncodedSize(kv), &bytes);
    Encode(kv, bytes);
    return KeyIndex::Version{main, location, /*tombstone=*/true};
  });
  if (lease != LeaseId()) store_->leases_->Move(key, lease, LeaseId());
  store_->newest_ = main;
  ++changes_;
}

uint64_t WriteTxn::DeleteRange(const KeyRange& range) {
  uint64_t deleted = 0;
  // A delete changes words of the index, never its structure: the cursor stays valid.
  for (auto c = store_->index_.LowerBound(range.begin); c.valid() && range.EndsAfter(c.key());
       c.Next()) {
    if (!c.entry().live()) continue;
    Delete(c.key());
    ++deleted;
  }
  return deleted;
}

void WriteTxn::Commit() {
  if (changes_ == 0) return;
  store_->revision_ = begin_ + 1;
  changes_ = 0;
}

}  // namespace quorate::mvcc
