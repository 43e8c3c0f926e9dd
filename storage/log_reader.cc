#include "storage/log_reader.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/status.h"
#include "storage/data_dir.h"

namespace quorate::storage {
namespace {

// Below what an allocator maps anew each time (io/uv/allocator.h): the buffers are used again.
constexpr size_t kChunkBytes = 128 * limits::kKiB;
constexpr size_t kReadAhead = 8;

uint64_t Offset(SectorIndex sector) { return uint64_t{sector} * io::kSectorBytes; }

bool AllZero(absl::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == 0; });
}

}  // namespace

// ---------------------------------------------------------------------------
// SectorStream

SectorStream::SectorStream(io::File* file, SectorIndex first, Consumer consumer, Callback callback)
    : file_(file),
      offset_(Offset(first)),
      next_read_(offset_),
      consumer_(std::move(consumer)),
      callback_(std::move(callback)) {
  ReadChunks();
}

// Chunks are read while those before them are looked at.
void SectorStream::ReadChunks() {
  while (in_flight_ == 0 || (in_flight_ < kReadAhead && next_read_ < file_->size())) {
    ++in_flight_;
    const auto take = [this, generation = generation_](const absl::StatusOr<Bytes>& bytes) {
      if (generation == generation_) TakeChunk(bytes);
    };
    file_->Read(next_read_, kChunkBytes, lifetime_.Guard(take));
    next_read_ += kChunkBytes;
  }
}

void SectorStream::TakeChunk(const absl::StatusOr<Bytes>& bytes) {
  --in_flight_;
  if (absl::IsDataLoss(bytes.status())) {
    ++generation_;
    in_flight_ = 0;
    return ReadSingly(kChunkBytes / io::kSectorBytes);
  }
  if (!bytes.ok()) return Finish(bytes.status());
  const absl::string_view chunk = *bytes;
  const bool at_end = chunk.size() < kChunkBytes;
  if (!at_end) ReadChunks();
  const size_t whole = chunk.size() - chunk.size() % io::kSectorBytes;
  if (whole > 0 && !consumer_(chunk.substr(0, whole))) return Finish(absl::OkStatus());
  offset_ += whole;
  if (!at_end) return;
  if (!AllZero(chunk.substr(whole))) consumer_({});
  Finish(absl::OkStatus());
}

// Somewhere in the next `sectors` there is one that cannot be read.
void SectorStream::ReadSingly(size_t sectors) {
  if (sectors == 0) {
    next_read_ = offset_;
    return ReadChunks();
  }
  const auto take = [this, sectors](const absl::StatusOr<Bytes>& bytes) {
    if (!bytes.ok() && !absl::IsDataLoss(bytes.status())) return Finish(bytes.status());
    unreadable_ |= !bytes.ok();
    const absl::string_view sector = bytes.ok() ? bytes->view() : absl::string_view();
    if (bytes.ok() && sector.size() < io::kSectorBytes) {
      if (!AllZero(sector)) consumer_({});
      return Finish(absl::OkStatus());
    }
    if (!consumer_(sector)) return Finish(absl::OkStatus());
    offset_ += io::kSectorBytes;
    ReadSingly(sectors - 1);
  };
  file_->Read(offset_, io::kSectorBytes, lifetime_.Guard(take));
}

void SectorStream::Finish(absl::Status status) {
  ++generation_;  // what was read ahead is not wanted
  const Callback callback = std::move(callback_);
  callback(std::move(status));
}

// ---------------------------------------------------------------------------
// LogReader: files and headers

LogReader::LogReader(io::Disk* disk, std::string log_dir, std::optional<Identity> identity,
                     LogIndex checkpoint, uint64_t catchup, bool writable, Callback callback,
                     Progress progress)
    : disk_(disk),
      log_dir_(std::move(log_dir)),
      identity_(identity),
      checkpoint_(checkpoint),
      forgotten_(checkpoint.value() > catchup ? checkpoint.value() - catchup : 0),
      writable_(writable),
      callback_(std::move(callback)),
      progress_(std::move(progress)) {
  disk_->List(log_dir_, lifetime_.Guard([this](absl::StatusOr<std::vector<std::string>> names) {
    if (absl::IsNotFound(names.status())) return Finish(absl::OkStatus());
    if (absl::IsDataLoss(names.status())) {
      contents_.unreadable = true;
      return Finish(DamageError(log_dir_, 0, "the directory cannot be read"));
    }
    if (!names.ok()) return Finish(names.status());
    for (const std::string& name : *names) {
      const std::optional<SegmentNumber> segment = ParseSegmentName(name);
      if (!segment.has_value()) continue;
      LogFile& file = contents_.files.emplace_back();
      file.segment = *segment;
      file.path = absl::StrCat(log_dir_, "/", name);
    }
    OpenNext();
  }));
}

