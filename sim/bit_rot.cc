// Bits that a disk forgets, and writes (lost_writes.cc): a bit flips in a file of a member that is
// down. A member that finds such damage in what it had acknowledged must not go on without: it gets
// all of it from the others, or says so and does not start; some time later somebody who knows
// better gives it the sector back, as from a mirror. One that cuts its log there, and goes on
// without what it had promised, breaks R6 at once.
//
// One sector of the cluster at a time, so nothing is ever lost for good.
//
// And errors that a disk admits: writes that fail, sectors that cannot be read until the disk is
// mended.
#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "sim/faults.h"

namespace quorate::sim {
namespace {

constexpr uint64_t kSectorBytes = 512;
constexpr uint64_t kMillion = 1'000'000;

// Where a file's bytes end that are not zero; 0 if there are none.
uint64_t UsedBytes(const Disk& disk, const std::string& path) {
  const absl::StatusOr<std::string> bytes = disk.Peek(path);
  if (!bytes.ok()) return 0;
  const size_t last = bytes->find_last_not_of('\0');
  return last == std::string::npos ? 0 : last + 1;
}

absl::StatusOr<std::string> SectorOf(const Disk& disk, const std::string& path, uint64_t offset) {
  absl::StatusOr<std::string> bytes = disk.Peek(path);
  if (!bytes.ok()) return bytes;
  if (offset >= bytes->size()) return absl::OutOfRangeError("the file has become shorter");
  return bytes->substr(offset - offset % kSectorBytes, kSectorBytes);
}

// Whoever gives the sector back starts the member again, if it waits for the others: they may be no
// quorum without it.
void RestartIfWaiting(Cluster* cluster, size_t member) {
  if (!cluster->running(member) || !cluster->lacks_data(member)) return;
  cluster->Crash(member, CrashKind::kKill, Milliseconds(10));
}

}  // namespace

// Mostly in the segment of the log that was written last, else in any file.
std::string Nemesis::FileToDamage(const Disk& disk, FaultClass c) {
  Prng& draw = prng(c);
  std::vector<std::string> files;
  for (const std::string& path : disk.Files()) {
    if (UsedBytes(disk, path) > 0) files.push_back(path);
  }
  if (files.empty()) return "";
  const auto is_log = [](const std::string& path) { return absl::EndsWith(path, ".log"); };
  const auto newest = std::find_if(files.rbegin(), files.rend(), is_log);
  if (newest != files.rend() && draw.Chance(3, 4)) return *newest;
  return files[draw.Below(files.size())];
}

bool Cluster::lacks_data(size_t member) const {
  const Member& m = At(member);
  const bool asks =
      m.server != nullptr && m.server->node() == nullptr && m.server->peer_sink() != nullptr;
  const std::vector<std::string> files = m.host->disk().Files();
  return asks || std::any_of(files.begin(), files.end(), [](const std::string& path) {
           return absl::EndsWith(path, "/recovering");
         });
}

// What they wait for, the others must have.
bool Nemesis::SomebodyLacksData() const {
  const std::vector<size_t>& active = cluster_->active();
  return std::any_of(active.begin(), active.end(),
                     [this](size_t m) { return cluster_->lacks_data(m); });
}

void Nemesis::RotBits() {
  if (rot_.has_value() || !displaced_.empty() || SomebodyLacksData()) return;
  if (membership_->removing()) return;
  Prng& draw = prng(FaultClass::kBitRot);
  const size_t victim = Victim(FaultClass::kBitRot);
  if (!cluster_->running(victim)) return;
  // Of power, so that what is damaged is what the disk holds, and not what it has yet to write.
  cluster_->Crash(victim, CrashKind::kPowerLoss, Duration::Infinite());
  Disk& disk = cluster_->host(victim).disk();
  const std::string path = FileToDamage(disk, FaultClass::kBitRot);
  Rot lost{victim, path, 0, 0, "", {}};
  if (!path.empty() && draw.Chance(1, 2) && LoseWrite(&disk, path, &draw, &lost)) {
    rot_ = std::move(lost);
  } else if (!path.empty()) {
    const uint64_t offset = draw.Below(UsedBytes(disk, path));
    const auto bit = static_cast<int>(draw.Below(8));
    if (disk.FlipBit(path, offset, bit).ok()) {
      rot_ = Rot{victim, path, offset, bit, *SectorOf(disk, path, offset), {}};
    }
  }
  context_.scheduler->After(Lasts(FaultClass::kBitRot), [this, victim] {
    if (!active_ || cluster_->running(victim) || !cluster_->IsActive(victim)) return;
    cluster_->Start(victim);
  });
  UndoLater(FaultClass::kBitRot, [this] { RepairRot(); });
}

void Nemesis::RepairRot() {
  if (!rot_.has_value()) return;
  if (!Restore(*rot_)) unrepaired_.push_back(*std::move(rot_));
  rot_.reset();
}

void Nemesis::RepairAllRot() {
  RepairRot();
  for (const Rot& rot : unrepaired_) Restore(rot);
  unrepaired_.clear();
}

// Only if nobody has written there since: but what was written over it may be lost again with
// the power. The file may have another name by now: segments of the log are recycled.
bool Nemesis::Restore(const Rot& rot) {
  if (!rot.sectors.empty()) {
    const bool given = GiveWriteBack(rot);
    if (given) RestartIfWaiting(cluster_, rot.member);
    return given;
  }
  Disk& disk = cluster_->host(rot.member).disk();
  std::vector<std::string> paths = disk.Files();
  paths.insert(paths.begin(), rot.path);
  for (const std::string& path : paths) {
    const absl::StatusOr<std::string> now = SectorOf(disk, path, rot.offset);
    if (!now.ok() || *now != rot.sector) continue;
    const bool restored = disk.FlipBit(path, rot.offset, rot.bit).ok();
    if (restored) RestartIfWaiting(cluster_, rot.member);
    return restored;
  }
  return false;
}

void Nemesis::FailDisk() {
  Prng& draw = prng(FaultClass::kDiskError);
  const size_t victim = Victim(FaultClass::kDiskError);
  Disk& disk = cluster_->host(victim).disk();
  UndoLater(FaultClass::kDiskError, [this, victim] { MendDisk(victim); });
  if (draw.Chance(1, 2)) {
    DiskOptions options = disk.options();
    options.write_error_ppm = static_cast<uint32_t>(kMillion / (1 + draw.Below(20)));
    disk.SetOptions(options);
    return;
  }
  const std::string path = FileToDamage(disk, FaultClass::kDiskError);
  if (path.empty() || !cluster_->running(victim) || SomebodyLacksData()) return;
  if (!displaced_.empty() || membership_->removing()) return;
  // It is read when the member starts again.
  const Duration downtime = draw.Exponential(Milliseconds(500));  // apart: two draws, two lines
  cluster_->Crash(victim, draw.Chance(1, 2) ? CrashKind::kKill : CrashKind::kPowerLoss, downtime);
  const uint64_t used = UsedBytes(disk, path);
  if (used > 0) CHECK(disk.BreakSector(path, draw.Below(used)).ok());
}

void Nemesis::MendDisk(size_t member) {
  Disk& disk = cluster_->host(member).disk();
  DiskOptions options = disk.options();
  options.write_error_ppm = options_.disk.write_error_ppm;
  disk.SetOptions(options);
  disk.MendSectors();
  RestartIfWaiting(cluster_, member);
}

}  // namespace quorate::sim
