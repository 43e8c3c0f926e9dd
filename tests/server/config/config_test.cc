// What an operator may write, and what he is told when it does not fit.
#include "server/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/config/flags.h"
#include "server/config/ids.h"
#include "server/config/url.h"
#include "server/config/version.h"
#include "tests/server/config/parse.h"

namespace quorate::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string UrlError(absl::string_view text) {
  const auto url = ParseUrl(text);
  return url.ok() ? "no error" : std::string(url.status().message());
}

TEST(UrlTest, NamesAddressesAndPorts) {
  EXPECT_EQ(ParseUrl("http://10.0.0.1:2379")->Address(), "10.0.0.1:2379");
  EXPECT_EQ(ParseUrl(" HTTP://localhost:0 ")->ToString(), "http://localhost:0");
  EXPECT_EQ(ParseUrl("http://[::1]:2380")->host, "::1");
  EXPECT_EQ(ParseUrl("http://[::1]:2380")->ToString(), "http://[::1]:2380");
  EXPECT_EQ(ParseUrl("http://db-0.db.svc.cluster.local:2380")->host, "db-0.db.svc.cluster.local");
}

TEST(UrlTest, ErrorsNameTheText) {
  EXPECT_THAT(UrlError("127.0.0.1:2379"), HasSubstr("127.0.0.1:2379"));
  EXPECT_EQ(UrlError("ftp://a:1"), "URL scheme must be http, https, unix, or unixs: ftp://a:1");
  EXPECT_EQ(UrlError("http://a"), "URL address does not have the form \"host:port\": http://a");
  EXPECT_EQ(UrlError("http://a:1/x"), "URL must not contain a path: http://a:1/x");
  for (const char* bad : {"http://a:65536", "http://a:-1", "http://a:", "http://:x", "http://a:1x",
                          "http://::1:2379", "http://[::1:2379", "http://a:99999999999999999999",
                          "http://a b:1", "http:// 127.0.0.1:1", "http://%zz:1", "http://a\\b:1"}) {
    EXPECT_THAT(UrlError(bad), HasSubstr("host:port")) << bad;
  }
  EXPECT_EQ(UrlError("unix://"), "URL of a socket must have a path: unix://");
}

TEST(UrlTest, SocketsInTheFileSystem) {
  const Url absolute = *ParseUrl("unix:///run/etcd.sock");
  EXPECT_EQ(absolute.Address(), "unix:/run/etcd.sock");
  EXPECT_EQ(absolute.ToString(), "unix:///run/etcd.sock");
  EXPECT_EQ(absolute.PeerAddress(), "unix:/run/etcd.sock");
  EXPECT_FALSE(absolute.secure());
  // As etcd takes it: a file of that name in the working directory.
  const Url relative = *ParseUrl("unixs://localhost:2379");
  EXPECT_EQ(relative.Address(), "unix:localhost:2379");
  EXPECT_EQ(relative.ToString(), "unixs://localhost:2379");
  EXPECT_EQ(relative.PeerAddress(), "https://unix:localhost:2379");
  EXPECT_TRUE(relative.secure());
}

TEST(UrlTest, HttpsIsSecure) {
  EXPECT_TRUE(ParseUrl("HTTPS://a:1")->secure());
  EXPECT_EQ(ParseUrl("https://[::1]:2")->ToString(), "https://[::1]:2");
  EXPECT_FALSE(ParseUrl("http://a:1")->secure());
}

TEST(UrlTest, ListsAreSortedAndNeverEmpty) {
  const auto urls = ParseUrls("http://b:2, http://a:1,");
  ASSERT_TRUE(urls.ok());
  EXPECT_EQ(JoinUrls(*urls), "http://a:1,http://b:2");
  EXPECT_FALSE(ParseUrls(" , ").ok());
  EXPECT_FALSE(ParseUrls("").ok());
}

