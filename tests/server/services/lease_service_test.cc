// etcdserverpb.Lease as clients see it, through simulated connections to whole servers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "api/rpc.pb.h"
#include "server/grpc/channel.h"
#include "tests/server/support/test_cluster.h"

namespace quorate {
namespace {

using etcdserverpb::LeaseGrantResponse;
using etcdserverpb::LeaseKeepAliveResponse;
using etcdserverpb::LeaseTimeToLiveResponse;
using etcdserverpb::RangeResponse;

constexpr char kService[] = "/etcdserverpb.Lease/";

template <typename Message>
Message Parse(const grpc::Result& result) {
  EXPECT_TRUE(result.status.ok()) << result.status;
  Message message;
  EXPECT_TRUE(message.ParseFromString(std::string(result.message.view())));
  return message;
}

// A client's keep-alive stream.
class KeepAlive final : public grpc::ClientStreamHandler {
 public:
  KeepAlive(TestCluster* cluster, int member, const grpc::CallOptions& options = {})
      : cluster_(cluster) {
    grpc::Channel* channel = cluster->channel(member);
    cluster->client_host().Run([this, channel, options] {
      stream_ = channel->Stream("/etcdserverpb.Lease/LeaseKeepAlive", options, this);
    });
  }
  ~KeepAlive() override { stream_.reset(); }

  void Renew(const std::vector<int64_t>& ids) {
    cluster_->client_host().Run([this, ids] {
      for (const int64_t id : ids) {
        etcdserverpb::LeaseKeepAliveRequest request;
        request.set_id(id);
        stream_->Send(Bytes::Copy(request.SerializeAsString()));
      }
    });
  }
  void SendRaw(const std::string& bytes) {
    cluster_->client_host().Run([this, bytes] { stream_->Send(Bytes::Copy(bytes)); });
  }
  void HalfClose() {
    cluster_->client_host().Run([this] { stream_->HalfClose(); });
  }
  bool Wait(const std::function<bool()>& condition) {
    return cluster_->world().RunUntil(condition);
  }

  void OnMessage(Bytes message) override {
    ASSERT_TRUE(responses.emplace_back().ParseFromString(std::string(message.view())));
  }
  void OnFinish(const absl::Status& status) override {
    finished = true;
    final_status = status;
  }

  std::vector<LeaseKeepAliveResponse> responses;
  bool finished = false;
  absl::Status final_status;

 private:
  TestCluster* cluster_;
  std::unique_ptr<grpc::ClientStream> stream_;
};

class LeaseServiceTest : public ::testing::TestWithParam<int> {
 protected:
  LeaseServiceTest() : cluster_(GetParam()) {
    cluster_.StartAll();
    EXPECT_TRUE(cluster_.RunUntilReady());
  }
  int AnyMember(int i) const { return i % GetParam() + 1; }

  LeaseGrantResponse Grant(int64_t id, int64_t ttl) {
    etcdserverpb::LeaseGrantRequest request;
    request.set_id(id);
    request.set_ttl(ttl);
    return Parse<LeaseGrantResponse>(
        cluster_.Call(1, std::string(kService) + "LeaseGrant", request.SerializeAsString()));
  }
  void Put(const std::string& key, int64_t lease) {
    etcdserverpb::PutRequest request;
    request.set_key(key);
    request.set_lease(lease);
    ASSERT_TRUE(cluster_.Call(1, "/etcdserverpb.KV/Put", request.SerializeAsString()).status.ok());
  }
  LeaseTimeToLiveResponse TimeToLive(int member, int64_t id) {
    etcdserverpb::LeaseTimeToLiveRequest request;
    request.set_id(id);
    request.set_keys(true);
    return Parse<LeaseTimeToLiveResponse>(cluster_.Call(
        member, std::string(kService) + "LeaseTimeToLive", request.SerializeAsString()));
  }
  RangeResponse Get(int member, const std::string& key) {
    etcdserverpb::RangeRequest request;
    request.set_key(key);
    return Parse<RangeResponse>(
        cluster_.Call(member, "/etcdserverpb.KV/Range", request.SerializeAsString()));
  }

