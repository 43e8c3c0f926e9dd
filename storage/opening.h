// Inside OpenStorage: for recovery.cc and opening_durable.cc, nobody else.
#ifndef QUORATE_STORAGE_OPENING_H_
#define QUORATE_STORAGE_OPENING_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "io/compute.h"
#include "io/disk.h"
#include "io/env.h"
#include "io/loop.h"
#include "storage/checkpoint_reader.h"
#include "storage/checkpoints.h"
#include "storage/data_dir.h"
#include "storage/identity_reader.h"
#include "storage/lifetime.h"
#include "storage/log_reader.h"
#include "storage/recovery.h"
#include "storage/segment_preparer.h"
#include "storage/wal_impl.h"

namespace quorate::storage {

// Sizes of segments are multiples of this.
inline constexpr uint64_t kSegmentUnit = 4096;

// One opening, from top to bottom in the order of its steps.
class Opening final : public PendingOpen {
 public:
  using Callback = std::function<void(absl::StatusOr<OpenedStorage>)>;

  Opening(const io::Env& env, OpenOptions options, Callback callback);

 private:
  // Goes on with `next` on success.
  std::function<void(absl::Status)> Then(void (Opening::*next)()) {
    return lifetime_.Guard([this, next](absl::Status status) {
      if (!status.ok()) return Fail(std::move(status));
      (this->*next)();
    });
  }

  // --- Is there anything? ---
  void TakeSurvey();
  void MakeDirectories();
  void Lock();
  void ReadIdentity();
  void Mark();
  void MakeLogDirectory();

  // --- What does it say? ---
  void ReadCheckpoint();
  void TakeCheckpoint(CheckpointContents contents);
  void ReadLog(LogIndex checkpoint);
  void TakeBoth();
  bool ReadAgain(bool unreadable, const absl::Status& status);
  bool TryAgain(std::function<void()> read);
  void FailLog(absl::Status status);
  void TakeLog(LogContents contents);
  void TakeRepair(LogContents contents);
  absl::Status FitToCheckpoint();
  void NoteDamagedCheckpoint();
  void ReinstallCheckpoint();
  void PromotePrevious();
  void DropCheckpoints();

  // --- A new segment, durable before it counts ---
  void PrepareSegment();
  void PrepareFirstSegment();
  void PrepareSegmentOf(uint64_t bytes);
  uint64_t LeastSegmentBytes() const;
  void RepeatLastWrite();
  void BeginAnew();
  void WriteHeader();

  // --- Everything else that must be durable ---
  void SyncSegments();
  void SetDamagedAside();
  void SyncDirectories();
  void WriteIdentity();
  void RemoveMark();

  // --- What is no longer needed ---
  void SortLeftovers();
  void TruncateNext();
  void RemoveNext();
  std::vector<ClosedSegment> ClosedSegments() const;
  void Succeed();

  void Fail(absl::Status status) { Finish(std::move(status)); }
  void Finish(absl::StatusOr<OpenedStorage> result) {
    const Callback callback = std::move(callback_);
    callback(std::move(result));
  }
  Identity identity() const { return {options_.cluster_id, options_.member_id}; }

  static constexpr size_t kOwnDirectories = 3;

  io::Loop* const loop_;
  io::Disk* const disk_;
  io::Compute* const compute_;
  const OpenOptions options_;
  const DataPaths paths_;
  Callback callback_;
  MetaFile meta_;
  SegmentPreparer preparer_;

  std::unique_ptr<Surveyor> surveyor_;
  std::unique_ptr<IdentityReader> identity_reader_;
  absl::Status meta_damage_;  // not OK: it is written anew
  std::vector<std::string> sync_directories_;
  size_t next_ = 0;      // of what a step goes through
  size_t unsynced_ = 0;  // files of a step that syncs them side by side
  std::unique_ptr<io::DirectoryLock> lock_;
  bool creating_ = false;

  std::unique_ptr<CheckpointReader> checkpoint_reader_;
  CheckpointContents checkpoint_;
  bool checkpoint_read_ = false;
  std::unique_ptr<Checkpoints> checkpoints_;
  std::unique_ptr<LogReader> reader_;
  LogIndex read_for_;  // the end of the checkpoint that the log is, or was, read for
  std::optional<absl::Status> log_status_;  // it was read
  size_t readings_ = 1;                     // of what is there, with the one under way
  std::unique_ptr<io::Timer> read_again_;
  LogContents log_;
  // The checkpoint came from a peer and the log has not followed yet: begin it anew.
  bool begin_anew_ = false;
  PreparedSegment segment_;
  SegmentHeader header_;
  SectorIndex next_sector_ = 1;
  std::vector<SpareFile> spares_;     // for the log to recycle
  std::vector<std::string> surplus_;  // to be removed
  Lifetime lifetime_;
};

}  // namespace quorate::storage

#endif  // QUORATE_STORAGE_OPENING_H_
