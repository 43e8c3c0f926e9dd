#include "engine/mvcc/store.h"

#include <utility>

#include "base/check.h"
#include "engine/mvcc/key_value.h"

namespace quorate::mvcc {

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

bool WriteTxn::DeleteSome(const KeyRange& range, Work* work, std::string* from, uint64_t* deleted) {
  // A delete changes words of the index, never its structure: the cursor stays valid.
  auto c = store_->index_.LowerBound(from->empty() ? range.begin : *from);
  for (; c.valid() && range.EndsAfter(c.key()); c.Next()) {
    if (work->spent()) {
      *from = std::string(c.key());
      return false;
    }
    work->SpendLook();
    if (!c.entry().live()) continue;
    work->SpendChange(c.key().size());
    Delete(c.key());
    ++*deleted;
  }
  return true;
}

uint64_t WriteTxn::DeleteRange(const KeyRange& range) {
  Work work = Work::Unlimited();
  std::string from;
  uint64_t deleted = 0;
  CHECK(DeleteSome(range, &work, &from, &deleted));
  return deleted;
}

void WriteTxn::Commit() {
  if (changes_ == 0) return;
  store_->revision_ = begin_ + 1;
  changes_ = 0;
}

}  // namespace quorate::mvcc
