// A member whose disk has lost what it had acknowledged gets it back from the others, over their
// real protocol.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "api/rpc.pb.h"
#include "server/config/ids.h"
#include "server/server.h"
#include "tests/server/support/test_cluster.h"

namespace quorate {
namespace {

using server::State;
using ::testing::HasSubstr;

uint32_t Hash(TestCluster* cluster, int member) {
  const grpc::Result result = cluster->Call(member, "/etcdserverpb.Maintenance/HashKV", "");
  etcdserverpb::HashKVResponse response;
  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_TRUE(response.ParseFromString(std::string(result.message.view())));
  return response.hash();
}

// Flips a bit in the first write of the member's log, which every start needs. It is down.
void DamageLog(TestCluster* cluster, int member) {
  sim::Disk& disk = cluster->host(member).disk();
  const std::vector<std::string> files = disk.Files();
  const auto log = std::find_if(files.begin(), files.end(), [](const std::string& path) {
    return absl::EndsWith(path, "0000000000000001.log");
  });
  ASSERT_NE(log, files.end());
  ASSERT_TRUE(disk.FlipBit(*log, 600, 0).ok());
}

class RepairTest : public ::testing::Test {
 protected:
  void Start() {
    cluster_.StartAll();
    ASSERT_TRUE(cluster_.RunUntilReady());
    for (int i = 0; i < 10; ++i)
      ASSERT_TRUE(cluster_.Put(1, absl::StrCat("before/", i)).status.ok());
    victim_ = cluster_.Leader() % 3 + 1;
  }

  // Asked again and again, for a while; the question may take time itself.
  bool Eventually(const std::function<bool()>& holds) {
    for (int i = 0; i < 100; ++i) {
      if (holds()) return true;
      cluster_.world().RunFor(Milliseconds(100));
    }
    return false;
  }

  TestCluster cluster_{3};
  int victim_ = 0;
};

TEST_F(RepairTest, AnIdleMembersDamagedLogComesBackFromTheOthers) {
  Start();
  cluster_.Crash(victim_);
  DamageLog(&cluster_, victim_);
  ASSERT_TRUE(cluster_.Put(victim_ % 3 + 1, "while it was down").status.ok());
  cluster_.Start(victim_);
  ASSERT_TRUE(cluster_.RunUntilReady()) << cluster_.failure(victim_);
  EXPECT_TRUE(cluster_.server(victim_)->repaired());
  EXPECT_TRUE(cluster_.Logged(victim_, "going on from the state of another member"));
  EXPECT_EQ(cluster_.CountKeys(victim_, /*serializable=*/true), 11);
  ASSERT_TRUE(cluster_.Put(victim_, "after").status.ok());
  const auto metrics = cluster_.Get(victim_, "/metrics");
  ASSERT_TRUE(metrics.ok()) << metrics.status();
  EXPECT_THAT(metrics->body, HasSubstr("\nquorate_recovery_repaired_total 1\n"));
  for (int member = 1; member <= 3; ++member) {
    ASSERT_TRUE(
        Eventually([&] { return cluster_.CountKeys(member, /*serializable=*/true) == 12; }));
    EXPECT_EQ(Hash(&cluster_, member), Hash(&cluster_, 1));
  }
  // What it now has is its own: it starts by itself, and counts.
  cluster_.Crash(victim_);
  cluster_.Start(victim_);
  ASSERT_TRUE(cluster_.RunUntilReady()) << cluster_.failure(victim_);
  EXPECT_FALSE(cluster_.server(victim_)->repaired());
  cluster_.Crash(victim_ % 3 + 1);
  ASSERT_TRUE(cluster_.world().RunUntil([&] { return cluster_.Leader() != 0; }));
  EXPECT_TRUE(cluster_.Put(victim_, "it is needed for a quorum").status.ok());
}

// With the leader that has counted it, the other member is all that is left: it must not be
// replaced by one that has forgotten.
TEST_F(RepairTest, WithoutAQuorumOfTheOthersItTakesPartInNothing) {
  Start();
  const int other = victim_ % 3 + 1;
  const int third = other % 3 + 1;
  cluster_.Crash(other);
  ASSERT_TRUE(cluster_.world().RunUntil(
      [&] { return cluster_.Leader() == victim_ || cluster_.Leader() == third; }));
  ASSERT_TRUE(cluster_.Put(third, "held by the two of them").status.ok());
  cluster_.Crash(victim_);
  DamageLog(&cluster_, victim_);
  cluster_.Crash(third);
  cluster_.Start(other);
  cluster_.Start(victim_);
  cluster_.world().RunFor(Seconds(10));
  EXPECT_EQ(cluster_.Leader(), 0) << "the key would be lost";
  EXPECT_NE(cluster_.server(victim_)->state(), State::kReady);
  // It gives up in the end, saying what is wrong and what to do.
  ASSERT_TRUE(cluster_.world().RunUntil([&] { return !cluster_.failure(victim_).ok(); }));
  EXPECT_THAT(std::string(cluster_.failure(victim_).message()),
              AllOf(HasSubstr("damaged at offset"), HasSubstr("etcdctl member remove")));
  cluster_.Crash(victim_, sim::CrashKind::kKill);
  cluster_.Start(third);
  cluster_.Start(victim_);
  ASSERT_TRUE(cluster_.RunUntilReady()) << cluster_.failure(victim_);
  EXPECT_TRUE(cluster_.server(victim_)->repaired());
  EXPECT_EQ(cluster_.CountKeys(victim_, /*serializable=*/true), 11);
}

TEST_F(RepairTest, AMemberThatWasRemovedMeanwhileIsToldSo) {
  Start();
  const uint64_t id = cluster_.server(victim_)->member_id().value();
  const int other = victim_ % 3 + 1;
  cluster_.Crash(victim_);
  DamageLog(&cluster_, victim_);
  etcdserverpb::MemberRemoveRequest request;
  request.set_id(id);
  ASSERT_TRUE(Eventually([&] {
    return cluster_.Call(other, "/etcdserverpb.Cluster/MemberRemove", request.SerializeAsString())
        .status.ok();
  }));
  cluster_.Start(victim_);
  ASSERT_TRUE(cluster_.world().RunUntil([&] { return !cluster_.failure(victim_).ok(); }));
  EXPECT_TRUE(cluster_.Logged(victim_, "removed"));
  EXPECT_FALSE(cluster_.server(victim_)->repaired());
}

TEST(RepairAlone, AMemberAloneSaysWhatIsDamaged) {
  TestCluster alone(1);
  alone.StartAll();
  ASSERT_TRUE(alone.RunUntilReady());
  ASSERT_TRUE(alone.Put(1, "a").status.ok());
  alone.Crash(1);
  DamageLog(&alone, 1);
  alone.Start(1);
  ASSERT_TRUE(alone.world().RunUntil([&] { return !alone.failure(1).ok(); }));
  EXPECT_THAT(std::string(alone.failure(1).message()), HasSubstr("damaged at offset"));
}

}  // namespace
}  // namespace quorate
