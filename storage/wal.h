// The write-ahead log: raft's entries and hard state, made durable in order.
//
//   wal->Append(entries, &hard_state, /*must_sync=*/true, [](const absl::Status& status) { ... });
//
// Group commit: one write-and-sync is in flight at a time. What is appended meanwhile
// gathers, encoded already, and leaves as one write when that one has completed. There
// is no delay to make batches bigger. The bytes are docs/FORMATS.md's; storage/recovery.h
// opens a directory and makes a Wal.
//
// Durability: a callback with OK comes only after a sync that covers the unit has
// returned success, and never before those of earlier units. A unit is atomic: after a
// crash, recovery finds all of it or nothing. An entry at an index that the log holds
// already replaces the tail from that index on.
//
// A failed write or sync is final (the pages may be lost though they read back): nothing
// is retried, and every unit that was not yet acknowledged, and every later one, gets that
// status. The owner stops the member; recovery at the next start knows what was durable.
//
// A disk without space for the next segment is no failure: nothing was written there. What
// is appended beyond the present segment waits until there is space.
#ifndef QUORATE_STORAGE_WAL_H_
#define QUORATE_STORAGE_WAL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/strong_int.h"
#include "base/time.h"
#include "engine/raft/types.h"
#include "storage/record.h"

namespace quorate::storage {

struct WalStart;

// Since the log was opened.
struct WalStats {
  uint64_t units = 0;  // Append calls
  uint64_t entries = 0;
  uint64_t writes = 0;         // write-and-syncs completed with success
  uint64_t bytes_written = 0;  // by those, framing and padding included
  uint64_t segments = 0;       // segments begun
  uint64_t segments_cut = 0;   // given back by Cut
};

// A segment behind which the log goes on in another one: it does not change any more.
struct ColdSegment {
  SegmentNumber segment = 0;
  std::string path;
  uint64_t log_bytes = 0;  // of the file, what belongs to the log, its header included
  LogIndex last_index;     // the log's last entry up to its end
};

class Wal {
 public:
  using Callback = std::function<void(const absl::Status&)>;

  // Drops what was not yet written; no callback comes afterwards.
  ~Wal();
  Wal(const Wal&) = delete;
  Wal& operator=(const Wal&) = delete;

  // Queues one unit: `entries` (contiguous; the first index at most one past the last
  // entry appended), and the hard state unless null. `done` is called once, later, on
  // the loop, and must not destroy the Wal; callbacks come in the order of the calls.
  //
  // With must_sync false (no entries; of the hard state only the commit index moved) the
  // unit costs no write: it goes along with the next one that does, and `done` is called
  // as soon as everything before it is durable.
  //
  // What one turn of the loop appends leaves as one write at the end of the turn.
  void Append(std::span<const raft::Entry> entries, const raft::HardState* hard_state,
              bool must_sync, Callback done);

  // Entries up to `index` are no longer needed: a checkpoint that holds their effect is
  // durable. Segments that hold nothing else are given back to the disk.
  void Cut(LogIndex index);
  // The log goes on behind entry `index` of `term`, with which a checkpoint that is durable
  // ends; what it held so far counts no longer once the next unit is durable.
  void BeginAnew(LogIndex index, Term term);

  // Oldest first.
  std::vector<ColdSegment> ColdSegments() const;
  // Whether it is still one of those.
  bool HoldsCold(SegmentNumber segment) const;
  // The segment that is being written to, as far as it is durable: that part does not change any
  // more, either. Nothing while its header is not, and once the log has failed.
  std::optional<ColdSegment> OpenSegment() const;
  // The log's last entry up to the end of that segment, be it cold, open or just being left; of the
  // open one, of all that is appended. Nothing if it is none of these.
  std::optional<LogIndex> LastIndexOf(SegmentNumber segment) const;
  // The file is damaged: once it is cut nothing is written to it any more. If it is the open
  // segment, the log goes on in the next one, even if nothing is appended.
  void GiveUp(SegmentNumber segment);

  // OK, or why the log failed; then nothing will ever be acknowledged again.
  const absl::Status& status() const;

  // Bytes appended and not yet durable: what an owner bounds before it appends more.
  size_t unsynced_bytes() const;
  // When the write in flight was handed to the disk; Infinite if there is none. An owner
  // whose oldest write is older than its patience has a stalled disk.
  Instant write_in_flight_since() const;

  // Whether there is no space for the next segment. It is tried again every second.
  bool waits_for_space() const;

  const WalStats& stats() const;
  // Called after each successful write-and-sync with the time it took; for metrics.
  void SetSyncObserver(std::function<void(Duration)> observer);

 private:
  class Impl;
  friend std::unique_ptr<Wal> MakeWal(WalStart start);
  explicit Wal(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace quorate::storage

#endif  // QUORATE_STORAGE_WAL_H_
