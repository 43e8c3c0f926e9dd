// Looks at a data directory without changing it: what is there, and whether it is whole.
//
//   inspection_ = storage::InspectStorage(env, dir, [](absl::StatusOr<StorageReport> report) {
//     std::cout << storage::DescribeReport(*report);
//   });
//
// Holds the directory against a server meanwhile, if it has a lock file: none is made for that, and
// a note says so. A file system that can only be read will do. A directory that a running process
// holds is not looked at, nor one whose lock file cannot be locked.
#ifndef QUORATE_STORAGE_INSPECT_H_
#define QUORATE_STORAGE_INSPECT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/raft/types.h"
#include "io/env.h"
#include "storage/recovery.h"

namespace quorate::storage {

enum class SegmentRole : uint8_t {
  kLog,       // part of the log
  kPrepared,  // made ready, never begun
  kLeftOver,  // replaced by a later segment at a recovery
  kDamaged,   // its header fits nothing
};

struct SegmentReport {
  std::string path;
  SegmentRole role = SegmentRole::kLog;
  uint64_t file_bytes = 0;
  // Of a segment of the log.
  uint64_t log_bytes = 0;  // of the file, up to where the log's part ends; 0 if not read
  uint64_t writes = 0;
  LogIndex last_index_before;
};

struct StorageReport {
  Identity identity;
  // OK if nothing is wrong; else the damage. The rest is then what was found up to there.
  absl::Status verdict;
  // A start would go on all the same: from the checkpoint before the damaged one, or without a
  // segment of the log of which nothing is needed, or by what the log says that meta should.
  bool repairable = false;
  bool falls_back = false;    // the first of these
  bool meta_damaged = false;  // the last of these
  // The newest checkpoint; 0 if there is none.
  LogIndex checkpoint;
  uint64_t checkpoint_bytes = 0;
  LogIndex previous_checkpoint;         // the one before it; 0 if there is none
  std::vector<SegmentReport> segments;  // in ascending order of their numbers
  raft::HardState hard_state;
  LogIndex last_index;
  Term last_term;
  std::vector<RecoveryNote> notes;
};

// Bytes read, and those that there are to read; some of them need not be.
using InspectProgress = std::function<void(uint64_t done, uint64_t total)>;

// Errors are those of PeekIdentity, and of io::Disk::LockDir: FailedPrecondition for a directory in
// use; a damaged log is a verdict.
[[nodiscard]] std::unique_ptr<PendingOpen> InspectStorage(
    const io::Env& env, const std::string& data_dir,
    std::function<void(absl::StatusOr<StorageReport>)> callback,
    InspectProgress progress = nullptr);

// "log", "prepared", "left over", "damaged".
absl::string_view SegmentRoleName(SegmentRole role);

// For people: a line each for the directory, its segments, the log's end, the verdict.
std::string DescribeReport(const StorageReport& report);

}  // namespace quorate::storage

#endif  // QUORATE_STORAGE_INSPECT_H_
