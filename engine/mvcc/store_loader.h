// The store as part of a state image, and back.
//
//   StoreLoader loader(&store, &compactor);      // both fresh
//   RETURN_IF_ERROR(loader.Begin(section));
//   for (segment : segments) RETURN_IF_ERROR(loader.Add(segment));
//   while (!loader.Index(1000)) {
//   }
#ifndef QUORATE_ENGINE_MVCC_STORE_LOADER_H_
#define QUORATE_ENGINE_MVCC_STORE_LOADER_H_

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "engine/image/image.h"
#include "engine/mvcc/compaction.h"
#include "engine/mvcc/store.h"

namespace quorate::mvcc {

// The store's section: what is not in the records.
void EncodeStore(const Store& store, BytesBuilder* out);

// The records that the compact revision keeps, packed anew: the same for every store
// that applied the same entries, however far its cleaning is. O(size); for comparing.
std::vector<engine::LogSegment> KeptSegments(const Store& store);

class StoreLoader {
 public:
  // Both are fresh and borrowed.
  StoreLoader(Store* store, Compactor* compactor) : store_(store), compactor_(compactor) {}
  StoreLoader(const StoreLoader&) = delete;
  StoreLoader& operator=(const StoreLoader&) = delete;

  // The section, then the segments in order. DataLoss says what does not fit; the store
  // is of no use then.
  absl::Status Begin(absl::string_view section);
  absl::Status Add(const engine::LogSegment& segment);
  // After the last segment: indexes up to `max_records` records. True once the store is
  // as it was, but for cleaning.
  bool Index(size_t max_records);

 private:
  Store* store_;
  Compactor* compactor_;
  LogCursor cursor_;
  bool complete_ = false;
};

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_STORE_LOADER_H_
