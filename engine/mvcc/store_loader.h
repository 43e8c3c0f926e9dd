// The store as part of a state image, and back.
//
//   StoreLoader loader(&store, &compactor);      // both fresh
//   RETURN_IF_ERROR(loader.Begin(section));
//   for (segment : segments) RETURN_IF_ERROR(loader.Add(segment));
//   while (!loader.Index(1000)) {
//   }
//   RETURN_IF_ERROR(loader.status());
#ifndef QUORATE_ENGINE_MVCC_STORE_LOADER_H_
#define QUORATE_ENGINE_MVCC_STORE_LOADER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "engine/image/image.h"
#include "engine/mvcc/compaction.h"
#include "engine/mvcc/key_index.h"
#include "engine/mvcc/key_runs.h"
#include "engine/mvcc/revision_log.h"
#include "engine/mvcc/store.h"
#include "engine/mvcc/work.h"

namespace quorate::mvcc {

// The store's section: what is not in the records.
void EncodeStore(const Store& store, BytesBuilder* out);

// The records that the compact revision keeps, packed anew: the same for every store
// that applied the same entries, however far its cleaning is. O(size); for comparing.
std::vector<engine::LogSegment> KeptSegments(const Store& store);

// Checks a segment's records and sorts them by their keys. Pure: for any thread, in any order.
std::shared_ptr<engine::PreparedSegment> PrepareSegment(const engine::LogSegment& segment);

class StoreLoader {
 public:
  // Both are fresh and borrowed.
  StoreLoader(Store* store, Compactor* compactor);
  StoreLoader(const StoreLoader&) = delete;
  StoreLoader& operator=(const StoreLoader&) = delete;

  // The section, then the segments in order. DataLoss says what does not fit; the store
  // is of no use then. *records becomes how many a segment held.
  absl::Status Begin(absl::string_view section);
  // `prepared` is what PrepareSegment made of it, or null.
  absl::Status Add(const engine::LogSegment& segment,
                   std::shared_ptr<engine::PreparedSegment> prepared, size_t* records);
  // After the last segment: indexes up to `max_records` records and attaches their keys to
  // the leases of the store's table, which are there. True when there is no more to do: the
  // store is as it was, but for cleaning, or status() says what does not fit.
  bool Index(size_t max_records);
  const absl::Status& status() const { return status_; }
  // Gives memory back in pieces; true once little of it is left.
  bool Release(Work* work) { return runs_.Release(work); }

 private:
  bool TakeKey(size_t* left);
  bool FinishKey(size_t* left);

  Store* store_;
  Compactor* compactor_;
  KeyRuns runs_;
  KeyIndex::Loader index_;
  KeyRuns::Item item_;  // the next one
  bool has_item_ = false;
  // The key under way: what is known of it, and whether that is in the index.
  std::string key_;
  std::vector<KeyIndex::Version> versions_;
  bool leased_ = false;  // by the newest of them
  bool pruning_ = false;
  bool complete_ = false;
  absl::Status status_;
};

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_STORE_LOADER_H_
