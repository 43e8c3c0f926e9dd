// Metrics of what the engine was asked for and how long it took, from engine::Statistics and
// node::Times.
#include <array>
#include <string>

#include "server/metrics/server_metrics.h"

namespace quorate::metrics {
namespace {

using engine::RequestKind;
using engine::Statistics;

struct RequestName {
  RequestKind kind;
  const char* name;
};

// Of the requests that etcd times: ranges, and what goes through its log.
constexpr RequestName kRequestNames[] = {
    {RequestKind::kRange, "Range"},
    {RequestKind::kPut, "Put"},
    {RequestKind::kDeleteRange, "DeleteRange"},
    {RequestKind::kTxn, "Txn"},
    {RequestKind::kCompact, "Compaction"},
    {RequestKind::kLeaseGrant, "LeaseGrant"},
    {RequestKind::kLeaseRevoke, "LeaseRevoke"},
    {RequestKind::kAlarm, "Alarm"},
    {RequestKind::kMemberAttributes, "ClusterMemberAttrSet"},
    {RequestKind::kClusterVersion, "ClusterVersionSet"},
    {RequestKind::kDowngradeInfo, "DowngradeInfoSet"},
    {RequestKind::kAuthEnable, "AuthEnable"},
    {RequestKind::kAuthDisable, "AuthDisable"},
    {RequestKind::kAuthStatus, "AuthStatus"},
    {RequestKind::kAuthUserAdd, "AuthUserAdd"},
    {RequestKind::kAuthUserGet, "AuthUserGet"},
    {RequestKind::kAuthUserList, "AuthUserList"},
    {RequestKind::kAuthUserDelete, "AuthUserDelete"},
    {RequestKind::kAuthUserChangePassword, "AuthUserChangePassword"},
    {RequestKind::kAuthUserGrantRole, "AuthUserGrantRole"},
    {RequestKind::kAuthUserRevokeRole, "AuthUserRevokeRole"},
    {RequestKind::kAuthRoleAdd, "AuthRoleAdd"},
    {RequestKind::kAuthRoleGet, "AuthRoleGet"},
    {RequestKind::kAuthRoleList, "AuthRoleList"},
    {RequestKind::kAuthRoleDelete, "AuthRoleDelete"},
    {RequestKind::kAuthRoleGrantPermission, "AuthRoleGrantPermission"},
    {RequestKind::kAuthRoleRevokePermission, "AuthRoleRevokePermission"},
    {RequestKind::kAuthenticate, "Authenticate"},
};

const char* Text(size_t ok) { return ok != 0 ? "true" : "false"; }

template <typename Counts>
void Set(Histogram* histogram, const Counts& counts) {
  histogram->Set(counts.counts, static_cast<double>(counts.total_nanos) / 1e9);
}

template <typename Counts>
bool IsEmpty(const Counts& counts) {
  for (const uint64_t n : counts.counts) {
    if (n != 0) return false;
  }
  return true;
}

// The pair's two histograms: that of successes always if `always`, others once they have
// something to show.
template <typename Counts>
void SetPair(Registry* registry, const char* name, const char* help, Labels labels,
             const std::array<Counts, 2>& pair, bool always) {
  for (size_t ok = 0; ok < pair.size(); ++ok) {
    if (IsEmpty(pair[ok]) && !(always && ok != 0)) continue;
    for (auto& [label, value] : labels) {
      if (label == "success") value = Text(ok);
    }
    Set(registry->AddHistogram(name, help, Counts::kFirst, Counts::kBounds, labels), pair[ok]);
  }
}

}  // namespace

void ServerMetrics::AddOperations() {
  const auto counter = [&](const char* name, const char* help, StatisticOf value) {
    operation_counters_.emplace_back(registry_->AddCounter(name, help), std::move(value));
  };
  const auto gauge = [&](const char* name, const char* help, StatisticOf value) {
    operation_gauges_.emplace_back(registry_->AddGauge(name, help), std::move(value));
  };
  counter("etcd_mvcc_range_total", "Total number of ranges seen by this member.",
          [](const Statistics& s) { return s.operations.ranges; });
  counter("etcd_mvcc_put_total", "Total number of puts seen by this member.",
          [](const Statistics& s) { return s.operations.puts; });
  counter("etcd_mvcc_delete_total", "Total number of deletes seen by this member.",
          [](const Statistics& s) { return s.operations.deletes; });
  counter("etcd_mvcc_txn_total", "Total number of txns seen by this member.",
          [](const Statistics& s) { return s.operations.txns; });
  gauge("etcd_debugging_mvcc_total_put_size_in_bytes",
        "The total size of put kv pairs seen by this member.",
        [](const Statistics& s) { return s.operations.put_bytes; });
  counter("etcd_debugging_mvcc_events_total", "Total number of events sent by this member.",
          [](const Statistics& s) { return s.watch_events_sent; });
  counter("etcd_debugging_mvcc_db_compaction_keys_total", "Total number of db keys compacted.",
          [](const Statistics& s) { return s.compacted_records; });
  gauge("etcd_debugging_mvcc_db_compaction_last",
        "The unix time of the last db compaction. Resets to 0 on start.", [](const Statistics& s) {
          return static_cast<uint64_t>(s.last_compaction.unix_millis() / 1000);
        });
  counter("etcd_server_slow_read_indexes_total",
          "The total number of read index rounds that were asked again since no answer came.",
          [](const Statistics& s) { return s.slow_read_indexes; });
  counter("etcd_server_read_indexes_failed_total",
          "The total number of reads given up before their read index was confirmed.",
          [](const Statistics& s) { return s.failed_read_indexes; });
  gauge("etcd_server_snapshot_apply_in_progress_total",
        "1 if the server is applying the incoming snapshot. 0 if none.",
        [](const Statistics& s) { return s.installing ? 1 : 0; });
  // A bound of so many milliseconds is written as if it were seconds, and so is the sum.
  compactions_ =
      registry_->AddHistogram("etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
                              "Bucketed histogram of db compaction total duration.", Seconds(100),
                              decltype(Statistics::compactions)::kBounds);
  hashes_ = registry_->AddHistogram(
      "etcd_mvcc_hash_rev_duration_seconds",
      "The latency distribution of storage hash by revision operation.",
      decltype(Statistics::hashes)::kFirst, decltype(Statistics::hashes)::kBounds);
}

void ServerMetrics::RefreshOperations() {
  const Statistics s = sources_.node->replica().statistics();
  for (const auto& [counter, value] : operation_counters_) counter->Set(value(s));
  for (const auto& [gauge, value] : operation_gauges_) {
    gauge->Set(static_cast<double>(value(s)));
  }
  compactions_->Set(s.compactions.counts, static_cast<double>(s.compactions.total_nanos) / 1e6);
  Set(hashes_, s.hashes);
}

void ServerMetrics::RefreshDurations() {
  const node::Times& times = sources_.node->times();
  for (size_t kind = 0; kind < engine::kCommandKinds; ++kind) {
    SetPair(registry_, "etcd_server_apply_duration_seconds",
            "The latency distributions of apply; here of each command's share of its turn.",
            {{"op", engine::kCommandNames[kind].name}, {"success", ""}, {"version", "v3"}},
            times.commands[kind], /*always=*/kind == 0);
  }
  SetPair(registry_, "etcd_server_range_duration_seconds",
          "The latency distributions of ranges; here of each one's share of its turn.",
          {{"success", ""}}, times.ranges, /*always=*/true);
  const char* const help = "Response latency distribution in seconds for each type.";
  for (const RequestName& request : kRequestNames) {
    SetPair(registry_, "etcd_server_request_duration_seconds", help,
            {{"success", ""}, {"type", request.name}},
            times.requests[static_cast<size_t>(request.kind)],
            /*always=*/request.kind == RequestKind::kPut || request.kind == RequestKind::kRange);
  }
  SetPair(registry_, "etcd_server_request_duration_seconds", help,
          {{"success", ""}, {"type", "ReadonlyTxn"}}, times.read_txns, /*always=*/false);
}

}  // namespace quorate::metrics
