// A segment of the log: one file. Its first sector is the header, which says where the
// log stood when the segment began; writes follow. docs/FORMATS.md has the bytes.
//
// A segment begins to exist with its header: a file without one was only prepared. The
// header also says where the previous segment ends, so that what a crash left behind
// that end can never be read as part of the log.
#ifndef QUORATE_STORAGE_SEGMENT_H_
#define QUORATE_STORAGE_SEGMENT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/strong_int.h"
#include "engine/raft/types.h"
#include "storage/data_dir.h"
#include "storage/record.h"

namespace quorate::storage {

// Raised when a member that knows only lower numbers could misread a segment.
inline constexpr uint32_t kLogFormatVersion = 1;
// Where meta is damaged a start takes the segments' word for whose the directory is, and writes the
// present kDataFormatVersion: only their number can tell it that the directory is of another
// format.
static_assert(kDataFormatVersion == 1 && kLogFormatVersion == 1,
              "who raises kDataFormatVersion raises kLogFormatVersion, too; then put the new pair "
              "here");

// "0000000000000001.log", sixteen hexadecimal digits.
std::string SegmentName(SegmentNumber segment);
std::optional<SegmentNumber> ParseSegmentName(absl::string_view name);

// Where the log stands between two units.
struct LogPosition {
  uint32_t chain = 0;  // running CRC of all records so far
  raft::HardState hard_state;
  LogIndex last_index;
  Term last_term;

  friend bool operator==(const LogPosition&, const LogPosition&) = default;
};

struct SegmentHeader {
  uint32_t version = kLogFormatVersion;
  ClusterId cluster_id;
  MemberId member_id;
  // Sectors that were made ready (zeroed or recycled) before the segment began: the file
  // is never shorter while this is the last segment.
  SectorIndex prepared_sectors = 0;
  // The segment before it (0 = this is the first) and the first sector of that file
  // that no longer belongs to the log.
  SegmentNumber previous = 0;
  SectorIndex previous_end = 0;
  LogPosition start;

  friend bool operator==(const SegmentHeader&, const SegmentHeader&) = default;
};

// Stores the header's whole sector (512 bytes) at `sector`.
void EncodeSegmentHeader(SegmentNumber segment, const SegmentHeader& header, char* sector);

// What the first sector of the file named for `segment` is. kLive fills *header (only
// its version if that is not kLogFormatVersion).
SectorState DecodeSegmentHeader(const char* sector, SegmentNumber segment, SegmentHeader* header);

// One write of a segment, as found.
struct ScannedWrite {
  size_t payload_begin = 0;  // in ScannedSegment::payload
  SectorIndex first_sector = 0;
};

// The writes of one segment.
struct ScannedSegment {
  // The payload of all live sectors up to `end`, one after another.
  Bytes payload;
  std::vector<ScannedWrite> writes;
  // First sector behind those.
  SectorIndex end = 1;
  // False if the last write lacks sectors.
  bool complete = true;
  // First sector behind the last live one that a torn write left behind `end`; `end` if
  // there is none.
  SectorIndex torn_end = 1;
};

// Damage: the sector and what is wrong with it.
struct SectorDamage {
  SectorIndex sector = 0;
  std::string what;
};

// Reads a segment's sectors in order and tells a torn tail from damage.
//
// A crash loses any sectors of the write in flight and nothing else, so the log ends at
// the first sector that was wholly never written. That this is no loss shows in what
// follows it: live sectors of that same write at most. A sector that is neither live nor
// wholly old, or a missing one before a later write (which began only after the sync of
// this one had succeeded), is damage.
class SegmentScanner {
 public:
  // `end`: where the segment's successor says that it ends; without it this is the
  // last segment and the scan finds its end. `sectors`: about as many as are there; `buffer`:
  // to be written over if nobody else refers to it.
  SegmentScanner(SegmentNumber segment, std::optional<SectorIndex> end, SectorIndex sectors = 0,
                 Bytes buffer = Bytes());

  // The file's sectors from 1 on, as whole sectors. After damage nothing is taken.
  void Feed(absl::string_view sectors);
  // One sector that cannot be read.
  void FeedUnreadable();
  // The sector that comes next.
  SectorIndex next() const { return next_; }
  // Nothing more needs to be fed.
  bool done() const { return damage_.has_value() || (end_.has_value() && next_ >= *end_); }

  // After the last sector.
  absl::StatusOr<ScannedSegment> Finish();
  // Why Finish fails.
  const std::optional<SectorDamage>& damage() const { return damage_; }

 private:
  void TakeSector(const char* sector);
  void TakeLive(const char* sector, const SectorHeader& header);
  void TakeBehindEnd(const SectorHeader& header);
  void Damaged(SectorIndex sector, std::string what);
  // Where a live sector `index` that continues what was read so far must say that its
  // write began.
  SectorIndex ExpectedStart(SectorIndex index) const;

  const SegmentNumber segment_;
  const std::optional<SectorIndex> end_;
  SectorIndex next_ = 1;
  bool at_write_end_ = true;
  SectorIndex write_start_ = 0;
  std::optional<SectorIndex> tail_;  // the first sector that was never written
  SectorIndex torn_end_ = 0;
  BytesBuilder payload_;
  std::vector<ScannedWrite> writes_;
  std::optional<SectorDamage> damage_;
};

}  // namespace quorate::storage

#endif  // QUORATE_STORAGE_SEGMENT_H_
