#include "storage/inspect.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "storage/checkpoint_reader.h"
#include "storage/data_dir.h"
#include "storage/lifetime.h"
#include "storage/log_reader.h"

namespace quorate::storage {
namespace {

SegmentRole RoleOf(const LogFile& file) {
  if (file.in_log) return SegmentRole::kLog;
  if (!file.set_aside.ok()) return SegmentRole::kDamaged;
  switch (file.header_state) {
    case SectorState::kLive:
      return SegmentRole::kLeftOver;
    case SectorState::kZero:
    case SectorState::kStale:
      return SegmentRole::kPrepared;
    case SectorState::kDamaged:
      break;
  }
  return SegmentRole::kDamaged;
}

SegmentReport ReportOn(const LogFile& file) {
  SegmentReport report;
  report.path = file.path;
  report.role = RoleOf(file);
  if (file.file != nullptr) report.file_bytes = file.file->size();
  if (!file.in_log) return report;
  report.log_bytes = file.scanned ? uint64_t{file.end} * io::kSectorBytes : 0;
  report.writes = file.writes;
  report.last_index_before = file.header.start.last_index;
  return report;
}

// The file that io::Disk locks a directory by.
constexpr char kLockName[] = "LOCK";

class Inspection final : public PendingOpen {
 public:
  using Callback = std::function<void(absl::StatusOr<StorageReport>)>;

  Inspection(const io::Env& env, const std::string& data_dir, Callback callback,
             InspectProgress progress)
      : disk_(env.disk),
        compute_(env.compute),
        paths_(data_dir),
        callback_(std::move(callback)),
        progress_(std::move(progress)),
        meta_(env.disk, paths_) {
    peeking_ = PeekIdentity(env, data_dir, [this](absl::StatusOr<Identity> identity) {
      if (!identity.ok()) return Finish(identity.status());
      report_.identity = *identity;
      LookAtMeta();
    });
  }

 private:
  void LookAtMeta() {
    meta_.Read([this](const absl::StatusOr<Identity>& said) {
      if (!said.ok()) meta_damage_ = said.status();
      LookForLock();
    });
  }
  void LookForLock() {
    disk_->Open(absl::StrCat(paths_.member, "/", kLockName), {.write = false},
                lifetime_.Guard([this](const absl::StatusOr<std::unique_ptr<io::File>>& file) {
                  unlocked_ = absl::IsNotFound(file.status());
                  unlocked_ ? Measure() : Lock();
                }));
  }
  // Whoever cannot have the lock does not know whether a server has it.
  void Lock() {
    disk_->LockDir(paths_.member,
                   lifetime_.Guard([this](absl::StatusOr<std::unique_ptr<io::DirectoryLock>> lock) {
                     if (!lock.ok()) return Finish(lock.status());
                     lock_ = *std::move(lock);
                     Measure();
                   }));
  }
  void Measure() {
    directories_ = {paths_.log, paths_.checkpoint};
    MeasureDirectory();
  }
  // How much there is to read: for the progress, and for nothing else.
  void MeasureDirectory() {
    if (progress_ == nullptr || directories_.empty()) return LookForMark();
    disk_->List(directories_.back(),
                lifetime_.Guard([this](const absl::StatusOr<std::vector<std::string>>& names) {
                  if (names.ok()) {
                    for (const std::string& name : *names) {
                      files_.push_back(absl::StrCat(directories_.back(), "/", name));
                    }
                  }
                  directories_.pop_back();
                  MeasureFile();
                }));
  }
  void MeasureFile() {
    if (files_.empty()) return MeasureDirectory();
    disk_->Open(files_.back(), {.write = false},
                lifetime_.Guard([this](const absl::StatusOr<std::unique_ptr<io::File>>& file) {
                  if (file.ok()) total_ += (*file)->size();
                  files_.pop_back();
                  MeasureFile();
                }));
  }
  void NoteRead(uint64_t bytes) {
    done_ += bytes;
    if (progress_ != nullptr) progress_(std::min(done_, total_), total_);
  }

