// Every metric that a fresh etcd 3.7.1 shows, by name and type, against ours. Those of the process
// and of the Go runtime are left out.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/strings/str_split.h"
#include "tests/server/support/test_cluster.h"

namespace quorate {
namespace {

constexpr char kCounters[] =
    "etcd_debugging_lease_granted_total etcd_debugging_lease_renewed_total "
    "etcd_debugging_lease_revoked_total etcd_debugging_mvcc_db_compaction_keys_total "
    "etcd_debugging_mvcc_events_total etcd_debugging_server_lease_expired_total "
    "etcd_debugging_store_expires_total etcd_debugging_store_watch_requests_total "
    "etcd_grpc_proxy_events_coalescing_total etcd_mvcc_delete_total etcd_mvcc_put_total "
    "etcd_mvcc_range_total etcd_mvcc_txn_total etcd_network_client_grpc_received_bytes_total "
    "etcd_network_client_grpc_sent_bytes_total etcd_server_health_failures "
    "etcd_server_health_success etcd_server_heartbeat_send_failures_total "
    "etcd_server_leader_changes_seen_total etcd_server_learner_promote_successes "
    "etcd_server_proposals_failed_total etcd_server_read_indexes_failed_total "
    "etcd_server_slow_apply_total etcd_server_slow_read_indexes_total "
    "grpc_server_handled_total grpc_server_msg_received_total grpc_server_msg_sent_total "
    "grpc_server_started_total promhttp_metric_handler_requests_total";
constexpr char kGauges[] =
    "etcd_cluster_version etcd_debugging_auth_revision etcd_debugging_mvcc_compact_revision "
    "etcd_debugging_mvcc_current_revision etcd_debugging_mvcc_db_compaction_last "
    "etcd_debugging_mvcc_keys_total etcd_debugging_mvcc_pending_events_total "
    "etcd_debugging_mvcc_slow_watcher_total etcd_debugging_mvcc_total_put_size_in_bytes "
    "etcd_debugging_mvcc_watch_stream_total etcd_debugging_mvcc_watcher_total "
    "etcd_debugging_store_watchers etcd_disk_defrag_inflight etcd_disk_wal_write_bytes_total "
    "etcd_grpc_proxy_cache_hits_total etcd_grpc_proxy_cache_keys_total "
    "etcd_grpc_proxy_cache_misses_total etcd_grpc_proxy_watchers_coalescing_total "
    "etcd_mvcc_db_open_read_transactions etcd_mvcc_db_total_size_in_bytes "
    "etcd_mvcc_db_total_size_in_use_in_bytes etcd_network_known_peers "
    "etcd_server_feature_enabled etcd_server_has_leader etcd_server_id etcd_server_is_leader "
    "etcd_server_is_learner etcd_server_proposals_applied_total "
    "etcd_server_proposals_committed_total etcd_server_proposals_pending "
    "etcd_server_quota_backend_bytes etcd_server_snapshot_apply_in_progress_total "
    "etcd_server_version promhttp_metric_handler_requests_in_flight";
constexpr char kHistograms[] =
    "etcd_debugging_disk_backend_commit_rebalance_duration_seconds "
    "etcd_debugging_disk_backend_commit_spill_duration_seconds "
    "etcd_debugging_disk_backend_commit_write_duration_seconds etcd_debugging_lease_ttl_total "
    "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds "
    "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds "
    "etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds "
    "etcd_debugging_server_watch_send_loop_control_stream_duration_seconds "
    "etcd_debugging_server_watch_send_loop_progress_duration_seconds "
    "etcd_debugging_server_watch_send_loop_watch_stream_duration_per_event_seconds "
    "etcd_debugging_server_watch_send_loop_watch_stream_duration_seconds "
    "etcd_debugging_snap_save_marshalling_duration_seconds "
    "etcd_debugging_snap_save_total_duration_seconds "
    "etcd_disk_backend_commit_duration_seconds etcd_disk_backend_defrag_duration_seconds "
    "etcd_disk_backend_snapshot_duration_seconds etcd_disk_wal_fsync_duration_seconds "
    "etcd_disk_wal_write_duration_seconds etcd_mvcc_hash_duration_seconds "
    "etcd_mvcc_hash_rev_duration_seconds etcd_server_apply_duration_seconds "
    "etcd_server_range_duration_seconds etcd_server_request_duration_seconds "
    "etcd_snap_db_fsync_duration_seconds etcd_snap_db_save_total_duration_seconds "
    "etcd_snap_fsync_duration_seconds";

// The types on a page, by name.
absl::btree_map<std::string, std::string> TypesIn(const std::string& page) {
  absl::btree_map<std::string, std::string> types;
  for (const std::string& line : std::vector<std::string>(absl::StrSplit(page, '\n'))) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    if (words.size() == 4 && words[0] == "#" && words[1] == "TYPE") types[words[2]] = words[3];
  }
  return types;
}

TEST(MetricNamesTest, AreEtcdsOnTheFirstScrape) {
  TestCluster cluster(1);
  cluster.StartAll();
  ASSERT_TRUE(cluster.RunUntilReady());
  const auto answer = cluster.Get(1, "/metrics");
  ASSERT_TRUE(answer.ok()) << answer.status();
  const auto types = TypesIn(answer->body);
  const auto expect = [&](const char* names, const std::string& type) {
    for (const std::string& name : std::vector<std::string>(absl::StrSplit(names, ' '))) {
      const auto at = types.find(name);
      EXPECT_EQ(at == types.end() ? "nothing" : at->second, type) << name;
    }
  };
  expect(kCounters, "counter");
  expect(kGauges, "gauge");
  expect(kHistograms, "histogram");
}

}  // namespace
}  // namespace quorate
