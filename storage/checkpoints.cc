#include "storage/checkpoints.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace quorate::storage {
namespace {

// Segments go out in pieces of about this size, one at a time, and are synced in steps,
// so that no sync of the log waits long behind them.
constexpr uint64_t kWriteBytes = 1 * limits::kMiB;
constexpr uint64_t kSyncBytes = 4 * limits::kMiB;
// Packs are given up while more than a tenth of their bytes is dead, or there are more
// than this many beyond what full ones would be.
constexpr uint64_t kDeadShare = 10;
constexpr size_t kSpareSmallPacks = 32;
// Live bytes of given-up packs that one checkpoint writes again, about.
constexpr uint64_t kMovedBytes = 64 * limits::kMiB;

}  // namespace

Checkpoints::Checkpoints(Start start)
    : loop_(start.loop),
      disk_(start.disk),
      paths_(std::move(start.data_dir)),
      identity_(start.identity),
      pack_bytes_(start.pack_bytes),
      newest_(std::move(start.newest)),
      previous_(std::move(start.previous)) {
  for (const PackNumber pack : start.packs) {
    packs_[pack] = 0;
    last_pack_ = std::max(last_pack_, pack);
  }
  directory_made_ = newest_.has_value();
  if (!newest_.has_value()) return;
  for (const PlacedSegment& segment : newest_->segments) {
    known_[segment.id] = segment;
    uint64_t& bytes = packs_[segment.pack];
    bytes = std::max(bytes, segment.offset + segment.bytes);
  }
  if (previous_.has_value()) {
    for (const PlacedSegment& segment : previous_->segments) {
      uint64_t& bytes = packs_[segment.pack];
      bytes = std::max(bytes, segment.offset + segment.bytes);
    }
  }
  CountPacks();
}

Checkpoints::~Checkpoints() = default;

std::string Checkpoints::PackPath(PackNumber pack) const {
  return absl::StrCat(paths_.checkpoint, "/", PackName(pack));
}

std::function<void(absl::Status)> Checkpoints::Then(void (Checkpoints::*next)()) {
  return lifetime_.Guard([this, next](absl::Status status) {
    if (!status.ok()) return Finish(status);
    (this->*next)();
  });
}

void Checkpoints::Write(engine::StateImage image, Origin origin, Callback done) {
  jobs_.push_back({std::move(image), origin, /*manifest_only=*/false, std::move(done)});
  if (!busy_) Begin();
}

void Checkpoints::Reinstall(Callback done) {
  jobs_.push_back({{}, Origin::kLocal, /*manifest_only=*/true, std::move(done)});
  if (!busy_) Begin();
}

LogIndex Checkpoints::fallback_index() const {
  if (!newest_.has_value()) return LogIndex(0);
  // What came from a peer stands for all before it.
  if (newest_->installed) return newest_->index;
  return previous_.has_value() ? previous_->index : LogIndex(0);
}

std::vector<PlacedSegment> Checkpoints::Segments() const {
  return newest_.has_value() ? newest_->segments : std::vector<PlacedSegment>();
}

bool Checkpoints::RefersTo(const PlacedSegment& segment) const {
  const auto known = known_.find(segment.id);
  return known != known_.end() && known->second.pack == segment.pack &&
         known->second.offset == segment.offset;
}

void Checkpoints::Begin() {
  if (jobs_.empty()) return;
  busy_ = true;
  // Never from inside the call that asked.
  loop_->Defer(lifetime_.Guard([this] {
    const Job& job = jobs_.front();
    if (!job.manifest_only) {
      PlanSegments();
      return MakeDirectory();
    }
    if (!newest_.has_value()) return Finish(absl::OkStatus());
    next_ = *newest_;
    RemoveTemporary();
  }));
}

// ---- what is written, and where ----

