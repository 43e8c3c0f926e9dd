// A machine's disk: it survives restarts and keeps exactly what it must.
//
// Files are pages in the machine's memory over sectors of 512 bytes that are
// durable. A write changes the pages; a sync that succeeds makes the file's pages
// and size durable. Names are durable once their directory has been synced. At a
// power loss every sector of a file written since its last good sync keeps its old
// content or any content written since, as drawn sector by sector; the size and
// each unsynced name likewise. When only the process dies, pages survive.
//
// An injected sync error follows what Linux does (fsyncgate): some drawn part of the
// pages reached the disk, the rest is marked clean though it did not: it still
// reads back, a later sync says OK without covering it, and a power loss reverts it.
//
// Operations take virtual time; those of one file run one after another in the order
// of the calls, those of different files side by side.
#ifndef QUORATE_SIM_DISK_H_
#define QUORATE_SIM_DISK_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/time.h"
#include "io/disk.h"
#include "sim/fault.h"
#include "sim/loop.h"

namespace quorate::sim {

// Chances are in parts per million, per operation.
struct DiskOptions {
  uint64_t capacity_bytes = uint64_t{64} * 1024 * 1024 * 1024;

  // Latency = min + an exponential of mean `mean` (+ size / bytes_per_second).
  Duration operation_min = Microseconds(5);
  Duration operation_mean = Microseconds(10);
  Duration sync_min = Microseconds(80);
  Duration sync_mean = Microseconds(60);
  uint64_t bytes_per_second = uint64_t{1} << 30;

  // An operation takes up to stall_max longer.
  uint32_t stall_ppm = 0;
  Duration stall_max;

  uint32_t sync_error_ppm = 0;
  // After a failed sync of a file: the chance that a later one says OK (as Linux
  // does); otherwise it keeps failing.
  uint32_t sync_lie_ppm = 500'000;
  uint32_t read_error_ppm = 0;   // EIO; the sector stays bad until rewritten
  uint32_t write_error_ppm = 0;  // EIO after some sectors

  // The lying disk: beyond what one member can survive without its peers.
  uint32_t lost_write_ppm = 0;
  uint32_t misdirected_write_ppm = 0;
  uint32_t bit_rot_ppm = 0;  // per read: a bit of a durable sector flips, and stays flipped

  // At a power loss, the chance that an unsynced sector (size, name) keeps its newest
  // state; drawn for each power loss from this list, so that all-or-nothing outcomes
  // come up as well as mixtures.
  std::vector<uint32_t> survive_ppm = {0, 100'000, 500'000, 900'000, 1'000'000};
};

// What a disk operation is, for hooks and traces.
enum class DiskOperation : uint8_t {
  kOpen,
  kRead,
  kWrite,
  kSync,
  kWriteAndSync,
  kWriteZeros,
  kTruncate,
  kList,
  kMakeDirs,
  kRename,
  kRemove,
  kSyncDir,
  kLockDir,
  kFreeSpace,
};
absl::string_view DiskOperationName(DiskOperation operation);

class Disk {
 public:
  Disk(const Context& context, HostId host, const DiskOptions& options);
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;
  ~Disk();

  // A process begins to run on the machine. The io::Disk is that process's and goes
  // before the loop does.
  std::unique_ptr<io::Disk> Attach(Loop* loop);

  enum class Ending {
    kExit,       // operations in flight complete; pages survive
    kKill,       // the operation in flight of each file completes, does not, or does in part
                 // (a write-and-sync: written and not synced), as drawn; pages survive
    kPowerLoss,  // the same, then everything not durable is lost or kept as drawn
  };
  // The process is gone: no callback comes any more, its lock is free.
  void Detach(Ending ending);

  // --- For the nemesis ---
  void SetOptions(const DiskOptions& options);
  const DiskOptions& options() const;
  // Multiplies all latencies (100 = as configured).
  void SetSlowdownPercent(uint32_t percent);
  // No operation completes before this time.
  void StallUntil(VirtualTime time);
  // The next `count` syncs fail.
  void FailNextSyncs(uint32_t count);
  // Flips one bit of a durable, present sector / makes the sector unreadable. NotFound
  // if there is no such file; OutOfRange beyond its end.
  absl::Status FlipBit(const std::string& path, uint64_t offset, int bit);
  // Puts other bytes onto the disk itself, as a write that the process never asked for.
  absl::Status Overwrite(const std::string& path, uint64_t offset, absl::string_view bytes);
  absl::Status BreakSector(const std::string& path, uint64_t offset);
  // All sectors can be read again, and hold what they held.
  void MendSectors();
  // The process that is attached may have so many files open; further ones cannot be opened.
  void SetMaxOpenFiles(size_t most);
  size_t open_files() const;
  // The files of one directory are gone, durably; false if there are none. Only while no process is
  // attached.
  bool Forget(const std::string& directory);
  // Everything is gone, as after a swapped disk. Only while no process is attached.
  void Wipe();
  // Becomes a copy of another machine's disk (copied data directory). Only while no
  // process is attached here.
  void CopyFrom(const Disk& other);
  // The same, and what is not durable there is not durable here.
  void CloneFrom(const Disk& other);
  // The power fails while no process is attached.
  void LosePower();

  // --- For oracles and for crash points ---
  // A new disk that holds exactly what a power loss now would keep at least: the
  // durable names with the durable bytes. For recovery on a scratch host.
  std::unique_ptr<Disk> DurableCopy() const;
  // Paths of all files, sorted, as the process sees them.
  std::vector<std::string> Files() const;
  // A file's bytes and size without any operation; for tests and oracles.
  absl::StatusOr<std::string> Peek(const std::string& path) const;
  absl::StatusOr<std::string> PeekDurable(const std::string& path) const;
  uint64_t used_bytes() const;
  // Of all names and contents as the process sees them; the same only within a process.
  uint64_t Digest() const;
  // Operations begun since the disk was made, over all processes.
  uint64_t operations() const;
  // Called when an operation begins, with its number (counting from 1) and kind: the
  // place from which to schedule a crash before, during or after it.
  using OperationHook = std::function<void(uint64_t number, DiskOperation operation)>;
  void SetOperationHook(OperationHook hook);
  // Asked when an operation takes effect: another status than OK is what it ends with.
  // Of a write some part may have happened, of a sync as after a failed one.
  using OperationFault = std::function<absl::Status(uint64_t number, DiskOperation operation)>;
  void SetOperationFault(OperationFault fault);
  // Chooses, instead of the seed, what a crash leaves: asked for one of `outcomes` (0 to
  // outcomes - 1; the last one loses nothing) for each operation in flight and, at a power
  // loss, for each name, size and sector that is not durable, always in the same order.
  using CrashChoice = std::function<uint64_t(uint64_t outcomes)>;
  void SetCrashChoice(CrashChoice choice);

  struct Impl;  // disk_impl.h

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_DISK_H_
