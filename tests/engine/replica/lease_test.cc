// Leases of whole members: who ends them and when, who may renew them.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "api/rpc.pb.h"
#include "engine/replica/replica.h"
#include "tests/engine/replica/cluster.h"

namespace quorate::engine {
namespace {

using etcdserverpb::LeaseGrantResponse;
using etcdserverpb::LeaseKeepAliveResponse;
using etcdserverpb::LeaseLeasesResponse;
using etcdserverpb::LeaseTimeToLiveResponse;
using etcdserverpb::RangeResponse;

int Follower(const Cluster& cluster) { return cluster.leader() == 1 ? 2 : 1; }

void GrantOk(Cluster* cluster, int64_t id, int64_t ttl) {
  const auto response = cluster->Call(1, RequestKind::kLeaseGrant, Grant(id, ttl));
  ASSERT_TRUE(response.status.ok()) << response.status;
}

void PutOk(Cluster* cluster, const std::string& key, int64_t lease) {
  const auto response = cluster->Call(1, RequestKind::kPut, PutWithLease(key, "v", lease));
  ASSERT_TRUE(response.status.ok()) << response.status;
}

int64_t Renew(Cluster* cluster, int member, int64_t id) {
  return Parsed<LeaseKeepAliveResponse>(
             cluster->Call(member, RequestKind::kLeaseKeepAlive, KeepAlive(id)))
      .ttl();
}

LeaseTimeToLiveResponse Left(Cluster* cluster, int member, int64_t id) {
  return Parsed<LeaseTimeToLiveResponse>(
      cluster->Call(member, RequestKind::kLeaseTimeToLive, TimeToLive(id, true)));
}

bool Has(Cluster* cluster, const std::string& key) {
  return Parsed<RangeResponse>(cluster->Call(cluster->leader(), RequestKind::kRange, Get(key)))
             .count() == 1;
}

void ExpectSameState(Cluster* cluster) {
  for (int i = 2; i <= cluster->size(); ++i) {
    ASSERT_EQ((*cluster)[i].status().applied, (*cluster)[1].status().applied);
    EXPECT_EQ((*cluster)[i].StateDigest(), (*cluster)[1].StateDigest());
  }
}

TEST(ReplicaLease, KeysOfAnExpiredLeaseVanishInOneRevision) {
  Cluster cluster(3);
  cluster.Elect();
  GrantOk(&cluster, 7, 5);
  for (const char* key : {"b", "a", "c"}) PutOk(&cluster, key, 7);
  PutOk(&cluster, "other", 0);
  const Revision before = cluster[1].status().revision;
  cluster.Run(Milliseconds(4900));
  EXPECT_TRUE(Has(&cluster, "a"));
  cluster.OpenWatch(2, 1);
  etcdserverpb::WatchRequest watch;
  watch.mutable_create_request()->set_key("a");
  watch.mutable_create_request()->set_range_end("d");
  cluster.Watch(2, 1, watch);
  cluster.Run(Milliseconds(400));
  EXPECT_FALSE(Has(&cluster, "a"));
  EXPECT_TRUE(Has(&cluster, "other"));
  EXPECT_EQ(cluster[1].status().revision, before + 1);
  const auto watched = cluster.TakeWatched(1);
  ASSERT_EQ(watched.size(), 2u);  // created, and all of it at once
  ASSERT_EQ(watched[1].events_size(), 3);
  EXPECT_EQ(watched[1].events(0).kv().key(), "a");
  EXPECT_EQ(watched[1].events(2).kv().key(), "c");
  ExpectSameState(&cluster);
  EXPECT_EQ(cluster[cluster.leader()].status().leases_expired, 1u);
  EXPECT_EQ(cluster[1].status().leases_revoked, 1u);
  EXPECT_EQ(cluster[1].status().leases, 0u);
}

TEST(ReplicaLease, AnyMemberRenews) {
  Cluster cluster(3);
  cluster.Elect();
  GrantOk(&cluster, 7, 5);
  PutOk(&cluster, "a", 7);
  for (int i = 0; i < 6; ++i) {
    cluster.Run(Seconds(4));
    EXPECT_EQ(Renew(&cluster, 1 + i % 3, 7), 5);
  }
  EXPECT_TRUE(Has(&cluster, "a"));
  cluster.Run(Milliseconds(5300));
  EXPECT_FALSE(Has(&cluster, "a"));
}

TEST(ReplicaLease, AnyMemberTellsWhatIsLeft) {
  Cluster cluster(3);
  cluster.Elect();
  GrantOk(&cluster, 7, 100);
  PutOk(&cluster, "b", 7);
  PutOk(&cluster, "a", 7);
  cluster.Run(Milliseconds(30'500));
  for (int member = 1; member <= 3; ++member) {
    const auto left = Left(&cluster, member, 7);
    EXPECT_EQ(left.ttl(), 69);
    EXPECT_EQ(left.grantedttl(), 100);
    EXPECT_EQ(left.id(), 7);
    ASSERT_EQ(left.keys_size(), 2);
    EXPECT_EQ(left.keys(0), "a");
    EXPECT_EQ(left.header().member_id(), static_cast<uint64_t>(member));
    EXPECT_EQ(left.header().revision(), 3);
    const auto missing = Left(&cluster, member, 8);
    EXPECT_EQ(missing.ttl(), -1);
    EXPECT_EQ(missing.grantedttl(), 0);
    EXPECT_EQ(Renew(&cluster, member, 8), 0);
  }
}

TEST(ReplicaLease, RefusesWithEtcdsErrors) {
  Cluster cluster(3);
  cluster.Elect();
  GrantOk(&cluster, 7, 10);
  const auto refusal = [&](RequestKind kind, const std::string& body) {
    return cluster.Call(2, kind, body).status;
  };
  EXPECT_EQ(refusal(RequestKind::kLeaseGrant, Grant(7, 10)),
            absl::FailedPreconditionError("etcdserver: lease already exists"));
  EXPECT_EQ(refusal(RequestKind::kLeaseGrant, Grant(8, 9'000'000'001)),
            absl::OutOfRangeError("etcdserver: too large lease TTL"));
  const absl::Status not_found = absl::NotFoundError("etcdserver: requested lease not found");
  EXPECT_EQ(refusal(RequestKind::kLeaseRevoke, Revoke(8)), not_found);
  EXPECT_EQ(refusal(RequestKind::kPut, PutWithLease("a", "v", 8)), not_found);
  etcdserverpb::TxnRequest txn;
  txn.add_success()->mutable_request_put()->set_key("b");
  etcdserverpb::PutRequest* put = txn.add_success()->mutable_request_put();
  put->set_key("a");
  put->set_lease(8);
  EXPECT_EQ(refusal(RequestKind::kTxn, txn.SerializeAsString()), not_found);
  EXPECT_FALSE(Has(&cluster, "b"));
  EXPECT_FALSE(refusal(RequestKind::kLeaseKeepAlive, "\xff").ok());
  EXPECT_FALSE(refusal(RequestKind::kLeaseGrant, "\xff").ok());
}

TEST(ReplicaLease, TheServerChoosesAPositiveIdAndTheLeastTime) {
  Cluster cluster(3);
  cluster.Elect();
  std::vector<int64_t> ids;
  for (int i = 0; i < 6; ++i) {
    const auto granted = Parsed<LeaseGrantResponse>(
        cluster.Call(1 + i % 3, RequestKind::kLeaseGrant, Grant(0, i - 3)));
    EXPECT_GT(granted.id(), 0);
    EXPECT_EQ(granted.ttl(), 2);
    ids.push_back(granted.id());
  }
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(std::unique(ids.begin(), ids.end()), ids.end());
  for (int member = 1; member <= 3; ++member) {
    const auto list =
        Parsed<LeaseLeasesResponse>(cluster.Call(member, RequestKind::kLeaseList, ""));
    EXPECT_EQ(list.leases_size(), 6);
    EXPECT_EQ(list.header().member_id(), static_cast<uint64_t>(member));
  }
}

TEST(ReplicaLease, IgnoreLeaseKeepsAndAPlainPutDetaches) {
  Cluster cluster(1);
  cluster.Elect();
  GrantOk(&cluster, 7, 5);
  PutOk(&cluster, "kept", 7);
  PutOk(&cluster, "freed", 7);
  etcdserverpb::PutRequest put;
  put.set_key("kept");
  put.set_value("new");
  put.set_ignore_lease(true);
  ASSERT_TRUE(cluster.Call(1, RequestKind::kPut, put.SerializeAsString()).status.ok());
  PutOk(&cluster, "freed", 0);
  cluster.Run(Milliseconds(5100));
  EXPECT_FALSE(Has(&cluster, "kept"));
  EXPECT_TRUE(Has(&cluster, "freed"));
}

// etcd #15247: a leader that does not know yet that it was deposed ends no leases.
TEST(ReplicaLease, ALeaderWithoutAQuorumRevokesNothing) {
  Cluster cluster(3);
  const int old_leader = cluster.Elect();
  GrantOk(&cluster, 7, 5);
  PutOk(&cluster, "a", 7);
  cluster.Run(Milliseconds(4950));
  const LogIndex last = cluster[old_leader].inspector().last_index();
  cluster.Isolate(old_leader, true);
  cluster.Run(Milliseconds(300));  // the lease is due, the leader still believes to lead
  EXPECT_EQ(cluster[old_leader].inspector().last_index(), last);
  const int other = old_leader == 1 ? 2 : 1;
  cluster.Run(Seconds(4));
  ASSERT_NE(cluster.leader(), old_leader);
  ASSERT_NE(cluster.leader(), 0);
  EXPECT_EQ(Renew(&cluster, other, 7), 5);
  cluster.Isolate(old_leader, false);
  cluster.Run(Seconds(4));
  EXPECT_TRUE(Has(&cluster, "a"));
  EXPECT_EQ(Renew(&cluster, old_leader, 7), 5);
  ExpectSameState(&cluster);
}

TEST(ReplicaLease, ALeaderWithoutAQuorumRenewsNothing) {
  Cluster cluster(3);
  const int old_leader = cluster.Elect();
  GrantOk(&cluster, 7, 60);
  cluster.Isolate(old_leader, true);
  const RequestToken renewal = cluster.Send(old_leader, RequestKind::kLeaseKeepAlive, KeepAlive(7));
  const RequestToken question =
      cluster.Send(old_leader, RequestKind::kLeaseTimeToLive, TimeToLive(7));
  cluster.Run(Seconds(6));
  EXPECT_EQ(cluster.Find(renewal), nullptr);
  EXPECT_EQ(cluster.Find(question), nullptr);
  EXPECT_EQ(cluster[old_leader].status().leases_renewed, 0u);
  // Once it hears of the new leader it asks there.
  cluster.Isolate(old_leader, false);
  cluster.Run(Seconds(3));
  ASSERT_NE(cluster.Find(renewal), nullptr);
  EXPECT_EQ(Parsed<LeaseKeepAliveResponse>(*cluster.Find(renewal)).ttl(), 60);
  ASSERT_NE(cluster.Find(question), nullptr);
}

TEST(ReplicaLease, ARequestThatIsLostOnItsWayIsAskedAgain) {
  Cluster cluster(3);
  const int leader = cluster.Elect();
  GrantOk(&cluster, 7, 60);
  const int follower = Follower(cluster);
  cluster.Isolate(leader, true);
  const RequestToken renewal = cluster.Send(follower, RequestKind::kLeaseKeepAlive, KeepAlive(7));
  cluster.Settle();
  EXPECT_EQ(cluster.Find(renewal), nullptr);
  cluster.Isolate(leader, false);
  cluster.Run(Milliseconds(1100));
  ASSERT_NE(cluster.Find(renewal), nullptr);
}

TEST(ReplicaLease, AMemberThatDoesNotLeadSaysSoToItsPeers) {
  Cluster cluster(3);
  cluster.Elect();
  GrantOk(&cluster, 7, 60);
  const int follower = Follower(cluster);
  for (const RequestKind kind :
       {RequestKind::kPeerLeaseKeepAlive, RequestKind::kPeerLeaseTimeToLive}) {
    EXPECT_EQ(cluster.Call(follower, kind, TimeToLive(7)).status,
              absl::FailedPreconditionError("etcdserver: not leader"));
    EXPECT_EQ(cluster.Call(cluster.leader(), kind, TimeToLive(8)).status.code(),
              absl::StatusCode::kNotFound);
    EXPECT_TRUE(cluster.Call(cluster.leader(), kind, TimeToLive(7)).status.ok());
  }
}

TEST(ReplicaLease, ANewLeaderGivesAllOfTheTimeAgain) {
  Cluster cluster(3);
  const int old_leader = cluster.Elect();
  GrantOk(&cluster, 7, 60);
  PutOk(&cluster, "a", 7);
  cluster.Run(Seconds(50));
  const int target = Follower(cluster);
  cluster.Step(old_leader, TransferLeadership{MemberId(static_cast<uint64_t>(target))});
  cluster.Settle();
  ASSERT_EQ(cluster.leader(), target);
  const int64_t left = Left(&cluster, old_leader, 7).ttl();
  EXPECT_GE(left, 60);
  EXPECT_LE(left, 61);  // an election timeout on top
}

Config* WithCheckpoints(Config* config) {
  config->lease_checkpoint_interval = Seconds(100);
  return config;
}

TEST(ReplicaLease, ANewLeaderGoesOnFromTheLastCheckpoint) {
  Cluster cluster(3, [](Config* config) { WithCheckpoints(config); });
  const int old_leader = cluster.Elect();
  GrantOk(&cluster, 7, 1000);
  cluster.Run(Seconds(250));
  const int target = Follower(cluster);
  cluster.Step(old_leader, TransferLeadership{MemberId(static_cast<uint64_t>(target))});
  cluster.Settle();
  ASSERT_EQ(cluster.leader(), target);
  const int64_t left = Left(&cluster, 1, 7).ttl();
  EXPECT_GE(left, 800);
  EXPECT_LE(left, 802);
  ExpectSameState(&cluster);
}

TEST(ReplicaLease, ARenewalMakesTheCheckpointVoid) {
  Cluster cluster(3, [](Config* config) { WithCheckpoints(config); });
  const int old_leader = cluster.Elect();
  GrantOk(&cluster, 7, 1000);
  cluster.Run(Seconds(250));
  // Not before the entry that says so is on a quorum's disks.
  for (int member = 1; member <= 3; ++member) cluster.HoldDisk(member, true);
  const RequestToken renewal = cluster.Send(1, RequestKind::kLeaseKeepAlive, KeepAlive(7));
  cluster.Settle();
  EXPECT_EQ(cluster.Find(renewal), nullptr);
  for (int member = 1; member <= 3; ++member) cluster.HoldDisk(member, false);
  cluster.Settle();
  ASSERT_NE(cluster.Find(renewal), nullptr);
  const int target = Follower(cluster);
  cluster.Step(old_leader, TransferLeadership{MemberId(static_cast<uint64_t>(target))});
  cluster.Settle();
  ASSERT_EQ(cluster.leader(), target);
  EXPECT_GE(Left(&cluster, 1, 7).ttl(), 1000);
  ExpectSameState(&cluster);
}

// The lease that is due is not the one that the log holds by the time of the revocation.
TEST(ReplicaLease, ALeaseGrantedAnewIsNotRevokedForTheOldOnesSake) {
  Cluster cluster(3);
  const int leader = cluster.Elect();
  GrantOk(&cluster, 7, 5);
  cluster.Run(Milliseconds(4900));
  // Nothing is committed while the disks stand still, but the leader keeps its quorum.
  for (int member = 1; member <= 3; ++member) cluster.HoldDisk(member, true);
  cluster.Send(leader, RequestKind::kLeaseRevoke, Revoke(7));
  const RequestToken grant = cluster.Send(leader, RequestKind::kLeaseGrant, Grant(7, 5));
  cluster.Settle();
  cluster.Run(Milliseconds(500));  // the old lease is long due
  for (int member = 1; member <= 3; ++member) cluster.HoldDisk(member, false);
  cluster.Settle();
  ASSERT_NE(cluster.Find(grant), nullptr);
  ASSERT_TRUE(cluster.Find(grant)->status.ok());
  cluster.Run(Milliseconds(4500));
  EXPECT_EQ(cluster[leader].status().leases, 1u);
  EXPECT_EQ(cluster[leader].status().leases_expired, 0u);
  cluster.Run(Seconds(1));
  EXPECT_EQ(cluster[leader].status().leases, 0u);
}

// Between the proposal to revoke and its application nobody knows whether the lease can be
// renewed (etcd #20616).
TEST(ReplicaLease, ARenewalWaitsForTheFateOfItsLease) {
  Cluster cluster(3);
  const int leader = cluster.Elect();
  GrantOk(&cluster, 7, 5);
  cluster.Run(Milliseconds(4900));
  for (int member = 1; member <= 3; ++member) cluster.HoldDisk(member, true);
  cluster.Run(Milliseconds(300));
  const RequestToken renewal = cluster.Send(leader, RequestKind::kLeaseKeepAlive, KeepAlive(7));
  cluster.Settle();
  EXPECT_EQ(cluster.Find(renewal), nullptr);
  for (int member = 1; member <= 3; ++member) cluster.HoldDisk(member, false);
  cluster.Settle();
  ASSERT_NE(cluster.Find(renewal), nullptr);
  EXPECT_EQ(Parsed<LeaseKeepAliveResponse>(*cluster.Find(renewal)).ttl(), 0);
}

TEST(ReplicaLease, LeasesAndTheirKeysComeBackFromTheLog) {
  Cluster cluster(3);
  cluster.Elect();
  GrantOk(&cluster, 7, 10);
  GrantOk(&cluster, 8, 1000);
  PutOk(&cluster, "a", 7);
  PutOk(&cluster, "b", 8);
  const uint64_t digest = cluster[1].StateDigest();
  for (int member = 1; member <= 3; ++member) cluster.Crash(member);
  for (int member = 1; member <= 3; ++member) cluster.Restart(member);
  cluster.Elect();
  EXPECT_EQ(cluster[1].StateDigest(), digest);
  EXPECT_EQ(Left(&cluster, 1, 8).keys(0), "b");
  cluster.Run(Seconds(15));
  EXPECT_FALSE(Has(&cluster, "a"));
  EXPECT_TRUE(Has(&cluster, "b"));
}

TEST(ReplicaLease, ComeWithTheStateToAFollowerThatTheLogLeftBehind) {
  Cluster cluster(3, [](Config* config) {
    config->checkpoint_entries = 20;
    config->catchup_entries = 2;
  });
  const int leader = cluster.Elect();
  GrantOk(&cluster, 7, 10);
  PutOk(&cluster, "a", 7);
  const int follower = leader == 3 ? 2 : 3;
  cluster.Isolate(follower, true);
  GrantOk(&cluster, 8, 10);
  PutOk(&cluster, "b", 8);
  for (int i = 0; i < 100; ++i) {
    cluster.Call(leader, RequestKind::kPut, Put("k" + std::to_string(i % 5), "v"));
  }
  ASSERT_GT(cluster[leader].status().first_index, cluster[follower].status().last_index);
  cluster.Isolate(follower, false);
  cluster.Run(Seconds(1));
  EXPECT_EQ(cluster[follower].status().snapshots_installed, 1u);
  ExpectSameState(&cluster);
  cluster.Step(leader, TransferLeadership{MemberId(static_cast<uint64_t>(follower))});
  cluster.Settle();
  ASSERT_EQ(cluster.leader(), follower);
  EXPECT_EQ(Left(&cluster, leader, 8).keys(0), "b");
  cluster.Run(Seconds(12));
  EXPECT_FALSE(Has(&cluster, "a"));
  EXPECT_FALSE(Has(&cluster, "b"));
  EXPECT_TRUE(Has(&cluster, "k1"));
}

TEST(ReplicaLease, ComeBackFromACheckpoint) {
  Cluster cluster(1, [](Config* config) { config->checkpoint_entries = 20; });
  cluster.Elect();
  GrantOk(&cluster, 7, 10);
  PutOk(&cluster, "a", 7);
  for (int i = 0; i < 100; ++i) cluster.Call(1, RequestKind::kPut, Put("k", "v"));
  ASSERT_GT(cluster[1].status().checkpoint, LogIndex(50));
  const uint64_t digest = cluster[1].StateDigest();
  cluster.Crash(1);
  cluster.Restart(1);
  cluster.Elect();
  EXPECT_EQ(cluster[1].StateDigest(), digest);
  EXPECT_EQ(Renew(&cluster, 1, 7), 10);
  cluster.Run(Seconds(12));
  EXPECT_FALSE(Has(&cluster, "a"));
}

TEST(ReplicaLease, ManyLeasesThatEndTogetherEndInBoundedBatches) {
  Cluster cluster(3, [](Config* config) { config->max_expiring_leases = 100; });
  const int leader = cluster.Elect();
  for (int64_t id = 1; id <= 3000; ++id) {
    cluster.Send(leader, RequestKind::kLeaseGrant, Grant(id, 5));
  }
  cluster.Settle();
  ASSERT_EQ(cluster[leader].status().leases, 3000u);
  cluster.ResetCounters();
  cluster.Run(Milliseconds(5300));
  EXPECT_EQ(cluster[leader].status().leases, 0u);
  EXPECT_EQ(cluster[leader].status().leases_expired, 3000u);
  EXPECT_LE(cluster.largest_unit(), 100u);
  ExpectSameState(&cluster);
}

TEST(ReplicaLease, ManyLeasesSurviveAChangeOfLeader) {
  Cluster cluster(3);
  const int old_leader = cluster.Elect();
  for (int64_t id = 1; id <= 4000; ++id) {
    cluster.Send(old_leader, RequestKind::kLeaseGrant, Grant(id, 5));
  }
  cluster.Settle();
  cluster.Run(Seconds(3));
  const int target = Follower(cluster);
  cluster.Step(old_leader, TransferLeadership{MemberId(static_cast<uint64_t>(target))});
  cluster.Settle();
  ASSERT_EQ(cluster.leader(), target);
  cluster.Run(Seconds(5));
  EXPECT_EQ(cluster[target].status().leases, 4000u);
  cluster.Run(Seconds(2));
  EXPECT_EQ(cluster[target].status().leases, 0u);
}

}  // namespace
}  // namespace quorate::engine