void Checkpoints::PlanSegments() {
  const Job& job = jobs_.front();
  next_ = {};
  next_.identity = identity_;
  next_.index = job.image.index;
  next_.term = job.image.term;
  next_.installed = job.origin == Origin::kPeer;
  next_.sections = job.image.sections;
  pending_.clear();
  absl::btree_map<PackNumber, uint64_t> live;
  // A peer's ids are its own: nothing that we have can stand for its segments.
  const bool share = job.origin == Origin::kLocal;
  for (const engine::LogSegment& segment : job.image.segments) {
    const auto known = known_.find(segment.id);
    PlacedSegment& placed = next_.segments.emplace_back();
    if (share && known != known_.end() && known->second.bytes == segment.records.size()) {
      placed = known->second;
      placed.garbage = segment.garbage;
      live[placed.pack] += placed.bytes;
    } else {
      placed = {segment.id, segment.first,  0, 0, static_cast<uint32_t>(segment.records.size()),
                0,          segment.garbage};
    }
  }
  absl::btree_set<PackNumber> given_up = PacksToGiveUp(live);
  given_up.insert(damaged_.begin(), damaged_.end());
  for (size_t i = 0; i < next_.segments.size(); ++i) {
    PlacedSegment& placed = next_.segments[i];
    if (placed.pack != 0 && !given_up.contains(placed.pack)) continue;
    placed.pack = 0;
    pending_.push_back({job.image.segments[i], i});
  }
  if (given_up.contains(pack_number_)) pack_ = nullptr;
}

absl::btree_set<PackNumber> Checkpoints::PacksToGiveUp(
    const absl::btree_map<PackNumber, uint64_t>& live) const {
  uint64_t live_bytes = 0;
  uint64_t all_bytes = 0;
  std::vector<std::pair<uint64_t, PackNumber>> candidates;  // by live bytes
  for (const auto& [pack, bytes] : live) {
    live_bytes += bytes;
    all_bytes += packs_.at(pack);
    candidates.push_back({bytes, pack});
  }
  std::sort(candidates.begin(), candidates.end(), [this](const auto& a, const auto& b) {
    // The one with the least of it alive first.
    const uint64_t left = a.first * packs_.at(b.second);
    const uint64_t right = b.first * packs_.at(a.second);
    return left != right ? left < right : a < b;
  });
  absl::btree_set<PackNumber> given_up;
  uint64_t moved = 0;
  for (const auto& [bytes, pack] : candidates) {
    const bool too_dead = (all_bytes - live_bytes) * kDeadShare > all_bytes;
    const bool too_many =
        candidates.size() - given_up.size() > kSpareSmallPacks + 2 * live_bytes / pack_bytes_;
    if (!too_dead && !too_many) break;
    if (moved > 0 && moved + bytes > kMovedBytes) break;
    given_up.insert(pack);
    moved += bytes;
    live_bytes -= bytes;
    all_bytes -= packs_.at(pack);
  }
  return given_up;
}

// ---- segments ----

void Checkpoints::MakeDirectory() {
  if (directory_made_) return OpenPack();
  disk_->MakeDirs(paths_.checkpoint, lifetime_.Guard([this](absl::Status status) {
    if (!status.ok()) return Finish(status);
    disk_->SyncDir(paths_.member, Then(&Checkpoints::OpenPack));
  }));
}

void Checkpoints::OpenPack() {
  directory_made_ = true;
  if (pending_.empty()) return RemoveTemporary();
  if (pack_ != nullptr && pack_end_ < pack_bytes_) return WriteSegments();
  pack_ = nullptr;
  pack_number_ = ++last_pack_;
  pack_end_ = 0;
  disk_->Open(PackPath(pack_number_), {.create = true, .exclusive = true},
              lifetime_.Guard([this](absl::StatusOr<std::unique_ptr<io::File>> file) {
                if (!file.ok()) return Finish(file.status());
                pack_ = *std::move(file);
                pack_is_new_ = true;
                packs_[pack_number_] = 0;
                WriteSegments();
              }));
}

