// Settings from a file, and the one table from which all of them come.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/config/flags.h"

namespace quorate::config {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Arguments = std::vector<absl::string_view>;

absl::StatusOr<CommandLine> ParseFile(const std::string& text, Arguments arguments = {},
                                      const Arguments& environment = {}) {
  arguments.push_back("--config-file=/etc/etcd.yml");
  return ParseCommandLine(arguments, environment, [&](const std::string& path) {
    EXPECT_EQ(path, "/etc/etcd.yml");
    return absl::StatusOr<std::string>(text);
  });
}

std::string ErrorOf(const std::string& text) {
  const auto line = ParseFile(text);
  EXPECT_TRUE(line.ok() || absl::IsFailedPrecondition(line.status())) << line.status();
  return line.ok() ? "no error" : std::string(line.status().message());
}

TEST(ConfigFileTest, OneOfEtcdsOwn) {
  const auto line = ParseFile(
      "name: my-etcd\n"
      "data-dir: /var/lib/etcd\n"
      "listen-client-urls: http://localhost:2379\n"
      "advertise-client-urls: http://localhost:2379\n"
      "initial-advertise-peer-urls: http://localhost:2380\n"
      "listen-peer-urls: http://localhost:2380\n"
      "initial-cluster-token: my-etcd-token\n"
      "initial-cluster: my-etcd=http://localhost:2380\n"
      "initial-cluster-state: new\n");
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.name, "my-etcd");
  EXPECT_EQ(line->config.data_dir, "/var/lib/etcd");
  EXPECT_EQ(line->config.initial_cluster_token, "my-etcd-token");
  EXPECT_EQ(JoinUrls(line->config.listen_client_urls), "http://localhost:2379");
  EXPECT_EQ(JoinInitialCluster(line->config.initial_cluster), "my-etcd=http://localhost:2380");
  EXPECT_THAT(line->config.notices, ElementsAre());
}

TEST(ConfigFileTest, ReplacesFlagsAndEnvironment) {
  const auto line =
      ParseFile("name: file\n", {"--name=flag", "--max-txn-ops=5"}, {"ETCD_DATA_DIR=/x"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.name, "file");
  EXPECT_EQ(line->config.max_txn_ops, 128u);
  EXPECT_EQ(line->config.data_dir, "");
  EXPECT_THAT(line->config.notices, Contains("--max-txn-ops is ignored: there is a --config-file"));
}

TEST(ConfigFileTest, TheEnvironmentMayNameIt) {
  const auto line = ParseCommandLine(
      {}, Arguments{"ETCD_CONFIG_FILE=a.yml"},
      [](const std::string& path) { return absl::StatusOr<std::string>("name: " + path); });
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.name, "a.yml");
}

TEST(ConfigFileTest, DurationsListsAndNulls) {
  const auto line = ParseFile(
      "heartbeat-interval: 50\n"
      "watch-progress-notify-interval: 5000000000\n"
      "grpc-keepalive-min-time: 7s\n"
      "warning-unary-request-duration: 60000000000\n"
      "cors:\n- https://a.example\n- https://b.example\n"
      "initial-cluster:\n"
      "pre-vote: false\n");
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.heartbeat_interval, Milliseconds(50)) << "a flag in milliseconds";
  EXPECT_EQ(line->config.watch_progress_notify_interval, Seconds(5)) << "nanoseconds";
  EXPECT_EQ(line->config.grpc_keepalive_min_time, Seconds(7));
  EXPECT_EQ(line->config.warning_unary_request_duration, Seconds(60));
  EXPECT_THAT(line->config.cors, ElementsAre("https://a.example", "https://b.example"));
  EXPECT_FALSE(line->config.pre_vote);
}

