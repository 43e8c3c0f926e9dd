// Reads a log directory: which files make up the log, and what their records say.
//
// The log is a chain: the file with the highest number that has a header is its last
// segment, and each header names the segment before it and where that one ends. Files
// outside the chain were prepared and never begun, or are left from an earlier recovery.
// The chain is followed no further back than to a damaged segment of which nothing is needed,
// since the next one begins before the end of the checkpoint. Nothing is changed.
#ifndef QUORATE_STORAGE_LOG_READER_H_
#define QUORATE_STORAGE_LOG_READER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "io/disk.h"
#include "storage/lifetime.h"
#include "storage/manifest.h"
#include "storage/recovery.h"
#include "storage/replay.h"
#include "storage/segment.h"

namespace quorate::storage {

// One file of the directory.
struct LogFile {
  SegmentNumber segment = 0;  // as it is named
  std::string path;
  std::unique_ptr<io::File> file;
  SectorState header_state = SectorState::kZero;
  SegmentHeader header;  // if kLive
  bool in_log = false;
  // Not OK: damaged, but of no use any more, since a checkpoint holds all that is in it.
  absl::Status set_aside;
  // Of a segment of the log: where it ends. Its successor says so, or the scan.
  SectorIndex end = 1;
  bool scanned = false;
  size_t writes = 0;
};

struct LogContents {
  std::vector<LogFile> files;  // in ascending order of their numbers
  // Indexes of the log's segments in `files`, oldest first. Empty: there is no log.
  std::vector<size_t> chain;
  // The entry before the first of `entries`; 0 as long as the log was never cut.
  LogIndex base;
  Term base_term;
  // After everything that counts.
  LogPosition position;
  std::vector<raft::Entry> entries;
  // The last write of all, the one that nothing proves to have been synced.
  Replay::LastWrite last_write;
  std::vector<RecoveryNote> notes;
  // There is something that the disk did not read (DataLoss of io::Disk's), though it may another
  // time: needed or not, it counts as damaged.
  bool unreadable = false;
};

// Whether the log goes on from the checkpoint. One of our own state ends with an entry that the
// log holds: DataLoss if it does not. One that came from a peer replaces a log that does not
// (false): the log begins anew behind it, which a crash may have prevented. What such a log held is
// covered, or was never committed.
absl::StatusOr<bool> FollowsCheckpoint(const LogContents& log, const Manifest& checkpoint,
                                       absl::string_view manifest_path);

// Hands on a file's sectors, in order.
class SectorStream {
 public:
  // Whole sectors, or nothing for one that cannot be read (or is cut by the end of the
  // file). Returns false when no more are wanted.
  using Consumer = std::function<bool(absl::string_view sectors)>;
  using Callback = std::function<void(absl::Status)>;

  // From sector `first` to the end of the file. Errors are those of the disk other than
  // unreadable sectors.
  SectorStream(io::File* file, SectorIndex first, Consumer consumer, Callback callback);

  // Whether there was one that cannot be read.
  bool unreadable() const { return unreadable_; }

 private:
  void ReadChunks();
  void ReadSingly(size_t sectors);
  void TakeChunk(const absl::StatusOr<Bytes>& bytes);
  void Finish(absl::Status status);

  io::File* const file_;
  uint64_t offset_;          // of what is handed on next
  uint64_t next_read_;       // of what is read next
  size_t in_flight_ = 0;     // chunks that are being read
  uint64_t generation_ = 0;  // of those that count
  bool unreadable_ = false;
  const Consumer consumer_;
  Callback callback_;
  Lifetime lifetime_;
};

class LogReader {
 public:
  using Callback = std::function<void(absl::Status, LogContents)>;
  // Told how many bytes were read more.
  using Progress = std::function<void(uint64_t bytes)>;

  // `writable`: open the files for writing too (recovery syncs them). `identity`: whose
  // the log must be, if given. `checkpoint`: the entry that the newest checkpoint ends
  // with, 0 if there is none; segments of entries up to it may be missing. `catchup`: of the
  // entries up to there that many are kept, or a few more; all are checked. A missing directory is
  // an empty log. Calls back once unless destroyed before; errors are recovery's, and come with
  // what was found so far.
  LogReader(io::Disk* disk, std::string log_dir, std::optional<Identity> identity,
            LogIndex checkpoint, uint64_t catchup, bool writable, Callback callback,
            Progress progress = nullptr);

 private:
  void OpenNext();
  void ReadHeader();
  absl::Status FindChain();
  absl::Status CheckHeader(const LogFile& file) const;
  absl::Status CheckBehindLast(size_t last) const;
  bool MayBeginWith(const LogFile& file) const {
    return checkpoint_ > LogIndex(0) && file.header.start.last_index <= checkpoint_;
  }
  void SetAside(LogFile* file, const absl::Status& damage);

  void ScanNext();
  bool GoOnBehind(const absl::Status& damage);
  absl::Status FinishScan();
  absl::Status ReplayLast(const LogFile& file, const ScannedSegment& scanned);
  void NoteTornTail(const LogFile& file, const ScannedSegment& scanned);

  void ScanUnbegun(size_t index);
  void FinishUnbegun(const LogFile& file, SectorIndex live_end);

  void NoteRead(absl::string_view bytes) const {
    if (progress_ != nullptr) progress_(bytes.size());
  }
  void Finish(absl::Status status);

  io::Disk* const disk_;
  const std::string log_dir_;
  const std::optional<Identity> identity_;
  const LogIndex checkpoint_;
  const LogIndex forgotten_;  // entries up to here are not kept
  const bool writable_;
  Callback callback_;
  const Progress progress_;

  LogContents contents_;
  size_t next_ = 0;  // of files while opening, of the chain while scanning
  Replay replay_;
  Bytes buffer_;  // of an earlier segment, perhaps no longer referred to
  std::optional<SegmentScanner> scanner_;
  std::unique_ptr<SectorStream> stream_;
  Lifetime lifetime_;
};

}  // namespace quorate::storage

#endif  // QUORATE_STORAGE_LOG_READER_H_
