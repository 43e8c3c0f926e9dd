#include "server/disk_log.h"

namespace quorate::server {
namespace {

void LogDiskState(const config::Config& config, log::Logger* log, const engine::DiskState& disk,
                  uint64_t free_bytes) {
  if (disk.stalled) {
    LOG_WARN(log, "the disk does not finish a write of the log; a leader hands over leadership",
             {"data-dir", config.DataDir()}, {"election-timeout", config.election_timeout});
  }
  if (disk.low_space) {
    LOG_WARN(log, "the disk is nearly full; writes are refused until there is space",
             {"data-dir", config.DataDir()}, {"free-bytes", free_bytes},
             {"wanted-bytes", config.disk_reserve_bytes});
  }
  if (!disk.stalled && !disk.low_space) {
    LOG_INFO(log, "the disk works again, and has space", {"data-dir", config.DataDir()},
             {"free-bytes", free_bytes});
  }
}

}  // namespace

void WatchDisk(const config::Config& config, log::Logger* log, node::Options* options) {
  options->disk = {config.DataDir(), config.disk_reserve_bytes, config.election_timeout,
                   config.wal_dir};
  options->on_disk_state = [&config, log](const engine::DiskState& disk, uint64_t free_bytes) {
    LogDiskState(config, log, disk, free_bytes);
  };
}

}  // namespace quorate::server
