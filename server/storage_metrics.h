// Metrics of the disk, of the log, of checkpoints and of scrubbing.
#ifndef QUORATE_SERVER_STORAGE_METRICS_H_
#define QUORATE_SERVER_STORAGE_METRICS_H_

#include "server/metrics/registry.h"
#include "server/node/disk_watch.h"
#include "storage/checkpoints.h"
#include "storage/scrubber.h"
#include "storage/wal.h"

namespace quorate::server {

// All are there from the first scrape. `repaired`: whether this start got the state from another
// member. What they are read from is borrowed, and alive whenever
// the registry is asked for its text.
void AddStorageMetrics(metrics::Registry* registry, const node::DiskWatch* disk,
                       const storage::Wal* wal, const storage::Checkpoints* checkpoints,
                       const storage::Scrubber* scrubber, bool repaired);

}  // namespace quorate::server

#endif  // QUORATE_SERVER_STORAGE_METRICS_H_
