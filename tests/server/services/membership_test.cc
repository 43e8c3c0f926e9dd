// Whole servers that join a running cluster, and leave it.
#include "engine/membership/membership.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "api/rpc.pb.h"
#include "server/server.h"
#include "server/start_alone.h"
#include "tests/server/support/test_cluster.h"

namespace quorate {
namespace {

using server::State;
using ::testing::HasSubstr;

std::string PeerUrl(int member) { return "http://m" + std::to_string(member) + ":2380"; }

template <typename Response>
Response Parse(const grpc::Result& result) {
  EXPECT_TRUE(result.status.ok()) << result.status;
  Response response;
  EXPECT_TRUE(response.ParseFromString(std::string(result.message.view())));
  return response;
}

// m1 founds the cluster alone; the others are to join it, one after another.
class ServerMembershipTest : public ::testing::Test {
 protected:
  ServerMembershipTest() : cluster_(3, 1, Adjust) {
    cluster_.Start(1);
    EXPECT_TRUE(cluster_.world().RunUntil([this] { return cluster_.ready(1); }));
  }

  static void Adjust(int member, config::Config* config) {
    config->initial_cluster.resize(static_cast<size_t>(member));
    if (member > 1) config->initial_cluster_state = config::ClusterState::kExisting;
    config->strict_reconfig_check = false;
  }
  grpc::Result Add(const std::vector<std::string>& urls, bool learner = false) {
    etcdserverpb::MemberAddRequest request;
    for (const std::string& url : urls) request.add_peerurls(url);
    request.set_islearner(learner);
    return cluster_.Call(1, "/etcdserverpb.Cluster/MemberAdd", request.SerializeAsString());
  }
  grpc::Result Remove(int asked, uint64_t id) {
    etcdserverpb::MemberRemoveRequest request;
    request.set_id(id);
    return cluster_.Call(asked, "/etcdserverpb.Cluster/MemberRemove", request.SerializeAsString());
  }
  grpc::Result Put(int member) {
    etcdserverpb::PutRequest request;
    request.set_key("a");
    return cluster_.Call(member, "/etcdserverpb.KV/Put", request.SerializeAsString());
  }
  bool RunUntilReady(int member) {
    return cluster_.world().RunUntil([=, this] { return cluster_.ready(member); });
  }
  std::string FailureOf(int member) {
    EXPECT_TRUE(cluster_.world().RunUntil([=, this] { return !cluster_.failure(member).ok(); }));
    return std::string(cluster_.failure(member).message());
  }

