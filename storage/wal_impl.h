// Inside the log: for wal.cc and recovery, nobody else.
#ifndef QUORATE_STORAGE_WAL_IMPL_H_
#define QUORATE_STORAGE_WAL_IMPL_H_

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/bytes.h"
#include "base/time.h"
#include "io/disk.h"
#include "io/loop.h"
#include "storage/lifetime.h"
#include "storage/record.h"
#include "storage/segment.h"
#include "storage/segment_preparer.h"
#include "storage/wal.h"

namespace quorate::storage {

// A segment behind which the log goes on in another one.
struct ClosedSegment {
  SpareFile file;
  LogIndex last_index;  // of the log up to its end
  SegmentNumber segment = 0;
  uint64_t log_bytes = 0;  // 0: no longer the log
  bool damaged = false;
};

// What a log goes on from: an open segment with its header durable, and everything
// before `next_sector` durable.
struct WalStart {
  io::Loop* loop = nullptr;
  io::Disk* disk = nullptr;
  std::string log_dir;
  ClusterId cluster_id;
  MemberId member_id;
  uint64_t segment_bytes = 0;
  uint64_t max_write_bytes = 0;
  PreparedSegment segment;
  SectorIndex next_sector = 1;
  LogPosition position;
  // What the owner goes on from, if a checkpoint tells more of it than the log does: it goes along
  // with the first write.
  std::optional<raft::HardState> unlogged;
  std::vector<SpareFile> spares;
  std::vector<ClosedSegment> closed;  // oldest first
};

std::unique_ptr<Wal> MakeWal(WalStart start);

class Wal::Impl {
 public:
  explicit Impl(WalStart start);
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void Append(std::span<const raft::Entry> entries, const raft::HardState* hard_state,
              bool must_sync, Callback done);

  void Cut(LogIndex index);
  void BeginAnew(LogIndex index, Term term);
  std::vector<ColdSegment> ColdSegments() const;
  bool HoldsCold(SegmentNumber segment) const;
  std::optional<ColdSegment> OpenSegment() const;
  std::optional<LogIndex> LastIndexOf(SegmentNumber segment) const;
  void GiveUp(SegmentNumber segment);

  const absl::Status& status() const { return status_; }
  size_t unsynced_bytes() const { return unsynced_bytes_; }
  Instant write_in_flight_since() const { return oldest_since_; }
  bool waits_for_space() const {
    return next_.has_value() && absl::IsResourceExhausted(next_->status());
  }
  const WalStats& stats() const { return stats_; }
  void SetSyncObserver(std::function<void(Duration)> observer) {
    sync_observer_ = std::move(observer);
  }

 private:
  // What goes to the disk as one write-and-sync.
  struct Write {
    SegmentNumber segment = 0;
    SectorIndex first_sector = 0;  // of the units
    // Set if the segment begins with this write: its header comes first.
    std::optional<SegmentHeader> begins;
    std::optional<BytesBuilder> out;
    WriteEncoder encoder;
    size_t payload_bytes = 0;
    std::vector<Callback> done;
  };

  // Where the encoder stands: behind everything appended, durable or not. While a write
  // is open, next_sector is its first.
  struct Place {
    SegmentNumber segment = 0;
    SectorIndex next_sector = 1;
    SectorIndex sectors = 0;  // made ready in that segment
    LogPosition log;
  };

  // A callback that waits only for the end of the turn.
  struct Answer {
    Callback done;
    absl::Status status;
  };

  Write& WriteFor(size_t payload);
  bool FitsOpenWrite(size_t payload) const;
  Write& OpenWrite(bool in_next_segment);
  void SealOpenWrite();
  void EncodeUnit(Write* write, std::span<const raft::Entry> entries,
                  const std::optional<raft::HardState>& hard_state);
  void AnswerLater(Callback done, absl::Status status);
  void RunAnswers();

  const SegmentHeader* HeaderInFlight() const;
  void CloseBefore(const SegmentHeader& next);
  void RemoveNext();

  void ScheduleStart();
  void StartWrite();
  void StartIfWorthIt();
  bool EnterSegment(Write* write);
  void OnWritten(const absl::Status& status);
  void PrepareNext(uint64_t at_least = 0);
  void OnPrepared(absl::StatusOr<PreparedSegment> prepared);
  void Fail(const absl::Status& status);

  io::Loop* const loop_;
  io::Disk* const disk_;
  const ClusterId cluster_id_;
  const MemberId member_id_;
  const SectorIndex segment_sectors_;
  const uint64_t max_write_bytes_;
  SegmentPreparer preparer_;

  absl::Status status_;
  Place place_;
  // A commit index that waits for a write to go along with.
  std::optional<raft::HardState> lazy_hard_state_;
  // In order. The front one is on its way to the disk if writing_; the back one is open
  // for more units while its encoder is active.
  std::deque<Write> writes_;
  bool writing_ = false;
  Instant oldest_since_ = Instant::Infinite();  // when the front one was first tried
  Bytes in_flight_;
  Bytes spare_buffer_;  // of an earlier write, reused once the disk has let go of it
  std::vector<Callback> spare_done_;
  bool start_scheduled_ = false;
  size_t unsynced_bytes_ = 0;

  bool begin_anew_ = false;                    // with the next write
  bool leave_ = false;                         // the next write goes to the next segment
  std::optional<SegmentNumber> damaged_open_;  // one that is not closed yet
  std::deque<ClosedSegment> closed_;
  SpareFile leaving_;  // the segment before current_, until current_'s header is durable
  std::vector<std::string> removals_;
  bool removing_ = false;

  PreparedSegment current_;
  // The segment after it once it is ready, or why it is not.
  std::optional<absl::StatusOr<PreparedSegment>> next_;
  uint64_t next_bytes_ = 0;  // that it was, or is being, prepared with
  std::unique_ptr<io::Timer> space_timer_;

  std::vector<Answer> answers_;
  bool answers_scheduled_ = false;

  WalStats stats_;
  std::function<void(Duration)> sync_observer_;
  Lifetime lifetime_;
};

}  // namespace quorate::storage

#endif  // QUORATE_STORAGE_WAL_IMPL_H_