void LogReader::OpenNext() {
  if (next_ == contents_.files.size()) {
    const absl::Status status = FindChain();
    if (!status.ok()) return Finish(status);
    next_ = 0;
    return ScanNext();
  }
  disk_->Open(
      contents_.files[next_].path, {.write = writable_},
      lifetime_.Guard([this](absl::StatusOr<std::unique_ptr<io::File>> file) {
        if (absl::IsDataLoss(file.status())) {
          contents_.unreadable = true;
          return Finish(DamageError(contents_.files[next_].path, 0, "the file cannot be opened"));
        }
        if (!file.ok()) return Finish(file.status());
        contents_.files[next_].file = *std::move(file);
        ReadHeader();
      }));
}

void LogReader::ReadHeader() {
  LogFile& file = contents_.files[next_];
  file.file->Read(0, io::kSectorBytes, [this, &file](absl::StatusOr<Bytes> bytes) {
    if (absl::IsDataLoss(bytes.status())) {
      contents_.unreadable = true;
      file.header_state = SectorState::kDamaged;
    } else if (!bytes.ok()) {
      return Finish(bytes.status());
    } else if (bytes->size() < io::kSectorBytes) {
      file.header_state = AllZero(*bytes) ? SectorState::kZero : SectorState::kDamaged;
    } else {
      file.header_state = DecodeSegmentHeader(bytes->data(), file.segment, &file.header);
    }
    ++next_;
    OpenNext();
  });
}

absl::Status LogReader::FindChain() {
  std::vector<LogFile>& files = contents_.files;
  const auto newest = std::find_if(files.rbegin(), files.rend(), [](const LogFile& file) {
    return file.header_state == SectorState::kLive;
  });
  size_t last = static_cast<size_t>(files.rend() - newest);  // one past the newest
  RETURN_IF_ERROR(CheckBehindLast(last));
  if (last == 0) return absl::OkStatus();
  size_t index = last - 1;
  while (true) {
    LogFile& file = files[index];
    const absl::Status header = CheckHeader(file);
    if (!header.ok()) {
      const bool needed = contents_.chain.empty() || !MayBeginWith(files[contents_.chain.back()]);
      if (needed || !absl::IsDataLoss(header)) return header;
      SetAside(&file, header);
      break;
    }
    file.in_log = true;
    contents_.chain.push_back(index);
    const SegmentNumber previous = file.header.previous;
    const bool may_begin_here = file.header.start.last_index <= checkpoint_;
    if (previous == 0) {
      if (may_begin_here) break;
      return DamageError(
          file.path, 0,
          absl::StrCat("the log begins behind entry ", file.header.start.last_index.value(),
                       ", and no checkpoint holds what came before"));
    }
    const auto at = std::lower_bound(
        files.begin(), files.end(), previous,
        [](const LogFile& candidate, SegmentNumber number) { return candidate.segment < number; });
    if (at == files.end() || at->segment != previous) {
      if (MayBeginWith(file)) break;  // cut after a checkpoint
      return DamageError(absl::StrCat(log_dir_, "/", SegmentName(previous)), 0,
                         absl::StrCat("the file is missing, though ", file.path, " continues it"));
    }
    at->end = file.header.previous_end;
    index = static_cast<size_t>(at - files.begin());
  }
  std::reverse(contents_.chain.begin(), contents_.chain.end());
  replay_.BeginAt(files[contents_.chain.front()].header.start);
  return absl::OkStatus();
}

void LogReader::SetAside(LogFile* file, const absl::Status& damage) {
  file->in_log = false;
  file->set_aside = damage;
  contents_.notes.push_back(
      {absl::StrCat("a segment of the log is damaged: ", DamageText(damage),
                    ". Nothing in it is needed, since the checkpoint holds everything up to entry ",
                    checkpoint_.value(), ". The disk may be failing"),
       file->path, 0, file->file->size()});
}

