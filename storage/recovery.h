// Opens a member's data directory: the state to start from, and a log to go on with.
//
//   opening_ = storage::OpenStorage(env, {.data_dir = dir, .cluster_id = c, .member_id = m,
//                                         .create = true},
//                                   [this](absl::StatusOr<storage::OpenedStorage> opened) {...});
//
// Layout (docs/FORMATS.md):
//   <data-dir>/member/meta                   identity: format version, cluster and member id
//   <data-dir>/member/log/<sequence>.log     segments of the write-ahead log
//   <data-dir>/member/checkpoint/            the newest checkpoint and the one before it
//   <data-dir>/member/recovering             what the directory holds does not count
//   <data-dir>/member/LOCK                   held while a process has the directory open
//
// What recovery promises:
//   - Everything that was ever acknowledged is in the result, in order, and nothing that
//     was not appended is; each appended unit is there as a whole or not at all.
//   - A torn tail (what a crash left of the last write) is cut, with a note.
//   - What the disk does not read is asked for again a few times before it counts as damaged: an
//     error that passes costs nothing but time, and a note.
//   - Damage to the newest checkpoint is made good from the one before it, and from the log
//     behind that; with a note.
//   - A damaged segment of the log of which the checkpoint holds everything is not needed:
//     it stays as <sequence>.log.damaged, with a note.
//   - Other damage to anything that may have been acknowledged is never cut: DataLoss, and
//     the directory is left as it was. It can be opened again with the state of another
//     member (OpenOptions::repair).
//   - Nothing counts as durable because it could be read: files and directories are
//     synced, and the last write of the log, whose sync may have failed or never come,
//     is written again into a new segment, before success is reported.
#ifndef QUORATE_STORAGE_RECOVERY_H_
#define QUORATE_STORAGE_RECOVERY_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/limits.h"
#include "base/strong_int.h"
#include "engine/image/image.h"
#include "engine/raft/types.h"
#include "io/disk.h"
#include "io/env.h"
#include "storage/checkpoints.h"
#include "storage/identity.h"
#include "storage/wal.h"

namespace quorate::storage {

// Something an operator should see in the log, though the start succeeded.
struct RecoveryNote {
  std::string message;  // a whole sentence, with file, offset and bytes in it
  std::string file;
  uint64_t offset = 0;  // in bytes
  uint64_t bytes = 0;
};

struct RecoveredState {
  // Everything empty: the directory was created just now, or nothing was ever appended.
  raft::HardState hard_state;
  // The newest checkpoint that is whole: everything up to its index is applied in it.
  std::optional<engine::StateImage> checkpoint;
  // The entry before the first of `entries`; 0 as long as the log was never cut. Not
  // behind the checkpoint.
  LogIndex base;
  Term base_term;
  // Contiguous from base + 1, to the checkpoint's index at least. Their data are slices of the
  // buffers that were read.
  std::vector<raft::Entry> entries;
  std::vector<RecoveryNote> notes;
  // False if the directory was created by this call.
  bool existed = false;

  LogIndex last_index() const { return base + entries.size(); }
};

// For a member that has lost what it had acknowledged: a state of another that covers it all, and
// a term from which on the member may vote (engine/replica/repair.cc says which will do).
struct RepairState {
  engine::StateImage image;
  Term term;
};

struct OpenOptions {
  std::string data_dir;
  ClusterId cluster_id;
  MemberId member_id;
  // Initialise the directory if it is missing or empty. Otherwise that is NotFound.
  bool create = false;
  // Size of a log segment; one that holds a larger unit grows. A multiple of 4096.
  uint64_t segment_bytes = 16 * limits::kMiB;
  // Size of the segment that a start waits for, if none is left over from before: zeros
  // must be written before the member can go on. Segments after it have segment_bytes. On a
  // disk without space for it, it is as small as it can be.
  uint64_t first_segment_bytes = 4 * limits::kMiB;
  // Size from which on checkpoints go on in another file.
  uint64_t pack_bytes = 16 * limits::kMiB;
  // Of the entries that the checkpoint holds, so many are kept for followers that are behind.
  uint64_t catchup_entries = 5'000;
  // Most bytes that gather into one write; a single larger unit still goes alone.
  uint64_t max_write_bytes = 8 * limits::kMiB;
  // Done with each segment of the checkpoint as it comes, on io::Compute, while the next ones are
  // read, for StateImage::prepared. Pure; may be null.
  std::function<std::shared_ptr<engine::PreparedSegment>(const engine::LogSegment&)> prepare;
  // What the directory holds counts no longer; the member goes on from this. From the moment
  // that the mark is durable until all of it is, the directory opens in no other way.
  std::optional<RepairState> repair;
};

struct OpenedStorage {
  RecoveredState state;
  std::unique_ptr<Wal> wal;
  std::unique_ptr<Checkpoints> checkpoints;
  // Keep it for as long as the log and the checkpoints; destroy it after them.
  std::unique_ptr<io::DirectoryLock> lock;
};

// A call under way. Destroying it gives up: the callback does not come any more.
class PendingOpen {
 public:
  virtual ~PendingOpen() = default;
};

// The callback is called once, on the loop, later than the call, and may destroy the
// PendingOpen. Errors, each naming the path:
//   NotFound            not initialised, and create is false
//   FailedPrecondition  another process holds the directory; it belongs to another cluster
//                       or member (both ids are named), has a newer format (both versions
//                       are named), or is etcd's
//   DataLoss            damage (see above): names file and offset and says what to do
//   InvalidArgument     options out of range
//   ResourceExhausted   not even a small segment can be made
//   others              of the disk, as they come
[[nodiscard]] std::unique_ptr<PendingOpen> OpenStorage(
    const io::Env& env, OpenOptions options,
    std::function<void(absl::StatusOr<OpenedStorage>)> callback);

// Whose directory it is, without locking or changing anything. NotFound if it is not
// initialised (missing, empty, or its creation never finished); other errors as above.
[[nodiscard]] std::unique_ptr<PendingOpen> PeekIdentity(
    const io::Env& env, const std::string& data_dir,
    std::function<void(absl::StatusOr<Identity>)> callback);

}  // namespace quorate::storage

#endif  // QUORATE_STORAGE_RECOVERY_H_
