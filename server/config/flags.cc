#include "server/config/flags.h"

#include <algorithm>
#include <functional>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "server/config/flag.h"

namespace quorate::config {
namespace {

Setter Millis(Duration Config::*field) {
  return [field](absl::string_view value, Config* config) -> absl::Status {
    ASSIGN_OR_RETURN(const uint64_t number, ParseCount(value));
    if (number > 1'000'000'000) return absl::InvalidArgumentError("value out of range");
    config->*field = Milliseconds(static_cast<int64_t>(number));
    return absl::OkStatus();
  };
}

// 0 stands for the default, as in etcd.
Setter WholeSeconds(Duration Config::*field) {
  return [field](absl::string_view value, Config* config) -> absl::Status {
    ASSIGN_OR_RETURN(const uint64_t number, ParseCount(value));
    if (number > 1'000'000'000) return absl::InvalidArgumentError("value out of range");
    if (number > 0) config->*field = Seconds(static_cast<int64_t>(number));
    return absl::OkStatus();
  };
}

// Of --watch-progress-notify-interval, as in etcd: 0 or less stands for the default, and
// what is very short for a tenth of a second.
absl::Status SetProgressInterval(absl::string_view value, Config* config) {
  constexpr Duration kLeast = Milliseconds(100);
  ASSIGN_OR_RETURN(const absl::Duration parsed, ParseSpan(value));
  if (parsed <= absl::ZeroDuration()) return absl::OkStatus();
  config->watch_progress_notify_interval =
      std::max(kLeast, Nanoseconds(absl::ToInt64Nanoseconds(parsed)));
  return absl::OkStatus();
}

absl::Status SetInitialCluster(absl::string_view value, Config* config) {
  ASSIGN_OR_RETURN(config->initial_cluster, ParseInitialCluster(value));
  return absl::OkStatus();
}

absl::Status SetClusterState(absl::string_view value, Config* config) {
  if (value == "new") {
    config->initial_cluster_state = ClusterState::kNew;
  } else if (value == "existing") {
    config->initial_cluster_state = ClusterState::kExisting;
  } else {
    return absl::InvalidArgumentError("must be new or existing");
  }
  return absl::OkStatus();
}

// Nothing stands for the default, here and below, as in etcd.
absl::Status SetLogLevel(absl::string_view value, Config* config) {
  if (value.empty()) return absl::OkStatus();
  std::string named = absl::AsciiStrToLower(value);
  if (named == "warning") named = "warn";
  if (named == "dpanic") named = "panic";  // nothing here is logged between error and panic
  for (const absl::string_view level : {"debug", "info", "warn", "error", "panic", "fatal"}) {
    if (named != level) continue;
    config->log_level = named;
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError("must be debug, info, warn, error, panic or fatal");
}

absl::Status SetLogFormat(absl::string_view value, Config* config) {
  if (value.empty()) return absl::OkStatus();
  if (value != "json" && value != "console") {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown log format: ", value, ", supported values json, console"));
  }
  config->log_format = std::string(value);
  return absl::OkStatus();
}

// A field of one port's security settings.
Setter TlsText(TlsSettings Config::*port, std::string TlsSettings::*field) {
  return [port, field](absl::string_view value, Config* config) {
    (config->*port).*field = std::string(value);
    return absl::OkStatus();
  };
}

Setter TlsBoolean(TlsSettings Config::*port, bool TlsSettings::*field) {
  return [port, field](absl::string_view value, Config* config) -> absl::Status {
    ASSIGN_OR_RETURN((config->*port).*field, ParseBoolean(value));
    return absl::OkStatus();
  };
}

// Comma-separated.
Setter TlsList(TlsSettings Config::*port, std::vector<std::string> TlsSettings::*field) {
  return [port, field](absl::string_view value, Config* config) {
    (config->*port).*field = absl::StrSplit(value, ',', absl::SkipEmpty());
    return absl::OkStatus();
  };
}

absl::Status SetCipherSuites(absl::string_view value, Config* config) {
  config->client_tls.cipher_suites = absl::StrSplit(value, ',', absl::SkipEmpty());
  config->peer_tls.cipher_suites = config->client_tls.cipher_suites;
  return absl::OkStatus();
}

// Empty stands for the default.
Setter SetTlsVersion(TlsVersion TlsSettings::*field, TlsVersion fallback) {
  return [field, fallback](absl::string_view value, Config* config) {
    TlsVersion version = fallback;
    if (value == "TLS1.2") version = TlsVersion::kTls12;
    if (value == "TLS1.3") version = TlsVersion::kTls13;
    if (version == fallback && !value.empty() && value != "TLS1.2" && value != "TLS1.3") {
      return absl::InvalidArgumentError(
          absl::StrCat("unexpected TLS version \"", value, "\" (must be one of: TLS1.2, TLS1.3)"));
    }
    config->client_tls.*field = version;
    config->peer_tls.*field = version;
    return absl::OkStatus();
  };
}

std::vector<Flag> MemberFlags() {
  const absl::string_view group = "Member";
  return {
      {group, "name", "default", "Human-readable name for this member.", Text(&Config::name)},
      {group, "data-dir", "${name}.etcd", "Path to the data directory.", Text(&Config::data_dir)},
      {group, "wal-dir", "",
       "Directory of the log, if it is not to be in the data directory: there is a link to it "
       "then.",
       Text(&Config::wal_dir)},
      {group, "listen-client-urls", "http://localhost:2379",
       "List of URLs to listen on for client traffic.", Urls(&Config::listen_client_urls)},
      {group, "listen-peer-urls", "http://localhost:2380",
       "List of URLs to listen on for peer traffic.", Urls(&Config::listen_peer_urls)},
      {group, "heartbeat-interval", "100", "Time (in milliseconds) of a heartbeat interval.",
       Millis(&Config::heartbeat_interval)},
      {group, "election-timeout", "1000", "Time (in milliseconds) for an election to timeout.",
       Millis(&Config::election_timeout)},
      {group, "quota-backend-bytes", "0",
       "Raise alarms when the store in use exceeds the given quota. 0 means 2 GiB, less than 0 no "
       "quota.",
       Number(&Config::quota_backend_bytes)},
      {group, "snapshot-count", "10000",
       "Number of committed transactions to trigger a snapshot to disk.",
       Count(&Config::snapshot_count)},
      {group, "snapshot-catchup-entries", "5000",
       "Number of entries for a slow follower to catch up after compacting the raft storage "
       "entries.",
       Count(&Config::snapshot_catchup_entries)},
      {group, "disk-reserve-bytes", "67108864",
       "Refuse writes with the NOSPACE alarm while the disk of the data directory has less free "
       "space than this. 0 never refuses.",
       Count(&Config::disk_reserve_bytes)},
      {group, "scrub-bytes-per-second", "4194304",
       "How fast the files of the newest checkpoint and the log's finished segments are read "
       "again and checked. 0 never reads.",
       Count(&Config::scrub_bytes_per_second)},
      {group, "memory-mlock", "false",
       "Keep the pages of the process in memory (needs the right or the limit to lock so much).",
       Boolean(&Config::memory_mlock), true},
      {group, "socket-reuse-port", "false",
       "Set SO_REUSEPORT on listeners, so that another process may listen on the same ports.",
       Boolean(&Config::socket_reuse_port), true},
      {group, "max-request-bytes", "1572864",
       "Maximum client request size in bytes the server will accept.",
       Count(&Config::max_request_bytes)},
      {group, "max-txn-ops", "128", "Maximum number of operations permitted in a transaction.",
       Count(&Config::max_txn_ops)},
      {group, "watch-progress-notify-interval", "10m",
       "Duration of periodic watch progress notifications.", SetProgressInterval, false, true},
  };
}

std::vector<Flag> ClusteringFlags() {
  const absl::string_view group = "Clustering";
  return {
      {group, "advertise-client-urls", "http://localhost:2379",
       "List of this member's client URLs to advertise to the public.",
       Urls(&Config::advertise_client_urls)},
      {group, "initial-advertise-peer-urls", "http://localhost:2380",
       "List of this member's peer URLs to advertise to the rest of the cluster.",
       Urls(&Config::initial_advertise_peer_urls)},
      {group, "initial-cluster", "default=http://localhost:2380",
       "Initial cluster configuration for bootstrapping.", SetInitialCluster},
      {group, "initial-cluster-state", "new", "Initial cluster state ('new' or 'existing').",
       SetClusterState},
      {group, "initial-cluster-token", "etcd-cluster",
       "Initial cluster token for the cluster during bootstrap.",
       Text(&Config::initial_cluster_token)},
      {group, "discovery-srv", "", "DNS srv domain used to bootstrap the cluster.",
       Text(&Config::discovery_srv)},
      {group, "discovery-srv-name", "",
       "Suffix to the DNS srv name queried when bootstrapping using DNS.",
       Text(&Config::discovery_srv_name)},
      {group, "auto-compaction-mode", "periodic",
       "Interpret 'auto-compaction-retention' as one of: periodic|revision.",
       Text(&Config::auto_compaction_mode)},
      {group, "auto-compaction-retention", "0",
       "Auto compaction retention: a duration (a bare number: hours), or a number of revisions. 0 "
       "means disable auto compaction.",
       Text(&Config::auto_compaction_retention)},
      {group, "pre-vote", "true", "Enable to run an additional Raft election phase.",
       Boolean(&Config::pre_vote), true},
      {group, "strict-reconfig-check", "true",
       "Reject reconfiguration requests that would cause quorum loss.",
       Boolean(&Config::strict_reconfig_check), true},
  };
}

std::vector<Flag> AuthFlags() {
  const absl::string_view group = "Auth";
  return {
      {group, "auth-token", "simple",
       "Specify auth token specific options; only 'simple' is there.", Text(&Config::auth_token)},
      {group, "bcrypt-cost", "10",
       "Specify bcrypt algorithm cost factor for auth password hashing.",
       Count(&Config::bcrypt_cost)},
      {group, "auth-token-ttl", "300", "The lifetime in seconds of the auth token.",
       WholeSeconds(&Config::auth_token_ttl)},
  };
}

// One port's share, the flags of the other port differing in their prefix.
std::vector<Flag> ClientTlsFlags() {
  const absl::string_view group = "Security";
  constexpr auto kPort = &Config::client_tls;
  using Tls = TlsSettings;
  return {
      {group, "cert-file", "", "Path to the client server TLS cert file.",
       TlsText(kPort, &Tls::cert_file)},
      {group, "key-file", "", "Path to the client server TLS key file.",
       TlsText(kPort, &Tls::key_file)},
      {group, "client-cert-file", "",
       "Accepted; the server calls nobody on the client port, so nothing shows it.",
       TlsText(kPort, &Tls::client_cert_file)},
      {group, "client-key-file", "", "The key of --client-cert-file.",
       TlsText(kPort, &Tls::client_key_file)},
      {group, "client-cert-auth", "false", "Enable client cert authentication.",
       TlsBoolean(kPort, &Tls::client_cert_auth), true},
      {group, "client-crl-file", "", "Path to the client certificate revocation list file.",
       TlsText(kPort, &Tls::crl_file)},
      {group, "client-cert-allowed-hostname", "",
       "Allowed TLS hostnames for client cert authentication, comma-separated.",
       TlsList(kPort, &Tls::allowed_hostnames)},
      {group, "trusted-ca-file", "", "Path to the client server TLS trusted CA cert file.",
       TlsText(kPort, &Tls::trusted_ca_file)},
      {group, "auto-tls", "false", "Client TLS using generated certificates.",
       TlsBoolean(kPort, &Tls::auto_tls), true},
  };
}

std::vector<Flag> PeerTlsFlags() {
  const absl::string_view group = "Security";
  constexpr auto kPort = &Config::peer_tls;
  using Tls = TlsSettings;
  return {
      {group, "peer-cert-file", "", "Path to the peer server TLS cert file.",
       TlsText(kPort, &Tls::cert_file)},
      {group, "peer-key-file", "", "Path to the peer server TLS key file.",
       TlsText(kPort, &Tls::key_file)},
      {group, "peer-client-cert-file", "",
       "Path to the cert file to show to other members, if it is not --peer-cert-file.",
       TlsText(kPort, &Tls::client_cert_file)},
      {group, "peer-client-key-file", "", "The key of --peer-client-cert-file.",
       TlsText(kPort, &Tls::client_key_file)},
      {group, "peer-client-cert-auth", "false", "Enable peer client cert authentication.",
       TlsBoolean(kPort, &Tls::client_cert_auth), true},
      {group, "peer-trusted-ca-file", "", "Path to the peer server TLS trusted CA file.",
       TlsText(kPort, &Tls::trusted_ca_file)},
      {group, "peer-cert-allowed-cn", "",
       "Required CNs for client certs connecting to the peer endpoint, comma-separated.",
       TlsList(kPort, &Tls::allowed_cns)},
      {group, "peer-cert-allowed-hostname", "",
       "Allowed TLS hostnames for inter peer authentication, comma-separated.",
       TlsList(kPort, &Tls::allowed_hostnames)},
      {group, "peer-skip-client-san-verification", "false",
       "Skip verification of the SAN field in client certificates for peer connections.",
       TlsBoolean(kPort, &Tls::skip_client_san_verification), true},
      {group, "peer-auto-tls", "false", "Peer TLS using self-generated certificates.",
       TlsBoolean(kPort, &Tls::auto_tls), true},
      {group, "peer-crl-file", "", "Path to the peer certificate revocation list file.",
       TlsText(kPort, &Tls::crl_file)},
  };
}

std::vector<Flag> CommonTlsFlags() {
  const absl::string_view group = "Security";
  return {
      {group, "self-signed-cert-validity", "1",
       "The validity period, in years, of the certificates of --auto-tls and --peer-auto-tls.",
       Count(&Config::self_signed_cert_validity)},
      {group, "cipher-suites", "",
       "Comma-separated list of supported TLS cipher suites between client/server and peers (empty "
       "leaves the choice to the library).",
       SetCipherSuites},
      {group, "tls-min-version", "TLS1.2",
       "Minimum TLS version supported. Possible values: TLS1.2, TLS1.3.",
       SetTlsVersion(&TlsSettings::min_version, TlsVersion::kTls12)},
      {group, "tls-max-version", "",
       "Maximum TLS version supported. Possible values: TLS1.2, TLS1.3 (empty: no bound).",
       SetTlsVersion(&TlsSettings::max_version, TlsVersion::kAny)},
  };
}

absl::Status SetLogOutputs(absl::string_view value, Config* config) {
  config->log_outputs.clear();
  for (const absl::string_view output : absl::StrSplit(value, ',')) {
    std::vector<std::string>& known = config->log_outputs;
    // Else each line would stand there twice.
    if (std::find(known.begin(), known.end(), output) == known.end()) known.emplace_back(output);
  }
  return absl::OkStatus();
}

std::vector<Flag> LoggingFlags() {
  return {
      {"Logging", "log-level", "info", "Log level: debug, info, warn, error, panic or fatal.",
       SetLogLevel},
      {"Logging", "log-outputs", "default",
       "Comma-separated list of where the log goes: default, stderr, stdout, or files (paths or "
       "file:// URLs), which are appended to (systemd/journal: stderr, which systemd passes on).",
       SetLogOutputs},
      {"Logging", "log-format", "json",
       "Shape of the log: json, or console (tab-separated text for people).", SetLogFormat},
      {"Logging", "enable-log-rotation", "false",
       "Rotate the one file among --log-outputs when it is full.",
       Boolean(&Config::enable_log_rotation), true},
      {"Logging", "log-rotation-config-json", kDefaultLogRotation,
       "How it is rotated: at so many MiB, full files removed after so many days or when there are "
       "more than so many (0: never), with the local time in their names, compressed by gzip.",
       Text(&Config::log_rotation_config_json)},
  };
}

// The one table of flags: parsing, --help and the page of flags come from it.
std::vector<Flag> EveryFlag() {
  std::vector<Flag> flags = MemberFlags();
  for (const std::vector<Flag>& more :
       {ClusteringFlags(), ClientTlsFlags(), PeerTlsFlags(), CommonTlsFlags(), AuthFlags(),
        LoggingFlags(), ServingFlags(), AcceptedFlags()}) {
    flags.insert(flags.end(), more.begin(), more.end());
  }
  std::vector<absl::string_view> groups;
  for (const Flag& flag : flags) {
    if (std::find(groups.begin(), groups.end(), flag.group) == groups.end()) {
      groups.push_back(flag.group);
    }
  }
  const auto rank = [&](const Flag& flag) {
    return std::find(groups.begin(), groups.end(), flag.group) - groups.begin();
  };
  std::stable_sort(flags.begin(), flags.end(),
                   [&](const Flag& a, const Flag& b) { return rank(a) < rank(b); });
  return flags;
}

constexpr char kArchitecture[] =
#if defined(__aarch64__)
    "arm64";
#else
    "amd64";
#endif

}  // namespace

const std::vector<Flag>& AllFlags() {
  static const std::vector<Flag>* const flags = new std::vector<Flag>(EveryFlag());
  return *flags;
}

const Flag* FindFlag(absl::string_view name) {
  const Alias alias = AliasOf(name);
  if (!alias.name.empty()) name = alias.name;
  for (const Flag& flag : AllFlags()) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

std::string HelpText() {
  std::string text =
      "Usage:\n\n  quorate [flags]\n    Start a Quorate server.\n\n"
      "  quorate --version\n    Show the version.\n\n"
      "  quorate -h | --help\n    Show the help information.\n\n"
      "  quorate --config-file FILE\n    Take all settings from a YAML file; flags and environment "
      "are then ignored.\n\n"
      "  quorate --config-check [flags]\n    Say whether the settings fit together, and end.\n\n"
      "  quorate --print-config [flags]\n    Print each setting with its origin, and end.\n\n"
      "A flag can also be set by the environment: ETCD_ and its name in capitals, with _ for -\n"
      "(ETCD_DATA_DIR for --data-dir).\n";
  absl::string_view group;
  for (const Flag& flag : AllFlags()) {
    if (flag.group != group) {
      group = flag.group;
      absl::StrAppend(&text, "\n", group, ":\n");
    }
    absl::StrAppend(&text, "  --", flag.name, " '", flag.fallback, "'\n    ", flag.help, "\n");
    if (!flag.no_effect.empty()) {
      absl::StrAppend(&text, "    Accepted without effect: ", flag.no_effect, ".\n");
    }
  }
  return text;
}

std::string FlagsPage() {
  std::string page = absl::StrCat(
      "# Settings\n\nThis page is what `quorate --print-flags-page` prints; a test keeps it so.\n\n"
      "Each setting is a flag (`-x` and `--x`), a variable of the environment (`ETCD_`, the name "
      "in\n"
      "capitals, `_` for `-`) and a key of the file that `--config-file` names. With a file, "
      "flags\n"
      "and environment are ignored, as etcd does. In a file a duration may be a number of\n"
      "nanoseconds, and a list a YAML list. `--experimental-NAME` is taken for `--NAME`, or for\n"
      "the feature gate that it became, with a warning.\n\n"
      "`--config-check` says whether the settings fit together and ends; `--print-config` prints\n"
      "each setting with its origin and ends.\n");
  absl::string_view group;
  for (const Flag& flag : AllFlags()) {
    if (flag.group != group) {
      group = flag.group;
      absl::StrAppend(&page, "\n## ", group,
                      "\n\n| setting | default | what it does |\n|---|---|---|\n");
    }
    absl::StrAppend(&page, "| `", flag.name, "` | ",
                    flag.fallback.empty() ? "" : absl::StrCat("`", flag.fallback, "`"), " | ",
                    absl::StrReplaceAll(flag.help, {{"|", "\\|"}}));
    if (!flag.no_effect.empty()) {
      absl::StrAppend(&page, " Accepted without effect: ", flag.no_effect, ".");
    }
    absl::StrAppend(&page, " |\n");
  }
  return page;
}

std::string ConfigText(const CommandLine& line) {
  std::string text;
  for (const Flag& flag : AllFlags()) {
    const auto set = line.settings.find(std::string(flag.name));
    const bool is_set = set != line.settings.end();
    // What nobody set is a comment, so that the whole is a configuration file again.
    absl::StrAppend(
        &text, is_set ? "" : "# ", flag.name, ": \"",
        absl::StrReplaceAll(is_set ? absl::string_view(set->second.value) : flag.fallback,
                            {{"\\", "\\\\"}, {"\"", "\\\""}}),
        "\"  # ", is_set ? set->second.origin : "default",
        flag.no_effect.empty() ? "" : absl::StrCat("; no effect: ", flag.no_effect), "\n");
  }
  return text;
}

std::string VersionText() {
  return absl::StrCat("etcd Version: ", kServerVersion, "\nGit SHA: Not provided\n",
                      "Go Version: none (Quorate is written in C++)\nGo OS/Arch: linux/",
                      kArchitecture, "\nQuorate Version: ", kQuorateVersion, "\n");
}

}  // namespace quorate::config