TEST(InitialClusterTest, OneNameMayHaveSeveralUrls) {
  const auto members =
      ParseInitialCluster("m2=http://b:1,m1=http://a:2,m2=http://a:1,m1=http://a:1");
  ASSERT_TRUE(members.ok()) << members.status();
  ASSERT_EQ(members->size(), 2u);
  EXPECT_EQ((*members)[0].name, "m2");
  EXPECT_THAT(UrlStrings((*members)[0].peer_urls), ElementsAre("http://a:1", "http://b:1"));
  EXPECT_EQ(JoinInitialCluster(*members),
            "m2=http://a:1,m2=http://b:1,m1=http://a:1,m1=http://a:2");
}

TEST(InitialClusterTest, RefusesWhatHasNoNameOrUrl) {
  EXPECT_THAT(std::string(ParseInitialCluster("m1=").status().message()),
              HasSubstr("empty URL given for \"m1\""));
  EXPECT_FALSE(ParseInitialCluster("http://a:1").ok());
  EXPECT_FALSE(ParseInitialCluster("=http://a:1").ok());
  EXPECT_FALSE(ParseInitialCluster("").ok());
  EXPECT_FALSE(ParseInitialCluster("m1=a:1").ok());
}

TEST(FlagsTest, OneDashOrTwoWithEqualsOrWithout) {
  const auto line = Parse({"-name", "a", "--data-dir=/d", "--election-timeout", "2000",
                           "-heartbeat-interval=50", "--pre-vote=false"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->action, CommandLine::Action::kServe);
  EXPECT_EQ(line->config.name, "a");
  EXPECT_EQ(line->config.DataDir(), "/d");
  EXPECT_EQ(line->config.election_timeout, Seconds(2));
  EXPECT_EQ(line->config.heartbeat_interval, Milliseconds(50));
  EXPECT_FALSE(line->config.pre_vote);
}

TEST(FlagsTest, TheProgressIntervalIsADurationOfAtLeastATenthOfASecond) {
  const auto interval = [](const std::string& value) {
    return Parse({"--watch-progress-notify-interval", value})
        ->config.watch_progress_notify_interval;
  };
  EXPECT_EQ(interval("1m30s"), Seconds(90));
  EXPECT_EQ(interval("1ms"), Milliseconds(100));
  EXPECT_EQ(interval("0"), Seconds(600));
  EXPECT_EQ(interval("-3s"), Seconds(600));
  EXPECT_FALSE(Parse({"--watch-progress-notify-interval", "fast"}).ok());
  EXPECT_FALSE(Parse({"--watch-progress-notify-interval", "inf"}).ok());
}

TEST(FlagsTest, DefaultsAreEtcds) {
  const auto line = Parse({});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.DataDir(), "default.etcd");
  EXPECT_EQ(JoinUrls(line->config.listen_client_urls), "http://localhost:2379");
  EXPECT_EQ(JoinUrls(line->config.listen_peer_urls), "http://localhost:2380");
  EXPECT_EQ(JoinInitialCluster(line->config.Members()), "default=http://localhost:2380");
  EXPECT_EQ(line->config.RequestTimeout(), Seconds(7));
  EXPECT_EQ(line->config.max_request_bytes, 1572864u);
}

TEST(FlagsTest, QuotaAndLeastTimeOfLeases) {
  EXPECT_EQ(Parse({})->config.QuotaBytes(), int64_t{2} << 30);
  EXPECT_EQ(Parse({"--quota-backend-bytes=0"})->config.QuotaBytes(), int64_t{2} << 30);
  EXPECT_EQ(Parse({"--quota-backend-bytes", "8589934592"})->config.QuotaBytes(), int64_t{8} << 30);
  EXPECT_EQ(Parse({"--quota-backend-bytes=-1"})->config.QuotaBytes(), -1);
  EXPECT_EQ(ErrorOf({"--quota-backend-bytes=2GB"}),
            "invalid value \"2GB\" for flag --quota-backend-bytes: not a whole number");
  // One and a half election timeouts, in whole heartbeats, rounded up to seconds.
  EXPECT_EQ(Parse({})->config.MinLeaseTtl(), 2);
  EXPECT_EQ(Parse({"--election-timeout=2000"})->config.MinLeaseTtl(), 3);
  EXPECT_EQ(Parse({"--election-timeout=600"})->config.MinLeaseTtl(), 1);
  EXPECT_EQ(Parse({"--election-timeout=700"})->config.MinLeaseTtl(), 1);  // 10 heartbeats
  EXPECT_EQ(Parse({"--election-timeout=800"})->config.MinLeaseTtl(), 2);
}

