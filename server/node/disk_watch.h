// Watches over the disk of the data directory, and the log's if it has one of its own: how much
// space is left, and whether writes of the log come to their end.
#ifndef QUORATE_SERVER_NODE_DISK_WATCH_H_
#define QUORATE_SERVER_NODE_DISK_WATCH_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/time.h"
#include "engine/replica/input.h"
#include "io/env.h"

namespace quorate::storage {
class Wal;
}  // namespace quorate::storage

namespace quorate::node {

struct DiskWatchOptions {
  // Empty: nothing is watched.
  std::string data_dir;
  // With less space than this left nothing more may be added to the store; again once there
  // is half as much on top. 0 = whatever is left.
  uint64_t reserve_bytes = 0;
  // A write of the log that takes longer means that the disk stalls: an election timeout.
  Duration stall_after;
  // Not empty: the log lies there, perhaps on a disk with less space.
  std::string log_dir = {};
};

class DiskWatch {
 public:
  // `report` is called from the loop about every second, and twice in stall_after while the
  // disk stalls. `wal` is borrowed.
  DiskWatch(const io::Env& env, DiskWatchOptions options, const storage::Wal* wal,
            std::function<void(const engine::DiskState&)> report);
  DiskWatch(const DiskWatch&) = delete;
  DiskWatch& operator=(const DiskWatch&) = delete;
  ~DiskWatch();

  void Stop();
  const engine::DiskState& state() const { return state_; }
  // As last seen; 0 before that.
  uint64_t free_bytes() const { return free_bytes_; }

 private:
  void Look();
  void AskForSpace();
  using Space = absl::StatusOr<uint64_t>;  // bytes that are free

  void Ask(const std::string& path, std::function<void(const Space&)> then);
  void OnSpace(const Space& free);

  const io::Env env_;
  const DiskWatchOptions options_;
  const storage::Wal* const wal_;
  const std::function<void(const engine::DiskState&)> report_;
  engine::DiskState state_;
  uint64_t free_bytes_ = 0;
  bool asking_ = false;
  Instant reported_at_;
  std::unique_ptr<io::Timer> timer_;
  std::shared_ptr<bool> alive_;  // what answers under way hold
};

}  // namespace quorate::node

#endif  // QUORATE_SERVER_NODE_DISK_WATCH_H_
