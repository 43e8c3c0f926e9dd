#include "engine/mvcc/hash.h"

#include <optional>

#include "base/crc32c.h"
#include "engine/mvcc/key_value.h"

namespace quorate::mvcc {
namespace {

constexpr absl::string_view kBucketName = "key";

bool AnyTombstoneAt(const RevisionLog& log, Revision at) {
  for (LogCursor c = log.Seek(at); log.Valid(&c); log.Next(&c)) {
    const Record record = log.Get(c.location());
    if (record.revision.main != at) return false;
    if (record.tombstone) return true;
  }
  return false;
}

}  // namespace

HashScan::HashScan(const Store& store, Revision at, Revision compacted, TombstoneAtEnd tombstone)
    : store_(store),
      at_(at),
      compacted_(compacted),
      tombstone_(tombstone),
      cursor_(store.log().Begin()),
      crc_(Crc32c(kBucketName)) {
  if (tombstone == TombstoneAtEnd::kKeep) anything_kept_ = AnyTombstoneAt(store.log(), at);
}

bool HashScan::Probe(Work* work) {
  const KeyIndex& index = store_.index();
  auto c = index.LowerBound(probe_);
  for (; c.valid() && !anything_kept_; c.Next()) {
    if (work->spent()) {
      probe_ = std::string(c.key());
      return false;
    }
    work->SpendLook();
    anything_kept_ = store_.Visible(c.entry(), at_).has_value();
  }
  return true;
}

bool HashScan::Counts(const Record& record, Location location) const {
  const Revision main = record.revision.main;
  if (main > compacted_) return true;
  if (main == compacted_ && record.tombstone) return false;
  const KeyIndex::Entry entry = store_.index().Find(DecodeKey(record.bytes));
  // With nothing kept etcd hashes whatever the compaction left in its backend.
  const Revision as_of = anything_kept_ ? at_ : compacted_;
  const std::optional<KeyIndex::Version> newest = store_.index().NewestAt(entry, as_of);
  if (!newest.has_value() || newest->location != location) return false;
  if (!newest->tombstone) return true;
  return tombstone_ == TombstoneAtEnd::kKeep && newest->main == at_;
}

bool HashScan::Step(Work* work) {
  if (!probed_ && !(probed_ = Probe(work))) return false;
  const RevisionLog& log = store_.log();
  for (; log.Valid(&cursor_); log.Next(&cursor_)) {
    if (work->spent()) return false;
    const Location location = cursor_.location();
    const Record record = log.Get(location);
    if (record.revision.main > at_) return true;
    work->SpendLook();
    work->SpendBytes(record.bytes.size());
    if (record.revision.main <= compacted_) work->SpendFind();
    if (!Counts(record, location)) continue;
    crc_ = Crc32cExtend(crc_, RevisionKey(record.revision, record.tombstone).view());
    crc_ = Crc32cExtend(crc_, record.bytes);
  }
  return true;
}

}  // namespace quorate::mvcc
