// Members whose disk is full or does not answer.
#include <gtest/gtest.h>

#include "api/rpc.pb.h"
#include "engine/replica/replica.h"
#include "tests/engine/replica/cluster.h"

namespace quorate::engine {
namespace {

const absl::Status kNoSpace =
    absl::ResourceExhaustedError("etcdserver: mvcc: database space exceeded");

TEST(ReplicaDisk, ALeaderWhoseDiskStallsHandsOverLeadership) {
  Cluster cluster(3);
  const int old_leader = cluster.Elect();
  cluster.HoldDisk(old_leader, true);
  const RequestToken put = cluster.Send(old_leader, RequestKind::kPut, Put("a", "1"));
  cluster.Settle();
  EXPECT_EQ(cluster.Find(put), nullptr) << "nothing is applied that the member has not on disk";
  cluster.Step(old_leader, DiskState{.stalled = true});
  cluster.Run(Seconds(1));
  const int leader = cluster.leader();
  ASSERT_NE(leader, 0);
  EXPECT_NE(leader, old_leader);
  EXPECT_EQ(cluster[leader].status().leader_changes, 2u) << "no time without a leader";
  EXPECT_TRUE(cluster.Call(leader, RequestKind::kPut, Put("b", "2")).status.ok());
  const Response kept = cluster.Call(leader, RequestKind::kRange, Get("a"));
  EXPECT_EQ(Parsed<etcdserverpb::RangeResponse>(kept).count(), 1) << "the others had it";
  cluster.HoldDisk(old_leader, false);
  cluster.Step(old_leader, DiskState{});
  cluster.Run(Seconds(1));
  ASSERT_NE(cluster.Find(put), nullptr);
}

TEST(ReplicaDisk, AMemberWhoseDiskStallsDoesNotStand) {
  Cluster cluster(3, [](Config* config) { config->raft.pre_vote = false; });
  const int leader = cluster.Elect();
  const int follower = leader % 3 + 1;
  const Term term = cluster[follower].status().term;
  cluster.Step(follower, DiskState{.stalled = true});
  cluster.Isolate(follower, true);
  cluster.Run(Seconds(20));
  EXPECT_EQ(cluster[follower].status().term, term);
  cluster.Step(follower, DiskState{});
  cluster.Run(Seconds(20));
  EXPECT_GT(cluster[follower].status().term, term);
}

// Heartbeats and their answers wait for no sync.
TEST(ReplicaDisk, SlowSyncsCostNobodyTheLeader) {
  Cluster cluster(3);
  const int leader = cluster.Elect();
  const Term term = cluster[leader].status().term;
  for (int member = 1; member <= 3; ++member) cluster.HoldDisk(member, true);
  const RequestToken put = cluster.Send(leader, RequestKind::kPut, Put("a", "1"));
  cluster.Run(Seconds(20));
  EXPECT_EQ(cluster.Find(put), nullptr);
  EXPECT_EQ(cluster.leader(), leader);
  EXPECT_EQ(cluster[leader].status().term, term);
  for (int member = 1; member <= 3; ++member) cluster.HoldDisk(member, false);
  cluster.Settle();
  EXPECT_NE(cluster.Find(put), nullptr);
}

TEST(ReplicaDisk, AFullDiskRefusesWritesAndRecoversByItself) {
  Cluster cluster(3);
  const int leader = cluster.Elect();
  const int full = leader % 3 + 1;
  ASSERT_TRUE(cluster.Call(leader, RequestKind::kPut, Put("a", "1")).status.ok());
  cluster.Step(full, DiskState{.low_space = true});
  cluster.Run(Seconds(1));
  for (int member = 1; member <= 3; ++member) {
    ASSERT_EQ(cluster[member].alarms().size(), 1u);
    EXPECT_EQ(cluster[member].alarms()[0].member, MemberId(static_cast<uint64_t>(full)));
    EXPECT_EQ(cluster.Call(member, RequestKind::kPut, Put("a", "2")).status, kNoSpace);
    EXPECT_TRUE(cluster.Call(member, RequestKind::kRange, Get("a")).status.ok());
  }
  cluster.Step(full, DiskState{});
  cluster.Run(Seconds(3));
  cluster.Step(full, DiskState{});
  cluster.Run(Seconds(1));
  for (int member = 1; member <= 3; ++member) {
    EXPECT_TRUE(cluster[member].alarms().empty());
    EXPECT_TRUE(cluster.Call(member, RequestKind::kPut, Put("a", "3")).status.ok());
  }
}

// The alarm is on its way when the member that asked for it is restarted.
TEST(ReplicaDisk, AnAlarmOfAnEarlierRunIsPutOutOnceThereIsSpace) {
  Cluster cluster(3);
  const int leader = cluster.Elect();
  const int full = leader % 3 + 1;
  const int third = full % 3 + 1;
  cluster.HoldDisk(leader, true);
  cluster.HoldDisk(third, true);
  cluster.HoldDisk(full, true);
  cluster.Step(full, DiskState{.low_space = true});
  cluster.Settle();
  ASSERT_TRUE(cluster[full].alarms().empty()) << "nothing can be committed";
  cluster.Crash(full);
  cluster.Restart(full);
  cluster.HoldDisk(full, false);
  cluster.HoldDisk(leader, false);
  cluster.HoldDisk(third, false);
  cluster.Run(Seconds(3));
  ASSERT_EQ(cluster[full].alarms().size(), 1u);
  for (int i = 0; i < 3; ++i) {
    cluster.Step(full, DiskState{.scarce = true});
    cluster.Run(Seconds(2));
  }
  EXPECT_EQ(cluster[full].alarms().size(), 1u) << "a restart makes no more space";
  for (int i = 0; i < 2; ++i) {
    cluster.Step(full, DiskState{});
    cluster.Run(Seconds(2));
  }
  EXPECT_TRUE(cluster[full].alarms().empty());
  EXPECT_TRUE(cluster.Call(leader, RequestKind::kPut, Put("a", "1")).status.ok());
}

// It cannot put out its alarm any more.
TEST(ReplicaDisk, TheAlarmOfAMemberThatIsRemovedGoesWithIt) {
  Cluster cluster(3, [](Config* config) { config->strict_reconfig_check = false; });
  const int leader = cluster.Elect();
  const int full = leader % 3 + 1;
  cluster.Step(full, DiskState{.low_space = true});
  cluster.Run(Seconds(1));
  ASSERT_EQ(cluster[leader].alarms().size(), 1u);
  etcdserverpb::MemberRemoveRequest remove;
  remove.set_id(static_cast<uint64_t>(full));
  ASSERT_TRUE(
      cluster.Call(leader, RequestKind::kMemberRemove, remove.SerializeAsString()).status.ok());
  cluster.Step(leader, DiskState{});
  cluster.Run(Seconds(1));
  EXPECT_TRUE(cluster[leader].alarms().empty());
  EXPECT_TRUE(cluster.Call(leader, RequestKind::kPut, Put("a", "1")).status.ok());
}

// Even if nothing is new: what is on the disk is damaged.
TEST(ReplicaDisk, ACheckpointIsTakenWhenOneIsWanted) {
  Cluster cluster(1);
  cluster.Elect();
  ASSERT_TRUE(cluster.Call(1, RequestKind::kPut, Put("a", "1")).status.ok());
  EXPECT_EQ(cluster[1].status().checkpoint, LogIndex(0));
  for (int times = 0; times < 2; ++times) {
    cluster.Step(1, CheckpointWanted{});
    cluster.Settle();
    EXPECT_EQ(cluster[1].status().checkpoint, cluster[1].status().applied);
  }
}

// What the operator has to look at stays until the operator has.
TEST(ReplicaDisk, SpaceOnTheDiskDoesNotPutOutAnAlarmOfTheQuota) {
  Cluster cluster(1, [](Config* config) { config->quota_bytes = 200'000; });
  cluster.Elect();
  const std::string value(30'000, 'x');
  for (int i = 0; i < 20; ++i) {
    cluster.Call(1, RequestKind::kPut, Put("k" + std::to_string(i), value));
  }
  cluster.Run(Seconds(1));
  ASSERT_EQ(cluster[1].alarms().size(), 1u);
  for (int i = 0; i < 3; ++i) {
    cluster.Step(1, DiskState{});
    cluster.Run(Seconds(2));
  }
  EXPECT_EQ(cluster[1].alarms().size(), 1u);
}

}  // namespace
}  // namespace quorate::engine
