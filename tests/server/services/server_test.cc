// A whole server's life: start, stop, crash, and starts that must fail.
#include "server/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/rpc.pb.h"
#include "server/config/ids.h"
#include "tests/server/support/test_cluster.h"

namespace quorate {
namespace {

using server::State;
using ::testing::HasSubstr;

std::string FailureOf(TestCluster* cluster, int member) {
  EXPECT_TRUE(cluster->world().RunUntil([=] { return !cluster->failure(member).ok(); }));
  EXPECT_EQ(cluster->server(member)->state(), State::kFailed);
  return std::string(cluster->failure(member).message());
}

TEST(ServerTest, IdentitiesAreEtcds) {
  TestCluster cluster(1, 1, [](int, config::Config* config) {
    config->initial_cluster = {{"m1", {{"http", "localhost", 2380}}}};
    config->initial_advertise_peer_urls = {{"http", "localhost", 2380}};
  });
  cluster.StartAll();
  ASSERT_TRUE(cluster.RunUntilReady());
  EXPECT_EQ(config::HexId(cluster.server(1)->member_id()), "8e9e05c52164694d");
  EXPECT_EQ(config::HexId(cluster.server(1)->cluster_id()), "cdf818194e3a8c32");
}

TEST(ServerTest, TellsWhatOperatorsWaitFor) {
  TestCluster cluster(1);
  cluster.StartAll();
  ASSERT_TRUE(cluster.RunUntilReady());
  EXPECT_TRUE(cluster.Logged(1, "\"msg\":\"ready to serve client requests\""));
  EXPECT_TRUE(cluster.Logged(1, "\"msg\":\"serving client traffic insecurely"));
  EXPECT_FALSE(cluster.Logged(1, "\"level\":\"error\""));
}

// A connection that says nothing.
class SilentClient : public io::Stream::Handler {
 public:
  SilentClient(TestCluster* cluster, int member)
      : connect_(cluster->client_env().network->Connect(
            TestCluster::ClientAddress(member),
            [this](absl::StatusOr<std::unique_ptr<io::Stream>> stream) {
              ASSERT_TRUE(stream.ok()) << stream.status();
              stream_ = *std::move(stream);
              stream_->Start(this);
            })) {}
  bool closed() const { return closed_; }

 private:
  void OnData(absl::string_view) override {}
  void OnClose(const absl::Status&) override { closed_ = true; }

