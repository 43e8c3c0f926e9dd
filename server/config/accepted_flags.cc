#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/check.h"
#include "server/config/flag.h"
#include "server/config/flags.h"

namespace quorate::config {
namespace {

constexpr absl::string_view kOtherStorage = "the storage works otherwise";
constexpr absl::string_view kAlwaysSafe = "there is no such trade here";

// What a value of a setting without effect must be: etcd would not start with another.
enum class Kind { kText, kBoolean, kCount, kNumber, kSpan };

absl::Status Judge(Kind kind, absl::string_view value) {
  switch (kind) {
    case Kind::kText:
      return absl::OkStatus();
    case Kind::kBoolean:
      return ParseBoolean(value).status();
    case Kind::kCount:
      return ParseCount(value).status();
    case Kind::kNumber:
      return ParseNumber(value).status();
    case Kind::kSpan:
      return ParseSpan(value).status();
  }
  UNREACHABLE("a kind of value");
}

// A setting whose effect cannot be left out in silence: only these values are taken.
Setter Only(std::vector<absl::string_view> values, absl::string_view why) {
  return [values = std::move(values), why](absl::string_view value, Config* config) {
    (void)config;
    if (std::find(values.begin(), values.end(), value) != values.end()) return absl::OkStatus();
    return absl::InvalidArgumentError(why);
  };
}

Flag Ignored(absl::string_view group, absl::string_view name, absl::string_view fallback,
             absl::string_view help, absl::string_view why, Kind kind = Kind::kText) {
  const Setter judge = [kind](absl::string_view value, Config* config) {
    (void)config;
    return Judge(kind, value);
  };
  return {group, name, fallback, help, judge, kind == Kind::kBoolean, kind == Kind::kSpan, why};
}

std::vector<Flag> MemberRows() {
  const absl::string_view group = "Member";
  return {
      Ignored(group, "initial-election-tick-advance", "true", "Fast-forward initial ticks.",
              "deadlines are continuous", Kind::kBoolean),
      Ignored(group, "max-snapshots", "5", "Snapshot files to retain.", kOtherStorage,
              Kind::kCount),
      Ignored(group, "max-wals", "5", "Log files to retain.", kOtherStorage, Kind::kCount),
      Ignored(group, "backend-bbolt-freelist-type", "map", "Type of bbolt's freelist.",
              kOtherStorage),
      Ignored(group, "backend-batch-interval", "", "Longest time between backend commits.",
              kOtherStorage, Kind::kSpan),
      Ignored(group, "backend-batch-limit", "0", "Most operations between backend commits.",
              kOtherStorage, Kind::kNumber),
      Ignored(group, "socket-reuse-address", "false", "Set SO_REUSEADDR on listeners.",
              "it is always set", Kind::kBoolean),
      Ignored(group, "raft-read-timeout", "5s", "Read time-out of connections between members.",
              "heartbeats decide", Kind::kSpan),
      Ignored(group, "raft-write-timeout", "5s", "Write time-out of connections between members.",
              "heartbeats decide", Kind::kSpan),
  };
}

std::vector<Flag> ClusteringRows() {
  const absl::string_view group = "Clustering";
  constexpr absl::string_view kNoDiscovery =
      "discovery by a service is not supported yet; name the members in --initial-cluster, or use "
      "--discovery-srv";
  std::vector<Flag> rows = {
      {group, "v2-deprecation", "gone", "Phase of the v2 store's deprecation.",
       Only({"write-only", "write-only-drop-data", "gone"},
            "must be write-only, write-only-drop-data or gone"),
       false, false, "there is no v2 store", true},
      {group, "discovery-fallback", "exit", "What to do when discovery fails.",
       Only({"exit"}, "must be exit"), false, false, "there is no discovery", true},
  };
  for (const absl::string_view name : {"discovery", "discovery-token", "discovery-endpoints"}) {
    rows.push_back({group, name, "", "Find the initial members by discovery; refused if set.",
                    Only({""}, kNoDiscovery)});
  }
  for (const absl::string_view name : {"discovery-dial-timeout", "discovery-request-timeout",
                                       "discovery-keepalive-time", "discovery-keepalive-timeout"}) {
    rows.push_back(Ignored(group, name, "", "A detail of discovery by a service.",
                           "there is no such discovery", Kind::kSpan));
  }
  for (const absl::string_view name :
       {"discovery-proxy", "discovery-cert", "discovery-key", "discovery-cacert", "discovery-user",
        "discovery-password"}) {
    rows.push_back(Ignored(group, name, "", "A detail of discovery by a service.",
                           "there is no such discovery"));
  }
  for (const absl::string_view name :
       {"discovery-insecure-transport", "discovery-insecure-skip-tls-verify"}) {
    rows.push_back(Ignored(group, name, "", "A detail of discovery by a service.",
                           "there is no such discovery", Kind::kBoolean));
  }
  return rows;
}

std::vector<Flag> MonitoringRows() {
  const absl::string_view monitoring = "Profiling and Monitoring";
  const absl::string_view logging = "Logging";
  const absl::string_view tracing = "Distributed tracing";
  constexpr absl::string_view kNoTracing = "there is no distributed tracing yet";
  return {
      Ignored(monitoring, "enable-pprof", "false", "Serve profiles of the Go runtime.",
              "there is no Go runtime; perf profiles this one", Kind::kBoolean),
      {logging, "logger", "zap", "Kind of logger; the lines have zap's shape.",
       Only({"zap"}, "must be zap"), false, false, "there is one kind"},
      Ignored(tracing, "enable-distributed-tracing", "false", "Send traces.", kNoTracing,
              Kind::kBoolean),
      Ignored(tracing, "distributed-tracing-address", "localhost:4317", "Where traces go.",
              kNoTracing),
      Ignored(tracing, "distributed-tracing-service-name", "etcd", "Name of the service in traces.",
              kNoTracing),
      Ignored(tracing, "distributed-tracing-instance-id", "", "Name of the member in traces.",
              kNoTracing),
      Ignored(tracing, "distributed-tracing-sampling-rate", "0", "Samples in a million spans.",
              kNoTracing, Kind::kNumber),
  };
}

std::vector<Flag> FeatureRows() {
  const absl::string_view group = "Features";
  return {
      Ignored(group, "compaction-batch-limit", "1000", "Most revisions in one compaction step.",
              "compaction goes in steps of its own", Kind::kNumber),
      Ignored(group, "compaction-sleep-interval", "10ms", "Pause between compaction steps.",
              "compaction goes in steps of its own", Kind::kSpan),
      Ignored(group, "bootstrap-defrag-threshold-megabytes", "0", "Defragment at the start.",
              "there is nothing to defragment", Kind::kCount),
      Ignored(group, "downgrade-check-time", "5s", "Duration between checks of a downgrade.",
              "a member of the target's version ends a downgrade, and this one never is",
              Kind::kSpan),
      {"Unsafe feature", "force-new-cluster", "false",
       "Force to create a new one-member cluster from this member's data: for when the majority is "
       "lost for good.",
       Boolean(&Config::force_new_cluster), true},
      Ignored("Unsafe feature", "unsafe-no-fsync", "false", "Disable fsync.", kAlwaysSafe,
              Kind::kBoolean),
  };
}

// Names that etcd itself accepts and ignores.
std::vector<Flag> DeadRows() {
  std::vector<Flag> rows;
  for (const absl::string_view name :
       {"cluster-active-size", "cluster-remove-delay", "cluster-sync-interval", "config", "force",
        "max-result-buffer", "max-retry-attempts", "peer-heartbeat-interval",
        "peer-election-timeout", "retry-interval", "snapshot", "v", "vv",
        "experimental-enable-v2v3", "experimental-wait-cluster-ready-timeout"}) {
    // That one has a value; the others are taken alone, as etcd takes them.
    rows.push_back(Ignored("Gone", name, "", "A flag of long ago.", "it is long gone"));
    rows.back().is_bool = name != "experimental-wait-cluster-ready-timeout";
  }
  return rows;
}

struct Renamed {
  absl::string_view old;
  Alias now;
};

// Where a name is not simply what follows "experimental-".
constexpr Renamed kRenamed[] = {
    {"initial-corrupt-check", {"feature-gates", "InitialCorruptCheck"}},
    {"compact-hash-check-enabled", {"feature-gates", "CompactHashCheck"}},
    {"enable-lease-checkpoint", {"feature-gates", "LeaseCheckpoint"}},
    {"enable-lease-checkpoint-persist", {"feature-gates", "LeaseCheckpointPersist"}},
    {"txn-mode-write-with-shared-buffer", {"feature-gates", "TxnModeWriteWithSharedBuffer"}},
    {"stop-grpc-service-on-defrag", {"feature-gates", "StopGRPCServiceOnDefrag"}},
    {"set-member-localaddr", {"feature-gates", "SetMemberLocalAddr"}},
};

}  // namespace

std::vector<Flag> AcceptedFlags() {
  std::vector<Flag> rows = MemberRows();
  for (const std::vector<Flag>& more :
       {ClusteringRows(), MonitoringRows(), FeatureRows(), DeadRows()}) {
    rows.insert(rows.end(), more.begin(), more.end());
  }
  return rows;
}

Alias AliasOf(absl::string_view name) {
  if (!absl::ConsumePrefix(&name, "experimental-")) return {};
  for (const Renamed& renamed : kRenamed) {
    if (renamed.old == name) return renamed.now;
  }
  const std::vector<Flag>& flags = AllFlags();
  const auto flag =
      std::find_if(flags.begin(), flags.end(), [&](const Flag& f) { return f.name == name; });
  return flag == flags.end() ? Alias{} : Alias{flag->name, {}};
}

}  // namespace quorate::config
