#include "storage/recovery.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "storage/checkpoint_reader.h"
#include "storage/data_dir.h"
#include "storage/lifetime.h"
#include "storage/log_reader.h"
#include "storage/segment_preparer.h"
#include "storage/wal_impl.h"

namespace quorate::storage {
namespace {

constexpr uint64_t kSegmentUnit = 4096;
// Sector indexes have 32 bits, and a segment may grow by one unit.
constexpr uint64_t kMaxSegmentBytes = uint64_t{1} << 40;

absl::Status Validate(const OpenOptions& options) {
  if (options.data_dir.empty()) return absl::InvalidArgumentError("the data directory is empty");
  for (const uint64_t bytes : {options.segment_bytes, options.first_segment_bytes}) {
    if (bytes == 0 || bytes % kSegmentUnit != 0 || bytes > kMaxSegmentBytes) {
      return absl::InvalidArgumentError(absl::StrCat("a log segment of ", bytes,
                                                     " bytes: must be a multiple of ", kSegmentUnit,
                                                     " and at most ", kMaxSegmentBytes));
    }
  }
  return absl::OkStatus();
}

// A member that holds a checkpoint knows what is committed up to there, and its term.
raft::HardState AtLeast(raft::HardState state, const engine::StateImage& image) {
  if (image.term > state.term) state = {image.term, MemberId(0), state.commit};
  state.commit = std::max(state.commit, image.index);
  return state;
}

// "/a" for "/a/b", "." for "a", empty for "/" and ".".
std::string Parent(const std::string& path) {
  if (path == "/" || path == ".") return "";
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// One opening, from top to bottom in the order of its steps.
class Opening final : public PendingOpen {
 public:
  using Callback = std::function<void(absl::StatusOr<OpenedStorage>)>;

  Opening(const io::Env& env, OpenOptions options, Callback callback)
      : loop_(env.loop),
        disk_(env.disk),
        options_(std::move(options)),
        paths_(options_.data_dir),
        callback_(std::move(callback)),
        meta_(disk_, paths_),
        preparer_(disk_, paths_.log) {
    loop_->Defer(lifetime_.Guard([this] {
      const absl::Status status = Validate(options_);
      if (!status.ok()) return Fail(status);
      TakeSurvey();
    }));
  }

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
  void ReadLog();
  // Where the log does not reach back to an older checkpoint, the damage of the newest counts.
  void FailLog(absl::Status status) {
    const bool fell_back = absl::IsDataLoss(status) && !checkpoint_.damage.ok();
    Fail(fell_back ? checkpoint_.damage : std::move(status));
  }
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
  const OpenOptions options_;
  const DataPaths paths_;
  Callback callback_;
  MetaFile meta_;
  SegmentPreparer preparer_;

  std::unique_ptr<Surveyor> surveyor_;
  std::vector<std::string> sync_directories_;
  size_t next_ = 0;  // of what a step goes through
  std::unique_ptr<io::DirectoryLock> lock_;
  bool creating_ = false;

  std::unique_ptr<CheckpointReader> checkpoint_reader_;
  CheckpointContents checkpoint_;
  std::unique_ptr<Checkpoints> checkpoints_;
  std::unique_ptr<LogReader> reader_;
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

void Opening::TakeSurvey() {
  surveyor_ = std::make_unique<Surveyor>(disk_, paths_, [this](absl::StatusOr<Survey> survey) {
    if (!survey.ok()) return Fail(survey.status());
    if (!survey->etcd_file.empty()) return Fail(EtcdDirectoryError(survey->etcd_file));
    if (!survey->has_meta && !options_.create) return Fail(NotInitialisedError(paths_));
    if (survey->recovering && !options_.repair.has_value()) return Fail(RecoveringError(paths_));
    sync_directories_ = {paths_.log, paths_.member, paths_.data};
    CHECK_EQ(sync_directories_.size(), kOwnDirectories);
    if (survey->has_meta) return Lock();
    // Any directory above may be new, made by a creation that was cut short.
    for (std::string up = Parent(paths_.data); !up.empty(); up = Parent(up)) {
      sync_directories_.push_back(up);
    }
    MakeDirectories();
  });
}

void Opening::MakeDirectories() { disk_->MakeDirs(paths_.log, Then(&Opening::Lock)); }

void Opening::Lock() {
  disk_->LockDir(paths_.member,
                 lifetime_.Guard([this](absl::StatusOr<std::unique_ptr<io::DirectoryLock>> lock) {
                   if (!lock.ok()) return Fail(lock.status());
                   lock_ = *std::move(lock);
                   ReadIdentity();
                 }));
}

void Opening::ReadIdentity() {
  meta_.Read([this](absl::StatusOr<Identity> found) {
    if (absl::IsNotFound(found.status())) {
      if (!options_.create) return Fail(NotInitialisedError(paths_));
      creating_ = true;
      return ReadCheckpoint();
    }
    if (!found.ok()) return Fail(found.status());
    const absl::Status same = CheckIdentity(*found, identity(), paths_.meta);
    if (!same.ok()) return Fail(same);
    options_.repair.has_value() ? Mark() : ReadCheckpoint();
  });
}

// From here on nothing counts that the directory holds, until the mark is gone.
void Opening::Mark() {
  const auto marked = lifetime_.Guard([this](absl::StatusOr<std::unique_ptr<io::File>> file) {
    if (!file.ok()) return Fail(file.status());
    disk_->SyncDir(paths_.member, Then(&Opening::MakeLogDirectory));
  });
  disk_->Open(paths_.recovering, {.create = true}, marked);
}

void Opening::MakeLogDirectory() { disk_->MakeDirs(paths_.log, Then(&Opening::ReadCheckpoint)); }

void Opening::ReadCheckpoint() {
  const std::optional<Identity> expected =
      creating_ ? std::nullopt : std::optional<Identity>(identity());
  checkpoint_reader_ = std::make_unique<CheckpointReader>(
      disk_, paths_, expected, /*sync=*/true,
      [this](absl::Status status, CheckpointContents contents) {
        if (!status.ok()) return Fail(std::move(status));
        if (creating_ && (contents.manifest.has_value() || !contents.damage.ok())) {
          return Fail(MetaDamageError(paths_.meta, 0,
                                      "the file is missing, though there is a "
                                      "checkpoint"));
        }
        checkpoint_ = std::move(contents);
        ReadLog();
      });
}

void Opening::ReadLog() {
  // What a creation that was cut short has left may bear any name: it holds nothing.
  const std::optional<Identity> expected =
      creating_ ? std::nullopt : std::optional<Identity>(identity());
  reader_ = std::make_unique<LogReader>(
      disk_, paths_.log, expected, checkpoint_.image.index, options_.catchup_entries,
      /*writable=*/true, [this](absl::Status status, LogContents contents) {
        const bool damaged = absl::IsDataLoss(status);
        if (options_.repair.has_value() && (status.ok() || damaged)) {
          return TakeRepair(std::move(contents));
        }
        if (!status.ok()) return FailLog(std::move(status));
        TakeLog(std::move(contents));
      });
}

// Nothing of what was found goes on but the names, and a term that is later still. The vote in the
// term is given to nobody that asks: whom it went to is not known any more.
void Opening::TakeRepair(LogContents contents) {
  const RepairState& repair = *options_.repair;
  const Term term = std::max({repair.term, repair.image.term, contents.position.hard_state.term});
  log_.files = std::move(contents.files);
  for (LogFile& file : log_.files) file.in_log = false;
  log_.position.hard_state = {term, options_.member_id, repair.image.index};
  begin_anew_ = true;
  checkpoint_.image = repair.image;
  checkpoints_ =
      std::make_unique<Checkpoints>(Checkpoints::Start{.loop = loop_,
                                                       .disk = disk_,
                                                       .data_dir = options_.data_dir,
                                                       .identity = identity(),
                                                       .packs = std::move(checkpoint_.packs),
                                                       .pack_bytes = options_.pack_bytes});
  checkpoints_->Write(repair.image, Checkpoints::Origin::kPeer,
                      Then(&Opening::PrepareFirstSegment));
}

void Opening::TakeLog(LogContents contents) {
  log_ = std::move(contents);
  const bool holds_nothing = log_.position == LogPosition() && log_.last_write.units.empty();
  if (creating_ && !holds_nothing) {
    return Fail(MetaDamageError(paths_.meta, 0, "the file is missing, though there is a log"));
  }
  if (!creating_ && log_.chain.empty()) {
    return Fail(MissingLogError(paths_));
  }
  if (creating_) {
    for (LogFile& file : log_.files) file.in_log = false;
    log_.chain.clear();
  }
  const absl::Status fits = FitToCheckpoint();
  if (!fits.ok()) return FailLog(fits);
  NoteDamagedCheckpoint();
}

absl::Status Opening::FitToCheckpoint() {
  if (creating_) return absl::OkStatus();
  const absl::StatusOr<bool> follows = LogFollows(log_, checkpoint_, paths_);
  begin_anew_ = follows.ok() && !*follows;
  return follows.status();
}

// From here on a damaged checkpoint must not be taken for one that could precede another.
void Opening::NoteDamagedCheckpoint() {
  const bool found = checkpoint_.manifest.has_value();
  if (!checkpoint_.damage.ok()) {
    const std::string from = found ? absl::StrCat("the one before it, at entry ",
                                                  checkpoint_.image.index.value(), ", and the log")
                                   : "the log, which holds everything";
    log_.notes.push_back(
        {absl::StrCat("the newest checkpoint cannot be used: ", DamageText(checkpoint_.damage),
                      ". Went on from ", from, ". The disk may be failing"),
         paths_.manifest, 0, 0});
  }
  if (found) return checkpoint_.from_previous ? PromotePrevious() : ReinstallCheckpoint();
  if (!checkpoint_.damage.ok()) return DropCheckpoints();
  ReinstallCheckpoint();
}

void Opening::PromotePrevious() {
  disk_->Rename(paths_.manifest_previous, paths_.manifest, Then(&Opening::ReinstallCheckpoint));
}

void Opening::DropCheckpoints() {
  const auto remove = [this](const std::string& path, std::function<void()> next) {
    disk_->Remove(path, lifetime_.Guard([this, next = std::move(next)](absl::Status status) {
      if (!status.ok() && !absl::IsNotFound(status)) return Fail(std::move(status));
      next();
    }));
  };
  remove(paths_.manifest, [this, remove] {
    remove(paths_.manifest_previous,
           [this] { disk_->SyncDir(paths_.checkpoint, Then(&Opening::ReinstallCheckpoint)); });
  });
}

// That it could be read does not make it durable: its name may still be lost, and with it
// what a log that begins behind it rests on.
void Opening::ReinstallCheckpoint() {
  checkpoints_ =
      std::make_unique<Checkpoints>(Checkpoints::Start{.loop = loop_,
                                                       .disk = disk_,
                                                       .data_dir = options_.data_dir,
                                                       .identity = identity(),
                                                       .newest = std::move(checkpoint_.manifest),
                                                       .previous = std::move(checkpoint_.previous),
                                                       .packs = std::move(checkpoint_.packs),
                                                       .pack_bytes = options_.pack_bytes});
  checkpoints_->Reinstall(Then(&Opening::PrepareSegment));
}

// The log goes on in a new segment. Behind the end of the old one there may be what a
// crash left of later sectors; nothing is ever written there, and the new header says
// where the old segment ends.
void Opening::PrepareSegment() {
  const uint64_t least = std::max(options_.first_segment_bytes, LeastSegmentBytes());
  const size_t behind = log_.chain.empty() ? 0 : log_.chain.back() + 1;
  for (size_t i = behind; i < log_.files.size(); ++i) {
    LogFile& file = log_.files[i];
    if (file.header_state == SectorState::kLive) continue;
    if (file.file->size() < least) continue;
    // Prepared before and never begun. A process that was killed may have given it this name
    // without a sync: renamed again at once, it could come back under the name before, too.
    preparer_.AddSpare({file.path, file.file->size()});
    file.file.reset();
    return disk_->SyncDir(paths_.log, Then(&Opening::PrepareFirstSegment));
  }
  PrepareFirstSegment();
}

void Opening::PrepareFirstSegment() {
  PrepareSegmentOf(std::max(options_.first_segment_bytes, LeastSegmentBytes()));
}

// What there is to repeat, and some room.
uint64_t Opening::LeastSegmentBytes() const {
  const uint64_t sectors = log_.last_write.units.size() / kSectorPayloadBytes + 2;
  return (sectors * io::kSectorBytes / kSegmentUnit + 2) * kSegmentUnit;
}

// On a full disk a segment of the least size does: the log waits for space in it.
void Opening::PrepareSegmentOf(uint64_t bytes) {
  const SegmentNumber number = log_.files.empty() ? 1 : log_.files.back().segment + 1;
  preparer_.Prepare(number, bytes, [this, bytes](absl::StatusOr<PreparedSegment> prepared) {
    const uint64_t least = LeastSegmentBytes();
    if (absl::IsResourceExhausted(prepared.status()) && bytes > least) {
      return PrepareSegmentOf(least);
    }
    if (!prepared.ok()) return Fail(prepared.status());
    segment_ = *std::move(prepared);
    RepeatLastWrite();
  });
}

// Each write but the last is known to have been synced: the one after it began only
// then. The sync of the last may have failed, with its pages still reading back though
// the disk does not have them, and a sync now would not tell. So its units are written
// again, and the old segment (or, if it held nothing else, the one before it) is said to
// end before them.
void Opening::RepeatLastWrite() {
  header_ = {.cluster_id = options_.cluster_id,
             .member_id = options_.member_id,
             .prepared_sectors = segment_.sectors};
  if (begin_anew_) {
    BeginAnew();
    return WriteHeader();
  }
  if (!log_.chain.empty()) {
    LogFile& last = log_.files[log_.chain.back()];
    header_.start = log_.last_write.before;
    if (log_.last_write.first_sector > 1) {
      header_.previous = last.segment;
      header_.previous_end = log_.last_write.first_sector;
    } else {
      header_.previous = last.header.previous;
      header_.previous_end = last.header.previous_end;
      last.in_log = false;
      log_.chain.pop_back();
    }
  }
  const Bytes& units = log_.last_write.units;
  if (units.empty()) return WriteHeader();
  BytesBuilder out(units.size() + units.size() / 16 + io::kSectorBytes);
  WriteEncoder encoder;
  encoder.Begin(&out, segment_.segment, 1);
  encoder.AddRaw(units);
  next_sector_ = encoder.Finish();
  segment_.file->WriteAndSync(io::kSectorBytes, {std::move(out).Finish()},
                              Then(&Opening::WriteHeader));
}

// The new segment has none before it: it says itself where the log stands.
void Opening::BeginAnew() {
  for (const size_t i : log_.chain) log_.files[i].in_log = false;
  log_.chain.clear();
  log_.entries.clear();
  LogPosition& position = log_.position;
  position.last_index = checkpoint_.image.index;
  position.last_term = checkpoint_.image.term;
  position.hard_state = AtLeast(position.hard_state, checkpoint_.image);
  header_.start = position;
  log_.base = position.last_index;
  log_.base_term = position.last_term;
}

// Only now: from its header on, the new segment stands for the old write.
void Opening::WriteHeader() {
  BytesBuilder out(io::kSectorBytes);
  EncodeSegmentHeader(segment_.segment, header_, out.Grow(io::kSectorBytes));
  next_ = 0;
  segment_.file->WriteAndSync(0, {std::move(out).Finish()}, Then(&Opening::SyncSegments));
}

// What was read is durable if the log wrote it, but perhaps not if somebody copied the
// directory here.
void Opening::SyncSegments() {
  if (next_ == log_.chain.size()) {
    next_ = 0;
    return SetDamagedAside();
  }
  const size_t index = log_.chain[next_++];
  log_.files[index].file->Sync(Then(&Opening::SyncSegments));
}

// Somebody may want to know what became of the disk, or have use for what is in it after all.
void Opening::SetDamagedAside() {
  while (next_ < log_.files.size()) {
    LogFile& file = log_.files[next_++];
    if (file.set_aside.ok()) continue;
    file.file.reset();
    // Failing costs nothing: the next start finds it, and has no use for it, either.
    return disk_->Rename(file.path, file.path + ".damaged",
                         lifetime_.Guard([this](const absl::Status&) { SetDamagedAside(); }));
  }
  next_ = 0;
  SyncDirectories();
}

void Opening::SyncDirectories() {
  if (next_ == sync_directories_.size()) return WriteIdentity();
  const std::string& directory = sync_directories_[next_++];
  disk_->SyncDir(directory, lifetime_.Guard([this](absl::Status status) {
    // One above that may not be read is somebody else's, and was not made here.
    const bool foreign = next_ > kOwnDirectories && absl::IsPermissionDenied(status);
    if (!status.ok() && !foreign) return Fail(std::move(status));
    SyncDirectories();
  }));
}

void Opening::WriteIdentity() {
  if (options_.repair.has_value()) return RemoveMark();
  if (!creating_) return SortLeftovers();
  meta_.Write(identity(), Then(&Opening::SortLeftovers));
}

void Opening::RemoveMark() {
  disk_->Remove(paths_.recovering, lifetime_.Guard([this](absl::Status status) {
    if (!status.ok()) return Fail(std::move(status));
    disk_->SyncDir(paths_.member, Then(&Opening::SortLeftovers));
  }));
}

void Opening::SortLeftovers() {
  for (LogFile& file : log_.files) {
    if (options_.repair.has_value()) {  // where the disk has failed nothing is written again
      file.file.reset();
      surplus_.push_back(file.path);
      continue;
    }
    if (file.in_log || file.file == nullptr) continue;
    const SpareFile spare = {file.path, file.file->size()};
    if (spares_.empty() && spare.bytes >= options_.segment_bytes) {
      spares_.push_back(spare);
    } else {
      surplus_.push_back(spare.path);
    }
    file.file.reset();
  }
  // The one before the new segment may be cut, and is then not here.
  if (!log_.chain.empty()) log_.files[log_.chain.back()].end = header_.previous_end;
  next_ = 0;
  TruncateNext();
}

// A segment that ended early, at a restart, keeps no space for what will never come. One
// that is mostly full stays whole, to be recycled.
void Opening::TruncateNext() {
  while (next_ < log_.chain.size()) {
    LogFile& closed = log_.files[log_.chain[next_++]];
    const uint64_t end = uint64_t{closed.end} * io::kSectorBytes;
    if (end >= closed.file->size() / 2) continue;
    // Failing costs only the space.
    closed.file->Truncate(end, [this](const absl::Status&) { TruncateNext(); });
    return;
  }
  RemoveNext();
}

void Opening::RemoveNext() {
  if (surplus_.empty()) return Succeed();
  const std::string path = std::move(surplus_.back());
  surplus_.pop_back();
  disk_->Remove(path, lifetime_.Guard([this](const absl::Status&) { RemoveNext(); }));
}

std::vector<ClosedSegment> Opening::ClosedSegments() const {
  std::vector<ClosedSegment> closed;
  for (size_t i = 0; i < log_.chain.size(); ++i) {
    const LogFile& file = log_.files[log_.chain[i]];
    const bool last = i + 1 == log_.chain.size();
    const SegmentHeader& next = last ? header_ : log_.files[log_.chain[i + 1]].header;
    closed.push_back({{file.path, file.file->size()},
                      next.start.last_index,
                      file.segment,
                      uint64_t{file.end} * io::kSectorBytes});
  }
  return closed;
}

void Opening::Succeed() {
  OpenedStorage opened;
  opened.state.hard_state = log_.position.hard_state;
  std::optional<raft::HardState> unlogged;
  if (checkpoint_.image.index > LogIndex(0)) {
    opened.state.hard_state = AtLeast(opened.state.hard_state, checkpoint_.image);
    if (opened.state.hard_state != log_.position.hard_state) unlogged = opened.state.hard_state;
    opened.state.checkpoint = std::move(checkpoint_.image);
  }
  opened.state.base = log_.base;
  opened.state.base_term = log_.base_term;
  opened.state.entries = std::move(log_.entries);
  opened.state.notes = std::move(log_.notes);
  opened.state.existed = !creating_;
  opened.lock = std::move(lock_);
  opened.wal = MakeWal({.loop = loop_,
                        .disk = disk_,
                        .log_dir = paths_.log,
                        .cluster_id = options_.cluster_id,
                        .member_id = options_.member_id,
                        .segment_bytes = options_.segment_bytes,
                        .max_write_bytes = options_.max_write_bytes,
                        .segment = std::move(segment_),
                        .next_sector = next_sector_,
                        .position = log_.position,
                        .unlogged = unlogged,
                        .spares = std::move(spares_),
                        .closed = ClosedSegments()});
  opened.checkpoints = std::move(checkpoints_);
  Finish(std::move(opened));
}

}  // namespace

std::unique_ptr<PendingOpen> OpenStorage(
    const io::Env& env, OpenOptions options,
    std::function<void(absl::StatusOr<OpenedStorage>)> callback) {
  return std::make_unique<Opening>(env, std::move(options), std::move(callback));
}

}  // namespace quorate::storage
