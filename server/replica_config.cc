#include "server/replica_config.h"

#include <optional>

#include "server/config/version.h"

namespace quorate::server {
namespace {

template <typename T>
void Override(const std::optional<T>& other, T* setting) {
  if (other.has_value()) *setting = *other;
}

}  // namespace

engine::Config ReplicaConfig(const config::Config& config) {
  engine::Config replica;
  replica.server_version = config::kServerVersion;
  replica.max_txn_ops = config.max_txn_ops;
  replica.max_request_bytes = config.max_request_bytes;
  replica.strict_reconfig_check = config.strict_reconfig_check;
  replica.max_learners = config.max_learners;
  replica.reconfig_health_window = config.reconfig_health_window;
  replica.lease_checkpoint_interval = config.lease_checkpoint_interval;
  replica.quota_bytes = config.QuotaBytes();
  replica.min_lease_ttl = config.MinLeaseTtl();
  replica.watch_progress_interval = config.watch_progress_notify_interval;
  replica.raft.heartbeat_interval = config.heartbeat_interval;
  replica.raft.election_timeout = config.election_timeout;
  replica.raft.pre_vote = config.pre_vote;
  replica.raft.max_append_bytes = config.max_append_bytes;
  Override(config.max_inflight_messages, &replica.raft.max_inflight_messages);
  Override(config.max_inflight_bytes, &replica.raft.max_inflight_bytes);
  Override(config.max_uncommitted_bytes, &replica.raft.max_uncommitted_bytes);
  Override(config.max_pending_proposals, &replica.max_pending_proposals);
  Override(config.max_pending_lease_calls, &replica.max_pending_lease_calls);
  replica.max_apply_entries = config.max_apply_entries;
  replica.max_watch_reply_bytes = config.watch_reply_bytes;
  Override(config.copied_answer_bytes, &replica.copied_answer_bytes);
  Override(config.max_dead_answer_bytes, &replica.max_dead_answer_bytes);
  if (config.lease_read_clock_drift != Duration::Infinite()) {
    replica.raft.read_only = raft::ReadOnlyMode::kLeaseBased;
    replica.raft.max_clock_drift = config.lease_read_clock_drift;
  }
  replica.max_turn_work = config.max_turn_work;
  replica.auth_token_ttl = config.auth_token_ttl;
  replica.store_segment_bytes = config.store_segment_bytes;
  // 0 stands for the default, as in etcd.
  if (config.snapshot_count > 0) replica.checkpoint_entries = config.snapshot_count;
  replica.checkpoint_bytes = config.checkpoint_log_bytes;
  replica.checkpoint_interval = config.checkpoint_interval;
  replica.catchup_entries = config.snapshot_catchup_entries;
  replica.catchup_bytes = config.checkpoint_log_bytes;
  return replica;
}

}  // namespace quorate::server
