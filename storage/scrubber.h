// Reads the newest checkpoint, its manifest and its segments, and the log, as far as it is durable,
// again and again, slowly, and checks them: what goes bad on the disk is found while the member
// still has it in memory, and not at its next start.
//
// The disk is asked, and not the system's cache, which may be right about what the disk has lost.
// Damage is what does not fit its check, is missing, or cannot be read three times in a row. It is
// repaired by a checkpoint: that writes everything of a damaged file of the one before anew
// (Checkpoints::GiveUp), and once it holds what a damaged segment of the log holds no start depends
// on that one, but for a start that finds this checkpoint damaged, too, and goes on from the one
// before: the next checkpoint ends that as well. The segment that is being written to is left first
// (Wal::GiveUp). One taken while the segment holds entries that are
// not applied yet does not reach its end: another is asked for at the beginning of each pass.
// The manifest is left alone while another is installed, and until that has succeeded.
// Any other error says nothing about the bytes: they are tried again.
#ifndef QUORATE_STORAGE_SCRUBBER_H_
#define QUORATE_STORAGE_SCRUBBER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "base/time.h"
#include "io/disk.h"
#include "io/loop.h"
#include "storage/checkpoints.h"
#include "storage/data_dir.h"
#include "storage/lifetime.h"
#include "storage/manifest.h"
#include "storage/wal.h"

namespace quorate::storage {

struct ScrubOptions {
  std::string data_dir;
  // Bytes read in a second, on average; 0 = nothing is read.
  uint64_t bytes_per_second = 4 * limits::kMiB;
};

// Since the start.
struct ScrubStats {
  uint64_t passes = 0;        // over all that there was
  uint64_t bytes = 0;         // read and checked
  uint64_t damaged = 0;       // segments and manifests of checkpoints found damaged, at each pass
  uint64_t log_damaged = 0;   // segments of the log that were found damaged, each once
  uint64_t log_repaired = 0;  // of those, whose entries are in the newest checkpoint now
  uint64_t errors = 0;        // attempts to open or to read that failed
};

struct ScrubDamage {
  PackNumber pack = 0;        // the file of the checkpoint, or
  SegmentNumber segment = 0;  // the segment of the log; if both are 0, the manifest
  absl::Status what;          // with file and offset
};

class Scrubber {
 public:
  // Called from the loop; for the same damage again at each pass, until a checkpoint repairs it.
  using DamageCallback = std::function<void(const ScrubDamage&)>;

  // `checkpoints` and `wal` are borrowed.
  Scrubber(io::Loop* loop, io::Disk* disk, ScrubOptions options, const Checkpoints* checkpoints,
           const Wal* wal, DamageCallback on_damage);
  Scrubber(const Scrubber&) = delete;
  Scrubber& operator=(const Scrubber&) = delete;

  void Stop();
  const ScrubStats& stats() const { return stats_; }

 private:
  // What is read and checked in one go.
  struct Piece {
    uint64_t offset = 0;
    uint32_t bytes = 0;
    std::optional<PlacedSegment> placed;  // of the checkpoint, or
    ColdSegment cold;                     // of the log, or
    LogIndex manifest;                    // the manifest of the checkpoint that ends there
  };
  struct DamagedSegment {
    LogIndex last_index;  // up to where a checkpoint must go that repairs it
    absl::Status what;
    bool repaired = false;
  };
  // A part of the file that is not as it was written.
  struct Flaw {
    uint64_t offset = 0;
    std::string what;
  };

  void BeginPass();
  void Next();
  void OpenFile();
  void ReadPiece();
  void Check(absl::StatusOr<Bytes> bytes);
  void Failed(const absl::Status& error);
  void Damaged(const Flaw& flaw);
  void NoteLogRepairs();
  void AskAgain();
  void Wait(uint64_t bytes);
  bool Wanted(const Piece& piece) const;
  bool IsOpen(SegmentNumber segment) const;
  std::string PathOf(const Piece& piece) const;
  const Piece& present() const { return pieces_[next_]; }
  std::optional<Flaw> FlawOf(const Piece& piece, const Bytes& bytes) const;
  static std::optional<Flaw> FlawOfLog(const Piece& piece, absl::string_view bytes);

  io::Loop* const loop_;
  io::Disk* const disk_;
  const ScrubOptions options_;
  const DataPaths paths_;
  const Checkpoints* const checkpoints_;
  const Wal* const wal_;
  const DamageCallback on_damage_;

  std::vector<Piece> pieces_;  // of this pass
  size_t next_ = 0;
  std::unique_ptr<io::File> file_;
  int failures_ = 0;  // of the present piece, in a row
  // Segments of the log that are damaged, until they are cut.
  absl::btree_map<SegmentNumber, DamagedSegment> damaged_log_;
  ScrubStats stats_;
  std::unique_ptr<io::Timer> timer_;
  Lifetime lifetime_;
};

}  // namespace quorate::storage

#endif  // QUORATE_STORAGE_SCRUBBER_H_