// The words of YAML 1.1, which etcd's reader knows.
TEST(ConfigFileTest, PlainWordsAreBooleans) {
  for (const char* yes : {"y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "True", "TRUE"}) {
    const auto line = ParseFile(absl::StrCat("pre-vote: no\nenable-pprof: ", yes,
                                             "\nmemory-mlock: ", yes, "\nname: ", yes, "\n"));
    ASSERT_TRUE(line.ok()) << line.status();
    EXPECT_TRUE(line->config.memory_mlock) << yes;
    EXPECT_EQ(line->config.name, yes) << "a text stays one";
  }
  for (const char* no : {"n", "N", "no", "No", "NO", "off", "Off", "OFF", "False", "FALSE"}) {
    const auto line = ParseFile(absl::StrCat("unsafe-no-fsync: ", no, "\npre-vote: ", no, "\n"));
    ASSERT_TRUE(line.ok()) << line.status();
    EXPECT_FALSE(line->config.pre_vote) << no;
  }
  for (const char* bad : {"yEs", "\"yes\"", "'on'", "!!str yes", "yes no", "[yes]"}) {
    EXPECT_THAT(ErrorOf(absl::StrCat("pre-vote: ", bad, "\n")), HasSubstr("not a boolean")) << bad;
  }
}

TEST(ConfigFileTest, PlainNumbersMayHaveAPointOrAnExponent) {
  struct Case {
    absl::string_view text;
    int64_t number;
  };
  for (const Case& c : {Case{"3.0", 3},
                        {"3.", 3},
                        {"1e2", 100},
                        {"1E2", 100},
                        {"1.5e1", 15},
                        {".5e1", 5},
                        {"10e-1", 1},
                        {"08", 8},
                        {"010", 8},
                        {"+5", 5},
                        {"1__0", 10},
                        {"1_000.0", 1000}}) {
    const auto line = ParseFile(absl::StrCat("max-wals: ", c.text, "\nmax-txn-ops: ", c.text,
                                             "\nquota-backend-bytes: ", c.text, "\n",
                                             "grpc-keepalive-min-time: ", c.text, "\n"));
    ASSERT_TRUE(line.ok()) << c.text << ": " << line.status();
    EXPECT_EQ(static_cast<int64_t>(line->config.max_txn_ops), c.number) << c.text;
    EXPECT_EQ(line->config.quota_backend_bytes, c.number) << c.text;
    EXPECT_EQ(line->config.grpc_keepalive_min_time, Nanoseconds(c.number)) << c.text;
  }
  EXPECT_EQ(ParseFile("quota-backend-bytes: -1.0\n")->config.quota_backend_bytes, -1);
  EXPECT_EQ(ParseFile("name: 1e2\n")->config.name, "1e2") << "a text stays one";
  for (const char* bad : {"1.5", "1e-1", "1e30", "-1.0", "\"1e2\"", ".inf", "true", "1:30"}) {
    EXPECT_THAT(ErrorOf(absl::StrCat("max-wals: ", bad, "\n")), HasSubstr("not a whole number"))
        << bad;
  }
}

// Etcd judges them only if they are flags or variables.
TEST(ConfigFileTest, WhatOnlyFlagsAreJudgedFor) {
  for (const char* entry : {"v2-deprecation: not-yet", "v2-deprecation: x", "v2-deprecation: gone",
                            "discovery-fallback: proxy"}) {
    EXPECT_TRUE(ParseFile(entry).ok()) << entry;
  }
  EXPECT_FALSE(ParseCommandLine(Arguments{"--v2-deprecation=not-yet"}).ok());
  EXPECT_FALSE(ParseCommandLine({}, Arguments{"ETCD_V2_DEPRECATION=not-yet"}).ok());
  EXPECT_FALSE(ParseCommandLine(Arguments{"--discovery-fallback=proxy"}).ok());
}

TEST(ConfigFileTest, ErrorsSayWhere) {
  EXPECT_EQ(
      ErrorOf("name: a\nsnapshot-count: many\n"),
      "/etc/etcd.yml: invalid value \"many\" for snapshot-count in line 2: not a whole number");
  EXPECT_THAT(ErrorOf("name: a\n  bad: [\n"), HasSubstr("/etc/etcd.yml: line 2: "));
  EXPECT_EQ(ErrorOf("name: a\nname: b\n"), "/etc/etcd.yml: line 2: name is given twice");
  EXPECT_THAT(ErrorOf("- a\n"), HasSubstr("line 1: a configuration file is a map"));
  EXPECT_THAT(ErrorOf("name:\n  x: y\n"), HasSubstr("name: a plain value is expected"));
  EXPECT_THAT(ErrorOf("listen-client-urls: http://127.0.0.1:1\n"),
              HasSubstr("--advertise-client-urls is required"));
  const auto unreadable =
      ParseCommandLine(Arguments{"--config-file", "x"}, {}, [](const std::string&) {
        return absl::StatusOr<std::string>(absl::FailedPreconditionError("open x: no such file"));
      });
  EXPECT_EQ(unreadable.status().message(), "open x: no such file");
}

TEST(ConfigFileTest, UnknownKeysAreIgnoredAloud) {
  const auto line = ParseFile("name: a\nnaem: b\n");
  ASSERT_TRUE(line.ok());
  EXPECT_THAT(line->config.notices, ElementsAre("/etc/etcd.yml:2: unknown key naem is ignored"));
}

TEST(ConfigFileTest, AnEmptyFileIsAllDefaults) {
  EXPECT_TRUE(ParseFile("").ok());
  EXPECT_TRUE(ParseFile("# nothing\n").ok());
  EXPECT_TRUE(ParseFile("{\"name\": \"json\"}")->config.name == "json");
}

TEST(ConfigFileTest, SmallFilesThatMeanHugeTreesAreRefused) {
  std::string bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n";
  for (char c = 'b'; c < 'j'; ++c) {
    const char before = static_cast<char>(c - 1);
    absl::StrAppend(&bomb, std::string(1, c), ": &", std::string(1, c), " [");
    for (int i = 0; i < 10; ++i) absl::StrAppend(&bomb, "*", std::string(1, before), ",");
    bomb += "]\n";
  }
  EXPECT_THAT(ErrorOf(bomb), HasSubstr("a list of plain values is expected"));
}

TEST(PrintConfigTest, SaysWhereEachValueComesFrom) {
  const auto line = ParseCommandLine(Arguments{"--print-config", "--name=m1", "--max-wals=9"},
                                     Arguments{"ETCD_MAX_TXN_OPS=7"});
  ASSERT_TRUE(line.ok());
  EXPECT_EQ(line->action, CommandLine::Action::kPrintConfig);
  const std::string text = ConfigText(*line);
  EXPECT_THAT(text, HasSubstr("name: \"m1\"  # flag\n"));
  EXPECT_THAT(text, HasSubstr("max-txn-ops: \"7\"  # ETCD_MAX_TXN_OPS\n"));
  EXPECT_THAT(text, HasSubstr("\n# pre-vote: \"true\"  # default\n"));
  EXPECT_THAT(text, HasSubstr("\nmax-wals: \"9\"  # flag; no effect: "));
  EXPECT_THAT(text, HasSubstr("\n# max-snapshots: \"5\"  # default; no effect: "));
  const auto file = ParseFile("name: \"q\\\"x\"\n");
  EXPECT_THAT(ConfigText(*file), HasSubstr("name: \"q\\\"x\"  # /etc/etcd.yml:1\n"));
}

TEST(ExperimentalTest, NamesOfEarlierReleasesStandForTheirSuccessors) {
  const auto line = ParseCommandLine(
      Arguments{"--experimental-initial-corrupt-check=true",
                "--experimental-watch-progress-notify-interval=5s",
                "--experimental-compact-hash-check-enabled",
                "--experimental-snapshot-catchup-entries=77", "--experimental-enable-v2v3"},
      Arguments{"ETCD_EXPERIMENTAL_WARNING_UNARY_REQUEST_DURATION=1s"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->settings.at("feature-gates").value,
            "InitialCorruptCheck=true,CompactHashCheck=true");
  EXPECT_EQ(line->config.watch_progress_notify_interval, Seconds(5));
  EXPECT_EQ(line->config.snapshot_catchup_entries, 77u);
  EXPECT_EQ(line->config.warning_unary_request_duration, Seconds(1));
  EXPECT_THAT(line->config.notices,
              Contains("--experimental-initial-corrupt-check is deprecated; use "
                       "--feature-gates=InitialCorruptCheck=true"));
  EXPECT_THAT(ParseCommandLine(Arguments{"--experimental-nonsense=1"}).status().message(),
              HasSubstr("flag provided but not defined"));
}

TEST(FeatureGatesTest, KnownNamesOnly) {
  const auto line = ParseCommandLine(
      Arguments{"--feature-gates=InitialCorruptCheck=true,FastLeaseKeepAlive=false"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_TRUE(line->config.initial_corrupt_check);
  EXPECT_FALSE(line->config.compact_hash_check);
  const auto all =
      ParseCommandLine(Arguments{"--feature-gates=CompactHashCheck=false,AllAlpha=true"});
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_TRUE(all->config.initial_corrupt_check);
  EXPECT_FALSE(all->config.compact_hash_check);
  EXPECT_THAT(ParseCommandLine(Arguments{"--feature-gates=Bogus=true"}).status().message(),
              HasSubstr("unrecognized feature gate: Bogus"));
  for (const absl::string_view bad : {"maybe", "yes", "tRUE", ""}) {
    const std::string argument = absl::StrCat("--feature-gates=InitialCorruptCheck=", bad);
    EXPECT_FALSE(ParseCommandLine(Arguments{argument}).ok()) << bad;
  }
  for (const absl::string_view on : {"1", "t", "T", "TRUE", "True", "true"}) {
    const std::string argument = absl::StrCat("--feature-gates=AllAlpha=", on);
    const auto gates = ParseCommandLine(Arguments{argument});
    ASSERT_TRUE(gates.ok()) << gates.status();
    EXPECT_TRUE(gates->config.initial_corrupt_check) << on;
  }
}

// A value that differs from the default, and that the flag understands.
std::string ValueFor(const std::string& name) {
  if (name == "initial-cluster") return "default=http://localhost:2380";
  if (name == "initial-cluster-state" || name == "data-dir" || name == "wal-dir") return "new";
  if (name.find("urls") != std::string::npos) return "http://localhost:2380";
  if (name == "auth-token") return "simple";
  if (name == "metrics") return "extensive";
  if (name == "logger") return "zap";
  if (name == "log-format") return "console";
  if (name == "log-rotation-config-json") return R"({"maxsize": 1})";
  if (name == "log-level") return "warn";
  if (name == "discovery-fallback") return "exit";
  if (name == "heartbeat-interval") return "101";
  if (name == "election-timeout") return "1001";
  if (name == "cors") return "http://a:1";
  if (name == "v2-deprecation") return "write-only";
  if (name == "feature-gates") return "LeaseCheckpoint=true";
  if (name == "force-new-cluster") return "false";
  if (name == "auto-compaction-mode") return "periodic";
  if (name == "tls-min-version" || name == "tls-max-version") return "TLS1.2";
  for (const char* text : {"interval", "time", "timeout", "duration"}) {
    if (name.find(text) != std::string::npos) return "6s";
  }
  return "1";
}

// Every flag that `etcd --help` of 3.7.1 lists.
constexpr char kEtcdFlags[] =
    "advertise-client-urls auth-token auth-token-ttl auto-compaction-mode "
    "auto-compaction-retention backend-batch-interval backend-batch-limit "
    "backend-bbolt-freelist-type bcrypt-cost bootstrap-defrag-threshold-megabytes "
    "compact-hash-check-time compaction-batch-limit compaction-sleep-interval corrupt-check-time "
    "cors data-dir discovery-cacert discovery-cert discovery-dial-timeout discovery-fallback "
    "discovery-insecure-skip-tls-verify discovery-insecure-transport discovery-keepalive-time "
    "discovery-keepalive-timeout discovery-key discovery-password discovery-proxy "
    "discovery-request-timeout discovery-srv discovery-srv-name discovery-user "
    "distributed-tracing-address "
    "distributed-tracing-instance-id distributed-tracing-sampling-rate "
    "distributed-tracing-service-name downgrade-check-time election-timeout "
    "enable-distributed-tracing enable-grpc-gateway enable-log-rotation enable-pprof feature-gates "
    "force-new-cluster grpc-keepalive-interval grpc-keepalive-min-time grpc-keepalive-timeout "
    "heartbeat-interval host-whitelist initial-advertise-peer-urls initial-cluster "
    "initial-cluster-state initial-cluster-token initial-election-tick-advance "
    "listen-client-http-urls listen-client-urls listen-metrics-urls listen-peer-urls log-format "
    "log-level log-outputs log-rotation-config-json logger max-concurrent-streams max-learners "
    "max-request-bytes max-snapshots max-txn-ops max-wals memory-mlock metrics name pre-vote "
    "quota-backend-bytes raft-read-timeout raft-write-timeout snapshot-catchup-entries "
    "snapshot-count socket-reuse-address socket-reuse-port strict-reconfig-check unsafe-no-fsync "
    "v2-deprecation wal-dir warning-apply-duration warning-unary-request-duration "
    "watch-progress-notify-interval";

TEST(CompletenessTest, EveryFlagOfEtcdIsTaken) {
  for (const absl::string_view name : absl::StrSplit(kEtcdFlags, ' ')) {
    const std::string argument = absl::StrCat("--", name, "=", ValueFor(std::string(name)));
    Arguments arguments = {argument};
    if (name == "listen-client-urls") arguments.push_back("--advertise-client-urls=http://a:1");
    if (name == "enable-log-rotation") arguments.push_back("--log-outputs=/log");
    const auto line = ParseCommandLine(arguments);
    EXPECT_TRUE(line.ok()) << argument << ": " << line.status();
    EXPECT_THAT(HelpText(), HasSubstr(absl::StrCat("  --", name, " '")));
    // It does something, or says that it does not.
    if (!line.ok()) continue;
    const std::string text = absl::StrCat("\n", ConfigText(*line));
    const size_t at = text.find(absl::StrCat("\n", name, ": "));
    ASSERT_NE(at, std::string::npos) << name;
    const bool has_effect =
        !absl::StrContains(text.substr(at, text.find('\n', at + 1) - at), "# flag; no effect: ");
    const std::string told = absl::StrCat("--", name, " has no effect: ");
    const auto& notices = line->config.notices;
    const bool is_told = std::any_of(notices.begin(), notices.end(),
                                     [&](const std::string& n) { return n.find(told) == 0; });
    const bool is_default =
        HelpText().find(absl::StrCat("--", name, " '", ValueFor(std::string(name)), "'")) !=
        std::string::npos;
    EXPECT_TRUE(has_effect || is_told || is_default) << name;
  }
}

TEST(CompletenessTest, WhatWouldMakeAnotherServerIsRefused) {
  for (const char* flag : {"--discovery=http://x", "--discovery-token=x", "--discovery-endpoints=x",
                           "--logger=capnslog"}) {
    EXPECT_FALSE(ParseCommandLine(Arguments{flag}).ok()) << flag;
  }
}

TEST(FlagsPageTest, IsAsTheTableSays) {
  std::ifstream file("docs/FLAGS.md");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), FlagsPage()) << "run quorate --print-flags-page > docs/FLAGS.md";
}

}  // namespace
}  // namespace quorate::config
