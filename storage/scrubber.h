// Reads the newest checkpoint's segments again and again, slowly, and checks them: what goes
// bad on the disk is found while the member still has it in memory, and not at its next start.
//
// The disk is asked, and not the system's cache, which may be right about what the disk has lost.
// Damage is what does not fit its check, is missing, or cannot be read three times in a row; it is
// repaired by a checkpoint that writes everything of the damaged file anew (Checkpoints::GiveUp).
// Any other error says nothing about the bytes: they are tried again.
#ifndef QUORATE_STORAGE_SCRUBBER_H_
#define QUORATE_STORAGE_SCRUBBER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

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

namespace quorate::storage {

struct ScrubOptions {
  std::string data_dir;
  // Bytes read in a second, on average; 0 = nothing is read.
  uint64_t bytes_per_second = 4 * limits::kMiB;
};

// Since the start.
struct ScrubStats {
  uint64_t passes = 0;   // over all that there was
  uint64_t bytes = 0;    // read and checked
  uint64_t damaged = 0;  // segments that were found damaged
  uint64_t errors = 0;   // attempts to open or to read that failed
};

class Scrubber {
 public:
  // What is damaged, with file and offset. Called from the loop.
  using DamageCallback = std::function<void(PackNumber pack, const absl::Status& damage)>;

  // `checkpoints` is borrowed.
  Scrubber(io::Loop* loop, io::Disk* disk, ScrubOptions options, const Checkpoints* checkpoints,
           DamageCallback on_damage);
  Scrubber(const Scrubber&) = delete;
  Scrubber& operator=(const Scrubber&) = delete;

  void Stop();
  const ScrubStats& stats() const { return stats_; }

 private:
  void Next();
  void OpenPack();
  void ReadSegment();
  void Check(absl::StatusOr<Bytes> bytes);
  void Failed(const absl::Status& error);
  void Damaged(absl::string_view what);
  void Wait(uint64_t bytes);
  const PlacedSegment& present() const { return segments_[next_]; }

  io::Loop* const loop_;
  io::Disk* const disk_;
  const ScrubOptions options_;
  const DataPaths paths_;
  const Checkpoints* const checkpoints_;
  const DamageCallback on_damage_;

  std::vector<PlacedSegment> segments_;  // of this pass
  size_t next_ = 0;
  std::unique_ptr<io::File> pack_;
  PackNumber pack_number_ = 0;
  int failures_ = 0;  // of the present segment, in a row
  ScrubStats stats_;
  std::unique_ptr<io::Timer> timer_;
  Lifetime lifetime_;
};

}  // namespace quorate::storage

#endif  // QUORATE_STORAGE_SCRUBBER_H_