void Checkpoints::WriteSegments() {
  std::vector<Bytes> pieces;
  uint64_t bytes = 0;
  const uint64_t begin = pack_end_;
  while (!pending_.empty() && bytes < kWriteBytes && pack_end_ < pack_bytes_) {
    const Pending& pending = pending_.front();
    PlacedSegment& placed = next_.segments[pending.at];
    placed.pack = pack_number_;
    placed.offset = pack_end_;
    placed.crc = SegmentCrc(pending.segment);
    // Of one that is written anew: what the member has is what it wrote, or it is worth nothing.
    const auto known = known_.find(placed.id);
    const bool again = jobs_.front().origin == Origin::kLocal && known != known_.end() &&
                       known->second.bytes == placed.bytes;
    if (again && placed.crc != known->second.crc) {
      return Finish(absl::DataLossError(absl::StrCat(
          PackPath(known->second.pack), ": segment ", placed.id,
          " is to be written anew, but what the member has in memory is not what it wrote: the "
          "memory is failing, or the manifest is damaged. Replace the member")));
    }
    pieces.push_back(pending.segment.records);
    bytes += placed.bytes;
    pack_end_ += placed.bytes;
    pending_.pop_front();
  }
  packs_[pack_number_] = pack_end_;
  stats_.bytes_written += bytes;
  unsynced_ += bytes;
  pack_->Write(begin, std::move(pieces), [this](absl::Status status) {
    if (!status.ok()) return Finish(status);
    const bool last = pending_.empty() || pack_end_ >= pack_bytes_;
    if (!last && unsynced_ < kSyncBytes) return WriteSegments();
    SyncPack(last);
  });
}

void Checkpoints::SyncPack(bool last) {
  pack_->Sync([this, last](absl::Status status) {
    if (!status.ok()) return Finish(status);
    unsynced_ = 0;
    if (!last) return WriteSegments();
    if (std::exchange(pack_is_new_, false)) return SyncPackName();
    if (!pending_.empty()) return OpenPack();
    RemoveTemporary();
  });
}

void Checkpoints::SyncPackName() {
  disk_->SyncDir(paths_.checkpoint, lifetime_.Guard([this](absl::Status status) {
    if (!status.ok()) return Finish(status);
    if (!pending_.empty()) return OpenPack();
    RemoveTemporary();
  }));
}

// ---- the manifest ----

// A fresh file each time: blocks whose sync once failed are never trusted again.
void Checkpoints::RemoveTemporary() {
  disk_->Remove(paths_.manifest_tmp, lifetime_.Guard([this](absl::Status status) {
    if (!status.ok() && !absl::IsNotFound(status)) return Finish(status);
    WriteManifest();
  }));
}

void Checkpoints::WriteManifest() {
  disk_->Open(paths_.manifest_tmp, {.create = true, .exclusive = true},
              lifetime_.Guard([this](absl::StatusOr<std::unique_ptr<io::File>> file) {
                if (!file.ok()) return SyncInstalled(file.status());
                manifest_ = *std::move(file);
                Bytes bytes = EncodeManifest(next_);
                stats_.bytes_written += bytes.size();
                stats_.manifest_bytes += bytes.size();
                manifest_->WriteAndSync(0, {std::move(bytes)}, [this](absl::Status status) {
                  if (!status.ok()) return SyncInstalled(status);
                  InstallManifest();
                });
              }));
}

// The manifest that is there was synced before it got its name: there is only the name to be
// made sure of, for which a full disk has room.
void Checkpoints::SyncInstalled(const absl::Status& why) {
  if (!absl::IsResourceExhausted(why) || !jobs_.front().manifest_only) return Finish(why);
  disk_->Open(paths_.manifest, {.write = false},
              lifetime_.Guard([this](absl::StatusOr<std::unique_ptr<io::File>> file) {
                if (!file.ok()) return Finish(file.status());
                manifest_ = *std::move(file);
                manifest_->Sync([this](absl::Status status) {
                  if (!status.ok()) return Finish(status);
                  disk_->SyncDir(paths_.checkpoint, lifetime_.Guard([this](absl::Status synced) {
                    if (!synced.ok()) return Finish(synced);
                    unsettled_ = false;  // what bears the name says what the new one would
                    RemoveUnused(synced);
                  }));
                });
              }));
}

// The newest so far becomes the one before. A crash that leaves only the first of the two
// renames leaves it as the newest; one that leaves only the second, an older one before.
void Checkpoints::InstallManifest() {
  newest_becomes_previous_ = NewestBecomesPrevious();
  unsettled_ = true;
  // An attempt that failed later has come so far: what bears the newest's name now, if anything,
  // is that attempt's.
  if (!newest_becomes_previous_ || newest_moved_) return ReplaceManifest();
  disk_->Rename(paths_.manifest, paths_.manifest_previous,
                lifetime_.Guard([this](absl::Status status) {
                  if (!status.ok() && !absl::IsNotFound(status)) return Finish(status);
                  newest_moved_ = true;
                  ReplaceManifest();
                }));
}