// A file that was only prepared has no header. One whose header is neither that nor
// whole may hold what was acknowledged.
absl::Status LogReader::CheckBehindLast(size_t last) const {
  for (size_t i = last; i < contents_.files.size(); ++i) {
    const LogFile& file = contents_.files[i];
    if (file.header_state == SectorState::kDamaged) {
      return DamageError(file.path, 0, "the segment's header does not fit its check");
    }
  }
  return absl::OkStatus();
}

absl::Status LogReader::CheckHeader(const LogFile& file) const {
  if (file.header_state != SectorState::kLive) {
    return DamageError(file.path, 0, "the segment's header is missing or does not fit its check");
  }
  if (file.header.version != kLogFormatVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat(file.path, ": the log has format version ", file.header.version,
                     "; this server reads version ", kLogFormatVersion,
                     ". Start it with a server of the version that wrote it, or newer"));
  }
  if (!identity_.has_value()) return absl::OkStatus();
  return CheckIdentity({file.header.cluster_id, file.header.member_id}, *identity_, file.path);
}

// ---------------------------------------------------------------------------
// LogReader: records

void LogReader::ScanNext() {
  if (next_ == contents_.chain.size()) {
    const size_t behind = contents_.chain.empty() ? 0 : contents_.chain.back() + 1;
    return ScanUnbegun(behind);
  }
  const LogFile& file = contents_.files[contents_.chain[next_]];
  const bool is_last = next_ + 1 == contents_.chain.size();
  const std::optional<SectorIndex> end =
      is_last ? std::nullopt : std::optional<SectorIndex>(file.end);
  scanner_.emplace(file.segment, end,
                   static_cast<SectorIndex>(file.file->size() / io::kSectorBytes),
                   std::exchange(buffer_, Bytes()));
  stream_ = std::make_unique<SectorStream>(
      file.file.get(), 1,
      [this](absl::string_view sectors) {
        NoteRead(sectors);
        if (sectors.empty()) {
          scanner_->FeedUnreadable();
        } else {
          scanner_->Feed(sectors);
        }
        return !scanner_->done();
      },
      [this](absl::Status status) {
        contents_.unreadable |= stream_->unreadable();
        if (status.ok()) status = FinishScan();
        if (!status.ok() && !GoOnBehind(status)) return Finish(std::move(status));
        ++next_;
        ScanNext();
      });
}

// Of damage in a segment, and of all before it, if the log may begin with the one behind it.
bool LogReader::GoOnBehind(const absl::Status& damage) {
  std::vector<size_t>& chain = contents_.chain;
  if (!absl::IsDataLoss(damage) || next_ + 1 == chain.size()) return false;
  const LogFile& behind = contents_.files[chain[next_ + 1]];
  if (!MayBeginWith(behind)) return false;
  for (size_t i = 0; i < next_; ++i) contents_.files[chain[i]].in_log = false;
  SetAside(&contents_.files[chain[next_]], damage);
  chain.erase(chain.begin(), chain.begin() + static_cast<ptrdiff_t>(next_) + 1);
  next_ = static_cast<size_t>(-1);  // the first of those that are left is next
  replay_ = Replay();
  replay_.BeginAt(behind.header.start);
  return true;
}

absl::Status LogReader::FinishScan() {
  LogFile& file = contents_.files[contents_.chain[next_]];
  const bool is_last = next_ + 1 == contents_.chain.size();
  if (file.header.start != replay_.position()) {
    return DamageError(file.path, 0, "the segment does not continue the one before it");
  }
  absl::StatusOr<ScannedSegment> scanned = scanner_->Finish();
  if (!scanned.ok()) {
    return DamageError(file.path, Offset(scanner_->damage()->sector), scanner_->damage()->what);
  }
  if (is_last && file.file->size() < Offset(file.header.prepared_sectors)) {
    return DamageError(file.path, file.file->size(),
                       absl::StrCat("the file ends here, but was made with ",
                                    Offset(file.header.prepared_sectors), " bytes"));
  }
  file.end = scanned->end;
  file.scanned = true;
  file.writes = scanned->writes.size();
  if (is_last) return ReplayLast(file, *scanned);
  SectorIndex sector = 1;
  const absl::Status status = replay_.AddClosed(*scanned, &sector);
  contents_.position = replay_.position();
  replay_.Forget(forgotten_);
  buffer_ = std::move(scanned->payload);
  return status.ok() ? status : DamageError(file.path, Offset(sector), status.message());
}

