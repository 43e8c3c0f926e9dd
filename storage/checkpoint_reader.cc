#include "storage/checkpoint_reader.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace quorate::storage {
namespace {

// Reads under way at once.
constexpr size_t kReadAhead = 16;

}  // namespace

absl::StatusOr<bool> LogFollows(const LogContents& log, const CheckpointContents& checkpoint,
                                const DataPaths& paths) {
  if (checkpoint.damaged.has_value()) {
    const absl::StatusOr<bool> follows =
        FollowsCheckpoint(log, *checkpoint.damaged, paths.manifest);
    if (!follows.ok() || !*follows) return checkpoint.damage;
  }
  if (!checkpoint.manifest.has_value()) return true;
  absl::StatusOr<bool> follows =
      FollowsCheckpoint(log, *checkpoint.manifest,
                        checkpoint.from_previous ? paths.manifest_previous : paths.manifest);
  if (follows.ok() && !*follows && !checkpoint.damage.ok()) return checkpoint.damage;
  return follows;
}

CheckpointReader::CheckpointReader(io::Disk* disk, io::Compute* compute, const DataPaths& paths,
                                   Options options, Callback callback)
    : disk_(disk),
      compute_(compute),
      paths_(paths),
      options_(std::move(options)),
      callback_(std::move(callback)) {
  disk_->List(paths_.checkpoint,
              lifetime_.Guard([this](absl::StatusOr<std::vector<std::string>> names) {
                if (absl::IsNotFound(names.status())) return Finish(absl::OkStatus());
                if (absl::IsDataLoss(names.status())) {
                  contents_.unreadable = true;
                  return Finish(DamageError(paths_.checkpoint, 0, "the directory cannot be read"));
                }
                if (!names.ok()) return Finish(names.status());
                for (const std::string& name : *names) {
                  const std::optional<PackNumber> pack = ParsePackName(name);
                  if (pack.has_value()) contents_.packs.insert(*pack);
                }
                OpenManifest();
              }));
}

std::string CheckpointReader::PackPath(PackNumber pack) const {
  return absl::StrCat(paths_.checkpoint, "/", PackName(pack));
}

void CheckpointReader::OpenManifest() {
  disk_->Open(ManifestPath(), {.write = false},
              lifetime_.Guard([this](absl::StatusOr<std::unique_ptr<io::File>> file) {
                if (absl::IsNotFound(file.status())) return NoManifest();
                if (absl::IsDataLoss(file.status())) {
                  return FailUnreadable(ManifestPath(), 0, "the file cannot be opened");
                }
                if (!file.ok()) return Finish(file.status());
                manifest_ = *std::move(file);
                manifest_->Read(0, manifest_->size(), [this](absl::StatusOr<Bytes> bytes) {
                  if (absl::IsDataLoss(bytes.status())) {
                    return FailUnreadable(ManifestPath(), 0, "the file cannot be read");
                  }
                  absl::Status status = bytes.ok() ? TakeManifest(*bytes) : bytes.status();
                  if (!status.ok()) return Fail(std::move(status));
                  if (options_.begun != nullptr) options_.begun(contents_.image.index);
                  OpenNextPack();
                });
              }));
}

// A crash between the two renames of an installation leaves only the one before.
void CheckpointReader::NoManifest() {
  if (at_previous_) return Finish(absl::OkStatus());
  at_previous_ = true;
  OpenManifest();
}

absl::Status CheckpointReader::TakeManifest(const Bytes& bytes) {
  absl::StatusOr<Manifest> manifest = DecodeManifest(bytes, ManifestPath());
  if (!manifest.ok()) return manifest.status();
  if (options_.identity.has_value()) {
    const absl::Status same = CheckIdentity(manifest->identity, *options_.identity, ManifestPath());
    if (!same.ok()) return same;
  }
  contents_.image.index = manifest->index;
  contents_.image.term = manifest->term;
  contents_.image.sections = manifest->sections;
  for (const PlacedSegment& segment : manifest->segments) {
    contents_.image.segments.push_back({segment.id, segment.first, Bytes(), segment.garbage});
    packs_[segment.pack] = nullptr;
  }
  if (options_.prepare != nullptr) {
    contents_.image.prepared.resize(contents_.image.segments.size());
  }
  contents_.manifest = *std::move(manifest);
  contents_.from_previous = at_previous_;
  return absl::OkStatus();
}

void CheckpointReader::OpenNextPack() {
  const auto at = packs_.upper_bound(last_opened_);
  if (at == packs_.end()) {
    OrderReads();
    return ReadSegments();
  }
  last_opened_ = at->first;
  disk_->Open(PackPath(last_opened_), {.write = options_.sync},
              lifetime_.Guard([this](absl::StatusOr<std::unique_ptr<io::File>> file) {
                if (absl::IsNotFound(file.status())) {
                  return Fail(DamageError(
                      PackPath(last_opened_), 0,
                      absl::StrCat("the file is missing, though ", ManifestPath(), " needs it")));
                }
                if (absl::IsDataLoss(file.status())) {
                  return FailUnreadable(PackPath(last_opened_), 0, "the file cannot be opened");
                }
                if (!file.ok()) return Finish(file.status());
                packs_[last_opened_] = *std::move(file);
                OpenNextPack();
              }));
}

// A disk reads one file from front to back, and several side by side: the packs take turns.
void CheckpointReader::OrderReads() {
  const std::vector<PlacedSegment>& segments = contents_.manifest->segments;
  absl::btree_map<PackNumber, size_t> in_pack;
  std::vector<std::pair<size_t, size_t>> turns;  // of a segment, and which it is
  for (size_t i = 0; i < segments.size(); ++i) turns.push_back({in_pack[segments[i].pack]++, i});
  std::sort(turns.begin(), turns.end());
  order_.clear();
  for (const auto& [turn, index] : turns) order_.push_back(index);
}

