// Commands, reads and images that take many turns of a member.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "api/rpc.pb.h"
#include "base/prng.h"
#include "engine/replica/replica.h"
#include "tests/engine/replica/cluster.h"

namespace quorate::engine {
namespace {

using etcdserverpb::DeleteRangeResponse;
using etcdserverpb::HashKVResponse;
using etcdserverpb::LeaseTimeToLiveResponse;
using etcdserverpb::RangeResponse;

constexpr int kKeys = 300;
const std::string kAll(1, '\0');

std::function<void(Config*)> TurnWork(uint64_t units) {
  return [units](Config* config) { config->max_turn_work = units; };
}

std::string KeyOf(int i) { return "key" + std::to_string(1000 + i); }

void Fill(Cluster* cluster, int64_t lease = 0) {
  for (int i = 0; i < kKeys; ++i) {
    cluster->Send(1, RequestKind::kPut, PutWithLease(KeyOf(i), "v" + std::to_string(i), lease));
  }
  cluster->Settle();
}

std::string DeleteAll(bool prev_kv = true) {
  etcdserverpb::DeleteRangeRequest request;
  request.set_key(kAll);
  request.set_range_end(kAll);
  request.set_prev_kv(prev_kv);
  return request.SerializeAsString();
}

std::string RangeAll(bool serializable) {
  etcdserverpb::RangeRequest request;
  request.set_key(kAll);
  request.set_range_end(kAll);
  request.set_serializable(serializable);
  request.set_sort_target(etcdserverpb::RangeRequest::VALUE);
  request.set_sort_order(etcdserverpb::RangeRequest::DESCEND);
  return request.SerializeAsString();
}

// A turn of a member whose disk is fast.
bool Turn(Cluster* cluster) {
  const bool wrote = cluster->WriteOnce(1);
  return cluster->WorkOnce(1) || wrote;
}

TEST(ReplicaPieces, ADeleteOfManyKeysTakesManyTurnsAndIsSeenAtOnce) {
  Cluster cluster(1, TurnWork(64));
  cluster.Elect();
  Fill(&cluster);
  const int64_t before = cluster[1].status().revision.value();
  const RequestToken del = cluster.Send(1, RequestKind::kDeleteRange, DeleteAll());
  std::vector<RequestToken> reads;
  int turns = 0;
  for (; cluster.Find(del) == nullptr; ++turns) {
    ASSERT_TRUE(Turn(&cluster));
    if (turns % 10 < 2) {
      reads.push_back(cluster.Send(1, RequestKind::kRange, RangeAll(turns % 10 == 0)));
    }
  }
  EXPECT_GT(turns, 20);
  EXPECT_EQ(cluster[1].status().pieces.applies, 1u);
  const auto deleted = Parsed<DeleteRangeResponse>(*cluster.Find(del));
  EXPECT_EQ(deleted.deleted(), kKeys);
  EXPECT_EQ(deleted.prev_kvs_size(), kKeys);
  cluster.Settle();
  EXPECT_GT(cluster[1].status().pieces.reads, 0u);
  int seen = 0;
  for (const RequestToken token : reads) {
    ASSERT_NE(cluster.Find(token), nullptr);
    const auto range = Parsed<RangeResponse>(*cluster.Find(token));
    const bool old = range.header().revision() == before;
    EXPECT_EQ(range.count(), old ? kKeys : 0);
    EXPECT_EQ(range.kvs_size(), range.count());
    if (old) {
      EXPECT_EQ(range.kvs(0).value(), "v99");
    }
    seen += old ? 1 : 0;
  }
  EXPECT_GT(seen, 0);
  EXPECT_EQ(cluster[1].status().revision.value(), before + 1);
}

TEST(ReplicaPieces, EverybodyIsTheSameWhateverItsPieces) {
  Cluster cluster(3, [](Config* config) {
    const uint64_t units[] = {8, 100, 1'000'000};
    config->max_turn_work = units[config->member_id.value() - 1];
    config->checkpoint_entries = 40;
    config->catchup_entries = 10;
    config->store_segment_bytes = 2048;
  });
  const int leader = cluster.Elect();
  ASSERT_TRUE(cluster.Call(1, RequestKind::kLeaseGrant, Grant(5, 1000)).status.ok());
  Fill(&cluster, 5);
  Prng prng(4);
  std::vector<RequestToken> tokens;
  for (int round = 0; round < 30; ++round) {
    const int member = 1 + static_cast<int>(prng.Below(3));
    etcdserverpb::TxnRequest txn;
    auto* del = txn.add_success()->mutable_request_delete_range();
    del->set_key(KeyOf(static_cast<int>(prng.Below(kKeys))));
    del->set_range_end(KeyOf(static_cast<int>(prng.Below(kKeys))));
    txn.add_success()->mutable_request_range()->set_key(kAll);
    txn.mutable_success(1)->mutable_request_range()->set_range_end(kAll);
    tokens.push_back(cluster.Send(member, RequestKind::kTxn, txn.SerializeAsString()));
    for (int i = 0; i < 10; ++i) {
      tokens.push_back(cluster.Send(member, RequestKind::kPut,
                                    PutWithLease(KeyOf(static_cast<int>(prng.Below(kKeys))),
                                                 "again", round % 2 == 0 ? 5 : 0)));
    }
    if (round % 7 == 6) {
      etcdserverpb::CompactionRequest compact;
      compact.set_revision(cluster[leader].status().revision.value());
      cluster.Send(member, RequestKind::kCompact, compact.SerializeAsString());
    }
    if (round % 3 == 0) cluster.Settle();
  }
  cluster.Settle();
  ASSERT_TRUE(cluster.Call(2, RequestKind::kLeaseRevoke, Revoke(5)).status.ok());
  for (const RequestToken token : tokens) {
    ASSERT_NE(cluster.Find(token), nullptr);
    EXPECT_TRUE(cluster.Find(token)->status.ok());
  }
  EXPECT_GT(cluster[1].status().pieces.applies, 0u);
  EXPECT_GT(cluster[1].status().pieces.images, 0u);
  EXPECT_EQ(cluster[3].status().pieces.applies, 0u);
  for (int i = 2; i <= 3; ++i) {
    EXPECT_EQ(cluster[i].StateDigest(), cluster[1].StateDigest());
    EXPECT_EQ(cluster[i].HashKv(Revision(0))->hash, cluster[1].HashKv(Revision(0))->hash);
  }
}

// Early, when it has only looked, and later, when it has changed something.
TEST(ReplicaPieces, AnEndInTheMidstOfACommandLosesNothing) {
  for (const bool prev_kv : {true, false}) {
    Cluster cluster(1, TurnWork(64));
    cluster.Elect();
    Fill(&cluster);
    cluster.Send(1, RequestKind::kDeleteRange, DeleteAll(prev_kv));
    while (cluster[1].status().pieces.applies == 0) ASSERT_TRUE(Turn(&cluster));
    ASSERT_TRUE(Turn(&cluster));
    ASSERT_GT(cluster[1].status().commit, cluster[1].status().applied);
    cluster.Crash(1);
    cluster.Restart(1);
    cluster.Elect();
    cluster.Settle();
    const auto range = Parsed<RangeResponse>(cluster.Call(1, RequestKind::kRange, RangeAll(false)));
    EXPECT_EQ(range.count(), 0);
  }
}

TEST(ReplicaPieces, NobodyWhoGaveUpWaitingIsAnswered) {
  Cluster cluster(1, TurnWork(64));
  cluster.Elect();
  Fill(&cluster);
  const RequestToken del = cluster.Send(1, RequestKind::kDeleteRange, DeleteAll());
  while (cluster[1].status().pieces.applies == 0) ASSERT_TRUE(Turn(&cluster));
  const RequestToken first = cluster.Send(1, RequestKind::kRange, RangeAll(true));
  const RequestToken second = cluster.Send(1, RequestKind::kRange, RangeAll(true));
  ASSERT_TRUE(Turn(&cluster));  // the first is under way
  for (const RequestToken token : {del, first, second}) cluster.Abandon(1, token);
  cluster.Settle();
  for (const RequestToken token : {del, first, second}) EXPECT_EQ(cluster.Find(token), nullptr);
  EXPECT_EQ(cluster[1].status().keys, 0u);
}

TEST(ReplicaPieces, ALeaseKeepsAllItsKeysUntilItIsRevoked) {
  Cluster cluster(1, TurnWork(64));
  cluster.Elect();
  ASSERT_TRUE(cluster.Call(1, RequestKind::kLeaseGrant, Grant(9, 1000)).status.ok());
  Fill(&cluster, 9);
  const int64_t before = cluster[1].status().revision.value();
  const RequestToken revoke = cluster.Send(1, RequestKind::kLeaseRevoke, Revoke(9));
  std::vector<RequestToken> questions;
  while (cluster.Find(revoke) == nullptr) {
    ASSERT_TRUE(Turn(&cluster));
    questions.push_back(
        cluster.Send(1, RequestKind::kLeaseTimeToLive, TimeToLive(9, /*keys=*/true)));
  }
  cluster.Settle();
  for (const RequestToken token : questions) {
    const auto left = Parsed<LeaseTimeToLiveResponse>(*cluster.Find(token));
    EXPECT_TRUE(left.ttl() == -1 ? left.keys_size() == 0 : left.keys_size() == kKeys)
        << left.keys_size() << " keys of a lease with " << left.ttl() << " seconds left";
  }
  EXPECT_EQ(cluster[1].status().revision.value(), before + 1);
  EXPECT_EQ(cluster[1].status().keys, 0u);
  EXPECT_EQ(cluster[1].status().leases, 0u);
}

// What a client asks for meanwhile changes both ends of the list at once.
TEST(ReplicaPieces, TheKeysOfALeaseAreThoseOfOneMoment) {
  Cluster cluster(1, TurnWork(64));
  cluster.Elect();
  ASSERT_TRUE(cluster.Call(1, RequestKind::kLeaseGrant, Grant(8, 1000)).status.ok());
  ASSERT_TRUE(cluster.Call(1, RequestKind::kLeaseGrant, Grant(9, 1000)).status.ok());
  Fill(&cluster, 9);
  const auto move = [&](int64_t lease) {
    etcdserverpb::TxnRequest txn;
    for (const int i : {0, kKeys - 1}) {
      auto* const put = txn.add_success()->mutable_request_put();
      put->set_key(KeyOf(i));
      put->set_lease(lease);
    }
    return txn.SerializeAsString();
  };
  int moved = 0;
  for (int after = 0; after < 12; ++after) {
    const RequestToken question =
        cluster.Send(1, RequestKind::kLeaseTimeToLive, TimeToLive(9, /*keys=*/true));
    for (int i = 0; i < after; ++i) ASSERT_TRUE(Turn(&cluster));
    cluster.Send(1, RequestKind::kTxn, move(after % 2 == 0 ? 8 : 9));
    cluster.Settle();
    ASSERT_NE(cluster.Find(question), nullptr);
    const auto left = Parsed<LeaseTimeToLiveResponse>(*cluster.Find(question));
    EXPECT_EQ(left.grantedttl(), 1000);
    EXPECT_TRUE(std::is_sorted(left.keys().begin(), left.keys().end()));
    EXPECT_TRUE(left.keys_size() == kKeys || left.keys_size() == kKeys - 2) << left.keys_size();
    moved += left.keys_size() == kKeys ? 0 : 1;
  }
  EXPECT_GT(moved, 0);
  EXPECT_GT(cluster[1].status().pieces.reads, 0u);
}

TEST(ReplicaPieces, AQuestionForManyKeysOutlivesItsLeader) {
  Cluster cluster(3, TurnWork(64));
  const int leader = cluster.Elect();
  ASSERT_TRUE(cluster.Call(leader, RequestKind::kLeaseGrant, Grant(9, 1000)).status.ok());
  Fill(&cluster, 9);
  const RequestToken question =
      cluster.Send(leader, RequestKind::kLeaseTimeToLive, TimeToLive(9, /*keys=*/true));
  while (cluster[leader].status().pieces.reads == 0) ASSERT_TRUE(cluster.WorkAll());
  const int next = leader % 3 + 1;
  cluster.Step(leader, TransferLeadership{MemberId(static_cast<uint64_t>(next))});
  cluster.Run(Seconds(3));
  cluster.Settle();
  EXPECT_EQ(cluster.leader(), next);
  ASSERT_NE(cluster.Find(question), nullptr);
  EXPECT_EQ(Parsed<LeaseTimeToLiveResponse>(*cluster.Find(question)).keys_size(), kKeys);
}

TEST(ReplicaPieces, AListOfManyLeasesHasEachOfThemOnce) {
  Cluster cluster(3, TurnWork(64));
  const int leader = cluster.Elect();
  constexpr int kLeases = 700;
  for (int i = 1; i <= kLeases; ++i) {
    cluster.Send(leader, RequestKind::kLeaseGrant, Grant(i, 1000 + i * 37 % kLeases));
  }
  cluster.Settle();
  for (const int member : {leader, leader % 3 + 1}) {
    const RequestToken list = cluster.Send(member, RequestKind::kLeaseList, "");
    // Among those that come and go meanwhile.
    for (int i = 0; i < 20; ++i) {
      cluster.Send(leader, RequestKind::kLeaseGrant, Grant(kLeases + 1, 5000));
      cluster.Send(leader, RequestKind::kLeaseKeepAlive, KeepAlive(1 + i * 31));
      cluster.WorkAll();
    }
    cluster.Settle();
    ASSERT_NE(cluster.Find(list), nullptr);
    const auto leases = Parsed<etcdserverpb::LeaseLeasesResponse>(*cluster.Find(list));
    std::set<int64_t> ids;
    for (const auto& lease : leases.leases()) EXPECT_TRUE(ids.insert(lease.id()).second);
    for (int i = 1; i <= kLeases; ++i) EXPECT_TRUE(ids.contains(i));
    EXPECT_GT(cluster[member].status().pieces.reads, 0u);
    cluster.Call(leader, RequestKind::kLeaseRevoke, Revoke(kLeases + 1));
  }
}

TEST(ReplicaPieces, AListOfManyLeasesIsInTheOrderInWhichTheyEnd) {
  Cluster cluster(3, TurnWork(64));
  const int leader = cluster.Elect();
  constexpr int kLeases = 700;
  const auto ttl = [](int64_t id) { return 1000 + 10 * (id * 37 % kLeases); };
  for (int i = 1; i <= kLeases; ++i) {
    cluster.Send(leader, RequestKind::kLeaseGrant, Grant(i, ttl(i)));
  }
  cluster.Settle();
  const auto list =
      Parsed<etcdserverpb::LeaseLeasesResponse>(cluster.Call(leader, RequestKind::kLeaseList, ""));
  ASSERT_EQ(list.leases_size(), kLeases);
  for (int i = 1; i < kLeases; ++i) {
    EXPECT_LT(ttl(list.leases(i - 1).id()), ttl(list.leases(i).id())) << i;
  }
  EXPECT_GT(cluster[leader].status().pieces.reads, 0u);
}

TEST(ReplicaPieces, AStateWithManyLeasesIsInstalledInPieces) {
  Cluster cluster(3, [](Config* config) {
    config->max_turn_work = 64;
    config->checkpoint_entries = 40;
    config->catchup_entries = 10;
    config->store_segment_bytes = 2048;
  });
  const int leader = cluster.Elect();
  const int follower = leader % 3 + 1;
  // It has a state of its own, which goes.
  for (int i = 0; i < kKeys; ++i) {
    cluster.Send(leader, RequestKind::kPut, Put(KeyOf(i), std::string(200, 'o')));
  }
  cluster.Settle();
  cluster.Isolate(follower, true);
  constexpr int kLeases = 5000;
  for (int i = 1; i <= kLeases; ++i) {
    cluster.Send(leader, RequestKind::kLeaseGrant, Grant(i, 1000));
    if (i % 500 == 0) cluster.Settle();
  }
  cluster.Call(leader, RequestKind::kPut, PutWithLease("attached", "v", 77));
  cluster.Isolate(follower, false);
  cluster.Run(Seconds(5));
  cluster.Settle();
  EXPECT_EQ(cluster[follower].status().snapshots_installed, 1u);
  EXPECT_EQ(cluster[follower].status().leases, uint64_t{kLeases});
  EXPECT_EQ(cluster[follower].StateDigest(), cluster[leader].StateDigest());
}

// Requests wait for several turns each: they should not wait for whole pieces of a long read, nor
// should sockets.
TEST(ReplicaPieces, LongWorkTakesLittleOfATurnWhileRequestsComeIn) {
  constexpr uint64_t kUnits = 800;
  Cluster cluster(1, TurnWork(kUnits));
  cluster.Elect();
  Fill(&cluster);
  const RequestToken range = cluster.Send(1, RequestKind::kRange, RangeAll(true));
  int turns = 0;
  for (; cluster.Find(range) == nullptr; ++turns) {
    const RequestToken put = cluster.Send(1, RequestKind::kPut, Put("k", "v"));
    while (cluster.Find(put) == nullptr) ASSERT_TRUE(Turn(&cluster));
    EXPECT_TRUE(cluster.Find(range) != nullptr || cluster.last_output(1).only_long_work);
  }
  // Each of the keys is gathered, sorted and sent.
  EXPECT_GT(turns, kKeys * 3 / (static_cast<int>(kUnits) / 4) * 2);
}

// Nothing is applied while an image is taken, so it gets what applying would have got.
TEST(ReplicaPieces, AnImageGetsTheTurnsHalfThatApplyingLeaves) {
  constexpr uint64_t kUnits = 64;
  constexpr int kSegments = 300;
  Cluster cluster(1, [](Config* config) {
    config->max_turn_work = kUnits;
    config->store_segment_bytes = 512;
    config->checkpoint_entries = kSegments;
  });
  cluster.Elect();
  const std::string value(500, 'v');  // a segment each
  for (int i = 0; cluster[1].status().pieces.images == 0;) {
    if (!Turn(&cluster)) cluster.Send(1, RequestKind::kPut, Put(KeyOf(i++), value));
  }
  ASSERT_EQ(cluster[1].status().checkpoint, LogIndex(0));
  uint64_t turns = 0;
  for (; cluster[1].status().checkpoint == LogIndex(0); ++turns) ASSERT_TRUE(Turn(&cluster));
  EXPECT_GT(turns, kSegments / kUnits);
  EXPECT_LE(turns, kSegments / (kUnits / 2) + 4);
}

TEST(ReplicaPieces, ALongHashIsOfOneRevisionWhileWritesAndCompactionsGoOn) {
  Cluster cluster(1, TurnWork(64));
  cluster.Elect();
  Fill(&cluster);
  const RequestToken hash = cluster.Send(1, RequestKind::kHashKv, "");
  etcdserverpb::CompactionRequest compact;
  compact.set_physical(true);
  compact.set_revision(cluster[1].status().revision.value() - 100);
  const uint32_t expected = cluster[1].HashKv(Revision(0))->hash;
  const RequestToken compaction =
      cluster.Send(1, RequestKind::kCompact, compact.SerializeAsString());
  int writes = 0;
  while (cluster.Find(hash) == nullptr) {
    cluster.Send(1, RequestKind::kPut, Put(KeyOf(writes % kKeys), "new"));
    ++writes;
    ASSERT_TRUE(Turn(&cluster));
  }
  EXPECT_GT(writes, 5);
  const auto response = Parsed<HashKVResponse>(*cluster.Find(hash));
  EXPECT_EQ(response.hash(), expected);
  cluster.Settle();
  ASSERT_NE(cluster.Find(compaction), nullptr);
  EXPECT_TRUE(cluster.Find(compaction)->status.ok());
  EXPECT_EQ(cluster[1].status().compact_revision, Revision(compact.revision()));
}

// Members that share a machine would else clean with all of its processors at once.
TEST(ReplicaPieces, WhatNobodyWaitsForHasAPieceAfterEachPause) {
  static constexpr Duration kPause = Milliseconds(1);
  constexpr uint64_t kUnits = 64;
  Cluster cluster(1, [](Config* config) {
    config->max_turn_work = kUnits;
    config->background_pause = kPause;
  });
  cluster.Elect();
  Fill(&cluster);
  etcdserverpb::CompactionRequest compact;
  compact.set_physical(true);
  compact.set_revision(cluster[1].status().revision.value());
  const RequestToken compaction =
      cluster.Send(1, RequestKind::kCompact, compact.SerializeAsString());
  cluster.Settle();
  int pauses = 0;
  for (; cluster.Find(compaction) == nullptr; ++pauses) {
    ASSERT_LE(pauses, kKeys * 8);
    ASSERT_LE(cluster.last_output(1).next_wake, cluster.now() + kPause);
    cluster.Run(kPause);
  }
  EXPECT_GT(pauses, kKeys / (static_cast<int>(kUnits) / 2));
}

TEST(ReplicaPieces, LongRangesDoNotWaitForAHash) {
  Cluster cluster(1, TurnWork(64));
  cluster.Elect();
  Fill(&cluster);
  // As many hashes as would take long, one after the other.
  std::vector<RequestToken> hashes;
  for (int i = 0; i < 60; ++i) hashes.push_back(cluster.Send(1, RequestKind::kHashKv, ""));
  ASSERT_TRUE(Turn(&cluster));
  const RequestToken range = cluster.Send(1, RequestKind::kRange, RangeAll(/*serializable=*/true));
  while (cluster.Find(range) == nullptr) ASSERT_TRUE(Turn(&cluster));
  EXPECT_EQ(cluster.Find(hashes.back()), nullptr);
  EXPECT_EQ(Parsed<RangeResponse>(*cluster.Find(range)).kvs_size(), kKeys);
  cluster.Settle();
  const uint32_t expected = cluster[1].HashKv(Revision(0))->hash;
  for (const RequestToken hash : hashes) {
    ASSERT_NE(cluster.Find(hash), nullptr);
    EXPECT_EQ(Parsed<HashKVResponse>(*cluster.Find(hash)).hash(), expected);
  }
}

TEST(ReplicaPieces, ACompactionGetsItsTurnAmongRangesAndHashesWithoutEnd) {
  Cluster cluster(1, [](Config* config) {
    config->max_turn_work = 64;
    config->background_pause = Seconds(1);  // time stands still: reads that wait for it push it on
  });
  cluster.Elect();
  Fill(&cluster);
  Fill(&cluster);
  std::vector<RequestToken> reads;
  const auto keep_asking = [&] {
    while (!reads.empty() && cluster.Find(reads.front()) != nullptr) reads.erase(reads.begin());
    while (reads.size() < 6) {
      reads.push_back(cluster.Send(1, RequestKind::kHashKv, ""));
      reads.push_back(cluster.Send(1, RequestKind::kRange, RangeAll(/*serializable=*/true)));
    }
  };
  keep_asking();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Turn(&cluster));
  etcdserverpb::CompactionRequest compact;
  compact.set_physical(true);
  compact.set_revision(cluster[1].status().revision.value());
  const RequestToken done = cluster.Send(1, RequestKind::kCompact, compact.SerializeAsString());
  int turns = 0;
  while (cluster.Find(done) == nullptr && ++turns < 2000) {
    keep_asking();
    ASSERT_TRUE(Turn(&cluster));
  }
  ASSERT_NE(cluster.Find(done), nullptr);
  EXPECT_TRUE(cluster.Find(done)->status.ok());
  cluster.Settle();
}

// As in etcd: what may be lost is waited for so long and no longer, and cleaning until it is done.
TEST(ReplicaPieces, APhysicalCompactionHasNoTimeoutOnceItIsApplied) {
  Cluster cluster(3, [](Config* config) {
    config->max_turn_work = 8;
    config->background_pause = Seconds(1);
  });
  const int leader = cluster.Elect();
  const int follower = leader % 3 + 1;
  for (int i = 0; i < 100; ++i) cluster.Call(leader, RequestKind::kPut, Put("k", "v"));
  etcdserverpb::CompactionRequest compact;
  compact.set_revision(90);
  compact.set_physical(true);
  for (int member = 1; member <= 3; ++member) cluster.HoldDisk(member, true);
  const RequestToken token =
      cluster.Send(follower, RequestKind::kCompact, compact.SerializeAsString());
  cluster.Settle();
  EXPECT_FALSE(cluster[follower].OutlivesTimeout(token)) << "it may never be applied";
  for (int member = 1; member <= 3; ++member) cluster.HoldDisk(member, false);
  cluster.Settle();
  ASSERT_EQ(cluster.Find(token), nullptr) << "cleaning is slow here";
  for (int seconds = 0; cluster.Find(token) == nullptr; ++seconds) {
    ASSERT_LT(seconds, 1000);
    EXPECT_TRUE(cluster[follower].OutlivesTimeout(token));
    cluster.Run(Seconds(1));
  }
  EXPECT_FALSE(cluster[follower].OutlivesTimeout(token));
  EXPECT_TRUE(cluster.Find(token)->status.ok());
}

}  // namespace
}  // namespace quorate::engine
