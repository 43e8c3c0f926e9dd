// HashKV: one number over the store's history, equal to etcd's for the same commands.
//
// CRC-32C over the bytes "key" and then, for each record at or before a revision in the
// order of revisions, the record's key in etcd's backend and its encoded KeyValue.
// Records at or before the compact revision count only if they are the newest of a key
// that is live at the hashed revision. The result depends on the history and on the two
// revisions alone, not on what cleaning has physically removed.
#ifndef QUORATE_ENGINE_MVCC_HASH_H_
#define QUORATE_ENGINE_MVCC_HASH_H_

#include <cstdint>
#include <string>

#include "base/strong_int.h"
#include "engine/mvcc/store.h"
#include "engine/mvcc/work.h"

namespace quorate::mvcc {

// The computation in bounded steps. Between steps the store may grow, but nothing at or
// before `at` may be pruned or rewritten.
class HashScan {
 public:
  // What becomes of a tombstone at exactly `at` that lies at or before `compacted`'s
  // successor: HashKV forgets it, the hash stored by a compaction keeps it.
  enum class TombstoneAtEnd { kForget, kKeep };

  // Hashes the history up to `at` of a store compacted at `compacted`.
  HashScan(const Store& store, Revision at, Revision compacted, TombstoneAtEnd tombstone);

  // True once the hash is complete.
  bool Step(Work* work);
  uint32_t hash() const { return crc_; }

 private:
  bool Probe(Work* work);
  bool Counts(const Record& record, Location location) const;

  const Store& store_;
  Revision at_;
  Revision compacted_;
  TombstoneAtEnd tombstone_;
  // Whether any key lives at `at_`: looked for first, key by key from probe_ on.
  bool anything_kept_ = false;
  bool probed_ = false;
  std::string probe_;
  LogCursor cursor_;
  uint32_t crc_;
};

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_HASH_H_
