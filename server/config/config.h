// One server's configuration: what flags, environment and file come down to.
#ifndef QUORATE_SERVER_CONFIG_CONFIG_H_
#define QUORATE_SERVER_CONFIG_CONFIG_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/limits.h"
#include "base/strong_int.h"
#include "base/time.h"
#include "io/log_rotation.h"
#include "server/config/tls.h"
#include "server/config/url.h"
#include "server/config/version.h"

namespace quorate::config {

// One name of --initial-cluster with all its peer URLs (a name may be given more than
// once), sorted.
struct InitialMember {
  std::string name;
  std::vector<Url> peer_urls;
};

enum class ClusterState { kNew, kExisting };

// Of --log-rotation-config-json, as etcd has it.
inline constexpr char kDefaultLogRotation[] =
    R"({"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false})";

// What a server compacts by itself: nothing, if both are 0.
struct AutoCompaction {
  Duration period;        // of history that is kept
  int64_t revisions = 0;  // that are kept

  bool enabled() const { return period > Duration() || revisions > 0; }
};

struct Config {
  std::string name = "default";
  std::string data_dir;  // empty: "<name>.etcd"
  // As set: where the log's directory is to lie, to which the data directory then has a link. Once
  // main has seen to that: that link, or nothing.
  std::string wal_dir;
  std::vector<Url> listen_peer_urls = {{"http", "localhost", 2380}};
  std::vector<Url> listen_client_urls = {{"http", "localhost", 2379}};
  std::vector<Url> initial_advertise_peer_urls = {{"http", "localhost", 2380}};
  std::vector<Url> advertise_client_urls = {{"http", "localhost", 2379}};
  std::vector<InitialMember> initial_cluster;  // empty: this member alone
  std::string initial_cluster_token = "etcd-cluster";
  ClusterState initial_cluster_state = ClusterState::kNew;
  // Set: initial_cluster is what DNS says of this domain (server/config/discovery.h), in the
  // services _etcd-server._tcp and _etcd-server-ssl._tcp with "-" and the second one appended.
  std::string discovery_srv;
  std::string discovery_srv_name;
  // The data directory's member goes on alone, as the only one of its cluster.
  bool force_new_cluster = false;
  Duration heartbeat_interval = Milliseconds(100);
  Duration election_timeout = Milliseconds(1000);
  bool pre_vote = true;
  bool strict_reconfig_check = true;
  size_t max_learners = 1;
  // Not a flag: how long peers must have been connected to count as healthy there.
  Duration reconfig_health_window = Seconds(5);
  size_t max_request_bytes = limits::kMaxRequestBytes;
  size_t max_txn_ops = limits::kMaxTxnOps;
  // Of what the store has in use; 0 = etcd's 2 GiB, negative = no bound.
  int64_t quota_backend_bytes = 0;
  // Only "simple" tokens, with any of etcd's options after it, are supported.
  std::string auth_token = "simple";
  Duration auth_token_ttl = Seconds(300);
  size_t bcrypt_cost = 10;
  TlsSettings client_tls;
  TlsSettings peer_tls = {.flag_prefix = "peer-"};
  // Years that a certificate of --auto-tls or --peer-auto-tls is valid.
  size_t self_signed_cert_validity = 1;
  Duration watch_progress_notify_interval = Seconds(600);
  std::string auto_compaction_mode = "periodic";
  std::string auto_compaction_retention = "0";
  // Entries applied between two checkpoints, and entries that the log keeps behind one for
  // slow followers.
  size_t snapshot_count = 10'000;
  size_t snapshot_catchup_entries = 5'000;
  // Not flags: bytes in entries after which a checkpoint is due, and that are kept behind
  // one; the longest time between two while there is something new (0 = any); bytes from
  // which on checkpoints go on in another file.
  uint64_t checkpoint_log_bytes = 64 * limits::kMiB;
  Duration checkpoint_interval = Seconds(600);
  uint64_t checkpoint_pack_bytes = 16 * limits::kMiB;
  size_t store_segment_bytes = 256 * limits::kKiB;
  // Not flags; the simulator draws them, so that rare sizes come up. Log segments in bytes
  // (storage/recovery.h; the first is what a start waits for), entries' bytes in one append
  // message (0 = one entry), entries applied in one turn and work done in it.
  uint64_t wal_segment_bytes = 16 * limits::kMiB;
  uint64_t wal_first_segment_bytes = 4 * limits::kMiB;
  uint64_t max_append_bytes = limits::kMaxAppendBytes;
  // With less free space than this on the disk of the data directory writes are refused
  // (NOSPACE), so that there is some left for the log to go on.
  uint64_t disk_reserve_bytes = 64 * limits::kMiB;
  // How fast the files of the checkpoint are read again and checked, in bytes a second; 0 =
  // never.
  uint64_t scrub_bytes_per_second = 4 * limits::kMiB;
  size_t max_apply_entries = 4096;
  // Others than those of raft::Config and engine::Config: what may be on its way to a follower, be
  // in the log and not applied, or wait for that.
  std::optional<size_t> max_inflight_messages;
  std::optional<uint64_t> max_inflight_bytes;
  std::optional<uint64_t> max_uncommitted_bytes;
  std::optional<size_t> max_pending_proposals;
  std::optional<size_t> max_pending_lease_calls;
  // Bytes of events given to watchers in one turn.
  size_t watch_reply_bytes = 256 * limits::kKiB;
  // Others than those of engine::Config.
  std::optional<uint64_t> copied_answer_bytes;
  std::optional<uint64_t> max_dead_answer_bytes;
  // Not a flag: linearizable reads rest on the leader's lease, under the promise that while
  // an election timeout passes on one member's clock no other's runs ahead by more than
  // this. Infinite: a round of heartbeats for each read.
  Duration lease_read_clock_drift = Duration::Infinite();
  // Of a turn, in units of engine/mvcc/work.h: what takes more goes on in the next.
  uint64_t max_turn_work = 2000;
  // How often what is left of a lease is written into the log.
  Duration lease_checkpoint_interval = Seconds(300);
  // Connections at once on the client and on the peer URLs; above it the newest is closed.
  // Not flags: the binary sets them so that files and calls to peers never lack descriptors.
  size_t max_client_connections = 20000;
  size_t max_peer_connections = 1000;
  // The JSON gateway under /v3/.
  bool enable_grpc_gateway = true;
  // Further addresses that serve /metrics, /health, /livez and /readyz only.
  std::vector<Url> listen_metrics_urls;
  // If there are any: HTTP/1.1 is served there, and gRPC alone on listen_client_urls.
  std::vector<Url> listen_client_http_urls;
  // Origins that browsers may send requests from, and names that requests may be addressed
  // to; empty or "*" = any.
  std::vector<std::string> cors = {"*"};
  std::vector<std::string> host_whitelist = {"*"};
  // Requests in progress on one client's connection; above it they are refused.
  size_t max_concurrent_streams = ~uint32_t{0};
  // Clients that ping more often are disconnected; when we ping them, and how long they may
  // take to answer (0 = we do not).
  Duration grpc_keepalive_min_time = Seconds(5);
  Duration grpc_keepalive_interval = Seconds(2 * 3600);
  Duration grpc_keepalive_timeout = Seconds(20);
  // A unary call that takes longer is logged (0 = none).
  Duration warning_unary_request_duration = Milliseconds(300);
  Duration warning_apply_duration = Milliseconds(100);
  // Comparisons of the members' data (server/corruption.h): before serving; how often while
  // this member leads (0 = never); after compactions, and how often it looks for them.
  bool initial_corrupt_check = false;
  Duration corrupt_check_time;
  bool compact_hash_check = false;
  Duration compact_hash_check_time = Seconds(60);
  // --metrics=extensive: histograms of how long calls take.
  bool extensive_metrics = false;
  // debug, info, warn, error, panic, fatal.
  std::string log_level = "info";
  // Whether the process keeps all of its pages in memory, once they are used.
  bool memory_mlock = false;
  // Whether others may listen on the same ports.
  bool socket_reuse_port = false;
  // "default", "stderr", "stdout", "systemd/journal", or paths of files.
  std::vector<std::string> log_outputs = {"default"};
  // "json" or "console".
  std::string log_format = "json";
  // Whether the one file among them is rotated, and how (server/config/log_rotation.h).
  bool enable_log_rotation = false;
  std::string log_rotation_config_json = kDefaultLogRotation;
  // What the environment gave: settings used, and names that mean nothing here.
  std::vector<std::string> environment_used;
  std::vector<std::string> environment_unknown;
  // What is worth a warning in the settings: deprecated names, values without effect.
  std::vector<std::string> notices;