  bool closed_ = false;
  std::unique_ptr<io::Stream> stream_;
  std::unique_ptr<io::PendingConnect> connect_;
};

// Else whoever opens connections could take the descriptors that the log needs.
TEST(ServerTest, ConnectionsBeyondTheLimitAreClosed) {
  TestCluster cluster(1, 1,
                      [](int, config::Config* config) { config->max_client_connections = 3; });
  cluster.StartAll();
  ASSERT_TRUE(cluster.RunUntilReady());
  ASSERT_TRUE(cluster.Put(1, "a").status.ok());  // one connection, which stays
  std::vector<std::unique_ptr<SilentClient>> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(std::make_unique<SilentClient>(&cluster, 1));
  cluster.world().RunFor(Seconds(1));
  const auto closed = std::count_if(clients.begin(), clients.end(),
                                    [](const auto& client) { return client->closed(); });
  EXPECT_EQ(closed, 3) << "of five, two were within the limit";
  EXPECT_TRUE(cluster.Logged(1, "rejected connection on client endpoint"));
  EXPECT_TRUE(cluster.Put(1, "b").status.ok());
  clients.clear();
  cluster.world().RunFor(Seconds(1));
  const SilentClient late(&cluster, 1);
  cluster.world().RunFor(Seconds(1));
  EXPECT_FALSE(late.closed()) << "there is room again";
}

// As etcd takes it, and not a server that serves nobody.
TEST(ServerTest, ABoundOfNoStreamsIsNoBound) {
  TestCluster cluster(1, 1,
                      [](int, config::Config* config) { config->max_concurrent_streams = 0; });
  cluster.StartAll();
  ASSERT_TRUE(cluster.RunUntilReady());
  EXPECT_TRUE(cluster.Put(1, "a").status.ok());
}

TEST(ServerTest, ACompactionLeavesEtcdsLine) {
  TestCluster cluster(1);
  cluster.StartAll();
  ASSERT_TRUE(cluster.RunUntilReady());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(cluster.Put(1, "a").status.ok());  // 2 to 4
  etcdserverpb::CompactionRequest compaction;
  compaction.set_revision(4);
  compaction.set_physical(true);
  ASSERT_TRUE(
      cluster.Call(1, "/etcdserverpb.KV/Compact", compaction.SerializeAsString()).status.ok());
  cluster.world().RunFor(Seconds(1));
  EXPECT_TRUE(
      cluster.Logged(1, "\"msg\":\"finished scheduled compaction\",\"compact-revision\":4"));
  EXPECT_TRUE(cluster.Logged(1, "\"number-of-keys-compacted\":2"));
}

// The line says why it took so long, whatever became of it.
TEST(ServerTest, ASlowRequestLeavesALineWithATraceOfWhatHeldItUp) {
  TestCluster cluster(3);
  cluster.StartAll();
  ASSERT_TRUE(cluster.RunUntilReady());
  const int leader = cluster.Leader();
  const int other = leader % 3 + 1;
  cluster.Crash(leader);
  cluster.Put(other, "a");  // it may be lost with the leader
  EXPECT_TRUE(cluster.Logged(other, "\"msg\":\"request stats\""));
  EXPECT_TRUE(cluster.Logged(other, "the leader was lost"));
  EXPECT_TRUE(cluster.Logged(other, " a leader is known"));
}

TEST(ServerTest, AStoppedLeaderHandsOverToSomebodyWhoIsThere) {
  for (const int dead : {1, 2}) {  // among the others, in either order of their ids
    TestCluster cluster(3);
    cluster.StartAll();
    ASSERT_TRUE(cluster.RunUntilReady());
    const int leader = cluster.Leader();
    const int gone = (leader + dead - 1) % 3 + 1;
    const int heir = 6 - leader - gone;
    cluster.Crash(gone);
    cluster.world().RunFor(Seconds(20));
    ASSERT_EQ(cluster.Leader(), leader);
    bool stopped = false;
    cluster.host(leader).Run([&] { cluster.server(leader)->Stop([&] { stopped = true; }); });
    ASSERT_TRUE(cluster.world().RunUntil([&] { return stopped; }));
    EXPECT_TRUE(cluster.Logged(leader, "leadership transfer completed"));
    EXPECT_EQ(cluster.node(heir)->status().role, engine::Role::kLeader);
  }
}

TEST(ServerTest, ClientsThatComeEarlyWait) {
  TestCluster cluster(3);
  cluster.Start(1);
  etcdserverpb::RangeRequest request;
  request.set_key("a");
  request.set_serializable(true);
  cluster.world().RunFor(Seconds(1));
  bool answered = false;
  cluster.channel(1)->Unary("/etcdserverpb.KV/Range", Bytes::Copy(request.SerializeAsString()), {},
                            [&](const grpc::Result& result) { answered = result.status.ok(); });
  cluster.world().RunFor(Seconds(3));
  EXPECT_FALSE(answered) << "one of three cannot have published itself";
  cluster.Start(2);
  ASSERT_TRUE(cluster.RunUntilReady());
  EXPECT_TRUE(cluster.world().RunUntil([&] { return answered; }));
}

TEST(ServerTest, AcknowledgedWritesSurvivePowerLossOfAll) {
  TestCluster cluster(3);
  cluster.StartAll();
  ASSERT_TRUE(cluster.RunUntilReady());
  for (int round = 1; round <= 4; ++round) {
    for (int i = 0; i < 5; ++i) {
      ASSERT_TRUE(cluster.Put(round % 3 + 1, absl::StrCat(round, "/", i)).status.ok());
    }
    for (int member = 1; member <= 3; ++member) cluster.Crash(member);
    cluster.StartAll();
    ASSERT_TRUE(cluster.RunUntilReady());
    for (int member = 1; member <= 3; ++member) EXPECT_EQ(cluster.CountKeys(member), 5 * round);
  }
}

TEST(ServerTest, AnotherLeaderTakesOverAndTheOldOneCatchesUp) {
  TestCluster cluster(3);
  cluster.StartAll();
  ASSERT_TRUE(cluster.RunUntilReady());
  const int first = cluster.Leader();
  ASSERT_NE(first, 0);
  const int other = first % 3 + 1;
  ASSERT_TRUE(cluster.Put(other, "a").status.ok());
  cluster.Crash(first);
  ASSERT_TRUE(
      cluster.world().RunUntil([&] { return cluster.Leader() != 0 && cluster.Leader() != first; }));
  ASSERT_TRUE(cluster.Put(other, "b").status.ok());
  cluster.Start(first);
  ASSERT_TRUE(cluster.RunUntilReady());
  EXPECT_EQ(cluster.CountKeys(first), 2);
}

TEST(ServerTest, StopHandsOverLeadershipAndEndsConnections) {
  TestCluster cluster(3);
  cluster.StartAll();
  ASSERT_TRUE(cluster.RunUntilReady());
  const int leader = cluster.Leader();
  ASSERT_TRUE(cluster.Put(leader, "a").status.ok());
  bool stopped = false;
  const sim::VirtualTime start = cluster.world().scheduler().now();
  cluster.host(leader).Run([&] { cluster.server(leader)->Stop([&stopped] { stopped = true; }); });
  ASSERT_TRUE(cluster.world().RunUntil([&] { return stopped; }));
  EXPECT_LT(cluster.world().scheduler().now() - start, Seconds(2));
  EXPECT_EQ(cluster.server(leader)->state(), State::kStopped);
  EXPECT_TRUE(cluster.Logged(leader, "leadership transfer completed"));
  const int next = cluster.Leader();
  EXPECT_NE(next, 0);
  EXPECT_NE(next, leader);
  EXPECT_TRUE(cluster.Put(leader % 3 + 1, "b").status.ok());
}

TEST(ServerTest, AFailedDiskEndsTheServer) {
  TestCluster cluster(1);
  cluster.StartAll();
  ASSERT_TRUE(cluster.RunUntilReady());
  cluster.host(1).disk().FailNextSyncs(100);  // of the log, and of files being prepared for it
  EXPECT_EQ(cluster.Put(1, "a").status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(FailureOf(&cluster, 1), HasSubstr("/data"));
}

// Two --data-dir flags mixed up: the members would come up as each other, where no peer
// would find them.
TEST(ServerTest, ADirectoryOfAnotherMemberIsRefused) {
  TestCluster cluster(2);
  cluster.StartAll();
  ASSERT_TRUE(cluster.RunUntilReady());
  const std::string first = config::HexId(cluster.server(1)->member_id());
  const std::string second = config::HexId(cluster.server(2)->member_id());
  ASSERT_TRUE(cluster.Put(1, "a").status.ok());
  cluster.Crash(1, sim::CrashKind::kKill);
  const config::Config right = cluster.config(1);
  cluster.config(1).name = "m2";
  cluster.config(1).initial_advertise_peer_urls = cluster.config(2).initial_advertise_peer_urls;
  cluster.Start(1);
  EXPECT_THAT(FailureOf(&cluster, 1),
              AllOf(HasSubstr("/data"), HasSubstr("belongs to member " + first),
                    HasSubstr("--name m2 is member " + second)));
  cluster.Crash(1, sim::CrashKind::kKill);
  cluster.config(1) = right;
  cluster.Start(1);
  ASSERT_TRUE(cluster.RunUntilReady());
  EXPECT_EQ(cluster.CountKeys(1), 1);
}

TEST(ServerTest, ADirectoryOfAnotherClusterIsRefused) {
  TestCluster cluster(1);
  cluster.StartAll();
  ASSERT_TRUE(cluster.RunUntilReady());
  const std::string id = config::HexId(cluster.server(1)->cluster_id());
  ASSERT_TRUE(cluster.Put(1, "a").status.ok());
  cluster.Crash(1, sim::CrashKind::kKill);
  cluster.config(1).initial_cluster_token = "another";
  cluster.Start(1);
  EXPECT_THAT(FailureOf(&cluster, 1), AllOf(HasSubstr("/data"), HasSubstr(id)));
  // With its own flags nothing is lost.
  cluster.Crash(1, sim::CrashKind::kKill);
  cluster.config(1).initial_cluster_token = "etcd-cluster";
  cluster.Start(1);
  ASSERT_TRUE(cluster.RunUntilReady());
  EXPECT_EQ(cluster.CountKeys(1), 1);
}

TEST(ServerTest, TheInitialFlagsOfAMemberWithDataAreIgnored) {
  TestCluster cluster(3);
  cluster.StartAll();
  ASSERT_TRUE(cluster.RunUntilReady());
  ASSERT_TRUE(cluster.Put(1, "a").status.ok());
  for (int member = 1; member <= 3; ++member) {
    cluster.Crash(member, sim::CrashKind::kKill);
    cluster.config(member).initial_cluster.clear();
  }
  cluster.StartAll();
  ASSERT_TRUE(cluster.RunUntilReady());
  EXPECT_EQ(cluster.CountKeys(2), 1);
}

TEST(ServerTest, AStrangerToTheInitialClusterIsRefused) {
  TestCluster cluster(1, 1, [](int, config::Config* config) { config->name = "stranger"; });
  cluster.StartAll();
  EXPECT_THAT(FailureOf(&cluster, 1), HasSubstr("couldn't find local name \"stranger\""));
  EXPECT_TRUE(cluster.host(1).disk().Files().empty());
}

TEST(ServerTest, ATakenPortIsNamedAndNothingIsWritten) {
  TestCluster cluster(1);
  const io::Env env = cluster.host(1).Boot();
  auto taken = env.network->Listen("m1:2379", [](std::unique_ptr<io::Stream>) {});
  ASSERT_TRUE(taken.ok());
  absl::Status failure;
  std::unique_ptr<server::Server> second;
  cluster.host(1).Run([&] {
    server::Options options;
    options.on_failure = [&](const absl::Status& why) { failure = why; };
    second = std::make_unique<server::Server>(env, cluster.config(1), options);
    second->Start();
  });
  ASSERT_TRUE(cluster.world().RunUntil([&] { return !failure.ok(); }));
  EXPECT_THAT(std::string(failure.message()), HasSubstr("http://m1:2379"));
  EXPECT_TRUE(cluster.host(1).disk().Files().empty());
  second.reset();
  taken->reset();
}

// A short life with a crash; the digest of all that happened in the world.
uint64_t DigestOfALife(uint64_t seed) {
  TestCluster cluster(3, seed);
  cluster.StartAll();
  EXPECT_TRUE(cluster.RunUntilReady());
  for (int i = 0; i < 10; ++i) cluster.Put(i % 3 + 1, absl::StrCat("k", i));
  cluster.Crash(cluster.Leader());
  cluster.world().RunFor(Seconds(5));
  return cluster.world().digest();
}

TEST(ServerTest, TheSameSeedGivesTheSameRun) {
  EXPECT_EQ(DigestOfALife(7), DigestOfALife(7));
  EXPECT_NE(DigestOfALife(7), DigestOfALife(8));
}

TEST(ServerTest, AServerMayBeDestroyedAtAnyMoment) {
  // After every so many events of a start; nothing must be called or leak afterwards.
  for (uint64_t events = 0; events < 400; events += 7) {
    TestCluster cluster(3, 5);
    cluster.StartAll();
    for (uint64_t i = 0; i < events; ++i) cluster.world().scheduler().RunOne();
    for (int member = 1; member <= 3; ++member) cluster.Crash(member);
    cluster.world().RunFor(Seconds(1));
    cluster.StartAll();
    ASSERT_TRUE(cluster.RunUntilReady()) << "crash after " << events << " events";
  }
}

}  // namespace
}  // namespace quorate
