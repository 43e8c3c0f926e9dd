// Makes segment files ready for the log: zeros written, or an old file recycled; file
// and name durable. Overwriting blocks that were written before makes a sync twice as
// fast as filling new ones, so the log never grows a file on its commit path.
#ifndef QUORATE_STORAGE_SEGMENT_PREPARER_H_
#define QUORATE_STORAGE_SEGMENT_PREPARER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "io/disk.h"
#include "storage/lifetime.h"
#include "storage/record.h"

namespace quorate::storage {

struct PreparedSegment {
  std::unique_ptr<io::File> file;
  SegmentNumber segment = 0;
  SectorIndex sectors = 0;
};

// A file that no longer belongs to the log.
struct SpareFile {
  std::string path;
  uint64_t bytes = 0;
};

// Whether such a file is for a segment of this size. One that is far larger (segments were once
// larger, or it was made for a huge unit) would keep its size from segment to segment.
inline bool WorthRecycling(uint64_t file_bytes, uint64_t segment_bytes) {
  return file_bytes >= segment_bytes && file_bytes < 2 * segment_bytes;
}

// One preparation at a time.
class SegmentPreparer {
 public:
  using Callback = std::function<void(absl::StatusOr<PreparedSegment>)>;

  SegmentPreparer(io::Disk* disk, std::string log_dir);

  // Files to recycle. Their stale sectors carry smaller segment numbers.
  void AddSpare(SpareFile file) { spares_.push_back(std::move(file)); }
  size_t spares() const { return spares_.size(); }

  // Prepares the file of `segment` with at least `bytes` (a multiple of the sector size,
  // exact for a new file) from a spare of that size or a new file. Errors are the disk's, and
  // ResourceExhausted without touching it if it has less space left than a new file takes;
  // after that the same segment may be asked for again, in any size.
  void Prepare(SegmentNumber segment, uint64_t bytes, Callback callback);

 private:
  void LookForSpace();
  void Recycle(SpareFile spare);
  void OpenFile(bool fresh);
  void WriteZeros(uint64_t offset);
  void GiveBack(absl::Status why);
  void SyncName();
  void Finish(absl::Status status);

  io::Disk* const disk_;
  const std::string log_dir_;
  std::vector<SpareFile> spares_;

  // The preparation under way.
  Callback callback_;
  PreparedSegment prepared_;
  std::string path_;
  uint64_t bytes_ = 0;

  Lifetime lifetime_;
};

}  // namespace quorate::storage

#endif  // QUORATE_STORAGE_SEGMENT_PREPARER_H_
