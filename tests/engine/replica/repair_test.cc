// What a member answers to one that has lost its data.
#include <gtest/gtest.h>

#include "api/rpc.pb.h"
#include "engine/replica/replica.h"
#include "tests/engine/replica/cluster.h"

namespace quorate::engine {
namespace {

std::string Repair(uint64_t member) {
  return std::string(RepairRequest{MemberId(member)}.Encode().view());
}

TEST(ReplicaRepair, ABarrierIsCommittedAfterTheQuestion) {
  Cluster cluster(3);
  const int leader = cluster.Elect();
  const int follower = leader % 3 + 1;
  const int lost = follower % 3 + 1;
  ASSERT_TRUE(cluster.Call(leader, RequestKind::kPut, Put("a", "1")).status.ok());
  cluster.Crash(lost);
  for (const int asked : {leader, follower}) {
    const LogIndex before = cluster[leader].status().last_index;
    const Response response = cluster.Call(asked, RequestKind::kPeerRepair, Repair(lost));
    ASSERT_TRUE(response.status.ok()) << response.status;
    const std::optional<RepairAnswer> answer = RepairAnswer::Decode(response.body.Joined());
    ASSERT_TRUE(answer.has_value());
    EXPECT_GT(answer->barrier, before);
    EXPECT_GE(cluster[asked].status().applied, answer->barrier);
  }
}

// An answer would say that nothing is missing in what this member holds.
TEST(ReplicaRepair, WithoutAQuorumThereIsNoAnswer) {
  Cluster cluster(3);
  const int leader = cluster.Elect();
  const int other = leader % 3 + 1;
  const int lost = other % 3 + 1;
  cluster.Crash(lost);
  cluster.HoldDisk(other, true);
  const RequestToken asked = cluster.Send(leader, RequestKind::kPeerRepair, Repair(lost));
  cluster.Settle();
  EXPECT_EQ(cluster.Find(asked), nullptr);
  cluster.HoldDisk(other, false);
  cluster.Settle();
  ASSERT_NE(cluster.Find(asked), nullptr);
  EXPECT_TRUE(cluster.Find(asked)->status.ok());
}

TEST(ReplicaRepair, OnlyMembersAreAnswered) {
  Cluster cluster(3, [](Config* config) { config->strict_reconfig_check = false; });
  const int leader = cluster.Elect();
  const int removed = leader % 3 + 1;
  EXPECT_TRUE(absl::IsNotFound(cluster.Call(leader, RequestKind::kPeerRepair, Repair(77)).status));
  EXPECT_TRUE(absl::IsNotFound(
      cluster.Call(leader, RequestKind::kPeerRepair, Repair(static_cast<uint64_t>(leader)))
          .status));
  EXPECT_FALSE(cluster.Call(leader, RequestKind::kPeerRepair, "short").status.ok());
  etcdserverpb::MemberRemoveRequest remove;
  remove.set_id(static_cast<uint64_t>(removed));
  ASSERT_TRUE(
      cluster.Call(leader, RequestKind::kMemberRemove, remove.SerializeAsString()).status.ok());
  EXPECT_EQ(cluster.Call(leader, RequestKind::kPeerRepair, Repair(static_cast<uint64_t>(removed)))
                .status.code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace quorate::engine