  void LookForMark() {
    disk_->Open(paths_.recovering, {.write = false},
                lifetime_.Guard([this](const absl::StatusOr<std::unique_ptr<io::File>>& file) {
                  recovering_ = !absl::IsNotFound(file.status());
                  ReadCheckpoint();
                }));
  }
  void ReadCheckpoint() {
    checkpoint_ = std::make_unique<CheckpointReader>(
        disk_, compute_, paths_,
        CheckpointReader::Options{.identity = report_.identity,
                                  .progress = [this](uint64_t bytes) { NoteRead(bytes); }},
        [this](absl::Status status, CheckpointContents contents) {
          report_.verdict = status.ok() ? contents.damage : std::move(status);
          report_.repairable = report_.falls_back = status.ok() && !contents.damage.ok();
          report_.checkpoint = contents.image.index;
          report_.checkpoint_bytes = contents.image.bytes();
          if (contents.previous.has_value()) report_.previous_checkpoint = contents.previous->index;
          contents.image = {};
          found_ = std::move(contents);
          ReadLog();
        });
  }
  void ReadLog() {
    reader_ = std::make_unique<LogReader>(
        disk_, paths_.log, report_.identity, report_.checkpoint, /*catchup=*/0,
        /*writable=*/false,
        [this](absl::Status status, LogContents contents) { TakeLog(std::move(status), contents); },
        [this](uint64_t bytes) { NoteRead(bytes); });
  }
  void TakeLog(absl::Status status, LogContents& contents) {
    if (status.ok() && contents.chain.empty()) status = MissingLogError(paths_);
    if (status.ok()) status = LogFollows(contents, found_, paths_).status();
    if (!status.ok()) report_.repairable = false;
    if (report_.verdict.ok()) report_.verdict = std::move(status);
    for (const LogFile& file : contents.files) {
      if (file.set_aside.ok() || !report_.verdict.ok()) continue;
      report_.verdict = file.set_aside;
      report_.repairable = true;
    }
    if (report_.verdict.ok() && !meta_damage_.ok()) {
      report_.verdict = meta_damage_;
      report_.repairable = report_.meta_damaged = true;
    }
    if (recovering_) {
      report_.verdict = RecoveringError(paths_);
      report_.repairable = false;
    }
    // What to do about it is not said where nothing needs to be done.
    if (report_.repairable) report_.verdict = absl::DataLossError(DamageText(report_.verdict));
    for (const LogFile& file : contents.files) report_.segments.push_back(ReportOn(file));
    report_.hard_state = contents.position.hard_state;
    report_.last_index = contents.position.last_index;
    report_.last_term = contents.position.last_term;
    report_.notes = std::move(contents.notes);
    if (unlocked_) {
      const std::string lock = absl::StrCat(paths_.member, "/", kLockName);
      report_.notes.push_back({absl::StrCat("No lock could be taken: there is no ", lock,
                                            ". Nothing kept a server from writing meanwhile"),
                               lock, 0, 0});
    }
    Finish(std::move(report_));
  }
  void Finish(absl::StatusOr<StorageReport> result) {
    const Callback callback = std::move(callback_);
    callback(std::move(result));
  }

  io::Disk* const disk_;
  io::Compute* const compute_;
  const DataPaths paths_;
  Callback callback_;
  const InspectProgress progress_;
  uint64_t done_ = 0;
  uint64_t total_ = 0;
  std::vector<std::string> directories_;  // to be measured
  std::vector<std::string> files_;
  MetaFile meta_;
  absl::Status meta_damage_;
  bool recovering_ = false;
  std::unique_ptr<io::DirectoryLock> lock_;
  bool unlocked_ = false;     // there is no lock file
  CheckpointContents found_;  // without its image
  StorageReport report_;
  std::unique_ptr<PendingOpen> peeking_;
  std::unique_ptr<CheckpointReader> checkpoint_;
  std::unique_ptr<LogReader> reader_;
  Lifetime lifetime_;
};

}  // namespace

absl::string_view SegmentRoleName(SegmentRole role) {
  switch (role) {
    case SegmentRole::kLog:
      return "log";
    case SegmentRole::kPrepared:
      return "prepared";
    case SegmentRole::kLeftOver:
      return "left over";
    case SegmentRole::kDamaged:
      return "damaged";
  }
  return "?";
}

std::unique_ptr<PendingOpen> InspectStorage(
    const io::Env& env, const std::string& data_dir,
    std::function<void(absl::StatusOr<StorageReport>)> callback, InspectProgress progress) {
  return std::make_unique<Inspection>(env, data_dir, std::move(callback), std::move(progress));
}

std::string DescribeReport(const StorageReport& report) {
  std::string out = absl::StrFormat("cluster %x, member %x\n", report.identity.cluster_id.value(),
                                    report.identity.member_id.value());
  if (report.checkpoint > LogIndex(0)) {
    absl::StrAppend(&out, "checkpoint at entry ", report.checkpoint.value(), ", ",
                    report.checkpoint_bytes, " bytes\n");
  }
  if (report.previous_checkpoint > LogIndex(0)) {
    absl::StrAppend(&out, "the checkpoint before it at entry ", report.previous_checkpoint.value(),
                    "\n");
  }
  for (const SegmentReport& segment : report.segments) {
    absl::StrAppend(&out, segment.path, ": ", SegmentRoleName(segment.role), ", ",
                    segment.file_bytes, " bytes");
    if (segment.role == SegmentRole::kLog) {
      absl::StrAppend(&out, ", used ", segment.log_bytes, " in ", segment.writes,
                      " writes, after entry ", segment.last_index_before.value());
    }
    absl::StrAppend(&out, "\n");
  }
  absl::StrAppend(&out, "last entry ", report.last_index.value(), " of term ",
                  report.last_term.value(), "; hard state: term ", report.hard_state.term.value(),
                  absl::StrFormat(", vote %x", report.hard_state.vote.value()), ", commit ",
                  report.hard_state.commit.value(), "\n");
  for (const RecoveryNote& note : report.notes) absl::StrAppend(&out, note.message, "\n");
  if (report.verdict.ok()) {
    absl::StrAppend(&out, "OK\n");
  } else if (report.repairable) {
    absl::StrAppend(&out, report.verdict.message(),
                    report.meta_damaged ? ". A start writes the file anew: the log says the same\n"
                    : report.falls_back
                        ? ". A start goes on from the checkpoint before, and the log\n"
                        : ". A start goes on without it: a checkpoint holds all that is in it\n");
  } else {
    absl::StrAppend(&out, report.verdict.message(), "\n");
  }
  return out;
}

}  // namespace quorate::storage
