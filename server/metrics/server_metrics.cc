#include "server/metrics/server_metrics.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/config/ids.h"
#include "server/config/version.h"
#include "server/metrics/quiet_metrics.h"

namespace quorate::metrics {
namespace {

using engine::LeaseTtls;
using engine::ReplicaStatus;

// By gRPC's numbers, as go-grpc-prometheus prints them.
constexpr std::array<const char*, 17> kCodes = {
    "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated"};

// Of versions that clients name.
constexpr size_t kMaxClientVersions = 30;
constexpr size_t kMaxVersionBytes = 32;

bool IsVersionName(absl::string_view text) {
  return text.size() <= kMaxVersionBytes &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

const char* TypeName(grpc::MethodKind kind) {
  switch (kind) {
    case grpc::MethodKind::kUnary:
      return "unary";
    case grpc::MethodKind::kClientStream:
      return "client_stream";
    case grpc::MethodKind::kServerStream:
      return "server_stream";
    case grpc::MethodKind::kBidiStream:
      return "bidi_stream";
  }
  return "unary";
}

// "3.7" of "3.7.0".
std::string ShortVersion(const std::string& version) {
  const auto parsed = config::ParseVersion(version);
  return parsed.has_value() ? absl::StrCat(parsed->major, ".", parsed->minor) : version;
}

}  // namespace

ServerMetrics::ServerMetrics(Registry* registry, Sources sources)
    : registry_(registry), sources_(std::move(sources)) {
  AddServer();
  AddStore();
  AddOperations();
  AddLeases();
  AddDisk();
  AddQuietMetrics(registry_);
  client_requests_.emplace("", ClientRequests("unknown"));
  if (sources_.process != nullptr) AddProcess();
  registry_->OnScrape([this] {
    RefreshStatus();
    RefreshOperations();
    RefreshDurations();
    RefreshClusterVersion();
    RefreshAlarms();
    RefreshGrpc();
    if (sources_.peers != nullptr) RefreshPeers();
  });
}

void ServerMetrics::AddGauge(const char* name, const char* help, GaugeOf value) {
  gauges_.emplace_back(registry_->AddGauge(name, help), std::move(value));
}

void ServerMetrics::AddCounter(const char* name, const char* help, CounterOf value) {
  counters_.emplace_back(registry_->AddCounter(name, help), std::move(value));
}

void ServerMetrics::AddServer() {
  AddGauge("etcd_server_has_leader", "Whether or not a leader exists. 1 is existence, 0 is not.",
           [](const ReplicaStatus& s) { return s.leader != MemberId(0) ? 1 : 0; });
  AddGauge("etcd_server_is_leader", "Whether or not this member is a leader. 1 if is, 0 otherwise.",
           [](const ReplicaStatus& s) { return s.role == engine::Role::kLeader ? 1 : 0; });
  AddGauge("etcd_server_is_learner",
           "Whether or not this member is a learner. 1 if is, 0 otherwise.",
           [](const ReplicaStatus& s) { return s.is_learner ? 1 : 0; });
  AddCounter("etcd_server_leader_changes_seen_total", "The number of leader changes seen.",
             [](const ReplicaStatus& s) { return s.leader_changes; });
  // Gauges in etcd, whatever their names say.
  AddGauge("etcd_server_proposals_committed_total",
           "The total number of consensus proposals committed.",
           [](const ReplicaStatus& s) { return static_cast<double>(s.commit.value()); });
  AddGauge("etcd_server_proposals_applied_total",
           "The total number of consensus proposals applied.",
           [](const ReplicaStatus& s) { return static_cast<double>(s.applied.value()); });
  AddGauge("etcd_server_proposals_pending", "The current number of pending proposals to commit.",
           [](const ReplicaStatus& s) { return static_cast<double>(s.proposals_pending); });
  AddCounter("etcd_server_proposals_failed_total", "The total number of failed proposals seen.",
             [](const ReplicaStatus& s) { return s.proposals_failed; });
  registry_
      ->AddGauge("etcd_server_version", "Which version is running. 1 for 'server_version' label.",
                 {{"server_version", config::kServerVersion}})
      ->Set(1);
  registry_
      ->AddGauge("etcd_server_id", "Server or member ID in hexadecimal format. 1 for 'server_id'.",
                 {{"server_id", config::HexId(sources_.node->member_id())}})
      ->Set(1);
  for (const config::FeatureGate& gate : sources_.gates) {
    registry_
        ->AddGauge("etcd_server_feature_enabled",
                   "Whether or not a feature is enabled. 1 is enabled, 0 is not.",
                   {{"name", std::string(gate.name)}, {"stage", gate.beta ? "BETA" : "ALPHA"}})
        ->Set(gate.on ? 1 : 0);
  }
}

void ServerMetrics::AddStore() {
  AddGauge("etcd_mvcc_db_total_size_in_bytes",
           "Total size of the underlying database physically allocated in bytes.",
           [](const ReplicaStatus& s) { return static_cast<double>(s.db_bytes); });
  AddGauge("etcd_mvcc_db_total_size_in_use_in_bytes",
           "Total size of the underlying database logically in use in bytes.",
           [](const ReplicaStatus& s) { return static_cast<double>(s.db_bytes_in_use); });
  AddGauge("etcd_debugging_mvcc_keys_total", "Total number of keys.",
           [](const ReplicaStatus& s) { return static_cast<double>(s.keys); });
  AddGauge("etcd_debugging_mvcc_current_revision", "The current revision of store.",
           [](const ReplicaStatus& s) { return static_cast<double>(s.revision.value()); });
  AddGauge("etcd_debugging_mvcc_compact_revision", "The revision of the last compaction in store.",
           [](const ReplicaStatus& s) { return static_cast<double>(s.compact_revision.value()); });
  AddGauge("etcd_debugging_auth_revision", "The current revision of auth store.",
           [](const ReplicaStatus& s) { return s.auth_revision; });
  AddGauge("etcd_debugging_mvcc_watch_stream_total", "Total number of watch streams.",
           [](const ReplicaStatus& s) { return static_cast<double>(s.watch_streams); });
  AddGauge("etcd_debugging_mvcc_watcher_total", "Total number of watchers.",
           [](const ReplicaStatus& s) { return static_cast<double>(s.watchers); });
  AddGauge("etcd_debugging_mvcc_slow_watcher_total", "Total number of unsynced slow watchers.",
           [](const ReplicaStatus& s) { return static_cast<double>(s.slow_watchers); });
}

void ServerMetrics::AddLeases() {
  AddCounter("etcd_debugging_lease_granted_total", "The total number of granted leases.",
             [](const ReplicaStatus& s) { return s.leases_granted; });
  AddCounter("etcd_debugging_lease_revoked_total", "The total number of revoked leases.",
             [](const ReplicaStatus& s) { return s.leases_revoked; });
  AddCounter("etcd_debugging_lease_renewed_total",
             "The number of renewed leases seen by the leader.",
             [](const ReplicaStatus& s) { return s.leases_renewed; });
  AddCounter("etcd_debugging_server_lease_expired_total", "The total number of expired leases.",
             [](const ReplicaStatus& s) { return s.leases_expired; });
  lease_ttls_ =
      registry_->AddHistogram("etcd_debugging_lease_ttl_total", "Bucketed histogram of lease TTLs.",
                              Seconds(1), LeaseTtls::kBounds);
  registry_
      ->AddGauge("etcd_server_quota_backend_bytes", "Current backend storage quota size in bytes.")
      ->Set(static_cast<double>(sources_.quota_bytes));
}

void ServerMetrics::AddDisk() {
  wal_write_ = registry_->AddHistogram("etcd_disk_wal_write_duration_seconds",
                                       "The latency distributions of write called by WAL; here "
                                       "each write comes with its sync.",
                                       Milliseconds(1), 14);
  wal_fsync_ = registry_->AddHistogram("etcd_disk_wal_fsync_duration_seconds",
                                       "The latency distributions of fsync called by WAL.",
                                       Milliseconds(1), 14);
}

std::array<Counter*, 2> ServerMetrics::ClientRequests(const std::string& api_version) {
  const auto count = [&](const char* type) {
    return registry_->AddCounter("etcd_server_client_requests_total",
                                 "The total number of client requests per client version.",
                                 {{"client_api_version", api_version}, {"type", type}});
  };
  Counter* const unary = count("unary");
  return {unary, count("stream")};
}

void ServerMetrics::CountClientRequest(bool is_stream, absl::string_view api_version) {
  auto at = client_requests_.find(api_version);
  if (at == client_requests_.end()) {
    const std::string name(api_version);
    at = client_requests_.size() < kMaxClientVersions && IsVersionName(name)
             ? client_requests_.emplace(name, ClientRequests(name)).first
             : client_requests_.find("");
  }
  at->second[is_stream ? 1 : 0]->Add();
}

void ServerMetrics::RefreshTimes(const grpc::MethodStats& stats, const Labels& labels) {
  registry_
      ->AddHistogram("grpc_server_handling_seconds",
                     "Histogram of response latency (seconds) of gRPC that had been "
                     "application-level handled by the server.",
                     grpc::MethodStats::kTimeBounds, labels)
      ->Set(stats.times, static_cast<double>(stats.total_time.nanos()) / 1e9);
}

// The series of the methods come into being with the first scrape: there are many, and a
// member that restarts often should not pay for them each time.
void ServerMetrics::RefreshGrpc() {
  const grpc::Server* const grpc = sources_.grpc;
  registry_
      ->AddCounter("etcd_network_client_grpc_received_bytes_total",
                   "The total number of bytes received from grpc clients.")
      ->Set(grpc->stats().received_bytes);
  registry_
      ->AddCounter("etcd_network_client_grpc_sent_bytes_total",
                   "The total number of bytes sent to grpc clients.")
      ->Set(grpc->stats().sent_bytes);
  const auto promote = grpc->methods().find("/etcdserverpb.Cluster/MemberPromote");
  if (promote != grpc->methods().end()) {
    registry_
        ->AddCounter("etcd_server_learner_promote_successes",
                     "The total number of learner promotions that this member was asked for and "
                     "that succeeded.")
        ->Set(promote->second->stats.handled[0]);
  }
  for (const auto& [path, method] : grpc->methods()) {
    const Labels labels = {{"grpc_method", method->name},
                           {"grpc_service", method->service},
                           {"grpc_type", TypeName(method->kind)}};
    const auto count = [&](const char* name, const char* help, uint64_t value) {
      registry_->AddCounter(name, help, labels)->Set(value);
    };
    const auto& stats = method->stats;
    count("grpc_server_started_total", "Total number of RPCs started on the server.",
          stats.started);
    count("grpc_server_msg_received_total",
          "Total number of RPC stream messages received on the server.", stats.messages_received);
    count("grpc_server_msg_sent_total", "Total number of gRPC stream messages sent by the server.",
          stats.messages_sent);
    if (sources_.extensive) RefreshTimes(stats, labels);
    for (size_t code = 0; code < kCodes.size(); ++code) {
      Labels with_code = {{"grpc_code", kCodes[code]}};
      with_code.insert(with_code.end(), labels.begin(), labels.end());
      registry_
          ->AddCounter(
              "grpc_server_handled_total",
              "Total number of RPCs completed on the server, regardless of success or failure.",
              with_code)
          ->Set(stats.handled[code]);
    }
  }
}

void ServerMetrics::RefreshPeers() {
  const std::string local = config::HexId(sources_.node->member_id());
  // A member counts itself.
  registry_
      ->AddGauge("etcd_network_known_peers", "The current number of known peers.",
                 {{"Local", local}, {"Remote", local}})
      ->Set(1);
  for (const auto& [id, peer] : sources_.peers->peers()) {
    const std::string remote = config::HexId(id);
    PeerRoundTrip(id);
    const peer::PeerStats& stats = peer->stats();
    const auto count = [&](const char* name, const char* help, const char* label, uint64_t value) {
      registry_->AddCounter(name, help, {{label, remote}})->Set(value);
    };
    count("etcd_network_peer_sent_bytes_total", "The total number of bytes sent to peers.", "To",
          stats.sent_bytes);
    count("etcd_network_peer_received_bytes_total",
          "The total number of bytes received from peers.", "From", stats.received_bytes);
    count("etcd_network_peer_sent_failures_total", "The total number of send failures from peers.",
          "To", stats.sent_failures);
    count("etcd_network_peer_received_failures_total",
          "The total number of receive failures from peers.", "From", stats.received_failures);
    registry_
        ->AddCounter("etcd_network_disconnected_peers_total",
                     "The total number of disconnected peers.",
                     {{"Local", local}, {"Remote", remote}})
        ->Set(stats.disconnects);
    RefreshSnapshots(*peer, remote);
    registry_
        ->AddGauge("etcd_network_known_peers", "The current number of known peers.",
                   {{"Local", local}, {"Remote", remote}})
        ->Set(1);
    registry_
        ->AddGauge("etcd_network_active_peers", "The current number of active peer connections.",
                   {{"Local", local}, {"Remote", remote}})
        ->Set(peer->sending() && peer->receiving() ? 1 : 0);
  }
}

void ServerMetrics::RefreshSnapshots(const peer::Peer& peer, const std::string& remote) {
  using Times = peer::PeerStats::SnapshotTimes;
  const auto refresh = [&](const char* way, const char* label, uint64_t done, uint64_t failed,
                           bool busy, const Times& times) {
    const Labels labels = {{label, remote}};
    const std::string name = absl::StrCat("etcd_network_snapshot_", way);
    const std::string what = absl::StrCat("snapshot ", way, "s");
    registry_
        ->AddCounter(absl::StrCat(name, "_success"),
                     absl::StrCat("Total number of successful ", what), labels)
        ->Set(done);
    registry_
        ->AddCounter(absl::StrCat(name, "_failures"),
                     absl::StrCat("Total number of snapshot ", way, " failures"), labels)
        ->Set(failed);
    registry_
        ->AddGauge(absl::StrCat(name, "_inflights_total"),
                   absl::StrCat("Total number of inflight ", what), labels)
        ->Set(busy ? 1 : 0);
    registry_
        ->AddHistogram(absl::StrCat(name, "_total_duration_seconds"),
                       absl::StrCat("Total latency distributions of v3 ", what), Times::kFirst,
                       Times::kBounds, labels)
        ->Set(times.counts, static_cast<double>(times.total_nanos) / 1e9);
  };
  const peer::PeerStats& stats = peer.stats();
  refresh("send", "To", stats.snapshots_sent, stats.snapshots_not_sent, peer.sending_snapshot(),
          stats.snapshot_send_times);
  refresh("receive", "From", stats.snapshots_received, stats.snapshots_not_received,
          peer.receiving_snapshot(), stats.snapshot_receive_times);
}

Histogram* ServerMetrics::PeerRoundTrip(MemberId peer) {
  return registry_->AddHistogram("etcd_network_peer_round_trip_time_seconds",
                                 "Round-Trip-Time histogram between peers.", Microseconds(100), 16,
                                 {{"To", config::HexId(peer)}});
}

void ServerMetrics::ObservePeerRoundTrip(MemberId peer, Duration time) {
  PeerRoundTrip(peer)->Observe(time);
}

void ServerMetrics::AddProcess() {
  Gauge* cpu = registry_->AddRealCounter("process_cpu_seconds_total",
                                         "Total user and system CPU time spent in seconds.");
  Gauge* start = registry_->AddGauge("process_start_time_seconds",
                                     "Start time of the process since unix epoch in seconds.");
  Gauge* resident =
      registry_->AddGauge("process_resident_memory_bytes", "Resident memory size in bytes.");
  Gauge* virtual_memory =
      registry_->AddGauge("process_virtual_memory_bytes", "Virtual memory size in bytes.");
  Gauge* open = registry_->AddGauge("process_open_fds", "Number of open file descriptors.");
  Gauge* max_open =
      registry_->AddGauge("process_max_fds", "Maximum number of open file descriptors.");
  Gauge* used = registry_->AddGauge("os_fd_used", "The number of used file descriptors.");
  Gauge* limit = registry_->AddGauge("os_fd_limit", "The file descriptor limit.");
  Gauge* max_virtual = registry_->AddGauge("process_virtual_memory_max_bytes",
                                           "Maximum amount of virtual memory available in bytes.");
  Counter* received = registry_->AddCounter("process_network_receive_bytes_total",
                                            "Number of bytes received by the process over the "
                                            "network.");
  Counter* sent = registry_->AddCounter("process_network_transmit_bytes_total",
                                        "Number of bytes sent by the process over the network.");
  registry_->OnScrape([=, this] {
    const ProcessStats stats = sources_.process();
    max_virtual->Set(static_cast<double>(stats.max_virtual_bytes));
    received->Set(stats.network_received_bytes);
    sent->Set(stats.network_sent_bytes);
    cpu->Set(stats.cpu_seconds);
    start->Set(stats.start_time_seconds);
    resident->Set(static_cast<double>(stats.resident_bytes));
    virtual_memory->Set(static_cast<double>(stats.virtual_bytes));
    open->Set(static_cast<double>(stats.open_files));
    max_open->Set(static_cast<double>(stats.max_open_files));
    used->Set(static_cast<double>(stats.open_files));
    limit->Set(static_cast<double>(stats.max_open_files));
  });
}

void ServerMetrics::RefreshStatus() {
  const ReplicaStatus status = sources_.node->status();
  for (const auto& [gauge, value] : gauges_) gauge->Set(value(status));
  for (const auto& [counter, value] : counters_) counter->Set(value(status));
}

void ServerMetrics::RefreshAlarms() {
  const engine::LeaseTtls& ttls = sources_.node->replica().lease_ttls();
  lease_ttls_->Set(ttls.counts, static_cast<double>(ttls.seconds));
  for (Gauge* gauge : alarms_) gauge->Set(0);
  alarms_.clear();
  for (const alarm::Alarm& alarm : sources_.node->alarms()) {
    alarms_.push_back(registry_->AddGauge(
        "etcd_debugging_server_alarms", "Alarms that stand, by the member that raised them.",
        {{"alarm_type", alarm::TypeName(alarm.type)}, {"server_id", config::HexId(alarm.member)}}));
    alarms_.back()->Set(1);
  }
}

void ServerMetrics::RefreshClusterVersion() {
  const std::string version = sources_.node->cluster_version();
  if (version == seen_cluster_version_) return;
  if (cluster_version_ != nullptr) cluster_version_->Set(0);
  seen_cluster_version_ = version;
  cluster_version_ = registry_->AddGauge("etcd_cluster_version",
                                         "Which version is running. 1 for 'cluster_version' label.",
                                         {{"cluster_version", ShortVersion(version)}});
  cluster_version_->Set(1);
}

}  // namespace quorate::metrics
