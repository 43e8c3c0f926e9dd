// Giving up history: at once for readers, in bounded steps for memory.
//
// A compaction at R takes effect at once: reads below R are refused. What remains is a
// job of three phases, performed piece by piece and strictly one job after another:
//   hash    the hash that etcd stores with a compaction, over the history up to R;
//   prune   for each key changed since the last compaction, the index forgets what R
//           makes unreachable, and the log learns that those records are garbage;
//   clean   segments with much garbage are rewritten without it.
// Kept are all records after R, and of each key the newest one at or before R unless
// it is a tombstone older than R.
#ifndef QUORATE_ENGINE_MVCC_COMPACTION_H_
#define QUORATE_ENGINE_MVCC_COMPACTION_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/strong_int.h"
#include "engine/mvcc/hash.h"
#include "engine/mvcc/store.h"
#include "engine/mvcc/work.h"

namespace quorate::mvcc {

struct KvHash {
  uint32_t hash = 0;
  Revision compact_revision;
  Revision hash_revision;
};

// A HashKV under way.
class HashRun {
 public:
  HashRun(const KvHash& hash, std::optional<HashScan> scan) : hash_(hash), scan_(std::move(scan)) {}
  // True once hash() is it.
  bool Step(Work* work) {
    if (scan_.has_value()) {
      if (!scan_->Step(work)) return false;
      hash_.hash = scan_->hash();
      scan_.reset();
    }
    return true;
  }
  const KvHash& hash() const { return hash_; }

 private:
  KvHash hash_;
  std::optional<HashScan> scan_;
};

class Compactor {
 public:
  // As many hashes of compactions are remembered, those with the highest revisions.
  static constexpr size_t kStoredHashes = 10;

  explicit Compactor(Store* store) : store_(store) {}
  Compactor(const Compactor&) = delete;
  Compactor& operator=(const Compactor&) = delete;

  // Compacts at `at`. OutOfRange if that is compacted already or in the future.
  absl::Status Start(Revision at);

  // For a store that was loaded: cleans what the compact revision left behind. Hashes
  // stored by earlier compactions are gone, as after a restart of etcd.
  void Resume();

  // Becomes what `loaded` is, which is busy with no hash; their stores were exchanged.
  void Replace(Compactor* loaded);

  bool busy() const { return !jobs_.empty(); }
  // The newest compaction that is finished physically, and all before it.
  Revision finished() const { return finished_; }
  // How many of those that were started here are, and how many records went with them.
  uint64_t finished_jobs() const { return finished_jobs_; }
  uint64_t dropped_records() const { return dropped_records_; }
  void Step(Work* work);
  void Step(uint64_t units) {
    Work work(units);
    Step(&work);
  }

  // HashKV at `at` (0: now; less: of no history at all, as in etcd), as though every
  // compaction were finished physically. OutOfRange if `at` is compacted without a stored hash, or
  // in the future.
  absl::StatusOr<KvHash> HashKv(Revision at) const;
  // The same in pieces. While it is under way Step() must not be called.
  absl::StatusOr<HashRun> StartHash(Revision at) const;

 private:
  enum class Phase { kHash, kPrune, kClean };
  struct Job {
    Revision at;
    Revision previous;
    Phase phase = Phase::kHash;
    std::optional<HashScan> hash;
    LogCursor cursor;      // kPrune
    uint64_t segment = 0;  // kClean
  };

  bool StepHash(Job* job, Work* work);
  bool StepPrune(Job* job, Work* work);
  bool StepClean(Job* job, Work* work);
  size_t Clean(uint64_t segment);
  void Remember(const KvHash& hash);

  Store* store_;
  std::deque<Job> jobs_;
  Revision finished_ = kNeverCompacted;
  uint64_t finished_jobs_ = 0;
  uint64_t dropped_records_ = 0;
  std::deque<KvHash> stored_;  // by ascending revision
};

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_COMPACTION_H_
