#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "server/config/flag.h"
#include "server/config/flags.h"

namespace quorate::config {
namespace {

// What most of them switch is always on here.
struct Gate {
  absl::string_view name;
  bool beta;  // else alpha
  bool on;    // unless it is named
};

// Those of etcd 3.7, in order.
constexpr Gate kGates[] = {
    {"AllAlpha", false, false},
    {"AllBeta", true, false},
    {"CompactHashCheck", false, false},
    {"FastLeaseKeepAlive", true, true},
    {"InitialCorruptCheck", false, false},
    {"LeaseCheckpoint", false, true},  // always on here
    {"LeaseCheckpointPersist", false, true},
    {"PriorityRequest", false, false},
    {"SetMemberLocalAddr", false, false},
    {"StopGRPCServiceOnDefrag", false, false},
    {"TxnModeWriteWithSharedBuffer", true, true},
};

absl::Status SetGate(absl::string_view name, bool on, Config* config) {
  if (std::none_of(std::begin(kGates), std::end(kGates),
                   [name](const Gate& gate) { return gate.name == name; })) {
    return absl::InvalidArgumentError(absl::StrCat("unrecognized feature gate: ", name));
  }
  if (name == "InitialCorruptCheck") config->initial_corrupt_check = on;
  if (name == "CompactHashCheck") config->compact_hash_check = on;
  return absl::OkStatus();
}

// A gate that stands for others counts less than those that are named themselves.
absl::Status SetGroup(absl::string_view name, bool on, Config* config) {
  if (name != "AllAlpha") return absl::OkStatus();
  RETURN_IF_ERROR(SetGate("InitialCorruptCheck", on, config));
  return SetGate("CompactHashCheck", on, config);
}

// "A=true,B=false".
absl::Status SetGates(absl::string_view value, Config* config) {
  std::vector<std::pair<absl::string_view, bool>> gates;
  for (const absl::string_view pair : absl::StrSplit(value, ',', absl::SkipWhitespace())) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(pair, absl::MaxSplits('=', 1));
    const absl::string_view name = absl::StripAsciiWhitespace(parts.first);
    const absl::string_view on = absl::StripAsciiWhitespace(parts.second);
    const absl::StatusOr<bool> switched = ParseBoolean(on);
    if (!switched.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("missing or invalid bool value for ", name, ", use ", name, "=true"));
    }
    gates.emplace_back(name, *switched);
  }
  for (const auto& [name, on] : gates) RETURN_IF_ERROR(SetGroup(name, on, config));
  for (const auto& [name, on] : gates) RETURN_IF_ERROR(SetGate(name, on, config));
  return absl::OkStatus();
}

// All that is not "extensive" is basic, as in etcd.
absl::Status SetMetrics(absl::string_view value, Config* config) {
  config->extensive_metrics = value == "extensive";
  if (value != "basic" && !value.empty() && !config->extensive_metrics) {
    config->notices.push_back(
        absl::StrCat("--metrics is \"", value, "\", neither basic nor extensive: taken for basic"));
  }
  return absl::OkStatus();
}

// Origins, or "*". A browser leaves the usual port out, where etcd wants one.
absl::Status SetCors(absl::string_view value, Config* config) {
  for (const absl::string_view origin : absl::StrSplit(value, ',', absl::SkipWhitespace())) {
    const absl::string_view text = absl::StripAsciiWhitespace(origin);
    if (text == "*") continue;
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(text, absl::MaxSplits(':', 1));
    const std::string scheme = absl::AsciiStrToLower(parts.first);
    // Whatever follows: a path, if at all, is what a socket has.
    if (absl::StrContains(text, ':') && (scheme == "unix" || scheme == "unixs")) continue;
    absl::string_view host = parts.second;
    const bool is_http = scheme == "http" || scheme == "https";
    if (!is_http || !absl::ConsumePrefix(&host, "//") || host.find_first_of("?#") == 0 ||
        host.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("URL scheme must be http, https, unix, or unixs: ", text));
    }
    if (absl::StrContains(host.substr(0, host.find_first_of("?#")), '/')) {
      return absl::InvalidArgumentError(absl::StrCat("URL must not contain a path: ", text));
    }
  }
  return TextList(&Config::cors)(value, config);
}

// There is always a time at which the next comparison is due.
absl::Status SetCompactHashTime(absl::string_view value, Config* config) {
  RETURN_IF_ERROR(Span(&Config::compact_hash_check_time)(value, config));
  if (config->compact_hash_check_time > Duration()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--compact-hash-check-time must be >0 (set to ", value, ")"));
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
       "A set of name=true|false pairs; of etcd's, InitialCorruptCheck and CompactHashCheck have "
       "an "
       "effect.",
       SetGates},
      {"Security", "cors", "*",
       "Comma-separated list of origins for cross-origin resource sharing (empty or * means all).",
       SetCors},
      {"Security", "host-whitelist", "*",
       "Acceptable host names of HTTP client requests (empty or * means all).",
       TextList(&Config::host_whitelist)},
      {monitoring, "listen-metrics-urls", "",
       "List of URLs to listen on for /metrics, /health, /livez and /readyz only.",
       OptionalUrls(&Config::listen_metrics_urls)},
      {monitoring, "metrics", "basic",
       "Level of detail of the metrics: basic, or extensive for histograms of how long calls take.",
       SetMetrics},
      {"Logging", "warning-unary-request-duration", "300ms",
       "Duration after which a warning is logged if a unary request takes longer (0: never).",
       Span(&Config::warning_unary_request_duration), false, true},
      {"Features", "warning-apply-duration", "100ms",
       "Duration after which a warning is logged if a turn in which commands are applied takes "
       "longer (0: never).",
       Span(&Config::warning_apply_duration), false, true},
      {"Features", "corrupt-check-time", "0s",
       "Duration between comparisons of all members' data, made by the leader (0 to disable).",
       Span(&Config::corrupt_check_time), false, true},
      {"Features", "compact-hash-check-time", "1m",
       "Duration between comparisons of the members' hashes at compactions, made by the leader "
       "with "
       "the feature gate CompactHashCheck.",
       SetCompactHashTime, false, true},
      {"Features", "max-learners", "1",
       "Maximum number of learners in the cluster; give all members the same.",
       Count(&Config::max_learners)},
  };
}

std::vector<FeatureGate> FeatureGates(const Config& config) {
  std::vector<FeatureGate> gates;
  for (const Gate& gate : kGates) {
    bool on = gate.on;
    if (gate.name == "InitialCorruptCheck") on = config.initial_corrupt_check;
    if (gate.name == "CompactHashCheck") on = config.compact_hash_check;
    gates.push_back({gate.name, gate.beta, on});
  }
  return gates;
}

}  // namespace quorate::config