  TestCluster cluster_;
};

TEST_F(ServerMembershipTest, JoinsServesAndEndsWhenItIsRemoved) {
  const auto added = Parse<etcdserverpb::MemberAddResponse>(Add({PeerUrl(2)}));
  cluster_.Start(2);
  ASSERT_TRUE(RunUntilReady(2));
  EXPECT_EQ(cluster_.server(2)->member_id(), MemberId(added.member().id()));
  EXPECT_EQ(cluster_.server(2)->cluster_id(), cluster_.server(1)->cluster_id());
  EXPECT_TRUE(Put(2).status.ok());
  EXPECT_TRUE(Remove(1, added.member().id()).status.ok());
  EXPECT_TRUE(
      cluster_.world().RunUntil([this] { return cluster_.server(2)->state() == State::kStopped; }));
  EXPECT_TRUE(cluster_.failure(2).ok());
  EXPECT_TRUE(cluster_.Logged(2, "the member has been permanently removed from the cluster"));
  EXPECT_TRUE(Put(1).status.ok());
  // Whoever asks it to stop then gets an answer all the same.
  bool stopped = false;
  cluster_.host(2).Run([&] { cluster_.server(2)->Stop([&] { stopped = true; }); });
  EXPECT_TRUE(cluster_.world().RunUntil([&] { return stopped; }));
}

// As they are once somebody has written the new member into everybody's flags.
TEST_F(ServerMembershipTest, AFounderStartsAgainWithFlagsThatNameTheNewMember) {
  Parse<etcdserverpb::MemberAddResponse>(Add({PeerUrl(2)}));
  cluster_.Start(2);
  ASSERT_TRUE(RunUntilReady(2));
  cluster_.Crash(1);
  cluster_.config(1).initial_cluster = cluster_.config(2).initial_cluster;
  cluster_.Start(1);
  EXPECT_TRUE(RunUntilReady(1));
  EXPECT_TRUE(cluster_.failure(1).ok()) << cluster_.failure(1);
}

TEST_F(ServerMembershipTest, ALeaderThatIsRemovedEndsAndTheRestGoesOn) {
  Parse<etcdserverpb::MemberAddResponse>(Add({PeerUrl(2)}));
  cluster_.Start(2);
  ASSERT_TRUE(RunUntilReady(2));
  EXPECT_TRUE(Remove(1, cluster_.server(1)->member_id().value()).status.ok());
  EXPECT_TRUE(
      cluster_.world().RunUntil([this] { return cluster_.server(1)->state() == State::kStopped; }));
  cluster_.world().RunFor(Seconds(5));
  EXPECT_TRUE(Put(2).status.ok());
}

// Who starts members and waits for their probes (kubelet, load balancers) would else kill a learner
// that takes its time.
TEST_F(ServerMembershipTest, ALearnerIsHealthyButNotReady) {
  Parse<etcdserverpb::MemberAddResponse>(Add({PeerUrl(2)}, /*learner=*/true));
  cluster_.Start(2);
  ASSERT_TRUE(RunUntilReady(2));
  const auto health = cluster_.Get(2, "/health");
  ASSERT_TRUE(health.ok()) << health.status();
  EXPECT_EQ(health->body, R"({"health":"true","reason":""})");
  const auto ready = cluster_.Get(2, "/readyz?verbose");
  ASSERT_TRUE(ready.ok()) << ready.status();
  EXPECT_EQ(ready->head.status, 503);
  EXPECT_THAT(ready->body, HasSubstr("[+]linearizable_read ok\n[-]non_learner failed"));
}

TEST_F(ServerMembershipTest, ACrashBeforeItHasHeardAnythingDoesNotKeepItOut) {
  Parse<etcdserverpb::MemberAddResponse>(Add({PeerUrl(2)}, /*learner=*/true));
  for (const int64_t millis : {1, 3, 5, 10, 20, 50, 100, 300}) {
    cluster_.Start(2);
    cluster_.world().RunFor(Milliseconds(millis));
    cluster_.Crash(2);
  }
  cluster_.Start(2);
  EXPECT_TRUE(RunUntilReady(2));
}

TEST_F(ServerMembershipTest, WhoWasNotAddedIsRefused) {
  cluster_.Start(2);
  EXPECT_THAT(FailureOf(2), HasSubstr("member count is unequal"));
  Parse<etcdserverpb::MemberAddResponse>(Add({"http://elsewhere:1"}, /*learner=*/true));
  cluster_.Crash(2);
  cluster_.Start(2);
  EXPECT_THAT(FailureOf(2), HasSubstr("no match found for existing member"));
}

TEST_F(ServerMembershipTest, WithoutAnAnswerFromTheClusterNothingIsBegun) {
  Parse<etcdserverpb::MemberAddResponse>(Add({PeerUrl(2)}, /*learner=*/true));
  cluster_.Crash(1);
  cluster_.Start(2);
  EXPECT_THAT(FailureOf(2), HasSubstr("could not retrieve cluster information"));
}

TEST_F(ServerMembershipTest, UrlsOfMembersMustBeUrls) {
  const absl::Status refusal =
      absl::InvalidArgumentError("etcdserver: given member URLs are invalid");
  EXPECT_EQ(Add({}).status, refusal);
  EXPECT_EQ(Add({"m2:2380"}).status, refusal);
  EXPECT_EQ(Add({PeerUrl(2), "ftp://m2:1"}).status, refusal);
  EXPECT_EQ(Add({"http://m 2:2380"}).status, refusal);
  EXPECT_EQ(Add({"http://%zz:2380"}).status, refusal);
  etcdserverpb::MemberUpdateRequest request;
  request.set_id(cluster_.server(1)->member_id().value());
  request.add_peerurls("nonsense");
  const std::string path = "/etcdserverpb.Cluster/MemberUpdate";
  EXPECT_EQ(cluster_.Call(1, path, request.SerializeAsString()).status, refusal);
  // Of a member that nobody knows that comes first, as in etcd.
  request.set_id(5);
  const absl::Status unknown = absl::NotFoundError("etcdserver: member not found");
  EXPECT_EQ(cluster_.Call(1, path, request.SerializeAsString()).status, unknown);
  request.clear_peerurls();
  EXPECT_EQ(cluster_.Call(1, path, request.SerializeAsString()).status, unknown);
}

// --force-new-cluster: two of three are lost for good.
class ForceNewClusterTest : public ::testing::Test {
 protected:
  ForceNewClusterTest() : cluster_(3) {
    cluster_.StartAll();
    EXPECT_TRUE(cluster_.RunUntilReady());
  }
  grpc::Result Put(const std::string& key) {
    etcdserverpb::PutRequest request;
    request.set_key(key);
    return cluster_.Call(1, "/etcdserverpb.KV/Put", request.SerializeAsString());
  }
  int64_t CountKeys() {
    etcdserverpb::RangeRequest request;
    request.set_key(std::string(1, '\0'));
    request.set_range_end(std::string(1, '\0'));
    return Parse<etcdserverpb::RangeResponse>(
               cluster_.Call(1, "/etcdserverpb.KV/Range", request.SerializeAsString()))
        .count();
  }
  std::vector<uint64_t> Members() {
    etcdserverpb::MemberListRequest request;
    const auto list = Parse<etcdserverpb::MemberListResponse>(
        cluster_.Call(1, "/etcdserverpb.Cluster/MemberList", request.SerializeAsString()));
    std::vector<uint64_t> ids;
    for (const etcdserverpb::Member& member : list.members()) ids.push_back(member.id());
    return ids;
  }
  void RestartAlone() {
    cluster_.config(1).force_new_cluster = true;
    cluster_.Start(1);
    ASSERT_TRUE(cluster_.world().RunUntil([this] { return cluster_.ready(1); }));
  }

