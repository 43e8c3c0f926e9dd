#include "storage/recovery.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "storage/opening.h"

namespace quorate::storage {
namespace {

// What could not be read may be readable a little later: a path to the disk that came back, a
// disk that has read it after all. Before what else there is to start from takes its place, or
// another member's state, all is read so often, with pauses twice as long each time.
constexpr size_t kMaxReadings = 4;
constexpr Duration kReadingPause = Milliseconds(250);

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

// "/a" for "/a/b", "." for "a", empty for "/" and ".".
std::string Parent(const std::string& path) {
  if (path == "/" || path == ".") return "";
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

Opening::Opening(const io::Env& env, OpenOptions options, Callback callback)
    : loop_(env.loop),
      disk_(env.disk),
      compute_(env.compute),
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

void Opening::TakeSurvey() {
  surveyor_ = std::make_unique<Surveyor>(disk_, paths_, [this](absl::StatusOr<Survey> survey) {
    if (absl::IsDataLoss(survey.status()) && TryAgain([this] { TakeSurvey(); })) return;
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
  const auto take = [this](const absl::StatusOr<FoundIdentity>& found) {
    if (absl::IsNotFound(found.status())) {
      if (!options_.create) return Fail(NotInitialisedError(paths_));
      creating_ = true;
      return ReadCheckpoint();
    }
    if (!found.ok()) return Fail(found.status());
    const absl::Status same = CheckIdentity(found->identity, identity(), paths_.meta);
    if (!same.ok()) return Fail(same);
    meta_damage_ = found->damage;
    options_.repair.has_value() ? Mark() : ReadCheckpoint();
  };
  identity_reader_ = std::make_unique<IdentityReader>(disk_, paths_, take);
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

// Whether checkpoint and log are read anew, since some of it could not be read. Not what is about
// to be replaced by another member's; nor after an error of another kind: a sync that failed is
// final, whatever the next one says.
bool Opening::ReadAgain(bool unreadable, const absl::Status& status) {
  const bool final = !status.ok() && !absl::IsDataLoss(status);
  if (!unreadable || final || options_.repair.has_value()) return false;
  return TryAgain([this] {
    // That of the log may have ended meanwhile.
    reader_.reset();
    log_status_.reset();
    log_ = {};
    ReadCheckpoint();
  });
}

// Calls `read` after a pause, unless there have been as many readings as there may be.
bool Opening::TryAgain(std::function<void()> read) {
  if (readings_ == kMaxReadings) return false;
  const Duration pause = kReadingPause * (int64_t{1} << (readings_ - 1));
  ++readings_;
  checkpoint_read_ = false;
  checkpoint_ = {};
  log_ = {};
  read_again_ = loop_->NewTimer(std::move(read));
  read_again_->Set(loop_->Now() + pause);
  return true;
}

// The log is read beside the checkpoint's segments: once the manifest is there it is known from
// which entry on.
void Opening::ReadCheckpoint() {
  const std::optional<Identity> expected =
      creating_ ? std::nullopt : std::optional<Identity>(identity());
  checkpoint_reader_ = std::make_unique<CheckpointReader>(
      disk_, compute_, paths_,
      CheckpointReader::Options{.identity = expected,
                                .sync = true,
                                .prepare = options_.prepare,
                                .begun = [this](LogIndex index) { ReadLog(index); }},
      [this](absl::Status status, CheckpointContents contents) {
        if (ReadAgain(contents.unreadable, status)) return;
        if (!status.ok()) return Fail(std::move(status));
        TakeCheckpoint(std::move(contents));
      });
}

void Opening::TakeCheckpoint(CheckpointContents contents) {
  if (creating_ && (contents.manifest.has_value() || !contents.damage.ok())) {
    return Fail(
        MetaDamageError(paths_.meta, 0, "the file is missing, though there is a checkpoint"));
  }
  checkpoint_ = std::move(contents);
  checkpoint_read_ = true;
  if (reader_ == nullptr || read_for_ != checkpoint_.image.index) {
    return ReadLog(checkpoint_.image.index);
  }
  if (log_status_.has_value()) TakeBoth();
}

void Opening::ReadLog(LogIndex checkpoint) {
  // What a creation that was cut short has left may bear any name: it holds nothing.
  const std::optional<Identity> expected =
      creating_ ? std::nullopt : std::optional<Identity>(identity());
  read_for_ = checkpoint;
  log_status_.reset();
  reader_ = std::make_unique<LogReader>(disk_, paths_.log, expected, checkpoint,
                                        options_.catchup_entries, /*writable=*/true,
                                        [this](absl::Status status, LogContents contents) {
                                          log_status_ = std::move(status);
                                          log_ = std::move(contents);
                                          if (checkpoint_read_) TakeBoth();
                                        });
}

void Opening::TakeBoth() {
  if (ReadAgain(log_.unreadable, *log_status_)) return;
  const absl::Status status = *log_status_;
  LogContents contents = std::move(log_);
  if (readings_ > 1 && !contents.unreadable && !checkpoint_.unreadable) {
    contents.notes.push_back(
        {absl::StrCat(
             paths_.member,
             ": the checkpoint and the log could be read only when it was tried again. The "
             "disk may be failing"),
         paths_.member, 0, 0});
  }
  const bool damaged = absl::IsDataLoss(status);
  if (options_.repair.has_value() && (status.ok() || damaged)) {
    return TakeRepair(std::move(contents));
  }
  if (!status.ok()) return FailLog(status);
  TakeLog(std::move(contents));
}

// Where the log does not reach back to an older checkpoint, the damage of the newest counts.
void Opening::FailLog(absl::Status status) {
  const bool fell_back = absl::IsDataLoss(status) && !checkpoint_.damage.ok();
  Fail(fell_back ? checkpoint_.damage : std::move(status));
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

std::unique_ptr<PendingOpen> OpenStorage(
    const io::Env& env, OpenOptions options,
    std::function<void(absl::StatusOr<OpenedStorage>)> callback) {
  return std::make_unique<Opening>(env, std::move(options), std::move(callback));
}

}  // namespace quorate::storage
