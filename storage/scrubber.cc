#include "storage/scrubber.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace quorate::storage {
namespace {

// Between two passes, and before the first.
constexpr Duration kPause = Seconds(10);
// Before something is tried again that failed, and how often it is tried.
constexpr Duration kRetryInterval = Seconds(1);
constexpr int kTries = 3;

}  // namespace

Scrubber::Scrubber(io::Loop* loop, io::Disk* disk, ScrubOptions options,
                   const Checkpoints* checkpoints, DamageCallback on_damage)
    : loop_(loop),
      disk_(disk),
      options_(std::move(options)),
      paths_(options_.data_dir),
      checkpoints_(checkpoints),
      on_damage_(std::move(on_damage)),
      timer_(loop->NewTimer([this] { Next(); })) {
  if (options_.bytes_per_second > 0) timer_->Set(loop_->Now() + kPause);
}

void Scrubber::Stop() {
  timer_->Cancel();
  pack_ = nullptr;
  segments_.clear();
  next_ = 0;
}

void Scrubber::Next() {
  // What a later checkpoint gave up may be gone.
  while (next_ < segments_.size() && !checkpoints_->RefersTo(present())) ++next_;
  if (next_ < segments_.size()) return OpenPack();
  if (!segments_.empty()) ++stats_.passes;
  segments_ = checkpoints_->Segments();
  next_ = 0;
  pack_ = nullptr;
  timer_->Set(loop_->Now() + kPause);
}

void Scrubber::OpenPack() {
  if (pack_ != nullptr && pack_number_ == present().pack) return ReadSegment();
  pack_number_ = present().pack;
  disk_->Open(absl::StrCat(paths_.checkpoint, "/", PackName(pack_number_)),
              {.write = false, .uncached_reads = true},
              lifetime_.Guard([this](absl::StatusOr<std::unique_ptr<io::File>> file) {
                if (next_ >= segments_.size()) return;  // stopped
                if (!file.ok()) return Failed(file.status());
                pack_ = *std::move(file);
                ReadSegment();
              }));
}

void Scrubber::ReadSegment() {
  pack_->Read(present().offset, present().bytes,
              [this](absl::StatusOr<Bytes> bytes) { Check(std::move(bytes)); });
}

void Scrubber::Check(absl::StatusOr<Bytes> bytes) {
  if (!bytes.ok()) return Failed(bytes.status());
  const PlacedSegment& placed = present();
  stats_.bytes += bytes->size();
  const engine::LogSegment segment = {placed.id, placed.first, *std::move(bytes), placed.garbage};
  if (segment.records.size() != placed.bytes) return Damaged("the file ends within the segment");
  if (SegmentCrc(segment) != placed.crc) return Damaged("the segment does not fit its check");
  Wait(placed.bytes);
}

void Scrubber::Failed(const absl::Status& error) {
  pack_ = nullptr;
  if (!checkpoints_->RefersTo(present())) return Wait(0);  // given up meanwhile
  if (absl::IsNotFound(error)) return Damaged("the file is missing");
  ++stats_.errors;
  if (++failures_ < kTries) return timer_->Set(loop_->Now() + kRetryInterval);
  if (absl::IsDataLoss(error)) return Damaged("the segment cannot be read");
  Wait(0);  // until the next pass
}

void Scrubber::Damaged(absl::string_view what) {
  const PlacedSegment placed = present();
  if (checkpoints_->RefersTo(placed)) {
    ++stats_.damaged;
    on_damage_(placed.pack, absl::DataLossError(
                                absl::StrCat(paths_.checkpoint, "/", PackName(placed.pack),
                                             ": damaged at offset ", placed.offset, ": ", what)));
  }
  Wait(placed.bytes);
}

void Scrubber::Wait(uint64_t bytes) {
  ++next_;
  failures_ = 0;
  const uint64_t nanos = bytes * 1'000'000'000 / options_.bytes_per_second;
  timer_->Set(loop_->Now() + Nanoseconds(static_cast<int64_t>(nanos)));
}

}  // namespace quorate::storage
