// Alarms and the quota of whole members.
#include <gtest/gtest.h>

#include <string>

#include "api/rpc.pb.h"
#include "engine/replica/replica.h"
#include "tests/engine/replica/cluster.h"

namespace quorate::engine {
namespace {

using etcdserverpb::AlarmRequest;
using etcdserverpb::AlarmResponse;
using etcdserverpb::RangeResponse;

const absl::Status kNoSpace =
    absl::ResourceExhaustedError("etcdserver: mvcc: database space exceeded");
const absl::Status kCorrupt = absl::DataLossError("etcdserver: corrupt cluster");

std::string Alarm(AlarmRequest::AlarmAction action, uint64_t member, etcdserverpb::AlarmType type) {
  AlarmRequest request;
  request.set_action(action);
  request.set_memberid(member);
  request.set_alarm(type);
  return request.SerializeAsString();
}

AlarmResponse CallAlarm(Cluster* cluster, int member, const std::string& request) {
  const Response response = cluster->Call(member, RequestKind::kAlarm, request);
  EXPECT_TRUE(response.status.ok()) << response.status;
  return Parsed<AlarmResponse>(response);
}

AlarmResponse List(Cluster* cluster, int member) {
  return CallAlarm(cluster, member, Alarm(AlarmRequest::GET, 0, etcdserverpb::NONE));
}

std::string TxnWith(bool put_on_success, bool put_on_failure) {
  etcdserverpb::TxnRequest txn;
  txn.add_success()->mutable_request_delete_range()->set_key("nothing");
  if (put_on_success) txn.add_success()->mutable_request_put()->set_key("t");
  if (put_on_failure) txn.add_failure()->mutable_request_put()->set_key("t");
  return txn.SerializeAsString();
}

std::string Compact(int64_t revision) {
  etcdserverpb::CompactionRequest request;
  request.set_revision(revision);
  return request.SerializeAsString();
}

TEST(ReplicaAlarm, IsRaisedListedAndPutOut) {
  Cluster cluster(3);
  cluster.Elect();
  const std::string raise = Alarm(AlarmRequest::ACTIVATE, 2, etcdserverpb::NOSPACE);
  for (int again = 0; again < 2; ++again) {
    const AlarmResponse raised = CallAlarm(&cluster, 1, raise);
    ASSERT_EQ(raised.alarms_size(), 1);
    EXPECT_EQ(raised.alarms(0).memberid(), 2u);
    EXPECT_EQ(raised.alarms(0).alarm(), etcdserverpb::NOSPACE);
    EXPECT_EQ(raised.header().cluster_id(), 77u);
  }
  CallAlarm(&cluster, 1, Alarm(AlarmRequest::ACTIVATE, 1, etcdserverpb::CORRUPT));
  EXPECT_EQ(
      CallAlarm(&cluster, 1, Alarm(AlarmRequest::ACTIVATE, 1, etcdserverpb::NONE)).alarms_size(),
      0);
  for (int member = 1; member <= 3; ++member) {
    EXPECT_EQ(List(&cluster, member).alarms_size(), 2);
    EXPECT_EQ(CallAlarm(&cluster, member, Alarm(AlarmRequest::GET, 0, etcdserverpb::CORRUPT))
                  .alarms_size(),
              1);
    EXPECT_EQ(cluster[member].alarms().size(), 2u);
  }
  const std::string put_out = Alarm(AlarmRequest::DEACTIVATE, 2, etcdserverpb::NOSPACE);
  EXPECT_EQ(CallAlarm(&cluster, 3, put_out).alarms_size(), 1);
  EXPECT_EQ(CallAlarm(&cluster, 3, put_out).alarms_size(), 0);
  EXPECT_EQ(List(&cluster, 3).alarms_size(), 1);
  AlarmRequest odd;
  odd.set_action(static_cast<AlarmRequest::AlarmAction>(9));
  EXPECT_EQ(CallAlarm(&cluster, 3, odd.SerializeAsString()).alarms_size(), 0);
}

TEST(ReplicaAlarm, NoSpaceRefusesWhatAddsWhoeverRaisedIt) {
  Cluster cluster(3);
  cluster.Elect();
  ASSERT_TRUE(cluster.Call(1, RequestKind::kPut, Put("a", "1")).status.ok());
  ASSERT_TRUE(cluster.Call(1, RequestKind::kLeaseGrant, Grant(7, 60)).status.ok());
  CallAlarm(&cluster, 1, Alarm(AlarmRequest::ACTIVATE, 3, etcdserverpb::NOSPACE));
  for (int member = 1; member <= 3; ++member) {
    const auto status = [&](RequestKind kind, const std::string& body) {
      return cluster.Call(member, kind, body).status;
    };
    EXPECT_EQ(status(RequestKind::kPut, Put("a", "2")), kNoSpace);
    EXPECT_EQ(status(RequestKind::kTxn, TxnWith(true, false)), kNoSpace);
    EXPECT_EQ(status(RequestKind::kTxn, TxnWith(false, true)), kNoSpace);
    EXPECT_EQ(status(RequestKind::kLeaseGrant, Grant(8, 60)), kNoSpace);
    EXPECT_EQ(status(RequestKind::kLeaseGrant, Grant(8, 9'000'000'001)), kNoSpace);
    EXPECT_TRUE(status(RequestKind::kTxn, TxnWith(false, false)).ok());
    EXPECT_TRUE(status(RequestKind::kRange, Get("a")).ok());
    EXPECT_TRUE(status(RequestKind::kDeleteRange, Delete("a")).ok());
  }
  EXPECT_TRUE(cluster.Call(1, RequestKind::kCompact, Compact(2)).status.ok());
  EXPECT_TRUE(cluster.Call(1, RequestKind::kLeaseRevoke, Revoke(7)).status.ok());
}

TEST(ReplicaAlarm, CorruptRefusesEveryChange) {
  Cluster cluster(3);
  cluster.Elect();
  ASSERT_TRUE(cluster.Call(1, RequestKind::kPut, Put("a", "1")).status.ok());
  ASSERT_TRUE(cluster.Call(1, RequestKind::kLeaseGrant, Grant(7, 2)).status.ok());
  ASSERT_TRUE(cluster.Call(1, RequestKind::kPut, PutWithLease("b", "1", 7)).status.ok());
  CallAlarm(&cluster, 1, Alarm(AlarmRequest::ACTIVATE, 3, etcdserverpb::CORRUPT));
  const auto status = [&](RequestKind kind, const std::string& body) {
    return cluster.Call(2, kind, body).status;
  };
  EXPECT_EQ(status(RequestKind::kPut, Put("a", "2")), kCorrupt);
  EXPECT_EQ(status(RequestKind::kDeleteRange, Delete("a")), kCorrupt);
  EXPECT_EQ(status(RequestKind::kTxn, TxnWith(false, false)), kCorrupt);
  EXPECT_EQ(status(RequestKind::kCompact, Compact(2)), kCorrupt);
  EXPECT_EQ(status(RequestKind::kLeaseGrant, Grant(8, 60)), kCorrupt);
  EXPECT_EQ(status(RequestKind::kLeaseGrant, Grant(8, 9'000'000'001)), kCorrupt);
  EXPECT_EQ(status(RequestKind::kLeaseRevoke, Revoke(7)), kCorrupt);
  EXPECT_TRUE(status(RequestKind::kRange, Get("a")).ok());
  // Nor do leases end; once the alarm is out they do.
  cluster.Run(Seconds(10));
  EXPECT_EQ(cluster[1].status().leases, 1u);
  CallAlarm(&cluster, 1, Alarm(AlarmRequest::DEACTIVATE, 3, etcdserverpb::CORRUPT));
  cluster.Run(Seconds(4));
  EXPECT_EQ(cluster[1].status().leases, 0u);
  EXPECT_TRUE(status(RequestKind::kPut, Put("a", "2")).ok());
}

TEST(ReplicaAlarm, ComesBackFromTheLog) {
  Cluster cluster(1);
  cluster.Elect();
  CallAlarm(&cluster, 1, Alarm(AlarmRequest::ACTIVATE, 1, etcdserverpb::NOSPACE));
  const uint64_t digest = cluster[1].StateDigest();
  cluster.Crash(1);
  cluster.Restart(1);
  cluster.Elect();
  EXPECT_EQ(cluster[1].StateDigest(), digest);
  EXPECT_EQ(cluster.Call(1, RequestKind::kPut, Put("a", "2")).status, kNoSpace);
}

// 200 kB on top of what an empty store takes.
class ReplicaQuota : public ::testing::Test {
 protected:
  static constexpr int64_t kQuota = 200'000;
  ReplicaQuota() : cluster_(3, [](Config* config) { config->quota_bytes = kQuota; }) {
    leader_ = cluster_.Elect();
  }
  absl::Status PutLarge(int member, int number) {
    return cluster_
        .Call(member, RequestKind::kPut,
              Put("k" + std::to_string(number), std::string(10'000, 'x')))
        .status;
  }
  void Fill(int member) {
    int n = 0;
    while (n < 100 && PutLarge(member, n).ok()) ++n;
    ASSERT_GT(n, 10);
    ASSERT_LT(n, 20);
  }

  Cluster cluster_;
  int leader_ = 0;
};

TEST_F(ReplicaQuota, RefusesWhatDoesNotFitAndRaisesTheAlarm) {
  const int member = leader_ == 3 ? 2 : 3;  // one that has to pass its alarm on
  Fill(member);
  EXPECT_LT(cluster_[member].status().db_bytes_in_use, static_cast<uint64_t>(kQuota));
  const AlarmResponse alarms = List(&cluster_, 1);
  ASSERT_EQ(alarms.alarms_size(), 1);
  EXPECT_EQ(alarms.alarms(0).memberid(), static_cast<uint64_t>(member));
  EXPECT_EQ(cluster_.Call(leader_, RequestKind::kPut, Put("small", "")).status, kNoSpace);
  const auto status =
      Parsed<etcdserverpb::StatusResponse>(cluster_.Call(1, RequestKind::kStatus, ""));
  EXPECT_EQ(status.dbsizequota(), kQuota);
  ASSERT_EQ(status.errors_size(), 1);
  EXPECT_EQ(status.errors(0), "memberID:" + std::to_string(member) + " alarm:NOSPACE ");
}

TEST_F(ReplicaQuota, SpaceComesBackByDeletionAndCompactionWithoutDefragmentation) {
  Fill(leader_);
  ASSERT_TRUE(cluster_.Call(1, RequestKind::kDeleteRange, Delete("k", "l")).status.ok());
  const int64_t revision = cluster_[1].status().revision.value();
  ASSERT_TRUE(cluster_.Call(1, RequestKind::kCompact, Compact(revision)).status.ok());
  EXPECT_EQ(PutLarge(1, 1), kNoSpace) << "the alarm stands until somebody puts it out";
  CallAlarm(&cluster_, 1,
            Alarm(AlarmRequest::DEACTIVATE, static_cast<uint64_t>(leader_), etcdserverpb::NOSPACE));
  EXPECT_TRUE(PutLarge(1, 1).ok());
  EXPECT_EQ(List(&cluster_, 1).alarms_size(), 0);
}

TEST_F(ReplicaQuota, AnAlarmThatIsPutOutTooEarlyIsRaisedAgainByTheNextPut) {
  Fill(leader_);
  CallAlarm(&cluster_, 1,
            Alarm(AlarmRequest::DEACTIVATE, static_cast<uint64_t>(leader_), etcdserverpb::NOSPACE));
  EXPECT_EQ(List(&cluster_, 1).alarms_size(), 0);
  cluster_.Run(Seconds(2));
  EXPECT_EQ(PutLarge(leader_, 1), kNoSpace);
  EXPECT_EQ(List(&cluster_, 1).alarms_size(), 1);
}

// What all fits when it is proposed may be too much together. It was committed, so it
// takes effect and is acknowledged; then everybody knows.
TEST_F(ReplicaQuota, WhatWasUnderWayMayExceedIt) {
  std::vector<RequestToken> tokens;
  for (int i = 0; i < 40; ++i) {
    tokens.push_back(cluster_.Send(leader_, RequestKind::kPut,
                                   Put("k" + std::to_string(i), std::string(10'000, 'x'))));
  }
  cluster_.Settle();
  for (const RequestToken token : tokens) EXPECT_TRUE(cluster_.Find(token)->status.ok());
  EXPECT_EQ(List(&cluster_, 1).alarms_size(), 3) << "of every member";
  EXPECT_EQ(PutLarge(leader_, 99), kNoSpace);
  for (int member = 2; member <= 3; ++member) {
    EXPECT_EQ(cluster_[member].StateDigest(), cluster_[1].StateDigest());
  }
}

TEST_F(ReplicaQuota, LeasesCount) {
  absl::Status status;
  int64_t id = 0;
  while (status.ok() && id < 100'000) {
    status = cluster_.Call(leader_, RequestKind::kLeaseGrant, Grant(++id, 60)).status;
  }
  EXPECT_EQ(status, kNoSpace);
  EXPECT_GT(id, 1000);
}

TEST(ReplicaWithoutQuota, TakesEverything) {
  Cluster cluster(1);
  cluster.Elect();
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(
        cluster.Call(1, RequestKind::kPut, Put(std::to_string(i), std::string(100'000, 'x')))
            .status.ok());
  }
}

}  // namespace
}  // namespace quorate::engine