  TestCluster cluster_;
};

TEST_F(ForceNewClusterTest, TheLastMemberGoesOnAloneWithItsData) {
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(Put("k" + std::to_string(i)).status.ok());
  const MemberId self = cluster_.server(1)->member_id();
  const ClusterId cluster_id = cluster_.server(1)->cluster_id();
  for (const int member : {1, 2, 3}) cluster_.Crash(member);
  RestartAlone();
  EXPECT_EQ(cluster_.server(1)->cluster_id(), cluster_id);
  EXPECT_EQ(Members(), std::vector<uint64_t>({self.value()}));
  EXPECT_EQ(CountKeys(), 20);
  EXPECT_TRUE(Put("new").status.ok());
  EXPECT_TRUE(cluster_.Logged(1, "forcing a new cluster of this member alone"));
  // It stays alone, with the flag and without it.
  cluster_.Crash(1);
  RestartAlone();
  cluster_.Crash(1);
  cluster_.config(1).force_new_cluster = false;
  cluster_.Start(1);
  ASSERT_TRUE(cluster_.world().RunUntil([this] { return cluster_.ready(1); }));
  EXPECT_EQ(Members(), std::vector<uint64_t>({self.value()}));
  EXPECT_EQ(CountKeys(), 21);
}

// Its others have acknowledged entries that this member holds, but does not know to be committed.
TEST(StartAloneTest, EntriesThatItDidNotKnowToBeCommittedAreKept) {
  std::vector<engine::BootstrapMember> founders;
  for (const uint64_t id : {1, 2, 3}) founders.push_back({MemberId(id), "m", {"http://m:1"}});
  engine::Recovered recovered = engine::Replica::Bootstrap(founders);
  raft::Entry entry;
  entry.term = Term(7);
  entry.index = LogIndex(4);
  recovered.entries.push_back(entry);
  recovered.hard_state.term = Term(8);
  const auto alone = server::StartAlone(recovered, MemberId(2));
  ASSERT_TRUE(alone.ok()) << alone.status();
  EXPECT_EQ(alone->removed, std::vector<MemberId>({MemberId(1), MemberId(3)}));
  ASSERT_EQ(alone->entries.size(), 2u);
  EXPECT_EQ(alone->entries[0].index, LogIndex(5));
  EXPECT_EQ(alone->entries[0].term, Term(9));
  EXPECT_EQ(alone->hard_state.commit, LogIndex(6));
  EXPECT_EQ(alone->hard_state.term, Term(9));
  EXPECT_TRUE(absl::IsFailedPrecondition(server::StartAlone(recovered, MemberId(4)).status()));
}

}  // namespace
}  // namespace quorate
