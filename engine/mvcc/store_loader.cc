#include "engine/mvcc/store_loader.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/mvcc/key_value.h"

namespace quorate::mvcc {
namespace {

struct Prepared final : engine::PreparedSegment {
  void Settle() override { run.bytes = std::string(run.bytes.data(), run.bytes.size()); }

  RevisionLog::Checked checked;
  size_t records = 0;  // garbage left out
  KeyRuns::Run run;
  bool used = false;  // by a store that took its contents
};

}  // namespace

std::shared_ptr<engine::PreparedSegment> PrepareSegment(const engine::LogSegment& segment) {
  auto prepared = std::make_shared<Prepared>();
  std::vector<RevisionLog::Adopted> records;
  prepared->checked = RevisionLog::Check(segment, &records);
  prepared->records = records.size();
  if (prepared->checked.status.ok()) prepared->run = KeyRuns::Sort(records);
  return prepared;
}

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

StoreLoader::StoreLoader(Store* store, Compactor* compactor)
    : store_(store), compactor_(compactor), index_(&store->index_) {}

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

absl::Status StoreLoader::Add(const engine::LogSegment& segment,
                              std::shared_ptr<engine::PreparedSegment> prepared, size_t* records) {
  const bool again = prepared != nullptr && static_cast<Prepared&>(*prepared).used;
  if (prepared == nullptr || again) prepared = PrepareSegment(segment);
  Prepared& ready = static_cast<Prepared&>(*prepared);
  ready.used = true;
  RETURN_IF_ERROR(store_->log_.Adopt(segment, std::move(ready.checked)));
  if (store_->log_.last_revision() > store_->revision_) {
    return absl::DataLossError(absl::StrCat("store: a record of revision ",
                                            store_->log_.last_revision().value(), " in a store at ",
                                            store_->revision_.value()));
  }
  runs_.Add(store_->log_.segments() - 1, std::move(ready.run));
  *records = ready.records;
  return absl::OkStatus();
}

bool StoreLoader::Index(size_t max_records) {
  while (!complete_ && status_.ok()) {
    if (pruning_ ? !FinishKey(&max_records) : !TakeKey(&max_records)) return false;
  }
  return true;
}

// All changes of the next key. False if there was not enough left for that.
bool StoreLoader::TakeKey(size_t* left) {
  while (true) {
    if (!has_item_ && !(has_item_ = runs_.Next(&item_))) break;
    if (!versions_.empty() && item_.key != key_) break;
    if (*left == 0) return false;
    --*left;
    if (versions_.empty()) key_.assign(item_.key.data(), item_.key.size());
    leased_ = item_.leased;
    has_item_ = false;
    versions_.push_back({item_.main, item_.location, item_.tombstone});
    store_->newest_ = std::max(store_->newest_, item_.main);
  }
  if (versions_.empty()) {
    complete_ = true;
    compactor_->Resume();
    return true;
  }
  index_.Append(key_, versions_);
  pruning_ = true;
  return true;
}

// What a compaction gave up may be there still, where cleaning had not come by. False if that is
// more than was left.
bool StoreLoader::FinishKey(size_t* left) {
  const bool alone = versions_.size() == 1 && !versions_.front().tombstone;
  if (!alone && versions_.front().main <= store_->compact_revision_) {
    if (*left == 0) return false;
    RevisionLog& log = store_->log_;
    index_.Reset();
    *left -= store_->index_.Prune(key_, store_->compact_revision_, *left,
                                  [&log](Location dropped) { log.MarkGarbage(dropped); });
    if (*left == 0) return false;  // there may be more
  }
  const KeyIndex::Version newest = versions_.back();
  versions_.clear();
  pruning_ = false;
  if (newest.tombstone || !leased_) return true;
  const LeaseId lease = Decode(store_->log_.Get(newest.location).bytes).lease;
  if (store_->leases_ == nullptr || !store_->leases_->Exists(lease)) {
    status_ = absl::DataLossError(absl::StrCat("store: a key is attached to lease ", lease.value(),
                                               ", which does not exist"));
    return true;
  }
  store_->leases_->Move(key_, LeaseId(), lease);
  return true;
}

}  // namespace quorate::mvcc
