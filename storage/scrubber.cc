#include "storage/scrubber.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/record.h"
#include "storage/segment.h"

namespace quorate::storage {
namespace {

// Between two passes, and before the first.
constexpr Duration kPause = Seconds(10);
// Before something is tried again that failed, and how often it is tried.
constexpr Duration kRetryInterval = Seconds(1);
constexpr int kTries = 3;
// Of the log, what is read at once.
constexpr uint64_t kLogPieceBytes = 256 * limits::kKiB;

}  // namespace

Scrubber::Scrubber(io::Loop* loop, io::Disk* disk, ScrubOptions options,
                   const Checkpoints* checkpoints, const Wal* wal, DamageCallback on_damage)
    : loop_(loop),
      disk_(disk),
      options_(std::move(options)),
      paths_(options_.data_dir),
      checkpoints_(checkpoints),
      wal_(wal),
      on_damage_(std::move(on_damage)),
      timer_(loop->NewTimer([this] { Next(); })) {
  if (options_.bytes_per_second > 0) timer_->Set(loop_->Now() + kPause);
}

void Scrubber::Stop() {
  timer_->Cancel();
  file_ = nullptr;
  pieces_.clear();
  next_ = 0;
}

void Scrubber::BeginPass() {
  next_ = 0;
  pieces_.clear();
  if (checkpoints_->index() > LogIndex(0)) {
    pieces_.push_back({.manifest = checkpoints_->index()});
  }
  for (PlacedSegment& placed : checkpoints_->Segments()) {
    pieces_.push_back({placed.offset, placed.bytes, std::move(placed), {}, {}});
  }
  std::vector<ColdSegment> log = wal_->ColdSegments();
  if (const std::optional<ColdSegment> open = wal_->OpenSegment()) log.push_back(*open);
  for (const ColdSegment& segment : log) {
    for (uint64_t at = 0; at < segment.log_bytes; at += kLogPieceBytes) {
      const uint64_t bytes = std::min(kLogPieceBytes, segment.log_bytes - at);
      pieces_.push_back({at, static_cast<uint32_t>(bytes), std::nullopt, segment, {}});
    }
  }
}

bool Scrubber::IsOpen(SegmentNumber segment) const {
  const std::optional<ColdSegment> open = wal_->OpenSegment();
  return open.has_value() && open->segment == segment;
}

// What a later checkpoint gave up, or cut, may be gone; so may the manifest be while one is
// installed, however long that takes. A damaged segment of the log is known.
bool Scrubber::Wanted(const Piece& piece) const {
  if (piece.manifest > LogIndex(0)) {
    return checkpoints_->index() == piece.manifest && checkpoints_->manifest_settled();
  }
  if (piece.placed.has_value()) return checkpoints_->RefersTo(*piece.placed);
  const SegmentNumber segment = piece.cold.segment;
  return (wal_->HoldsCold(segment) || IsOpen(segment)) && !damaged_log_.contains(segment);
}

std::string Scrubber::PathOf(const Piece& piece) const {
  if (piece.manifest > LogIndex(0)) return paths_.manifest;
  if (!piece.placed.has_value()) return piece.cold.path;
  return absl::StrCat(paths_.checkpoint, "/", PackName(piece.placed->pack));
}

void Scrubber::Next() {
  NoteLogRepairs();
  if (next_ == 0 && failures_ == 0) AskAgain();  // a pass begins
  while (next_ < pieces_.size() && !Wanted(present())) ++next_;
  if (next_ < pieces_.size()) return OpenFile();
  if (!pieces_.empty()) ++stats_.passes;
  file_ = nullptr;
  BeginPass();
  timer_->Set(loop_->Now() + kPause);
}

void Scrubber::OpenFile() {
  const std::string path = PathOf(present());
  // Each manifest is a file of its own.
  const bool same = file_ != nullptr && file_->path() == path && path != paths_.manifest;
  if (same) return ReadPiece();
  disk_->Open(path, {.write = false, .uncached_reads = true},
              lifetime_.Guard([this](absl::StatusOr<std::unique_ptr<io::File>> file) {
                if (next_ >= pieces_.size()) return;  // stopped
                if (!file.ok()) return Failed(file.status());
                file_ = *std::move(file);
                ReadPiece();
              }));
}

void Scrubber::ReadPiece() {
  const bool whole = present().manifest > LogIndex(0);
  file_->Read(present().offset, whole ? file_->size() : present().bytes,
              [this](absl::StatusOr<Bytes> bytes) { Check(std::move(bytes)); });
}

void Scrubber::Check(absl::StatusOr<Bytes> bytes) {
  if (!bytes.ok()) return Failed(bytes.status());
  stats_.bytes += bytes->size();
  const std::optional<Flaw> flaw = FlawOf(present(), *bytes);
  const uint64_t read = bytes->size();
  // It may have been replaced, or cut, meanwhile: then it is not wanted.
  if (flaw.has_value()) return Damaged(*flaw);
  Wait(read);
}

std::optional<Scrubber::Flaw> Scrubber::FlawOf(const Piece& piece, const Bytes& bytes) const {
  if (piece.manifest > LogIndex(0)) {
    const absl::StatusOr<Manifest> manifest = DecodeManifest(bytes, paths_.manifest);
    if (!manifest.ok()) return Flaw{0, "the manifest does not fit its check"};
    if (manifest->identity != checkpoints_->identity()) {
      return Flaw{0, "the manifest is another member's"};
    }
    // A later one is being installed.
    if (manifest->index < piece.manifest) return Flaw{0, "the manifest is an earlier one"};
    return std::nullopt;
  }
  if (bytes.size() != piece.bytes) {
    return Flaw{piece.offset + bytes.size(), "the file ends within the segment"};
  }
  if (!piece.placed.has_value()) return FlawOfLog(piece, bytes);
  const PlacedSegment& placed = *piece.placed;
  if (SegmentCrc({placed.id, placed.first, bytes, placed.garbage}) == placed.crc) {
    return std::nullopt;
  }
  return Flaw{piece.offset, "the segment does not fit its check"};
}

// All of these sectors were synced, before others behind them were written: none may be missing.
std::optional<Scrubber::Flaw> Scrubber::FlawOfLog(const Piece& piece, absl::string_view bytes) {
  const SegmentNumber segment = piece.cold.segment;
  uint64_t offset = piece.offset;
  for (; !bytes.empty(); bytes.remove_prefix(io::kSectorBytes), offset += io::kSectorBytes) {
    SegmentHeader header;
    SectorHeader sector;
    const auto index = static_cast<SectorIndex>(offset / io::kSectorBytes);
    const SectorState state = index == 0 ? DecodeSegmentHeader(bytes.data(), segment, &header)
                                         : ClassifySector(bytes.data(), segment, index, &sector);
    if (state != SectorState::kLive) return Flaw{offset, "a sector does not fit its check"};
  }
  return std::nullopt;
}

void Scrubber::Failed(const absl::Status& error) {
  file_ = nullptr;
  if (!Wanted(present())) return Wait(0);  // given up meanwhile
  // That of a manifest may be an answer from the moment in which it was replaced.
  const bool missing = absl::IsNotFound(error);
  if (missing && present().manifest == LogIndex(0)) {
    return Damaged({present().offset, "the file is missing"});
  }
  ++stats_.errors;
  if (++failures_ < kTries) return timer_->Set(loop_->Now() + kRetryInterval);
  if (missing) return Damaged({0, "the file is missing"});
  if (absl::IsDataLoss(error)) {
    return Damaged({present().offset, "the segment cannot be read"});
  }
  Wait(0);  // until the next pass
}

void Scrubber::Damaged(const Flaw& flaw) {
  const Piece piece = present();
  if (Wanted(piece)) {
    ScrubDamage damage;
    damage.what = absl::DataLossError(
        absl::StrCat(PathOf(piece), ": damaged at offset ", flaw.offset, ": ", flaw.what));
    if (piece.manifest > LogIndex(0)) {
      ++stats_.damaged;
    } else if (piece.placed.has_value()) {
      ++stats_.damaged;
      damage.pack = piece.placed->pack;
    } else {
      ++stats_.log_damaged;
      damage.segment = piece.cold.segment;
      // By now: it may have grown since the pass began.
      const std::optional<LogIndex> last_index = wal_->LastIndexOf(damage.segment);
      damaged_log_[damage.segment] = {last_index.value_or(piece.cold.last_index), damage.what};
    }
    on_damage_(damage);
  }
  Wait(piece.bytes);
}

// One that is cut, or replaced by a state from a peer, holds nothing that the checkpoint has not.
void Scrubber::NoteLogRepairs() {
  if (!wal_->status().ok()) return;  // nor does a log that has failed repair anything
  for (auto& [segment, damaged] : damaged_log_) {
    // Without an entry, too, it is what the log begins with until there is a checkpoint.
    const LogIndex needed = std::max(damaged.last_index, LogIndex(1));
    const bool depended_on =
        IsOpen(segment) || (checkpoints_->index() < needed && wal_->HoldsCold(segment));
    if (damaged.repaired || depended_on) continue;
    ++stats_.log_repaired;
    damaged.repaired = true;
  }
  absl::erase_if(damaged_log_, [this](const auto& damaged) {
    return damaged.second.repaired && !wal_->HoldsCold(damaged.first);
  });
}

// The checkpoint that was taken upon the damage may end before the segment does.
void Scrubber::AskAgain() {
  for (const auto& [segment, damaged] : damaged_log_) {
    if (!damaged.repaired) on_damage_({.pack = 0, .segment = segment, .what = damaged.what});
  }
}

void Scrubber::Wait(uint64_t bytes) {
  ++next_;
  failures_ = 0;
  const uint64_t nanos = bytes * 1'000'000'000 / options_.bytes_per_second;
  timer_->Set(loop_->Now() + Nanoseconds(static_cast<int64_t>(nanos)));
}

}  // namespace quorate::storage
