#include "server/metrics/quiet_metrics.h"

namespace quorate::metrics {
namespace {

struct QuietHistogram {
  const char* name;
  const char* help;
  int first_millis;
  int buckets;
};

// There is no bbolt file that is committed, defragmented, or copied; no snapshot files of a
// v2 store, and no database file received from a peer or hashed as a whole. Compaction goes in
// small pieces and never pauses anything; watch streams have no loop of their own. (Where etcd
// counts milliseconds, its bounds are written as if they were seconds.)
constexpr QuietHistogram kHistograms[] = {
    {"etcd_disk_backend_commit_duration_seconds",
     "The latency distributions of commit called by backend.", 1, 14},
    {"etcd_debugging_disk_backend_commit_rebalance_duration_seconds",
     "The latency distributions of commit.rebalance called by bboltdb backend.", 1, 14},
    {"etcd_debugging_disk_backend_commit_spill_duration_seconds",
     "The latency distributions of commit.spill called by bboltdb backend.", 1, 14},
    {"etcd_debugging_disk_backend_commit_write_duration_seconds",
     "The latency distributions of commit.write called by bboltdb backend.", 1, 14},
    {"etcd_disk_backend_defrag_duration_seconds",
     "The latency distribution of backend defragmentation.", 100, 13},
    {"etcd_mvcc_hash_duration_seconds", "The latency distribution of storage hash operation.", 10,
     15},
    {"etcd_disk_backend_snapshot_duration_seconds",
     "The latency distribution of backend snapshots.", 10, 17},
    {"etcd_snap_db_fsync_duration_seconds", "The latency distributions of fsyncing .snap.db file",
     1, 14},
    {"etcd_snap_db_save_total_duration_seconds",
     "The total latency distributions of v3 snapshot save", 100, 10},
    {"etcd_snap_fsync_duration_seconds", "The latency distributions of fsync called by snap.", 1,
     14},
    {"etcd_debugging_snap_save_marshalling_duration_seconds",
     "The marshalling cost distributions of save called by snapshot.", 1, 14},
    {"etcd_debugging_snap_save_total_duration_seconds",
     "The total latency distributions of save called by snapshot.", 1, 14},
    {"etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
     "Bucketed histogram of db compaction pause duration.", 1000, 13},
    {"etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds",
     "Bucketed histogram of index compaction pause duration.", 500, 14},
    {"etcd_debugging_server_watch_send_loop_control_stream_duration_seconds",
     "The total duration in seconds of running through the send loop control stream response.", 1,
     14},
    {"etcd_debugging_server_watch_send_loop_progress_duration_seconds",
     "The total duration in seconds of running through the progress loop control stream response.",
     1, 14},
    {"etcd_debugging_server_watch_send_loop_watch_stream_duration_per_event_seconds",
     "The average duration in seconds of running through the send loop watch stream response, per "
     "event.",
     1, 14},
    {"etcd_debugging_server_watch_send_loop_watch_stream_duration_seconds",
     "The total duration in seconds of running through the send loop watch stream response.", 1,
     14},
};

struct Quiet {
  const char* name;
  const char* help;
};

// Nor a v2 store, nor a gRPC proxy, nor events that wait in a buffer. Heartbeats do not wait for
// the disk, and long commands are applied in pieces.
constexpr Quiet kCounters[] = {
    {"etcd_server_heartbeat_send_failures_total",
     "The total number of leader heartbeat send failures (likely overloaded from slow disk)."},
    {"etcd_server_slow_apply_total",
     "The total number of slow apply requests (likely overloaded from slow disk)."},
    {"etcd_debugging_store_expires_total", "Total number of expired keys."},
    {"etcd_debugging_store_watch_requests_total",
     "Total number of incoming watch requests (new or reestablished)."},
    {"etcd_grpc_proxy_events_coalescing_total", "Total number of events coalescing"},
};

constexpr Quiet kGauges[] = {
    {"etcd_debugging_mvcc_pending_events_total", "Total number of pending events to be sent."},
    {"etcd_debugging_store_watchers", "Count of currently active watchers."},
    {"etcd_disk_defrag_inflight",
     "Whether or not defrag is active on the member. 1 means active, 0 means not."},
    {"etcd_grpc_proxy_cache_hits_total", "Total number of cache hits"},
    {"etcd_grpc_proxy_cache_keys_total", "Total number of keys/ranges cached"},
    {"etcd_grpc_proxy_cache_misses_total", "Total number of cache misses"},
    {"etcd_grpc_proxy_watchers_coalescing_total", "Total number of current watchers coalescing"},
    {"etcd_mvcc_db_open_read_transactions", "The number of currently open read transactions"},
};

}  // namespace

void AddQuietMetrics(Registry* registry) {
  for (const QuietHistogram& row : kHistograms) {
    registry->AddHistogram(row.name, row.help, Milliseconds(row.first_millis), row.buckets);
  }
  for (const Quiet& row : kCounters) registry->AddCounter(row.name, row.help);
  for (const Quiet& row : kGauges) registry->AddGauge(row.name, row.help);
}

}  // namespace quorate::metrics
