#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/config/flag.h"

namespace quorate::config {
namespace {

// Those of etcd 3.7. What they switch is always on here, or not there yet.
constexpr absl::string_view kGates[] = {
    "AllAlpha",
    "AllBeta",
    "CompactHashCheck",
    "FastLeaseKeepAlive",
    "InitialCorruptCheck",
    "LeaseCheckpoint",
    "LeaseCheckpointPersist",
    "PriorityRequest",
    "SetMemberLocalAddr",
    "StopGRPCServiceOnDefrag",
    "TxnModeWriteWithSharedBuffer",
};

absl::Status SetGate(absl::string_view name, bool on, Config* config) {
  if (std::find(std::begin(kGates), std::end(kGates), name) == std::end(kGates)) {
    return absl::InvalidArgumentError(absl::StrCat("unrecognized feature gate: ", name));
  }
  const bool check = name == "InitialCorruptCheck" || name == "CompactHashCheck";
  if (check && on) {
    config->notices.push_back(
        absl::StrCat("feature gate ", name, " has no effect: members are not compared yet"));
  }
  return absl::OkStatus();
}

// "A=true,B=false".
absl::Status SetGates(absl::string_view value, Config* config) {
  for (const absl::string_view pair : absl::StrSplit(value, ',', absl::SkipWhitespace())) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(pair, absl::MaxSplits('=', 1));
    const absl::string_view name = absl::StripAsciiWhitespace(parts.first);
    const absl::string_view on = absl::StripAsciiWhitespace(parts.second);
    if (on != "true" && on != "false") {
      return absl::InvalidArgumentError(
          absl::StrCat("missing or invalid bool value for ", name, ", use ", name, "=true"));
    }
    const absl::Status status = SetGate(name, on == "true", config);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status SetMetrics(absl::string_view value, Config* config) {
  (void)config;
  if (value == "basic" || value == "extensive") return absl::OkStatus();
  return absl::InvalidArgumentError("must be basic or extensive");
}

absl::Status SetStreams(absl::string_view value, Config* config) {
  return Count(&Config::max_concurrent_streams)(value == "math.MaxUint32" ? "4294967295" : value,
                                                config);
}

}  // namespace

std::vector<Flag> ServingFlags() {
  const absl::string_view member = "Member";
  const absl::string_view monitoring = "Profiling and Monitoring";
  return {
      {member, "listen-client-http-urls", "",
       "List of URLs to listen on for HTTP client traffic; --listen-client-urls then serve gRPC "
       "alone.",
       OptionalUrls(&Config::listen_client_http_urls)},
      {member, "max-concurrent-streams", "math.MaxUint32",
       "Maximum concurrent streams that each client can open at a time.", SetStreams},
      {member, "grpc-keepalive-min-time", "5s",
       "Minimum interval that a client should wait before pinging the server.",
       Span(&Config::grpc_keepalive_min_time), false, true},
      {member, "grpc-keepalive-interval", "2h",
       "Interval of server-to-client pings to check if a connection is alive (0 to disable).",
       Span(&Config::grpc_keepalive_interval), false, true},
      {member, "grpc-keepalive-timeout", "20s",
       "Additional wait before closing a non-responsive connection (0 to disable).",
       Span(&Config::grpc_keepalive_timeout), false, true},
      {member, "enable-grpc-gateway", "true", "Enable the JSON gateway.",
       Boolean(&Config::enable_grpc_gateway), true},
      {member, "feature-gates", "",
       "A set of name=true|false pairs; etcd's names are known, and none has an effect.", SetGates},
      {"Security", "cors", "*",
       "Comma-separated list of origins for cross-origin resource sharing (empty or * means all).",
       TextList(&Config::cors)},
      {"Security", "host-whitelist", "*",
       "Acceptable host names of HTTP client requests (empty or * means all).",
       TextList(&Config::host_whitelist)},
      {monitoring, "listen-metrics-urls", "",
       "List of URLs to listen on for /metrics, /health, /livez and /readyz only.",
       OptionalUrls(&Config::listen_metrics_urls)},
      {monitoring, "metrics", "basic",
       "Level of detail of the metrics: basic or extensive (both are basic here).", SetMetrics},
      {"Logging", "warning-unary-request-duration", "300ms",
       "Duration after which a warning is logged if a unary request takes longer (0: never).",
       Span(&Config::warning_unary_request_duration), false, true},
  };
}

}  // namespace quorate::config
