#include "server/config/flags.h"

#include <algorithm>
#include <functional>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "base/status.h"

namespace quorate::config {
namespace {

using Setter = std::function<absl::Status(absl::string_view, Config*)>;

struct Flag {
  absl::string_view group;
  absl::string_view name;
  absl::string_view fallback;
  absl::string_view help;
  Setter set;
  bool is_bool = false;
};

Setter Text(std::string Config::*field) {
  return [field](absl::string_view value, Config* config) {
    config->*field = std::string(value);
    return absl::OkStatus();
  };
}

Setter Urls(std::vector<Url> Config::*field) {
  return [field](absl::string_view value, Config* config) -> absl::Status {
    ASSIGN_OR_RETURN(config->*field, ParseUrls(value));
    return absl::OkStatus();
  };
}

absl::StatusOr<uint64_t> ParseCount(absl::string_view value) {
  uint64_t number = 0;
  if (value.empty() || !absl::ascii_isdigit(value.front()) || !absl::SimpleAtoi(value, &number)) {
    return absl::InvalidArgumentError("not a whole number");
  }
  return number;
}

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
  absl::Duration parsed;
  if (!absl::ParseDuration(value, &parsed) || parsed == absl::InfiniteDuration()) {
    return absl::InvalidArgumentError("not a duration like 10m or 500ms");
  }
  if (parsed <= absl::ZeroDuration()) return absl::OkStatus();
  config->watch_progress_notify_interval =
      std::max(kLeast, Nanoseconds(absl::ToInt64Nanoseconds(parsed)));
  return absl::OkStatus();
}

Setter Count(size_t Config::*field) {
  return [field](absl::string_view value, Config* config) -> absl::Status {
    ASSIGN_OR_RETURN(config->*field, ParseCount(value));
    return absl::OkStatus();
  };
}

Setter Number(int64_t Config::*field) {
  return [field](absl::string_view value, Config* config) -> absl::Status {
    if (!absl::SimpleAtoi(value, &(config->*field))) {
      return absl::InvalidArgumentError("not a whole number");
    }
    return absl::OkStatus();
  };
}

// Go's spellings of a boolean.
Setter Boolean(bool Config::*field) {
  return [field](absl::string_view value, Config* config) {
    for (const absl::string_view yes : {"1", "t", "T", "true", "TRUE", "True"}) {
      if (value != yes) continue;
      config->*field = true;
      return absl::OkStatus();
    }
    for (const absl::string_view no : {"0", "f", "F", "false", "FALSE", "False"}) {
      if (value != no) continue;
      config->*field = false;
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError("not a boolean");
  };
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

absl::Status SetLogLevel(absl::string_view value, Config* config) {
  for (const absl::string_view level : {"debug", "info", "warn", "error"}) {
    if (value != level) continue;
    config->log_level = std::string(value);
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError("must be debug, info, warn or error");
}

std::vector<Flag> MemberFlags() {
  const absl::string_view group = "Member";
  return {
      {group, "name", "default", "Human-readable name for this member.", Text(&Config::name)},
      {group, "data-dir", "${name}.etcd", "Path to the data directory.", Text(&Config::data_dir)},
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
      {group, "experimental-snapshot-catchup-entries", "5000",
       "Deprecated name of --snapshot-catchup-entries.", Count(&Config::snapshot_catchup_entries)},
      {group, "max-request-bytes", "1572864",
       "Maximum client request size in bytes the server will accept.",
       Count(&Config::max_request_bytes)},
      {group, "max-txn-ops", "128", "Maximum number of operations permitted in a transaction.",
       Count(&Config::max_txn_ops)},
      {group, "watch-progress-notify-interval", "10m",
       "Duration of periodic watch progress notifications.", SetProgressInterval},
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
      {group, "auto-compaction-mode", "periodic",
       "Interpret 'auto-compaction-retention' as one of: periodic|revision.",
       Text(&Config::auto_compaction_mode)},
      {group, "auto-compaction-retention", "0",
       "Auto compaction retention: a duration (a bare number: hours), or a number of revisions. 0 "
       "means disable auto compaction.",
       Text(&Config::auto_compaction_retention)},
      {group, "pre-vote", "true", "Enable to run an additional Raft election phase.",
       Boolean(&Config::pre_vote), true},
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

std::vector<Flag> LoggingFlags() {
  return {
      {"Logging", "log-level", "info", "Log level: debug, info, warn or error.", SetLogLevel},
  };
}

// The one table of flags: parsing and --help come from it.
std::vector<Flag> AllFlags() {
  std::vector<Flag> flags = MemberFlags();
  for (const std::vector<Flag>& more : {ClusteringFlags(), AuthFlags(), LoggingFlags()}) {
    flags.insert(flags.end(), more.begin(), more.end());
  }
  return flags;
}

// One argument, apart.
struct Argument {
  absl::string_view name;
  absl::string_view value;
  bool has_value = false;
};

absl::StatusOr<Argument> SplitArgument(absl::string_view text) {
  Argument argument;
  argument.name = text;
  if (!absl::ConsumePrefix(&argument.name, "--")) absl::ConsumePrefix(&argument.name, "-");
  if (argument.name.empty() || argument.name.front() == '-' || argument.name.front() == '=') {
    return absl::InvalidArgumentError(absl::StrCat("bad flag syntax: ", text));
  }
  const size_t equals = argument.name.find('=');
  if (equals != absl::string_view::npos) {
    argument.value = argument.name.substr(equals + 1);
    argument.name = argument.name.substr(0, equals);
    argument.has_value = true;
  }
  return argument;
}

absl::Status SetFlag(const Flag& flag, absl::string_view value, Config* config) {
  absl::Status status = flag.set(value, config);
  if (status.ok()) return status;
  return absl::InvalidArgumentError(
      absl::StrCat("invalid value \"", value, "\" for flag --", flag.name, ": ", status.message()));
}

const Flag* FindFlag(const std::vector<Flag>& flags, absl::string_view name) {
  for (const Flag& flag : flags) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

std::string VariableOf(const Flag& flag) {
  return absl::StrCat("ETCD_", absl::AsciiStrToUpper(absl::StrReplaceAll(flag.name, {{"-", "_"}})));
}

// One "NAME=value" of the environment whose name begins with ETCD_.
absl::Status UseVariable(const std::vector<Flag>& flags, absl::string_view name,
                         absl::string_view value, absl::btree_set<absl::string_view>* given,
                         Config* config) {
  if (name == "ETCD_CONFIG_FILE") {  // going on without it would be another server
    return absl::FailedPreconditionError(
        "ETCD_CONFIG_FILE: configuration files are not "
        "supported yet; use flags or variables");
  }
  const auto flag = std::find_if(flags.begin(), flags.end(),
                                 [&](const Flag& f) { return VariableOf(f) == name; });
  if (flag == flags.end()) {
    config->environment_unknown.emplace_back(name);
    return absl::OkStatus();
  }
  if (given->contains(flag->name)) {
    return absl::FailedPreconditionError(
        absl::StrCat("conflicting environment variable \"", name,
                     "\" is shadowed by corresponding command-line flag --", flag->name,
                     " (either unset environment variable or disable flag)"));
  }
  const absl::Status status = flag->set(value, config);
  if (!status.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat("invalid value \"", value, "\" for ", name, ": ", status.message()));
  }
  config->environment_used.emplace_back(name);
  given->insert(flag->name);
  return absl::OkStatus();
}

// In the order of names: the environment's own order tells nothing.
absl::Status UseEnvironment(const std::vector<Flag>& flags,
                            absl::Span<const absl::string_view> environment,
                            absl::btree_set<absl::string_view>* given, Config* config) {
  std::vector<absl::string_view> entries(environment.begin(), environment.end());
  std::sort(entries.begin(), entries.end());
  for (const absl::string_view entry : entries) {
    const size_t equals = entry.find('=');
    if (!absl::StartsWith(entry, "ETCD_") || equals == absl::string_view::npos) continue;
    const absl::string_view value = entry.substr(equals + 1);
    if (value.empty()) continue;  // as if it were not set
    RETURN_IF_ERROR(UseVariable(flags, entry.substr(0, equals), value, given, config));
  }
  return absl::OkStatus();
}

// What can only be judged once all flags are known.
absl::Status Complete(const absl::btree_set<absl::string_view>& given, CommandLine* line) {
  if (given.contains("listen-client-urls") && !given.contains("advertise-client-urls")) {
    return absl::FailedPreconditionError(
        "--advertise-client-urls is required when --listen-client-urls is set explicitly");
  }
  return line->config.Validate();
}

constexpr char kArchitecture[] =
#if defined(__aarch64__)
    "arm64";
#else
    "amd64";
#endif

}  // namespace

absl::StatusOr<CommandLine> ParseCommandLine(absl::Span<const absl::string_view> arguments,
                                             absl::Span<const absl::string_view> environment) {
  const std::vector<Flag> flags = AllFlags();
  CommandLine line;
  absl::btree_set<absl::string_view> given;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const absl::string_view text = arguments[i];
    if (text.size() < 2 || text.front() != '-') {
      return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not a valid flag"));
    }
    ASSIGN_OR_RETURN(Argument argument, SplitArgument(text));
    if (argument.name == "help" || argument.name == "h") {
      line.action = CommandLine::Action::kShowHelp;
      return line;
    }
    if (argument.name == "version") {
      line.action = CommandLine::Action::kShowVersion;
      return line;
    }
    const Flag* flag = FindFlag(flags, argument.name);
    if (flag == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("flag provided but not defined: --", argument.name));
    }
    if (!argument.has_value && flag->is_bool) {
      argument.value = "true";
    } else if (!argument.has_value) {
      if (i + 1 == arguments.size()) {
        return absl::InvalidArgumentError(absl::StrCat("flag needs an argument: --", flag->name));
      }
      argument.value = arguments[++i];
    }
    RETURN_IF_ERROR(SetFlag(*flag, argument.value, &line.config));
    given.insert(flag->name);
  }
  RETURN_IF_ERROR(UseEnvironment(flags, environment, &given, &line.config));
  RETURN_IF_ERROR(Complete(given, &line));
  return line;
}

std::string HelpText() {
  std::string text =
      "Usage:\n\n  quorate [flags]\n    Start a Quorate server.\n\n"
      "  quorate --version\n    Show the version.\n\n"
      "  quorate -h | --help\n    Show the help information.\n\n"
      "A flag can also be set by the environment: ETCD_ and its name in capitals, with _ for -\n"
      "(ETCD_DATA_DIR for --data-dir).\n";
  absl::string_view group;
  for (const Flag& flag : AllFlags()) {
    if (flag.group != group) {
      group = flag.group;
      absl::StrAppend(&text, "\n", group, ":\n");
    }
    absl::StrAppend(&text, "  --", flag.name, " '", flag.fallback, "'\n    ", flag.help, "\n");
  }
  return text;
}

std::string VersionText() {
  return absl::StrCat("etcd Version: ", kServerVersion, "\nGit SHA: Not provided\n",
                      "Go Version: none (Quorate is written in C++)\nGo OS/Arch: linux/",
                      kArchitecture, "\nQuorate Version: ", kQuorateVersion, "\n");
}

}  // namespace quorate::config