// One of the same entry, written to repair a file, is no step back: the one before stays. So it
// does if the newest is known to be damaged; unless an attempt that failed later has put the newest
// in its place already: then that is what a start falls back to, whatever is known of it by now.
bool Checkpoints::NewestBecomesPrevious() const {
  if (newest_moved_) return jobs_.front().origin == Origin::kLocal;
  return newest_.has_value() && !manifest_damaged_ && jobs_.front().origin == Origin::kLocal &&
         next_.index > newest_->index &&
         std::none_of(
             newest_->segments.begin(), newest_->segments.end(),
             [this](const PlacedSegment& segment) { return damaged_.contains(segment.pack); });
}

void Checkpoints::ReplaceManifest() {
  disk_->Rename(paths_.manifest_tmp, paths_.manifest, lifetime_.Guard([this](absl::Status status) {
    if (!status.ok()) return SyncInstalled(status);
    disk_->SyncDir(paths_.checkpoint, Then(&Checkpoints::Succeed));
  }));
}

void Checkpoints::Succeed() {
  if (jobs_.front().origin == Origin::kPeer) previous_.reset();
  if (newest_becomes_previous_) previous_ = std::move(newest_);
  newest_ = std::move(next_);
  newest_moved_ = unsettled_ = false;
  // It was replaced, whenever it was found to be damaged.
  stats_.repaired += std::exchange(manifest_damaged_, false);
  known_.clear();
  absl::btree_set<PackNumber> used;
  for (const PlacedSegment& segment : newest_->segments) {
    known_[segment.id] = segment;
    used.insert(segment.pack);
  }
  // One that was found damaged meanwhile is still used, and waits for the next.
  stats_.repaired +=
      absl::erase_if(damaged_, [&](PackNumber pack) { return !used.contains(pack); });
  CountPacks();
  RemoveUnused(absl::OkStatus());
}

void Checkpoints::CountPacks() {
  absl::btree_set<PackNumber> used;
  absl::btree_set<PackNumber> kept;
  stats_.live_bytes = 0;
  if (newest_.has_value()) {
    for (const PlacedSegment& segment : newest_->segments) {
      used.insert(segment.pack);
      stats_.live_bytes += segment.bytes;
    }
  }
  if (previous_.has_value()) {
    for (const PlacedSegment& segment : previous_->segments) kept.insert(segment.pack);
  }
  unused_.clear();
  stats_.pack_bytes = stats_.kept_packs = stats_.kept_bytes = 0;
  for (const auto& [pack, bytes] : packs_) {
    if (used.contains(pack)) {
      stats_.pack_bytes += bytes;
    } else if (kept.contains(pack)) {
      ++stats_.kept_packs;
      stats_.kept_bytes += bytes;
    } else if (pack != pack_number_ || pack_ == nullptr) {
      unused_.push_back(pack);
    }
  }
  stats_.packs = used.size();
}

// Failing costs only the space, until the next checkpoint tries again.
void Checkpoints::RemoveUnused(const absl::Status& result) {
  if (unused_.empty()) return Finish(result);
  const PackNumber pack = unused_.back();
  unused_.pop_back();
  disk_->Remove(PackPath(pack), lifetime_.Guard([this, pack, result](absl::Status status) {
    if (status.ok() || absl::IsNotFound(status)) packs_.erase(pack);
    RemoveUnused(result);
  }));
}

// What a failed attempt has written beyond the newest manifest is of no worth, and may be what
// fills the disk; unless a manifest that refers to it may have got its name after all.
void Checkpoints::GiveBack(const absl::Status& why) {
  manifest_ = nullptr;
  pack_ = nullptr;
  pack_is_new_ = false;
  if (unsettled_) return Finish(why);
  CountPacks();
  RemoveUnused(why);
}

void Checkpoints::Finish(const absl::Status& status) {
  if (!status.ok() && !std::exchange(given_up_, true)) return GiveBack(status);
  given_up_ = false;
  manifest_ = nullptr;
  pending_.clear();
  unsynced_ = 0;
  Job job = std::move(jobs_.front());
  jobs_.pop_front();
  busy_ = false;
  if (!status.ok()) {
    ++stats_.failed;
  } else if (!job.manifest_only) {
    ++(job.origin == Origin::kLocal ? stats_.taken : stats_.installed);
  }
  Begin();
  job.done(status);
}

}  // namespace quorate::storage
