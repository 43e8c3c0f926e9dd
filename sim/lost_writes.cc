// Writes that a disk acknowledged, synced even, and never made; or that it made in another place,
// so that the one is lost and what stood in the other is, too. Like bits that rot (bit_rot.cc),
// found in a file of a member that is down, and made good some time later as from a mirror.
//
// In the log it is never the last write that is lost: no disk that lies about that one can be
// found out by what it holds, and a member that forgets what it has acknowledged is beyond what
// raft survives. All others the member must miss, or not need.
#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "sim/faults.h"
#include "storage/record.h"
#include "storage/segment.h"

namespace quorate::sim {
namespace {

constexpr uint64_t kSector = io::kSectorBytes;

// Some sectors of a file, one after another.
struct Span {
  uint64_t first = 0;
  uint64_t count = 0;
};

// The writes that a segment of the log holds, in order.
std::vector<Span> WritesOf(const std::string& path, absl::string_view content) {
  std::vector<Span> writes;
  const auto segment = storage::ParseSegmentName(path.substr(path.find_last_of('/') + 1));
  if (!segment.has_value()) return writes;
  for (uint64_t at = 1; (at + 1) * kSector <= content.size(); ++at) {
    storage::SectorHeader header;
    const auto state = storage::ClassifySector(content.data() + at * kSector, *segment,
                                               static_cast<storage::SectorIndex>(at), &header);
    if (state != storage::SectorState::kLive) break;
    if (writes.empty() || writes.back().first != header.write_start) {
      writes.push_back({header.write_start, 0});
    }
    ++writes.back().count;
  }
  return writes;
}

std::string Sector(absl::string_view content, uint64_t sector) {
  std::string out(content.substr(sector * kSector, kSector));
  out.resize(kSector);
  return out;
}

}  // namespace

bool Nemesis::LoseWrite(Disk* disk, const std::string& path, Prng* draw, Rot* rot) {
  const absl::StatusOr<std::string> content = disk->Peek(path);
  if (!content.ok()) return false;
  const bool log = absl::EndsWith(path, ".log");
  std::vector<Span> writes = log ? WritesOf(path, *content) : std::vector<Span>();
  if (log) {
    if (writes.size() < 3) return false;
    writes.pop_back();
  } else {
    if (content->size() < 2 * kSector) return false;
    for (uint64_t at = 0; at < content->size() / kSector; ++at) writes.push_back({at, 1});
  }
  const Span lost = writes[draw->Below(writes.size())];
  const Span other = writes[draw->Below(writes.size())];
  const bool misdirected = lost.first != other.first && draw->Chance(1, 2);
  for (uint64_t i = 0; i < lost.count; ++i) {
    const uint64_t at = lost.first + i;
    rot->sectors.push_back({at * kSector, Sector(*content, at), std::string(kSector, '\0')});
    const uint64_t target = other.first + i;
    if (!misdirected || i >= other.count) continue;
    rot->sectors.push_back({target * kSector, Sector(*content, target), Sector(*content, at)});
  }
  const HostId host = cluster_->host_id(rot->member);
  const Fault fault = misdirected ? Fault::kDiskMisdirectedWrite : Fault::kDiskLostWrite;
  context_.Inject(fault, host, lost.first * kSector);
  for (const Rot::Sector& sector : rot->sectors) {
    CHECK(disk->Overwrite(path, sector.offset, sector.is).ok());
  }
  return true;
}

// Only if nobody has written there since.
bool Nemesis::GiveWriteBack(const Rot& rot) {
  Disk& disk = cluster_->host(rot.member).disk();
  const absl::StatusOr<std::string> now = disk.Peek(rot.path);
  if (!now.ok()) return false;
  for (const Rot::Sector& sector : rot.sectors) {
    if (sector.offset + kSector > now->size()) return false;
    if (now->compare(sector.offset, kSector, sector.is) != 0) return false;
  }
  for (const Rot::Sector& sector : rot.sectors) {
    CHECK(disk.Overwrite(rot.path, sector.offset, sector.was).ok());
  }
  return true;
}

}  // namespace quorate::sim
