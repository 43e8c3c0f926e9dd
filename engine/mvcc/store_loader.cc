#include "engine/mvcc/store_loader.h"

#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/mvcc/key_value.h"

namespace quorate::mvcc {

void EncodeStore(const Store& store, BytesBuilder* out) {
  engine::PutU64(out, static_cast<uint64_t>(store.revision().value()));
  engine::PutU64(out, static_cast<uint64_t>(store.compact_revision().value()));
}

std::vector<engine::LogSegment> KeptSegments(const Store& store) {
  RevisionLog kept;
  const RevisionLog& log = store.log();
  for (LogCursor c = log.Begin(); log.Valid(&c); log.Next(&c)) {
    const Record record = log.Get(c.location());
    if (!store.Keeps(record, c.location())) continue;
    char* bytes = nullptr;
    kept.Append(record.revision, record.tombstone, record.bytes.size(), &bytes);
    std::memcpy(bytes, record.bytes.data(), record.bytes.size());
  }
  std::vector<engine::LogSegment> segments = kept.Share();
  for (engine::LogSegment& segment : segments) segment.id = 0;  // nobody's
  return segments;
}

absl::Status StoreLoader::Begin(absl::string_view section) {
  engine::FieldReader in(section);
  const auto revision = Revision(static_cast<int64_t>(in.U64()));
  const auto compacted = Revision(static_cast<int64_t>(in.U64()));
  if (!in.complete() || revision < kFirstRevision || compacted < kNeverCompacted ||
      compacted > revision) {
    return absl::DataLossError("store: the section is malformed");
  }
  store_->revision_ = revision;
  store_->compact_revision_ = compacted;
  return absl::OkStatus();
}

absl::Status StoreLoader::Add(const engine::LogSegment& segment) {
  RETURN_IF_ERROR(store_->log_.Adopt(segment));
  if (store_->log_.last_revision() > store_->revision_) {
    return absl::DataLossError(absl::StrCat("store: a record of revision ",
                                            store_->log_.last_revision().value(), " in a store at ",
                                            store_->revision_.value()));
  }
  return absl::OkStatus();
}

bool StoreLoader::Index(size_t max_records) {
  if (complete_) return true;
  RevisionLog& log = store_->log_;
  const Revision compacted = store_->compact_revision_;
  for (; max_records > 0; --max_records, log.Next(&cursor_)) {
    if (!log.Valid(&cursor_)) {
      complete_ = true;
      compactor_->Resume();
      return true;
    }
    const Location location = cursor_.location();
    if (log.WasGarbage(location)) continue;
    const Record record = log.Get(location);
    const absl::string_view key = DecodeKey(record.bytes);
    const Revision main = record.revision.main;
    store_->index_.Append(key, [&](KeyIndex::Entry) {
      return KeyIndex::Version{main, location, record.tombstone};
    });
    store_->newest_ = main;
    if (main > compacted) continue;
    // What a compaction gave up may be there still, where cleaning had not come by.
    store_->index_.Prune(key, compacted, std::numeric_limits<size_t>::max(),
                         [&log](Location dropped) { log.MarkGarbage(dropped); });
  }
  return false;
}

}  // namespace quorate::mvcc