absl::Status LogReader::ReplayLast(const LogFile& file, const ScannedSegment& scanned) {
  SectorIndex sector = 1;
  absl::StatusOr<Replay::LastWrite> last = replay_.AddLast(scanned, &sector);
  if (!last.ok()) return DamageError(file.path, Offset(sector), last.status().message());
  contents_.last_write = *std::move(last);
  replay_.Forget(forgotten_);
  contents_.position = replay_.position();
  contents_.base = replay_.base();
  contents_.base_term = replay_.base_term();
  contents_.entries = replay_.TakeEntries();
  NoteTornTail(file, scanned);
  return absl::OkStatus();
}

void LogReader::NoteTornTail(const LogFile& file, const ScannedSegment& scanned) {
  const uint64_t bytes =
      contents_.last_write.cut_bytes + Offset(scanned.torn_end) - Offset(scanned.end);
  if (bytes == 0) return;
  const uint64_t offset = Offset(scanned.end);
  contents_.notes.push_back(
      {absl::StrCat("cut the torn tail of the log in ", file.path, " at offset ", offset, ": ",
                    bytes, " bytes of a write that had not been acknowledged"),
       file.path, offset, bytes});
}

// A file behind the last segment, without a header: at most its first write was begun,
// and torn. A later one would mean that the header is lost.
void LogReader::ScanUnbegun(size_t index) {
  if (index == contents_.files.size()) return Finish(absl::OkStatus());
  const LogFile& file = contents_.files[index];
  struct Scan {
    SectorIndex next = 1;
    SectorIndex live_end = 1;
    bool later_write = false;
  };
  const auto scan = std::make_shared<Scan>();
  stream_ = std::make_unique<SectorStream>(
      file.file.get(), 1,
      [this, scan, segment = file.segment](absl::string_view sectors) {
        NoteRead(sectors);
        if (sectors.empty()) ++scan->next;
        for (; !sectors.empty(); sectors.remove_prefix(io::kSectorBytes), ++scan->next) {
          SectorHeader header;
          if (!NamesSegment(sectors.data(), segment)) continue;
          const SectorState state = ClassifySector(sectors.data(), segment, scan->next, &header);
          if (state != SectorState::kLive) continue;
          scan->live_end = scan->next + 1;
          if (header.write_start != 1) scan->later_write = true;
        }
        return !scan->later_write;
      },
      [this, scan, index](absl::Status status) {
        const LogFile& scanned = contents_.files[index];
        contents_.unreadable |= stream_->unreadable();
        if (!status.ok()) return Finish(std::move(status));
        if (scan->later_write) {
          return Finish(DamageError(scanned.path, 0, "the segment's header is missing"));
        }
        FinishUnbegun(scanned, scan->live_end);
        ScanUnbegun(index + 1);
      });
}

void LogReader::FinishUnbegun(const LogFile& file, SectorIndex live_end) {
  if (live_end == 1) return;
  const uint64_t bytes = Offset(live_end) - Offset(1);
  contents_.notes.push_back(
      {absl::StrCat("dropped ", file.path, ": ", bytes,
                    " bytes of a write that had not been acknowledged, and no header"),
       file.path, Offset(1), bytes});
}

void LogReader::Finish(absl::Status status) {
  const Callback callback = std::move(callback_);
  callback(std::move(status), std::move(contents_));
}

absl::StatusOr<bool> FollowsCheckpoint(const LogContents& log, const Manifest& checkpoint,
                                       absl::string_view manifest_path) {
  std::optional<Term> term;
  if (checkpoint.index == log.base) {
    term = log.base_term;
  } else if (checkpoint.index > log.base && checkpoint.index <= log.position.last_index) {
    term = log.entries[checkpoint.index - log.base - 1].term;
  }
  if (term == checkpoint.term) return true;
  if (checkpoint.installed) return false;
  const LogFile& last = log.files[log.chain.back()];
  return DamageError(last.path, uint64_t{last.end} * io::kSectorBytes,
                     absl::StrCat("the log does not hold entry ", checkpoint.index.value(),
                                  " of term ", checkpoint.term.value(),
                                  ", with which the checkpoint ", manifest_path, " ends"));
}

}  // namespace quorate::storage