void CheckpointReader::ReadSegments() {
  if (order_.empty()) return SyncPacks();
  while (next_ < order_.size() && in_flight_ < kReadAhead) {
    const size_t index = order_[next_++];
    const PlacedSegment& segment = contents_.manifest->segments[index];
    ++in_flight_;
    packs_[segment.pack]->Read(
        segment.offset, segment.bytes,
        [this, index](absl::StatusOr<Bytes> bytes) { TakeSegment(index, std::move(bytes)); });
  }
}

void CheckpointReader::FailSegment(size_t index, absl::string_view what) {
  const PlacedSegment& placed = contents_.manifest->segments[index];
  Fail(DamageError(PackPath(placed.pack), placed.offset, what));
}

void CheckpointReader::FailUnreadable(absl::string_view path, uint64_t offset,
                                      absl::string_view what) {
  contents_.unreadable = true;
  Fail(DamageError(path, offset, what));
}

void CheckpointReader::TakeSegment(size_t index, absl::StatusOr<Bytes> bytes) {
  if (absl::IsDataLoss(bytes.status())) {
    contents_.unreadable = true;
    return FailSegment(index, "a segment cannot be read");
  }
  if (!bytes.ok()) return Finish(bytes.status());
  if (options_.progress != nullptr) options_.progress(bytes->size());
  if (bytes->size() != contents_.manifest->segments[index].bytes) {
    return FailSegment(index, "the file ends within a segment");
  }
  contents_.image.segments[index].records = *std::move(bytes);
  CheckSegment(index);
}

void CheckpointReader::CheckSegment(size_t index) {
  struct Job {
    engine::LogSegment segment;
    Prepare prepare;
    uint32_t placed_crc = 0;
    uint32_t crc = 0;
    std::shared_ptr<engine::PreparedSegment> prepared;
  };
  const auto job = std::make_shared<Job>();
  job->segment = contents_.image.segments[index];
  job->prepare = options_.prepare;
  job->placed_crc = contents_.manifest->segments[index].crc;
  compute_->Run(
      [job] {
        job->crc = SegmentCrc(job->segment);
        if (job->crc == job->placed_crc && job->prepare != nullptr) {
          job->prepared = job->prepare(job->segment);
        }
      },
      lifetime_.Guard([this, job, index, attempt = attempt_] {
        if (attempt == attempt_) TakeChecked(index, job->crc, std::move(job->prepared));
      }));
}

void CheckpointReader::TakeChecked(size_t index, uint32_t crc,
                                   std::shared_ptr<engine::PreparedSegment> prepared) {
  if (crc != contents_.manifest->segments[index].crc) {
    return FailSegment(index, "a segment does not fit its check");
  }
  if (prepared != nullptr) {
    prepared->Settle();
    contents_.image.prepared[index] = std::move(prepared);
  }
  --in_flight_;
  if (next_ < order_.size()) return ReadSegments();
  if (in_flight_ == 0) SyncPacks();
}

// All at once: each has its own queue.
void CheckpointReader::SyncPacks() {
  if (!options_.sync || packs_.empty()) return ReadPrevious();
  in_flight_ = packs_.size();
  for (const auto& [number, pack] : packs_) {
    pack->Sync([this](absl::Status status) {
      if (!status.ok()) return Finish(std::move(status));
      if (--in_flight_ == 0) ReadPrevious();
    });
  }
}

void CheckpointReader::ReadPrevious() {
  // What is before a state that came from a peer counts no longer.
  if (at_previous_ || contents_.manifest->installed) return Finish(absl::OkStatus());
  disk_->Open(
      paths_.manifest_previous, {.write = false},
      lifetime_.Guard([this](absl::StatusOr<std::unique_ptr<io::File>> file) {
        // It is not needed: what is wrong with it does not matter.
        if (!file.ok()) return Finish(absl::OkStatus());
        manifest_ = *std::move(file);
        manifest_->Read(0, manifest_->size(), [this](absl::StatusOr<Bytes> bytes) {
          if (!bytes.ok()) return Finish(absl::OkStatus());
          absl::StatusOr<Manifest> previous = DecodeManifest(*bytes, paths_.manifest_previous);
          const bool usable = previous.ok() && previous->identity == contents_.manifest->identity &&
                              previous->index < contents_.manifest->index;
          if (usable) contents_.previous = *std::move(previous);
          Finish(absl::OkStatus());
        });
      }));
}

// Damage of the newest is survived by the one before it, or without any, as far as the log
// reaches; the first damage is what counts if that fails, too.
void CheckpointReader::Fail(absl::Status status) {
  if (!absl::IsDataLoss(status)) return Finish(std::move(status));
  if (contents_.damage.ok()) contents_.damage = std::move(status);
  if (!at_previous_) contents_.damaged = std::move(contents_.manifest);
  // Reads that are still under way end with their files.
  packs_.clear();
  manifest_ = nullptr;
  contents_.manifest.reset();
  contents_.image = {};
  last_opened_ = 0;
  next_ = in_flight_ = 0;
  ++attempt_;
  NoManifest();
}

void CheckpointReader::Finish(absl::Status status) {
  const Callback callback = std::move(callback_);
  packs_.clear();
  manifest_ = nullptr;
  ++attempt_;
  callback(std::move(status), std::move(contents_));
}

}  // namespace quorate::storage
