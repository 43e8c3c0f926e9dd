// A server's metrics under the names, types, labels and buckets that dashboards and alert rules for
// etcd ask for, all present from the first scrape. Nearly all of them are read from
// counters that the other rooms keep anyway, when somebody scrapes.
#ifndef QUORATE_SERVER_METRICS_SERVER_METRICS_H_
#define QUORATE_SERVER_METRICS_SERVER_METRICS_H_

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/strings/string_view.h"
#include "base/strong_int.h"
#include "base/time.h"
#include "server/config/flags.h"
#include "server/grpc/server.h"
#include "server/metrics/registry.h"
#include "server/node/node.h"
#include "server/peer/rafthttp.h"

namespace quorate::metrics {

// What only the operating system knows; main.cc provides it.
struct ProcessStats {
  double cpu_seconds = 0;
  double start_time_seconds = 0;  // unix time
  uint64_t resident_bytes = 0;
  uint64_t virtual_bytes = 0;
  uint64_t open_files = 0;
  uint64_t max_open_files = 0;
  uint64_t max_virtual_bytes = 0;
  // Of all network devices that the process can see.
  uint64_t network_received_bytes = 0;
  uint64_t network_sent_bytes = 0;
};

// Where values come from; borrowed, and alive whenever the registry is asked for Text.
struct Sources {
  const node::Node* node = nullptr;
  const grpc::Server* grpc = nullptr;
  const peer::RaftHttp* peers = nullptr;  // null with another transport
  std::function<ProcessStats()> process;  // empty: no process metrics
  int64_t quota_bytes = 0;                // as Status reports it
  bool extensive = false;                 // histograms of how long calls take, too
  std::vector<config::FeatureGate> gates;
};

class ServerMetrics {
 public:
  ServerMetrics(Registry* registry, Sources sources);
  ServerMetrics(const ServerMetrics&) = delete;
  ServerMetrics& operator=(const ServerMetrics&) = delete;

  // A request has come from a client that says it speaks this version of the API (empty: it says
  // nothing). Clients choose what they say: the first few versions are counted by name.
  void CountClientRequest(bool is_stream, absl::string_view api_version);
  // The time of one write of the log, which comes with its sync.
  void ObserveWalWrite(Duration time) {
    wal_write_->Observe(time);
    wal_fsync_->Observe(time);
  }
  // A measured round trip to a peer.
  void ObservePeerRoundTrip(MemberId peer, Duration time);

 private:
  using GaugeOf = std::function<double(const engine::ReplicaStatus&)>;
  using CounterOf = std::function<uint64_t(const engine::ReplicaStatus&)>;
  using StatisticOf = std::function<uint64_t(const engine::Statistics&)>;

  void AddServer();
  void AddOperations();
  void AddStore();
  void AddLeases();
  void AddDisk();
  std::array<Counter*, 2> ClientRequests(const std::string& api_version);
  void RefreshGrpc();
  void RefreshTimes(const grpc::MethodStats& stats, const Labels& labels);
  void AddProcess();
  void AddGauge(const char* name, const char* help, GaugeOf value);
  void AddCounter(const char* name, const char* help, CounterOf value);
  void RefreshStatus();
  void RefreshOperations();
  void RefreshDurations();
  void RefreshClusterVersion();
  void RefreshAlarms();
  void RefreshPeers();
  void RefreshSnapshots(const peer::Peer& peer, const std::string& remote);
  Histogram* PeerRoundTrip(MemberId peer);

  Registry* const registry_;
  const Sources sources_;
  std::vector<std::pair<Gauge*, GaugeOf>> gauges_;
  std::vector<std::pair<Counter*, CounterOf>> counters_;
  std::vector<std::pair<Counter*, StatisticOf>> operation_counters_;
  std::vector<std::pair<Gauge*, StatisticOf>> operation_gauges_;
  Histogram* compactions_ = nullptr;
  Histogram* hashes_ = nullptr;
  std::string seen_cluster_version_;
  Gauge* cluster_version_ = nullptr;
  Histogram* wal_write_ = nullptr;
  Histogram* wal_fsync_ = nullptr;
  Histogram* lease_ttls_ = nullptr;
  std::vector<Gauge*> alarms_;  // that stood at the last scrape
  absl::btree_map<std::string, std::array<Counter*, 2>> client_requests_;  // unary, stream
};

}  // namespace quorate::metrics

#endif  // QUORATE_SERVER_METRICS_SERVER_METRICS_H_