  // The directory to use.
  std::string DataDir() const { return data_dir.empty() ? name + ".etcd" : data_dir; }
  // initial_cluster, or this member alone when that is empty.
  std::vector<InitialMember> Members() const;
  // etcd's checks with etcd's texts, naming the flag at fault.
  absl::Status Validate() const;
  // What must hold besides for a directory without data, since ids are hashes of these
  // URLs: this member is in the initial cluster with the very URLs that it advertises, and
  // no URL belongs to two members. A member that has data ignores the --initial-* flags.
  absl::Status ValidateBootstrap() const;
  // auto_compaction_mode and auto_compaction_retention, understood. FailedPrecondition with
  // etcd's texts.
  absl::StatusOr<quorate::config::AutoCompaction> ParsedAutoCompaction() const;
  // Of the log's file, if there is one that is rotated.
  absl::StatusOr<std::optional<io::LogRotation>> ParsedLogRotation() const;
  // quota_backend_bytes, its default filled in.
  int64_t QuotaBytes() const;
  // Seconds that a lease lasts at least: etcd's one and a half election timeouts, counted
  // in heartbeats and rounded up.
  int64_t MinLeaseTtl() const;
  // bcrypt_cost, or etcd's default when that is outside of 4 to 31.
  int BcryptCost() const;
  // etcd's time-out of a client request: 5 s + 2 x election timeout.
  Duration RequestTimeout() const { return Seconds(5) + election_timeout * 2; }
};

// "name=url,name=url,...", as --initial-cluster. A name may come more than once.
absl::StatusOr<std::vector<InitialMember>> ParseInitialCluster(absl::string_view text);
std::string JoinInitialCluster(const std::vector<InitialMember>& members);

}  // namespace quorate::config

#endif  // QUORATE_SERVER_CONFIG_CONFIG_H_
