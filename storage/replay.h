// Turns the records of the log's segments into the state that they describe.
#ifndef QUORATE_STORAGE_REPLAY_H_
#define QUORATE_STORAGE_REPLAY_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "engine/raft/types.h"
#include "storage/record.h"
#include "storage/segment.h"

namespace quorate::storage {

class Replay {
 public:
  // What the last segment's last write is worth.
  struct LastWrite {
    // Where the log stood before it, and the sector where it begins. The first sector
    // behind the header if there is none.
    LogPosition before;
    SectorIndex first_sector = 1;
    // Its whole units, as payload.
    Bytes units;
    // Payload bytes behind them: of a unit that is not all there.
    size_t cut_bytes = 0;
  };

  // Where the log begins, if not with its first entry. Before anything is added.
  void BeginAt(const LogPosition& start) {
    position_ = start;
    base_ = start.last_index;
    base_term_ = start.last_term;
  }

  // A segment that has a successor: all of it must be there. Damage is DataLoss without
  // a path; *sector says where.
  absl::Status AddClosed(const ScannedSegment& segment, SectorIndex* sector);
  // The last segment: its last write may be torn.
  absl::StatusOr<LastWrite> AddLast(const ScannedSegment& segment, SectorIndex* sector);

  // Entries up to `index` need not be kept: the log that is known begins behind it, or where it
  // ends.
  void Forget(LogIndex index);

  const LogPosition& position() const { return position_; }
  // The entry before the first of those that are kept, 0 if there is none. Where the log
  // was cut it may have ended, for a time, with entries that were replaced later.
  LogIndex base() const { return base_; }
  Term base_term() const { return base_term_; }
  std::vector<raft::Entry> TakeEntries() { return std::move(entries_); }
  size_t entries() const { return entries_.size(); }

 private:
  // The records of one write. Returns the payload bytes of its whole units.
  absl::StatusOr<size_t> AddWrite(const Bytes& payload, size_t begin, size_t end);
  absl::Status AddRecord(const Record& record, const Bytes& payload);
  void FinishUnit(uint32_t chain);

  LogPosition position_;
  LogIndex base_;
  Term base_term_;
  std::vector<raft::Entry> entries_;

  // The unit whose end has not come yet.
  struct OpenUnit {
    std::vector<raft::Entry> entries;
    raft::HardState hard_state;
    LogIndex last_index;
    Term last_term;
  };
  OpenUnit unit_;
};

}  // namespace quorate::storage

#endif  // QUORATE_STORAGE_REPLAY_H_
