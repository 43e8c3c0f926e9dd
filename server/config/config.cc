#include "server/config/config.h"

#include <algorithm>

#include "absl/container/btree_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "server/config/flag.h"
#include "server/config/log_rotation.h"

namespace quorate::config {
namespace {

constexpr Duration kMaxElectionTimeout = Seconds(50);
constexpr int64_t kDefaultQuotaBytes = int64_t{2} << 30;

bool IsNumericAddress(absl::string_view host) {
  if (host.find(':') != absl::string_view::npos) return true;  // IPv6
  return !host.empty() && host.find_first_not_of("0123456789.") == absl::string_view::npos;
}

absl::Status CheckBindUrls(absl::string_view flag, const std::vector<Url>& urls) {
  for (const Url& url : urls) {
    if (url.is_unix() || url.host == "localhost" || IsNumericAddress(url.host)) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("--", flag, ": expected IP in URL for binding (", url.ToString(), ")"));
  }
  return absl::OkStatus();
}

absl::Status CheckAdvertisedUrls(absl::string_view flag, const std::vector<Url>& urls) {
  for (const Url& url : urls) {
    if (!url.host.empty()) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("--", flag, ": unexpected empty host (", url.ToString(), ")"));
  }
  return absl::OkStatus();
}

absl::Status CheckTimeouts(const Config& config) {
  const int64_t heartbeat = config.heartbeat_interval.millis();
  const int64_t election = config.election_timeout.millis();
  if (heartbeat <= 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("--heartbeat-interval must be >0 (set to ", heartbeat, "ms)"));
  }
  if (election <= 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("--election-timeout must be >0 (set to ", election, "ms)"));
  }
  if (5 * heartbeat > election) {
    return absl::FailedPreconditionError(absl::StrCat("--election-timeout[", election,
                                                      "ms] should be at least as 5 times as ",
                                                      "--heartbeat-interval[", heartbeat, "ms]"));
  }
  if (config.election_timeout > kMaxElectionTimeout) {
    return absl::FailedPreconditionError(absl::StrCat("--election-timeout[", election,
                                                      "ms] is too long, and should be set less ",
                                                      "than ", kMaxElectionTimeout.millis(), "ms"));
  }
  return absl::OkStatus();
}

// An https URL needs a certificate to show, given or made.
absl::Status CheckSecureUrls(const TlsSettings& tls, absl::string_view kind,
                             const std::vector<Url>& urls) {
  for (const Url& url : urls) {
    if (!url.secure() || tls.has_certificate() || tls.auto_tls) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        "TLS key/cert (--", tls.flag_prefix, "cert-file, --", tls.flag_prefix,
        "key-file) must be provided for ", kind, " url ", url.ToString(), " with HTTPS scheme"));
  }
  return tls.Validate();
}

// The text is one that tools look for.
absl::Status CheckMetricsUrls(const Config& config) {
  if (config.client_tls.has_certificate() || config.client_tls.auto_tls) return absl::OkStatus();
  for (const Url& url : config.listen_metrics_urls) {
    if (!url.secure()) continue;
    return absl::FailedPreconditionError(
        "client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url");
  }
  return absl::OkStatus();
}

// "simple", and perhaps options of the form key=value, which it has no use for.
absl::Status CheckAuthToken(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, ',');
  if (parts[0] == "jwt") {
    return absl::FailedPreconditionError(
        "--auth-token: signed tokens (jwt) are not supported yet, only simple ones");
  }
  bool sound = parts[0] == "simple";
  for (size_t i = 1; i < parts.size(); ++i) {
    sound &= std::count(parts[i].begin(), parts[i].end(), '=') == 1;
  }
  if (sound) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("--auth-token: auth: invalid auth options \"", text, "\""));
}

}  // namespace

std::vector<InitialMember> Config::Members() const {
  if (!initial_cluster.empty()) return initial_cluster;
  return {InitialMember{name, initial_advertise_peer_urls}};
}

absl::StatusOr<AutoCompaction> Config::ParsedAutoCompaction() const {
  AutoCompaction parsed;
  // Nothing stands for 0, as in etcd.
  const std::string retention = auto_compaction_retention.empty() ? "0" : auto_compaction_retention;
  int64_t number = 0;
  const bool whole = absl::SimpleAtoi(retention, &number) && number >= 0;
  if (auto_compaction_mode == "revision") {
    if (!whole) {
      return absl::FailedPreconditionError(absl::StrCat(
          "--auto-compaction-retention: \"", retention, "\" is not a number of revisions"));
    }
    parsed.revisions = number;
    return parsed;
  }
  if (auto_compaction_mode != "periodic") {
    return absl::FailedPreconditionError(
        absl::StrCat("unknown auto-compaction-mode \"", auto_compaction_mode, "\""));
  }
  // A bare number counts hours.
  const absl::StatusOr<absl::Duration> span = ParseSpan(retention);
  if (!whole && !span.ok()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "error parsing CompactionRetention: time: invalid duration \"", retention, "\""));
  }
  const absl::Duration period = whole ? absl::Hours(number) : *span;
  if (period < absl::ZeroDuration() || period > absl::Hours(24 * 365 * 100)) {
    return absl::FailedPreconditionError(
        absl::StrCat("--auto-compaction-retention: \"", retention, "\" is out of range"));
  }
  parsed.period = Nanoseconds(absl::ToInt64Nanoseconds(period));
  return parsed;
}

absl::StatusOr<std::optional<io::LogRotation>> Config::ParsedLogRotation() const {
  if (!enable_log_rotation) return std::nullopt;
  RETURN_IF_ERROR(CheckRotatedOutputs(log_outputs));
  return ParseLogRotation(log_rotation_config_json);
}