TEST(FlagsTest, WithoutAnInitialClusterTheMemberIsAlone) {
  const auto line = Parse({"--name", "x", "--initial-advertise-peer-urls", "http://10.0.0.1:2380"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(JoinInitialCluster(line->config.Members()), "x=http://10.0.0.1:2380");
  EXPECT_TRUE(line->config.ValidateBootstrap().ok());
}

TEST(FlagsTest, TheLastOfSeveralWins) {
  const auto line = Parse({"--name=a", "--name=b"});
  ASSERT_TRUE(line.ok());
  EXPECT_EQ(line->config.name, "b");
}

TEST(FlagsTest, ALogIsWrittenOnceHoweverOftenItIsNamed) {
  const auto line = Parse({"--log-outputs=/b,stdout,/b,/a,stdout"});
  ASSERT_TRUE(line.ok());
  EXPECT_EQ(line->config.log_outputs, (std::vector<std::string>{"/b", "stdout", "/a"}));
  EXPECT_TRUE(Parse({"--log-outputs=default,default"}).ok());
}

TEST(FlagsTest, ALogIsRotatedAsTheJsonSays) {
  EXPECT_FALSE(Parse({"--log-outputs=/a"})->config.ParsedLogRotation()->has_value());
  const auto plain = Parse({"--log-outputs=/a,stderr", "--enable-log-rotation"});
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_EQ((*plain->config.ParsedLogRotation())->max_bytes, 100u << 20);
  const auto line = Parse({"--log-outputs=/a", "--enable-log-rotation",
                           R"(--log-rotation-config-json={"maxsize":0,"MaxAge":7,"maxbackups":3,)"
                           R"("localtime":true,"compress":true,"unknown":[1]})"});
  ASSERT_TRUE(line.ok()) << line.status();
  const io::LogRotation rotation = **line->config.ParsedLogRotation();
  EXPECT_EQ(rotation.max_bytes, 100u << 20);
  EXPECT_EQ(rotation.max_age_days, 7u);
  EXPECT_EQ(rotation.max_backups, 3u);
  EXPECT_TRUE(rotation.local_time);
  EXPECT_TRUE(rotation.compress);
}

TEST(FlagsTest, ARotationThatCannotBeIsRefused) {
  for (const char* outputs : {"--log-outputs=stderr", "--log-outputs=/a,/b"}) {
    EXPECT_EQ(ErrorOf({"--enable-log-rotation", outputs}),
              "--log-outputs requires a single file path when --log-rotate-config-json is defined");
  }
  const auto error = [](const std::string& json) {
    return ErrorOf({"--enable-log-rotation", "--log-outputs=/a",
                    absl::StrCat("--log-rotation-config-json=", json)});
  };
  EXPECT_THAT(error("{"), HasSubstr("improperly formatted log rotation config"));
  EXPECT_THAT(error("[]"), HasSubstr("invalid log rotation config"));
  EXPECT_THAT(error(R"({"maxsize":-1})"), HasSubstr("maxsize is -1, but must be a whole number"));
  EXPECT_THAT(error(R"({"compress":1})"), HasSubstr("compress is 1, but must be true or false"));
  EXPECT_EQ(
      ErrorOf({"--log-format=xml"}),
      "invalid value \"xml\" for flag --log-format: unknown log format: xml, supported values "
      "json, console");
}

TEST(FlagsTest, ErrorsNameFlagAndValue) {
  EXPECT_EQ(ErrorOf({"--no-such-flag"}), "flag provided but not defined: --no-such-flag");
  // Flags end at the first word that is none, as in Go; that is no malformed flag (status 1).
  for (const std::vector<absl::string_view>& words : std::vector<std::vector<absl::string_view>>{
           {"serve"}, {"serve", "--nonsense"}, {"--name", "a", "serve"}, {"--", "serve"}}) {
    EXPECT_EQ(ParseCommandLine(words).status(),
              absl::FailedPreconditionError("\"serve\" is not a valid flag"));
  }
  EXPECT_TRUE(ParseCommandLine({"--name", "a", "--"}).ok());
  EXPECT_EQ(ErrorOf({"gateway", "start"}), "'gateway' is not there: this server is no proxy");
  EXPECT_EQ(ErrorOf({"--name"}), "flag needs an argument: --name");
  EXPECT_EQ(ErrorOf({"--election-timeout=soon"}),
            "invalid value \"soon\" for flag --election-timeout: not a whole number");
  EXPECT_THAT(ErrorOf({"--election-timeout=-5"}), HasSubstr("\"-5\""));
  EXPECT_THAT(ErrorOf({"--listen-peer-urls=localhost:2380"}),
              AllOf(HasSubstr("--listen-peer-urls"), HasSubstr("localhost:2380")));
  EXPECT_THAT(ErrorOf({"--initial-cluster-state=newish"}),
              AllOf(HasSubstr("--initial-cluster-state"), HasSubstr("newish")));
  EXPECT_THAT(ErrorOf({"--pre-vote=perhaps"}), HasSubstr("not a boolean"));
  EXPECT_THAT(ErrorOf({"--log-level=loud"}), HasSubstr("loud"));
  EXPECT_THAT(ErrorOf({"---name=a"}), HasSubstr("bad flag syntax"));
  EXPECT_THAT(ErrorOf({"--=a"}), HasSubstr("bad flag syntax"));
}

TEST(FlagsTest, MalformedValuesAndContradictionsDiffer) {
  EXPECT_EQ(Parse({"--bogus"}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Parse({"--heartbeat-interval=500"}).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(FlagsTest, EtcdsChecks) {
  EXPECT_EQ(ErrorOf({"--heartbeat-interval=300", "--election-timeout=1000"}),
            "--election-timeout[1000ms] should be at least as 5 times as "
            "--heartbeat-interval[300ms]");
  EXPECT_EQ(ErrorOf({"--election-timeout=50001"}),
            "--election-timeout[50001ms] is too long, and should be set less than 50000ms");
  EXPECT_EQ(ErrorOf({"--listen-client-urls=http://127.0.0.1:1"}),
            "--advertise-client-urls is required when --listen-client-urls is set explicitly");
  EXPECT_THAT(ErrorOf({"--listen-peer-urls=http://db.example.com:2380"}),
              HasSubstr("expected IP in URL for binding (http://db.example.com:2380)"));
  EXPECT_THAT(ErrorOf({"--heartbeat-interval=0"}), HasSubstr("--heartbeat-interval must be >0"));
}

using Environment = std::vector<absl::string_view>;

TEST(EnvironmentTest, SetsWhatNoFlagSets) {
  const auto good = ParseCommandLine(
      Environment{"--name=m1"},
      Environment{"PATH=/bin", "ETCD_DATA_DIR=/tmp/x", "ETCD_TYPO=1", "ETCD_PRE_VOTE=false",
                  "ETCD_ELECTION_TIMEOUT=", "ETCD_INITIAL_CLUSTER=m1=http://a:1"});
  ASSERT_TRUE(good.ok()) << good.status();
  EXPECT_EQ(good->config.name, "m1");
  EXPECT_EQ(good->config.data_dir, "/tmp/x");
  EXPECT_FALSE(good->config.pre_vote);
  EXPECT_EQ(good->config.election_timeout, Seconds(1)) << "an empty variable is none";
  EXPECT_THAT(good->config.environment_used,
              testing::ElementsAre("ETCD_DATA_DIR", "ETCD_INITIAL_CLUSTER", "ETCD_PRE_VOTE"));
  EXPECT_EQ(JoinInitialCluster(good->config.initial_cluster), "m1=http://a:1")
      << "the value is all that follows the first '='";
  EXPECT_THAT(good->config.environment_unknown, testing::ElementsAre("ETCD_TYPO"));
}

TEST(EnvironmentTest, ContradictionsAreRefused) {
  const auto error = [](Environment flags, Environment environment) {
    const absl::Status status = ParseCommandLine(flags, environment).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    return std::string(status.message());
  };
  EXPECT_EQ(error({"--name=a"}, {"ETCD_NAME=b"}),
            "conflicting environment variable \"ETCD_NAME\" is shadowed by corresponding "
            "command-line flag --name (either unset environment variable or disable flag)");
  EXPECT_EQ(error({}, {"ETCD_HEARTBEAT_INTERVAL=soon"}),
            "invalid value \"soon\" for ETCD_HEARTBEAT_INTERVAL: not a whole number");
  EXPECT_THAT(error({}, {"ETCD_LISTEN_CLIENT_URLS=http://127.0.0.1:1"}),
              HasSubstr("--advertise-client-urls is required"));
}

TEST(FlagsTest, Auth) {
  const auto line = Parse({"--auth-token=simple", "--auth-token-ttl=60", "--bcrypt-cost", "12"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.auth_token_ttl, Seconds(60));
  EXPECT_EQ(line->config.BcryptCost(), 12);
  EXPECT_EQ(Config().auth_token_ttl, Seconds(300));
  EXPECT_EQ(Config().BcryptCost(), 10);
  EXPECT_EQ(Parse({"--auth-token-ttl=0"})->config.auth_token_ttl, Seconds(300));
  // What bcrypt cannot do gives the default, as in etcd.
  for (const char* odd : {"--bcrypt-cost=0", "--bcrypt-cost=3", "--bcrypt-cost=32",
                          "--bcrypt-cost=18446744073709551615"}) {
    EXPECT_EQ(Parse({odd})->config.BcryptCost(), 10) << odd;
  }
  EXPECT_TRUE(Parse({"--auth-token=simple,x=y"}).ok());
  EXPECT_THAT(ErrorOf({"--auth-token=jwt,pub-key=a"}), HasSubstr("not supported yet"));
  for (const char* odd : {"--auth-token=", "--auth-token=none", "--auth-token=simple,x",
                          "--auth-token=simple,x=y=z"}) {
    EXPECT_THAT(ErrorOf({odd}), HasSubstr("auth: invalid auth options")) << odd;
  }
  EXPECT_THAT(ErrorOf({"--auth-token-ttl=soon"}), HasSubstr("--auth-token-ttl"));
  EXPECT_THAT(ErrorOf({"--bcrypt-cost=-1"}), HasSubstr("--bcrypt-cost"));
}

TEST(FlagsTest, Tls) {
  // As kubeadm writes them.
  const auto line = Parse(
      {"--cert-file=/pki/server.crt", "--key-file=/pki/server.key", "--client-cert-auth=true",
       "--trusted-ca-file=/pki/ca.crt", "--peer-cert-file=/pki/peer.crt",
       "--peer-key-file=/pki/peer.key", "--peer-client-cert-auth=true",
       "--peer-trusted-ca-file=/pki/ca.crt", "--listen-client-urls=https://127.0.0.1:2379",
       "--advertise-client-urls=https://127.0.0.1:2379", "--cipher-suites=A,B",
       "--tls-max-version=TLS1.3", "--peer-cert-allowed-cn=m1,m2", "--client-crl-file=/pki/crl"});
  ASSERT_TRUE(line.ok()) << line.status();
  const TlsSettings& client = line->config.client_tls;
  EXPECT_EQ(client.cert_file, "/pki/server.crt");
  EXPECT_EQ(client.trusted_ca_file, "/pki/ca.crt");
  EXPECT_EQ(client.crl_file, "/pki/crl");
  EXPECT_TRUE(client.client_cert_auth);
  EXPECT_THAT(client.cipher_suites, ElementsAre("A", "B"));
  EXPECT_EQ(client.min_version, TlsVersion::kTls12);
  EXPECT_EQ(client.max_version, TlsVersion::kTls13);
  const TlsSettings& peer = line->config.peer_tls;
  EXPECT_EQ(peer.cert_file, "/pki/peer.crt");
  EXPECT_TRUE(peer.client_cert_auth);
  EXPECT_THAT(peer.allowed_cns, ElementsAre("m1", "m2"));
  EXPECT_THAT(peer.cipher_suites, ElementsAre("A", "B"));
}

TEST(FlagsTest, TlsSettingsThatContradictEachOther) {
  EXPECT_THAT(ErrorOf({"--key-file=k"}),
              HasSubstr("--cert-file and --key-file must both be present"));
  EXPECT_THAT(ErrorOf({"--peer-cert-file=c"}), HasSubstr("--peer-key-file must both be present"));
  EXPECT_THAT(ErrorOf({"--peer-client-cert-file=c"}), HasSubstr("both be present or both absent"));
  EXPECT_THAT(ErrorOf({"--listen-peer-urls=https://127.0.0.1:1"}),
              HasSubstr("--peer-cert-file, --peer-key-file) must be provided for peer url"));
  EXPECT_EQ(ErrorOf({"--listen-peer-urls=https://127.0.0.1:1", "--peer-auto-tls"}), "no error");
  EXPECT_EQ(
      ErrorOf({"--listen-metrics-urls=https://127.0.0.1:1"}),
      "client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url");
  EXPECT_EQ(ErrorOf({"--listen-metrics-urls=https://127.0.0.1:1", "--auto-tls"}), "no error");
  EXPECT_THAT(ErrorOf({"--peer-cert-allowed-cn=a", "--peer-cert-allowed-hostname=b"}),
              HasSubstr("mutually exclusive"));
  EXPECT_THAT(ErrorOf({"--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"}),
              HasSubstr("--tls-min-version"));
  EXPECT_THAT(ErrorOf({"--tls-min-version=TLS1.3", "--cipher-suites=A"}),
              HasSubstr("cipher-suites cannot be configured"));
  EXPECT_THAT(ErrorOf({"--tls-min-version=TLS1.1"}), HasSubstr("TLS1.2, TLS1.3"));
  EXPECT_THAT(ErrorOf({"--self-signed-cert-validity=0"}), HasSubstr("must be >0"));
}

TEST(FlagsTest, HelpAndVersionWinOverWhatFollows) {
  EXPECT_EQ(Parse({"--help", "--bogus"})->action, CommandLine::Action::kShowHelp);
  EXPECT_EQ(Parse({"-h"})->action, CommandLine::Action::kShowHelp);
  EXPECT_EQ(Parse({"--version"})->action, CommandLine::Action::kShowVersion);
}

TEST(FlagsTest, VersionIsEtcdsFourLinesThenOurs) {
  const std::string text = VersionText();
  EXPECT_EQ(text.rfind("etcd Version: 3.7.1\nGit SHA: ", 0), 0u) << text;
  EXPECT_THAT(text, HasSubstr("\nGo Version: "));
  EXPECT_THAT(text, HasSubstr("\nGo OS/Arch: linux/"));
  EXPECT_THAT(text, HasSubstr("\nQuorate Version: "));
}

TEST(FlagsTest, HelpListsEveryFlag) {
  for (const char* flag :
       {"--name", "--data-dir", "--listen-client-urls", "--advertise-client-urls",
        "--listen-peer-urls", "--initial-advertise-peer-urls", "--initial-cluster ",
        "--initial-cluster-token", "--initial-cluster-state", "--heartbeat-interval",
        "--election-timeout", "--wal-dir", "--cors", "--config-file", "--print-config"}) {
    EXPECT_THAT(HelpText(), HasSubstr(flag));
  }
}

// A configuration of three members, this one being m1.
Config ThreeMembers() {
  Config config;
  config.name = "m1";
  config.initial_cluster =
      *ParseInitialCluster("m1=http://a:2380,m2=http://b:2380,m3=http://c:2380");
  config.initial_advertise_peer_urls = *ParseUrls("http://a:2380");
  return config;
}

TEST(BootstrapTest, TheMemberMustBeOneOfTheFounders) {
  EXPECT_TRUE(ThreeMembers().ValidateBootstrap().ok());
  Config stranger = ThreeMembers();
  stranger.name = "m4";
  EXPECT_THAT(std::string(stranger.ValidateBootstrap().message()),
              HasSubstr("couldn't find local name \"m4\" in the initial cluster configuration"));
}

TEST(BootstrapTest, ItsUrlsMustAgree) {
  Config config = ThreeMembers();
  config.initial_advertise_peer_urls = *ParseUrls("http://elsewhere:2380");
  EXPECT_THAT(std::string(config.ValidateBootstrap().message()),
              AllOf(HasSubstr("http://a:2380"), HasSubstr("http://elsewhere:2380")));
}

TEST(BootstrapTest, AUrlBelongsToOneMember) {
  Config config = ThreeMembers();
  config.initial_cluster = *ParseInitialCluster("m1=http://a:2380,m2=http://a:2380");
  EXPECT_THAT(std::string(config.ValidateBootstrap().message()), HasSubstr("duplicate url"));
}

TEST(IdsTest, EqualEtcds) {
  EXPECT_EQ(FounderId(*ParseUrls("http://10.0.0.8:2379"), "").value(), 14544069596553697298u);
  const MemberId member = FounderId(*ParseUrls("http://localhost:2380"), "etcd-cluster");
  EXPECT_EQ(HexId(member), "8e9e05c52164694d");
  EXPECT_EQ(HexId(FoundedClusterId({member})), "cdf818194e3a8c32");
}

TEST(IdsTest, DoNotDependOnTheOrderOfUrlsOrMembers) {
  const std::vector<Url> urls = {*ParseUrl("http://b:1"), *ParseUrl("http://a:1")};
  const std::vector<Url> reversed = {urls[1], urls[0]};
  EXPECT_EQ(FounderId(urls, "t"), FounderId(reversed, "t"));
  EXPECT_NE(FounderId(urls, "t"), FounderId(urls, "u"));
  EXPECT_EQ(FoundedClusterId({MemberId(1), MemberId(2)}),
            FoundedClusterId({MemberId(2), MemberId(1)}));
}

TEST(IdsTest, HexadecimalForm) {
  uint64_t id = 0;
  EXPECT_TRUE(ParseHexId("8e9e05c52164694d", &id));
  EXPECT_EQ(id, 0x8e9e05c52164694du);
  EXPECT_EQ(HexId(uint64_t{0xab}), "ab");
  for (const char* bad : {"", "xyz", "0x1", "-1", "12345678901234567", "1 "}) {
    EXPECT_FALSE(ParseHexId(bad, &id)) << bad;
  }
}

TEST(VersionTest, OnlyMajorAndMinorCount) {
  EXPECT_EQ(*ParseVersion("3.7.1"), (MajorMinor{3, 7}));
  EXPECT_EQ(*ParseVersion("3.8.0-alpha.0"), (MajorMinor{3, 8}));
  EXPECT_LT(*ParseVersion("3.10.0"), *ParseVersion("4.0.0"));
  EXPECT_LT(*ParseVersion("3.9.0"), *ParseVersion("3.10.0"));
  EXPECT_EQ(ParseVersion("3.7.1")->ToString(), "3.7.0");
  for (const char* bad : {"", "3", "3.", "x.y", ".7", "3.7x", "99999.1"}) {
    EXPECT_FALSE(ParseVersion(bad).has_value()) << bad;
  }
}

TEST(VersionTest, JsonForProbesAndMembers) {
  EXPECT_EQ(VersionJson("3.7.0"),
            R"({"etcdserver":"3.7.1","etcdcluster":"3.7.0","storage":"3.7.0"})");
  EXPECT_EQ(VersionJson(""),
            R"({"etcdserver":"3.7.1","etcdcluster":"not_decided","storage":"unknown"})");
}

// Etcd would not start with these either: a mistake shows here, not at the way back.
TEST(CommandLineTest, SettingsWithoutEffectAreJudgedAllTheSame) {
  struct Case {
    absl::string_view flag;
    absl::string_view good;
    absl::string_view bad;
  };
  for (const Case& c : {Case{"max-wals", "3", "three"},
                        {"max-snapshots", "3", "-1"},
                        {"backend-batch-interval", "100ms", "100"},
                        {"backend-batch-limit", "-1", "x"},
                        {"raft-read-timeout", "1s", "x"},
                        {"compaction-batch-limit", "10", "1.5"},
                        {"compaction-sleep-interval", "1ms", ""},
                        {"bootstrap-defrag-threshold-megabytes", "100", "all"},
                        {"downgrade-check-time", "1s", "now"},
                        {"enable-pprof", "true", "yes"},
                        {"unsafe-no-fsync", "T", "on"},
                        {"distributed-tracing-sampling-rate", "7", "7%"},
                        {"discovery-dial-timeout", "2s", "2"},
                        {"v2-deprecation", "write-only", "not-yet"}}) {
    const auto line = Parse({absl::StrCat("--", c.flag, "=", c.good)});
    ASSERT_TRUE(line.ok()) << line.status();
    EXPECT_THAT(line->config.notices, ElementsAre(HasSubstr("has no effect"))) << c.flag;
    EXPECT_THAT(ErrorOf({absl::StrCat("--", c.flag, "=", c.bad)}),
                HasSubstr(absl::StrCat("invalid value \"", c.bad, "\" for flag --", c.flag)));
  }
}

TEST(CommandLineTest, OriginsAreUrlsWithoutAPath) {
  EXPECT_THAT(Parse({"--cors", "https://a.example,http://b:8080"})->config.cors,
              ElementsAre("https://a.example", "http://b:8080"));
  EXPECT_THAT(Parse({"--cors", "*"})->config.cors, ElementsAre("*"));
  EXPECT_TRUE(Parse({"--cors="}).ok());
  for (const absl::string_view bad : {"a.example", "a:1", "ftp://a", "http://", "http://a:1,x"}) {
    EXPECT_THAT(ErrorOf({"--cors", bad}),
                HasSubstr("URL scheme must be http, https, unix, or unixs: "))
        << bad;
  }
  EXPECT_THAT(ErrorOf({"--cors", "http://a:1/x"}),
              HasSubstr("URL must not contain a path: http://a:1/x"));
}

TEST(CommandLineTest, WhatMayBeEmptyIsTheDefault) {
  const auto line = Parse(
      {"--log-level=", "--log-format=", "--tls-min-version=", "--auto-compaction-retention="});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.log_level, "info");
  EXPECT_EQ(line->config.log_format, "json");
  EXPECT_EQ(line->config.ParsedAutoCompaction()->period, Duration());
  EXPECT_TRUE(Parse({"--auto-compaction-mode=revision", "--auto-compaction-retention="}).ok());
  EXPECT_THAT(ErrorOf({"--tls-min-version", "TLS1.1"}),
              HasSubstr("unexpected TLS version \"TLS1.1\" (must be one of: TLS1.2, TLS1.3)"));
  EXPECT_THAT(ErrorOf({"--compact-hash-check-time", "0s"}),
              HasSubstr("--compact-hash-check-time must be >0 (set to 0s)"));
}

}  // namespace
}  // namespace quorate::config
