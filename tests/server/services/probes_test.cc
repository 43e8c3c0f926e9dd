// The HTTP/1.1 side of the client port.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "api/rpc.pb.h"
#include "tests/server/support/test_cluster.h"

namespace quorate {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ProbesTest : public ::testing::Test {
 protected:
  ProbesTest() : cluster_(3) {
    cluster_.StartAll();
    EXPECT_TRUE(cluster_.RunUntilReady());
  }
  std::pair<int, std::string> Get(const std::string& target) {
    const auto answer = cluster_.Get(1, target);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() ? std::make_pair(answer->head.status, answer->body)
                       : std::make_pair(0, std::string());
  }
  using Answer = std::pair<int, std::string>;

  TestCluster cluster_;
};

TEST_F(ProbesTest, AHealthyMember) {
  EXPECT_EQ(Get("/health"), Answer(200, R"({"health":"true","reason":""})"));
  EXPECT_EQ(Get("/health?serializable=true&exclude=NOSPACE").first, 200);
  EXPECT_EQ(Get("/livez"), Answer(200, "ok\n"));
  EXPECT_EQ(Get("/livez/serializable_read"), Answer(200, "ok\n"));
  EXPECT_EQ(Get("/readyz"), Answer(200, "ok\n"));
  EXPECT_EQ(Get("/readyz?verbose"),
            Answer(200,
                   "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n"
                   "[+]non_learner ok\nok\n"));
  EXPECT_EQ(Get("/readyz?verbose&exclude=linearizable_read&exclude=non_learner").second,
            "[+]data_corruption ok\n[+]serializable_read ok\nok\n");
  EXPECT_EQ(Get("/readyz/unheard_of").first, 404);
}

TEST_F(ProbesTest, VersionOfServerAndCluster) {
  EXPECT_EQ(Get("/version").second,
            R"({"etcdserver":"3.7.1","etcdcluster":"3.7.0","storage":"3.7.0"})");
}

// What etcd's expvar page says of raft, for those who look there.
TEST_F(ProbesTest, RaftIsOnTheDebugPage) {
  const auto [status, text] = Get("/debug/vars");
  EXPECT_EQ(status, 200);
  EXPECT_THAT(text, HasSubstr("\"raft.status\": {\"id\":\""));
  const bool leads = cluster_.node(1)->status().role == engine::Role::kLeader;
  EXPECT_THAT(
      text, HasSubstr(leads ? "\"raftState\":\"StateLeader\"" : "\"raftState\":\"StateFollower\""));
  EXPECT_EQ(text.find("\"match\":") != std::string::npos, leads);
}

TEST_F(ProbesTest, WithoutALeader) {
  cluster_.Crash(2);
  cluster_.Crash(3);
  ASSERT_TRUE(cluster_.world().RunUntil(
      [this] { return cluster_.node(1)->status().leader == MemberId(0); }));
  EXPECT_EQ(Get("/health"), Answer(503, R"({"health":"false","reason":"RAFT NO LEADER"})"));
  EXPECT_EQ(Get("/health?serializable=true").first, 200);
  EXPECT_EQ(Get("/livez").first, 200);
  const Answer ready = Get("/readyz");
  EXPECT_EQ(ready.first, 503);
  EXPECT_THAT(ready.second, HasSubstr("[+]serializable_read ok\n[-]linearizable_read failed: "));
}

TEST_F(ProbesTest, WithAlarms) {
  etcdserverpb::AlarmRequest request;
  request.set_action(etcdserverpb::AlarmRequest::ACTIVATE);
  request.set_memberid(0x17);
  const auto raise = [&](etcdserverpb::AlarmType type) {
    request.set_alarm(type);
    ASSERT_TRUE(cluster_.Call(1, "/etcdserverpb.Maintenance/Alarm", request.SerializeAsString())
                    .status.ok());
  };
  raise(etcdserverpb::NOSPACE);
  EXPECT_EQ(Get("/health"), Answer(503, R"({"health":"false","reason":"ALARM NOSPACE"})"));
  EXPECT_EQ(Get("/health?exclude=NOSPACE").first, 200);
  EXPECT_EQ(Get("/livez").first, 200);
  EXPECT_EQ(Get("/readyz").first, 200);
  EXPECT_THAT(Get("/metrics").second,
              HasSubstr("etcd_debugging_server_alarms{alarm_type=\"NOSPACE\",server_id=\"17\"} 1"));
  raise(etcdserverpb::CORRUPT);
  EXPECT_EQ(Get("/health?exclude=NOSPACE"),
            Answer(503, R"({"health":"false","reason":"ALARM CORRUPT"})"));
  EXPECT_EQ(Get("/health?exclude=NOSPACE&exclude=CORRUPT").first, 200);
  const Answer ready = Get("/readyz");
  EXPECT_EQ(ready.first, 503);
  EXPECT_THAT(ready.second, HasSubstr("[-]data_corruption failed: alarm activated: CORRUPT"));
  EXPECT_EQ(Get("/readyz?exclude=data_corruption").first, 200);
}

TEST_F(ProbesTest, MetricsAreThereFromTheFirstScrape) {
  const Answer page = Get("/metrics");
  ASSERT_EQ(page.first, 200);
  for (const char* line :
       {"etcd_server_has_leader 1\n",
        "# TYPE etcd_server_proposals_committed_total gauge\n",
        "# TYPE etcd_server_leader_changes_seen_total counter\n",
        "etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.001\"} ",
        "etcd_disk_wal_fsync_duration_seconds_bucket{le=\"8.192\"} ",
        "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Put\","
        "grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 0\n",
        "grpc_server_started_total{grpc_method=\"Watch\",grpc_service=\"etcdserverpb.Watch\","
        "grpc_type=\"bidi_stream\"} 0\n",
        "etcd_network_peer_sent_bytes_total{To=\"",
        "etcd_mvcc_db_total_size_in_bytes ",
        "etcd_server_version{server_version=\"3.7.1\"} 1\n",
        "etcd_cluster_version{cluster_version=\"3.7\"} 1\n",
        "etcd_server_quota_backend_bytes 2147483648\n",
        "etcd_debugging_lease_granted_total 0\n",
        "etcd_debugging_lease_revoked_total 0\n",
        "etcd_debugging_lease_renewed_total 0\n",
        "etcd_debugging_server_lease_expired_total 0\n",
        "etcd_disk_wal_write_duration_seconds_bucket{le=\"8.192\"} ",
        "etcd_server_feature_enabled{name=\"InitialCorruptCheck\",stage=\"ALPHA\"} 0\n",
        "etcd_server_feature_enabled{name=\"FastLeaseKeepAlive\",stage=\"BETA\"} 1\n",
        "etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds_bucket{le=\"0.5\"} 0\n",
        "etcd_disk_backend_commit_duration_seconds_bucket{le=\"8.192\"} 0\n",
        "etcd_disk_defrag_inflight 0\n",
        "etcd_server_health_success 0\n",
        "etcd_server_healthchecks_total{name=\"linearizable_read\",status=\"success\",type="
        "\"readyz\"} 0\n",
        "promhttp_metric_handler_requests_total{code=\"200\"} 0\n",
        "etcd_debugging_lease_ttl_total_bucket{le=\"1\"} 0\n",
        "etcd_debugging_lease_ttl_total_bucket{le=\"8.388608e+06\"} 0\n"}) {
    EXPECT_THAT(page.second, HasSubstr(line));
  }
}

TEST_F(ProbesTest, RequestsAreCountedByWhatTheirClientsSaySpeak) {
  const std::string none = "etcd_server_client_requests_total{client_api_version=\"unknown\",type=";
  EXPECT_THAT(Get("/metrics").second, HasSubstr(none + "\"unary\"} 0\n"));
  const auto call = [this](const std::string& version) {
    grpc::CallOptions options;
    if (!version.empty()) options.metadata = {{"client-api-version", version}};
    cluster_.Call(1, "/etcdserverpb.Maintenance/Status", "", options);
  };
  call("");
  call("3.7");
  call("3.7");
  call(std::string(1000, 'v'));
  for (int i = 0; i < 100; ++i) call(std::to_string(i));  // a client's invention
  const std::string page = Get("/metrics").second;
  EXPECT_THAT(page, HasSubstr("{client_api_version=\"3.7\",type=\"unary\"} 2\n"));
  EXPECT_THAT(page, HasSubstr("{client_api_version=\"0\",type=\"unary\"} 1\n"));
  EXPECT_THAT(page, Not(HasSubstr("client_api_version=\"99\"")));
  EXPECT_THAT(page, HasSubstr(none + "\"unary\"} 74\n"));
}

TEST(ExtensiveMetricsTest, TellHowLongCallsTake) {
  TestCluster cluster(1, 1, [](int, config::Config* config) { config->extensive_metrics = true; });
  cluster.StartAll();
  ASSERT_TRUE(cluster.RunUntilReady());
  const std::string name =
      "grpc_server_handling_seconds_bucket{grpc_method=\"Status\",grpc_service=\"etcdserverpb."
      "Maintenance\",grpc_type=\"unary\",le=";
  EXPECT_THAT(cluster.Get(1, "/metrics")->body, HasSubstr(name + "\"0.005\"} 0\n"));
  cluster.Call(1, "/etcdserverpb.Maintenance/Status", "");
  EXPECT_THAT(cluster.Get(1, "/metrics")->body, HasSubstr(name + "\"10\"} 1\n"));
}

TEST_F(ProbesTest, ChecksAreCounted) {
  Get("/health");
  Get("/readyz");
  Get("/livez/serializable_read");
  const std::string page = Get("/metrics").second;
  for (const char* line :
       {"etcd_server_health_success 1\n", "etcd_server_health_failures 0\n",
        "etcd_server_healthcheck{name=\"non_learner\",type=\"readyz\"} 1\n",
        "etcd_server_healthchecks_total{name=\"serializable_read\",status=\"success\","
        "type=\"readyz\"} 1\n",
        "etcd_server_healthchecks_total{name=\"serializable_read\",status=\"success\","
        "type=\"livez\"} 1\n",
        "etcd_server_healthchecks_total{name=\"serializable_read\",status=\"error\","
        "type=\"livez\"} 0\n"}) {
    EXPECT_THAT(page, HasSubstr(line));
  }
}

TEST_F(ProbesTest, WhatIsNotThere) {
  EXPECT_EQ(Get("/").first, 404);
  http1::ClientRequest request;
  request.method = "POST";
  request.target = "/health";
  const auto answer = cluster_.Http(TestCluster::ClientAddress(1), request);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->head.status, 405);
  EXPECT_THAT(std::string(answer->head.fields.Get("Allow")), HasSubstr("GET"));
}

}  // namespace
}  // namespace quorate