  TestCluster cluster_;
};

INSTANTIATE_TEST_SUITE_P(Sizes, LeaseServiceTest, ::testing::Values(1, 3));

TEST_P(LeaseServiceTest, AKeyLivesAsLongAsItsLeaseIsKeptAlive) {
  EXPECT_EQ(Grant(7, 3).ttl(), 3);
  Put("a", 7);
  EXPECT_EQ(Get(1, "a").kvs(0).lease(), 7);
  for (int member = 1; member <= GetParam(); ++member) {
    KeepAlive stream(&cluster_, member);
    for (size_t i = 1; i <= 3; ++i) {
      cluster_.world().RunFor(Milliseconds(2500));
      stream.Renew({7});
      ASSERT_TRUE(stream.Wait([&] { return stream.responses.size() == i; }));
      EXPECT_EQ(stream.responses.back().ttl(), 3);
      EXPECT_EQ(stream.responses.back().id(), 7);
      EXPECT_EQ(stream.responses.back().header().member_id(),
                cluster_.server(member)->member_id().value());
    }
    EXPECT_EQ(Get(member, "a").count(), 1);
  }
  cluster_.world().RunFor(Milliseconds(3500));
  EXPECT_EQ(Get(1, "a").count(), 0);
  EXPECT_EQ(TimeToLive(AnyMember(1), 7).ttl(), -1);
}

TEST_P(LeaseServiceTest, AnyMemberTellsWhatIsLeftAndListsAndRevokes) {
  Grant(7, 100);
  Grant(8, 50);
  Put("b", 7);
  Put("a", 7);
  for (int member = 1; member <= GetParam(); ++member) {
    const auto left = TimeToLive(member, 7);
    EXPECT_GE(left.ttl(), 98);
    EXPECT_EQ(left.grantedttl(), 100);
    ASSERT_EQ(left.keys_size(), 2);
    EXPECT_EQ(left.keys(0), "a");
    EXPECT_EQ(left.header().member_id(), cluster_.server(member)->member_id().value());
    EXPECT_EQ(left.header().cluster_id(), cluster_.server(member)->cluster_id().value());
  }
  const auto list = Parse<etcdserverpb::LeaseLeasesResponse>(
      cluster_.Call(1, std::string(kService) + "LeaseLeases", ""));
  EXPECT_EQ(list.leases_size(), 2);
  etcdserverpb::LeaseRevokeRequest revoke;
  revoke.set_id(7);
  const int64_t before = Get(1, "a").header().revision();
  const auto revoked = Parse<etcdserverpb::LeaseRevokeResponse>(cluster_.Call(
      AnyMember(1), std::string(kService) + "LeaseRevoke", revoke.SerializeAsString()));
  EXPECT_EQ(revoked.header().revision(), before + 1);
  EXPECT_EQ(Get(AnyMember(2), "a").count(), 0);
  EXPECT_EQ(
      cluster_.Call(AnyMember(2), std::string(kService) + "LeaseRevoke", revoke.SerializeAsString())
          .status,
      absl::NotFoundError("etcdserver: requested lease not found"));
}

TEST_P(LeaseServiceTest, OneStreamRenewsManyLeasesInOrder) {
  std::vector<int64_t> ids;
  for (int64_t id = 1; id <= 2500; ++id) ids.push_back(id);
  Grant(2, 10);
  Grant(2000, 20);
  KeepAlive stream(&cluster_, AnyMember(1));
  stream.Renew(ids);
  stream.HalfClose();
  ASSERT_TRUE(stream.Wait([&] { return stream.finished; }));
  EXPECT_TRUE(stream.final_status.ok()) << stream.final_status;
  ASSERT_EQ(stream.responses.size(), ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(stream.responses[i].id(), ids[i]);
    EXPECT_EQ(stream.responses[i].ttl(), ids[i] == 2 ? 10 : ids[i] == 2000 ? 20 : 0);
  }
}

TEST_P(LeaseServiceTest, MetricsCountThem) {
  Grant(1, 10);
  Grant(2, 3600);
  KeepAlive stream(&cluster_, 1);
  stream.Renew({1});
  ASSERT_TRUE(stream.Wait([&] { return stream.responses.size() == 1; }));
  etcdserverpb::LeaseRevokeRequest revoke;
  revoke.set_id(2);
  ASSERT_TRUE(cluster_.Call(1, std::string(kService) + "LeaseRevoke", revoke.SerializeAsString())
                  .status.ok());
  cluster_.world().RunFor(Seconds(12));
  uint64_t renewed = 0;
  uint64_t expired = 0;
  for (int member = 1; member <= GetParam(); ++member) {
    const auto page = cluster_.Get(member, "/metrics");
    ASSERT_TRUE(page.ok());
    for (const char* line :
         {"etcd_debugging_lease_granted_total 2\n", "etcd_debugging_lease_revoked_total 2\n",
          "etcd_debugging_lease_ttl_total_bucket{le=\"8\"} 0\n",
          "etcd_debugging_lease_ttl_total_bucket{le=\"16\"} 1\n",
          "etcd_debugging_lease_ttl_total_bucket{le=\"4096\"} 2\n",
          "etcd_debugging_lease_ttl_total_sum 3610\n"}) {
      EXPECT_THAT(page->body, ::testing::HasSubstr(line));
    }
    renewed += cluster_.node(member)->status().leases_renewed;
    expired += cluster_.node(member)->status().leases_expired;
  }
  // By the leader alone.
  EXPECT_EQ(renewed, 1u);
  EXPECT_EQ(expired, 1u);
}

TEST_P(LeaseServiceTest, AMalformedRenewalEndsTheStream) {
  Grant(7, 10);
  KeepAlive stream(&cluster_, AnyMember(1));
  stream.Renew({7});
  stream.SendRaw("\xff");
  stream.Renew({7});
  ASSERT_TRUE(stream.Wait([&] { return stream.finished; }));
  EXPECT_EQ(stream.final_status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(stream.responses.size(), 1u);
}

TEST(LeaseServiceWithoutQuorumTest, RenewalsEndWithTheLeader) {
  TestCluster cluster(3);
  cluster.StartAll();
  ASSERT_TRUE(cluster.RunUntilReady());
  grpc::CallOptions has_leader;
  has_leader.metadata = {{"hasleader", "true"}};
  KeepAlive stream(&cluster, 1, has_leader);
  KeepAlive patient(&cluster, 1);
  stream.Renew({7});
  patient.Renew({7});
  ASSERT_TRUE(stream.Wait([&] { return stream.responses.size() + patient.responses.size() == 2; }));
  cluster.Crash(2);
  cluster.Crash(3);
  patient.Renew({7});
  ASSERT_TRUE(stream.Wait([&] { return stream.finished; }));
  EXPECT_EQ(stream.final_status, absl::UnavailableError("etcdserver: no leader"));
  ASSERT_TRUE(patient.Wait([&] { return patient.finished; }));
  EXPECT_EQ(patient.final_status, absl::UnavailableError("etcdserver: request timed out"));
  EXPECT_EQ(cluster.node(1)->pending_calls(), 0u);
}

}  // namespace
}  // namespace quorate