int64_t Config::QuotaBytes() const {
  return quota_backend_bytes == 0 ? kDefaultQuotaBytes : quota_backend_bytes;
}

int64_t Config::MinLeaseTtl() const {
  const int64_t heartbeats = election_timeout.millis() / heartbeat_interval.millis() * 3 / 2;
  return (heartbeats * heartbeat_interval.millis() + 999) / 1000;
}

absl::Status Config::Validate() const {
  if (name.empty()) return absl::FailedPreconditionError("--name must not be empty");
  RETURN_IF_ERROR(CheckBindUrls("listen-peer-urls", listen_peer_urls));
  RETURN_IF_ERROR(CheckBindUrls("listen-client-urls", listen_client_urls));
  RETURN_IF_ERROR(CheckAdvertisedUrls("initial-advertise-peer-urls", initial_advertise_peer_urls));
  RETURN_IF_ERROR(CheckAdvertisedUrls("advertise-client-urls", advertise_client_urls));
  RETURN_IF_ERROR(CheckSecureUrls(client_tls, "client", listen_client_urls));
  RETURN_IF_ERROR(CheckSecureUrls(peer_tls, "peer", listen_peer_urls));
  RETURN_IF_ERROR(CheckMetricsUrls(*this));
  if (self_signed_cert_validity == 0) {
    return absl::FailedPreconditionError("--self-signed-cert-validity must be >0");
  }
  if (!discovery_srv.empty() && !initial_cluster.empty()) {
    return absl::FailedPreconditionError(
        "multiple discovery or bootstrap flags are set. Choose one of \"initial-cluster\" or "
        "\"discovery-srv\"");
  }
  RETURN_IF_ERROR(CheckTimeouts(*this));
  if (max_request_bytes == 0) {
    return absl::FailedPreconditionError("--max-request-bytes must be >0");
  }
  if (max_txn_ops == 0) return absl::FailedPreconditionError("--max-txn-ops must be >0");
  RETURN_IF_ERROR(CheckAuthToken(auth_token));
  if (log_outputs.size() > 1 &&
      std::find(log_outputs.begin(), log_outputs.end(), "default") != log_outputs.end()) {
    return absl::FailedPreconditionError(
        "--log-outputs: multi logoutput for \"default\" is not supported yet");
  }
  RETURN_IF_ERROR(ParsedLogRotation().status());
  return ParsedAutoCompaction().status();
}

int Config::BcryptCost() const {
  constexpr uint64_t kLeast = 4;
  constexpr uint64_t kMost = 31;
  constexpr int kDefault = 10;
  const bool fits = bcrypt_cost >= kLeast && bcrypt_cost <= kMost;
  return fits ? static_cast<int>(bcrypt_cost) : kDefault;
}

absl::Status Config::ValidateBootstrap() const {
  const std::vector<InitialMember> members = Members();
  absl::btree_map<std::string, std::string> owner;
  const InitialMember* self = nullptr;
  for (const InitialMember& member : members) {
    if (member.name == name) self = &member;
    for (const Url& url : member.peer_urls) {
      const auto [at, fresh] = owner.emplace(url.ToString(), member.name);
      if (!fresh) {
        return absl::FailedPreconditionError(absl::StrCat("--initial-cluster has duplicate url ",
                                                          url.ToString(), " (members ", at->second,
                                                          " and ", member.name, ")"));
      }
    }
  }
  if (self == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("couldn't find local name \"", name,
                     "\" in the initial cluster configuration (--name, --initial-cluster)"));
  }
  if (self->peer_urls != initial_advertise_peer_urls) {
    return absl::FailedPreconditionError(absl::StrCat(
        "--initial-cluster has ", name, "=", JoinUrls(self->peer_urls),
        " but --initial-advertise-peer-urls is ", JoinUrls(initial_advertise_peer_urls)));
  }
  if (members.size() > limits::kMaxVoters) {
    return absl::FailedPreconditionError(absl::StrCat("--initial-cluster has ", members.size(),
                                                      " members, at most ", limits::kMaxVoters,
                                                      " are supported"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<InitialMember>> ParseInitialCluster(absl::string_view text) {
  std::vector<InitialMember> members;
  for (const absl::string_view part : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    const std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    const absl::string_view name = absl::StripAsciiWhitespace(pair.first);
    if (part.find('=') == absl::string_view::npos || name.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", part, "\" does not have the form name=url"));
    }
    if (absl::StripAsciiWhitespace(pair.second).empty()) {
      return absl::InvalidArgumentError(absl::StrCat("empty URL given for \"", name, "\""));
    }
    ASSIGN_OR_RETURN(Url url, ParseUrl(pair.second));
    const auto at = std::find_if(members.begin(), members.end(),
                                 [&](const InitialMember& m) { return m.name == name; });
    if (at != members.end()) {
      at->peer_urls.push_back(std::move(url));
    } else {
      members.push_back({std::string(name), {std::move(url)}});
    }
  }
  if (members.empty()) return absl::InvalidArgumentError("no members given");
  for (InitialMember& member : members) {
    std::sort(member.peer_urls.begin(), member.peer_urls.end(),
              [](const Url& a, const Url& b) { return a.ToString() < b.ToString(); });
  }
  return members;
}

std::string JoinInitialCluster(const std::vector<InitialMember>& members) {
  std::vector<std::string> parts;
  for (const InitialMember& member : members) {
    for (const Url& url : member.peer_urls) {
      parts.push_back(absl::StrCat(member.name, "=", url.ToString()));
    }
  }
  return absl::StrJoin(parts, ",");
}

}  // namespace quorate::config
