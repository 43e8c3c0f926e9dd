// Whole members, driven through Step alone.
#include "engine/replica/replica.h"

#include <gtest/gtest.h>

#include <string>

#include "api/membership.pb.h"
#include "api/rpc.pb.h"
#include "engine/raft/codec.h"
#include "tests/engine/replica/cluster.h"

namespace quorate::engine {
namespace {

using etcdserverpb::PutResponse;
using etcdserverpb::RangeResponse;
using etcdserverpb::TxnResponse;

std::string Value(const Response& response) {
  const auto range = Parsed<RangeResponse>(response);
  return range.kvs_size() == 1 ? range.kvs(0).value()
                               : "(" + std::to_string(range.kvs_size()) + ")";
}

int FollowerOf(const Cluster& cluster) { return cluster.leader() == 1 ? 2 : 1; }

void ExpectSameState(Cluster* cluster) {
  for (int i = 2; i <= cluster->size(); ++i) {
    ASSERT_EQ((*cluster)[i].status().applied, (*cluster)[1].status().applied);
    EXPECT_EQ((*cluster)[i].StateDigest(), (*cluster)[1].StateDigest());
    EXPECT_EQ((*cluster)[i].inspector().applied_chain(), (*cluster)[1].inspector().applied_chain());
    EXPECT_EQ((*cluster)[i].HashKv(Revision(0))->hash, (*cluster)[1].HashKv(Revision(0))->hash);
  }
}

TEST(Replica, BootstrapGivesEveryFounderTheSameMembers) {
  Cluster cluster(3);
  for (int i = 1; i <= 3; ++i) {
    EXPECT_EQ(cluster[i].status().applied, LogIndex(3));
    const std::vector<MemberInfo> members = cluster[i].members();
    ASSERT_EQ(members.size(), 3u);
    EXPECT_EQ(members[1].name, "m2");
    EXPECT_EQ(members[1].peer_urls, std::vector<std::string>{"http://10.0.0.2:2380"});
    EXPECT_EQ(cluster[i].inspector().conf_state().voters.size(), 3u);
  }
}

TEST(Replica, ASingleMemberServesAlone) {
  Cluster cluster(1);
  EXPECT_EQ(cluster.Elect(), 1);
  const auto put = Parsed<PutResponse>(cluster.Call(1, RequestKind::kPut, Put("a", "1")));
  EXPECT_EQ(put.header().revision(), 2);
  EXPECT_EQ(put.header().cluster_id(), 77u);
  EXPECT_EQ(put.header().member_id(), 1u);
  EXPECT_EQ(put.header().raft_term(), cluster[1].status().term.value());
  EXPECT_EQ(Value(cluster.Call(1, RequestKind::kRange, Get("a"))), "1");
}

TEST(Replica, EveryMemberTakesWritesAndLinearizableReads) {
  Cluster cluster(3);
  cluster.Elect();
  for (int i = 1; i <= 3; ++i) {
    ASSERT_TRUE(cluster.Call(i, RequestKind::kPut, Put("k", std::to_string(i))).status.ok());
    for (int j = 1; j <= 3; ++j) {
      EXPECT_EQ(Value(cluster.Call(j, RequestKind::kRange, Get("k"))), std::to_string(i));
    }
  }
  ExpectSameState(&cluster);
}

TEST(Replica, APutIsAnsweredOnlyOnceAQuorumHasItOnDisk) {
  Cluster cluster(3);
  const int leader = cluster.Elect();
  for (int i = 1; i <= 3; ++i) cluster.HoldDisk(i, true);
  const RequestToken token = cluster.Send(leader, RequestKind::kPut, Put("a", "1"));
  cluster.Settle();
  EXPECT_EQ(cluster.Find(token), nullptr);
  cluster.HoldDisk(leader, false);
  cluster.Settle();
  EXPECT_EQ(cluster.Find(token), nullptr);
  cluster.HoldDisk(leader == 1 ? 2 : 1, false);
  cluster.Settle();
  ASSERT_NE(cluster.Find(token), nullptr);
  EXPECT_TRUE(cluster.Find(token)->status.ok());
}

TEST(Replica, RequestsOfOneTurnShareOneUnitForTheDisk) {
  Cluster cluster(3);
  const int leader = cluster.Elect();
  cluster.ResetCounters();
  std::vector<RequestToken> tokens;
  for (int i = 0; i < 50; ++i) {
    tokens.push_back(cluster.Send(leader, RequestKind::kPut, Put("k" + std::to_string(i), "v")));
  }
  cluster.Settle();
  for (const RequestToken token : tokens) ASSERT_NE(cluster.Find(token), nullptr);
  EXPECT_EQ(cluster.largest_unit(), 50u);
  // The entries on each member, and the commit index that follows.
  EXPECT_LE(cluster.persists(), 9u);
}

TEST(Replica, TransactionsCompareAndSwap) {
  Cluster cluster(3);
  cluster.Elect();
  etcdserverpb::TxnRequest create;
  auto* compare = create.add_compare();
  compare->set_key("lock");
  compare->set_target(etcdserverpb::Compare::CREATE);
  compare->set_create_revision(0);
  auto* put = create.add_success()->mutable_request_put();
  put->set_key("lock");
  put->set_value("mine");
  create.add_failure()->mutable_request_range()->set_key("lock");
  const std::string bytes = create.SerializeAsString();
  EXPECT_TRUE(Parsed<TxnResponse>(cluster.Call(1, RequestKind::kTxn, bytes)).succeeded());
  const auto second = Parsed<TxnResponse>(cluster.Call(2, RequestKind::kTxn, bytes));
  EXPECT_FALSE(second.succeeded());
  EXPECT_EQ(second.header().revision(), 2);
  EXPECT_EQ(second.responses(0).response_range().kvs(0).value(), "mine");
}

TEST(Replica, ARestartedMemberReplaysItsLog) {
  Cluster cluster(3);
  cluster.Elect();
  for (int i = 0; i < 20; ++i) {
    cluster.Call(1, RequestKind::kPut, Put("k" + std::to_string(i % 5), std::to_string(i)));
  }
  cluster.Call(1, RequestKind::kDeleteRange, Delete("k0", "k2"));
  for (int i = 1; i <= 3; ++i) cluster.Crash(i);
  for (int i = 1; i <= 3; ++i) cluster.Restart(i);
  cluster.Elect();
  cluster.Run(Seconds(1));
  const auto all = Parsed<RangeResponse>(cluster.Call(2, RequestKind::kRange, GetPrefix("k", "l")));
  EXPECT_EQ(all.count(), 3);
  EXPECT_EQ(all.header().revision(), 22);
  ExpectSameState(&cluster);
}

TEST(Replica, WhatWasAcknowledgedSurvivesTheLeader) {
  Cluster cluster(3);
  const int first = cluster.Elect();
  ASSERT_TRUE(cluster.Call(first, RequestKind::kPut, Put("a", "kept")).status.ok());
  cluster.Crash(first);
  const int second = cluster.Elect();
  EXPECT_NE(second, first);
  EXPECT_EQ(Value(cluster.Call(second, RequestKind::kRange, Get("a"))), "kept");
  cluster.Call(second, RequestKind::kPut, Put("b", "new"));
  cluster.Restart(first);
  cluster.Run(Seconds(1));
  ExpectSameState(&cluster);
}

TEST(Replica, AnIsolatedLeaderAnswersNoLinearizableRead) {
  Cluster cluster(3);
  const int old_leader = cluster.Elect();
  cluster.Call(old_leader, RequestKind::kPut, Put("a", "old"));
  cluster.Isolate(old_leader, true);
  const RequestToken read = cluster.Send(old_leader, RequestKind::kRange, Get("a"));
  cluster.Settle();
  EXPECT_EQ(cluster.Find(read), nullptr);
  // A serializable one may be stale, and is answered at once.
  EXPECT_EQ(Value(cluster.Call(old_leader, RequestKind::kRange, Get("a", true))), "old");
  cluster.Run(Seconds(4));
  const int new_leader = cluster.leader();
  ASSERT_NE(new_leader, 0);
  ASSERT_NE(new_leader, old_leader);
  cluster.Call(new_leader, RequestKind::kPut, Put("a", "new"));
  cluster.Isolate(old_leader, false);
  cluster.Run(Seconds(2));
  // The read that waited is asked again at the new leader and sees its write.
  ASSERT_NE(cluster.Find(read), nullptr);
  EXPECT_EQ(Value(*cluster.Find(read)), "new");
}

TEST(Replica, ProposalsWaitForALeader) {
  Cluster cluster(3);
  const RequestToken put = cluster.Send(1, RequestKind::kPut, Put("a", "1"));
  const RequestToken abandoned = cluster.Send(1, RequestKind::kPut, Put("b", "1"));
  cluster.Settle();
  EXPECT_EQ(cluster.Find(put), nullptr);
  cluster.Abandon(1, abandoned);
  cluster.Elect();
  cluster.Run(Seconds(1));
  ASSERT_NE(cluster.Find(put), nullptr);
  EXPECT_TRUE(cluster.Find(put)->status.ok());
  EXPECT_EQ(cluster.Find(abandoned), nullptr);
  EXPECT_EQ(Value(cluster.Call(2, RequestKind::kRange, Get("b"))), "(0)");
}

TEST(Replica, TheOnlyVoterStandsAtOnceAfterAStart) {
  Cluster cluster(1);
  const Instant start = cluster.now();
  EXPECT_EQ(cluster.leader(), 1);
  ASSERT_TRUE(cluster.Call(1, RequestKind::kPut, Put("a", "1")).status.ok());
  cluster.Crash(1);
  cluster.Restart(1);
  EXPECT_EQ(Value(cluster.Call(1, RequestKind::kRange, Get("a"))), "1");
  EXPECT_EQ(cluster.now(), start);
}

TEST(Replica, ProposalsWaitWhileTheLeaderIsOutOfReach) {
  Cluster cluster(3);
  const int old_leader = cluster.Elect();
  const int follower = FollowerOf(cluster);
  cluster.Crash(old_leader);
  cluster.Step(follower, PeerUnreachable{MemberId(static_cast<uint64_t>(old_leader))});
  const RequestToken put = cluster.Send(follower, RequestKind::kPut, Put("a", "1"));
  cluster.Settle();
  EXPECT_EQ(cluster.Find(put), nullptr);
  cluster.Elect();
  cluster.Run(Milliseconds(100));
  ASSERT_NE(cluster.Find(put), nullptr);
  EXPECT_TRUE(cluster.Find(put)->status.ok());
}

TEST(Replica, AMessageOfTheLeaderEndsTheWaitForIt) {
  Cluster cluster(3);
  const int leader = cluster.Elect();
  const int follower = FollowerOf(cluster);
  cluster.Step(follower, PeerUnreachable{MemberId(static_cast<uint64_t>(leader))});
  const RequestToken put = cluster.Send(follower, RequestKind::kPut, Put("a", "1"));
  cluster.Settle();
  EXPECT_EQ(cluster.Find(put), nullptr);
  cluster.Run(Milliseconds(200));  // a heartbeat comes
  EXPECT_EQ(cluster.leader(), leader);
  ASSERT_NE(cluster.Find(put), nullptr);
  EXPECT_TRUE(cluster.Find(put)->status.ok());
}

TEST(Replica, AProposalLostWithItsLeaderIsAnsweredOnceTheNextOneLeads) {
  Cluster cluster(3);
  const int old_leader = cluster.Elect();
  const int follower = FollowerOf(cluster);
  cluster.Crash(old_leader);
  // The follower does not know yet and passes it on, into the void.
  const RequestToken lost = cluster.Send(follower, RequestKind::kPut, Put("a", "1"));
  cluster.Settle();
  EXPECT_EQ(cluster.Find(lost), nullptr);
  const int new_leader = cluster.Elect();
  EXPECT_NE(new_leader, old_leader);
  cluster.Run(Milliseconds(100));
  ASSERT_NE(cluster.Find(lost), nullptr);
  EXPECT_EQ(cluster.Find(lost)->status, absl::UnavailableError("etcdserver: leader changed"));
  EXPECT_EQ(cluster[follower].status().proposals_pending, 0u);
}

TEST(Replica, AFollowerWhoseLogDivergedIsPutRight) {
  Cluster cluster(3);
  const int old_leader = cluster.Elect();
  cluster.Isolate(old_leader, true);
  const RequestToken lost = cluster.Send(old_leader, RequestKind::kPut, Put("lost", "x"));
  cluster.Settle();
  cluster.Run(Seconds(4));
  const int new_leader = cluster.leader();
  ASSERT_NE(new_leader, old_leader);
  ASSERT_NE(new_leader, 0);
  cluster.Call(new_leader, RequestKind::kPut, Put("won", "y"));
  cluster.Isolate(old_leader, false);
  cluster.Run(Seconds(2));
  ASSERT_NE(cluster.Find(lost), nullptr);
  EXPECT_EQ(cluster.Find(lost)->status, absl::UnavailableError("etcdserver: leader changed"));
  EXPECT_EQ(Value(cluster.Call(old_leader, RequestKind::kRange, Get("lost"))), "(0)");
  ExpectSameState(&cluster);
}

TEST(Replica, RefusesBadRequestsWithEtcdsCodesAndTexts) {
  Cluster cluster(1, [](Config* config) { config->max_request_bytes = 1000; });
  cluster.Elect();
  const auto expect = [&](RequestKind kind, const std::string& body, absl::StatusCode code,
                          const std::string& text) {
    const Response response = cluster.Call(1, kind, body);
    EXPECT_EQ(response.status.code(), code) << text;
    EXPECT_EQ(std::string(response.status.message()), text);
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  expect(RequestKind::kPut, Put("", "x"), kInvalid, "etcdserver: key is not provided");
  expect(RequestKind::kRange, Get(""), kInvalid, "etcdserver: key is not provided");
  expect(RequestKind::kPut, Put("k", std::string(1000, 'x')), kInvalid,
         "etcdserver: request is too large");
  etcdserverpb::PutRequest put;
  put.set_key("k");
  put.set_ignore_value(true);
  expect(RequestKind::kPut, put.SerializeAsString(), kInvalid, "etcdserver: key not found");
  put.set_lease(5);
  expect(RequestKind::kPut, put.SerializeAsString(), absl::StatusCode::kNotFound,
         "etcdserver: requested lease not found");
  etcdserverpb::TxnRequest txn;  // the lease comes first there too
  *txn.add_success()->mutable_request_put() = put;
  expect(RequestKind::kTxn, txn.SerializeAsString(), absl::StatusCode::kNotFound,
         "etcdserver: requested lease not found");
  etcdserverpb::RangeRequest future;
  future.set_key("k");
  future.set_revision(99);
  expect(RequestKind::kRange, future.SerializeAsString(), absl::StatusCode::kOutOfRange,
         "etcdserver: mvcc: required revision is a future revision");
  etcdserverpb::CompactionRequest compact;
  compact.set_revision(99);
  expect(RequestKind::kCompact, compact.SerializeAsString(), absl::StatusCode::kOutOfRange,
         "etcdserver: mvcc: required revision is a future revision");
  EXPECT_EQ(cluster.Call(1, RequestKind::kTxn, "\x0a\xff").status.code(),
            absl::StatusCode::kInternal);
  // None of it has done any harm.
  EXPECT_EQ(cluster[1].status().revision, Revision(1));
}

TEST(Replica, CompactionRefusesOlderReadsAndPhysicalWaitsForTheSpace) {
  Cluster cluster(3);
  cluster.Elect();
  for (int i = 0; i < 3000; ++i) {
    cluster.Send(1, RequestKind::kPut, Put("k", std::string(500, static_cast<char>('a' + i % 26))));
  }
  cluster.Settle();
  const uint64_t before = cluster[2].status().db_bytes;
  etcdserverpb::CompactionRequest compact;
  compact.set_revision(2990);
  compact.set_physical(true);
  const Response response = cluster.Call(1, RequestKind::kCompact, compact.SerializeAsString());
  ASSERT_TRUE(response.status.ok());
  EXPECT_EQ(Parsed<etcdserverpb::CompactionResponse>(response).header().revision(), 3001);
  EXPECT_LT(cluster[1].status().db_bytes, before / 3);
  EXPECT_LT(cluster[2].status().db_bytes, before / 3);
  etcdserverpb::RangeRequest old;
  old.set_key("k");
  old.set_revision(2989);
  EXPECT_EQ(cluster.Call(3, RequestKind::kRange, old.SerializeAsString()).status.message(),
            "etcdserver: mvcc: required revision has been compacted");
  ExpectSameState(&cluster);
}

// Found beside etcd, whose fresh store counts as compacted at -1.
TEST(Replica, APhysicalCompactionAtRevisionZeroIsAnswered) {
  Cluster cluster(1);
  cluster.Elect();
  etcdserverpb::CompactionRequest compact;
  compact.set_physical(true);
  const Response response = cluster.Call(1, RequestKind::kCompact, compact.SerializeAsString());
  ASSERT_TRUE(response.status.ok());
  EXPECT_EQ(Parsed<etcdserverpb::CompactionResponse>(response).header().revision(), 1);
}

TEST(Replica, TooManyPendingProposalsAreRefused) {
  Cluster cluster(3, [](Config* config) { config->max_pending_proposals = 2; });
  cluster.Send(1, RequestKind::kPut, Put("a", ""));
  const RequestToken second = cluster.Send(1, RequestKind::kPut, Put("b", ""));
  const RequestToken third = cluster.Send(1, RequestKind::kPut, Put("c", ""));
  ASSERT_NE(cluster.Find(third), nullptr);
  EXPECT_EQ(cluster.Find(third)->status.message(), "etcdserver: too many requests");
  cluster.Abandon(1, second);
  const RequestToken fourth = cluster.Send(1, RequestKind::kPut, Put("d", ""));
  EXPECT_EQ(cluster.Find(fourth), nullptr);
}

TEST(Replica, TooManyReadsThatWaitAreRefused) {
  Cluster cluster(3);
  const RequestToken first = cluster.Send(1, RequestKind::kRange, Get("a"));
  for (size_t i = 2; i < 50'000; ++i) cluster.Send(1, RequestKind::kRange, Get("a"));
  const RequestToken second = cluster.Send(1, RequestKind::kRange, Get("a"));
  const RequestToken third = cluster.Send(1, RequestKind::kRange, Get("a"));
  ASSERT_NE(cluster.Find(third), nullptr);
  EXPECT_EQ(cluster.Find(third)->status,
            absl::ResourceExhaustedError("etcdserver: too many requests"));
  cluster.Abandon(1, first);
  const RequestToken fourth = cluster.Send(1, RequestKind::kRange, Get("a"));
  cluster.Elect();
  cluster.Run(Seconds(1));
  EXPECT_EQ(cluster.Find(first), nullptr);
  for (const RequestToken served : {second, fourth}) {
    ASSERT_NE(cluster.Find(served), nullptr);
    EXPECT_TRUE(cluster.Find(served)->status.ok());
  }
}

TEST(Replica, MembersAnnounceThemselvesAndTheClusterVersion) {
  Cluster cluster(3);
  cluster.Elect();
  membershippb::ClusterMemberAttrSetRequest attributes;
  attributes.set_member_id(2);
  attributes.mutable_member_attributes()->set_name("two");
  attributes.mutable_member_attributes()->add_client_urls("http://10.0.0.2:2379");
  EXPECT_TRUE(
      cluster.Call(2, RequestKind::kMemberAttributes, attributes.SerializeAsString()).status.ok());
  membershippb::ClusterVersionSetRequest version;
  version.set_ver("3.7.0");
  EXPECT_TRUE(
      cluster.Call(1, RequestKind::kClusterVersion, version.SerializeAsString()).status.ok());
  EXPECT_EQ(cluster[3].cluster_version(), "3.7.0");
  etcdserverpb::MemberListRequest list;
  list.set_linearizable(true);
  const auto members = Parsed<etcdserverpb::MemberListResponse>(
      cluster.Call(3, RequestKind::kMemberList, list.SerializeAsString()));
  ASSERT_EQ(members.members_size(), 3);
  EXPECT_EQ(members.members(1).name(), "two");
  EXPECT_EQ(members.members(1).clienturls(0), "http://10.0.0.2:2379");
  EXPECT_EQ(members.header().revision(), 0);
  version.set_ver("latest");
  EXPECT_EQ(
      cluster.Call(1, RequestKind::kClusterVersion, version.SerializeAsString()).status.code(),
      absl::StatusCode::kInvalidArgument);
}

// Who hands over its leadership asks this.
TEST(Replica, ALeaderKnowsHowFarTheOthersAre) {
  Cluster cluster(3);
  const int leader = cluster.Elect();
  const int near = leader % 3 + 1;
  const int far = near % 3 + 1;
  const auto match = [&](int of) { return cluster[leader].MatchOf(MemberId(of)); };
  cluster.Call(leader, RequestKind::kPut, Put("a", "1"));
  const LogIndex before = match(far);
  EXPECT_EQ(before, match(near));
  cluster.Isolate(far, true);
  cluster.Call(leader, RequestKind::kPut, Put("a", "2"));
  EXPECT_EQ(match(far), before);
  EXPECT_GT(match(near), before);
  EXPECT_EQ(cluster[near].MatchOf(MemberId(far)), LogIndex(0)) << "no leader, so it cannot know";
  EXPECT_EQ(match(9), LogIndex(0)) << "nobody";
}

TEST(Replica, StatusAndHashKvAreLocal) {
  Cluster cluster(3);
  cluster.Elect();
  cluster.Call(1, RequestKind::kPut, Put("a", "1"));
  cluster.Isolate(2, true);
  const auto status =
      Parsed<etcdserverpb::StatusResponse>(cluster.Call(2, RequestKind::kStatus, ""));
  EXPECT_EQ(status.version(), "3.7.1");
  EXPECT_EQ(status.raftappliedindex(), cluster[2].status().applied.value());
  EXPECT_TRUE(status.has_downgradeinfo());
  const auto hash = Parsed<etcdserverpb::HashKVResponse>(cluster.Call(2, RequestKind::kHashKv, ""));
  EXPECT_EQ(hash.hash(), 2587454935u);
  EXPECT_EQ(hash.compact_revision(), -1);
  EXPECT_EQ(hash.hash_revision(), 2);
}

raft::Message Append(const raft::Entry& entry, LogIndex prev, Term prev_term) {
  raft::Message message;
  message.type = raft::MessageType::kApp;
  message.from = MemberId(2);
  message.to = MemberId(1);
  message.term = Term(5);
  message.index = prev;
  message.log_term = prev_term;
  message.entries = {entry};
  message.commit = entry.index;
  return message;
}

TEST(Replica, ACommittedEntryThatItDoesNotKnowStopsTheMember) {
  const auto feed = [](const std::string& data) {
    Cluster cluster(3);
    for (int i = 2; i <= 3; ++i) cluster.Isolate(i, true);
    raft::Entry entry{Term(5), LogIndex(4), raft::EntryType::kNormal, Bytes::Copy(data)};
    cluster.Step(1, PeerMessage{Append(entry, LogIndex(3), Term(1))});
    cluster.Settle();
    EXPECT_EQ(cluster[1].status().applied, LogIndex(3));
    return cluster.last_output(1).fatal;
  };
  const absl::Status garbage = feed("\xff\xff\xff");
  EXPECT_FALSE(garbage.ok());
  EXPECT_NE(std::string(garbage.message()).find("index 4"), std::string::npos);
  // An operation of a later version (field 2000).
  const absl::Status unknown = feed(std::string("\x82\x7d\x00\xa2\x06\x02\x08\x07", 8));
  EXPECT_EQ(unknown.code(), absl::StatusCode::kUnimplemented);
  EXPECT_NE(std::string(unknown.message()).find("2000"), std::string::npos);
  EXPECT_NE(std::string(unknown.message()).find("3.7.1"), std::string::npos);
}

TEST(Replica, APeersUnsoundProposalIsRefusedBeforeItIsReplicated) {
  Cluster cluster(3);
  const int leader = cluster.Elect();
  raft::Message message;
  message.type = raft::MessageType::kProp;
  message.from = MemberId(static_cast<uint64_t>(FollowerOf(cluster)));
  message.to = MemberId(static_cast<uint64_t>(leader));
  message.entries = {{Term(), LogIndex(), raft::EntryType::kNormal, Bytes::Copy("nonsense")}};
  const LogIndex before = cluster[leader].status().last_index;
  cluster.Step(leader, PeerMessage{message});
  cluster.Settle();
  EXPECT_EQ(cluster[leader].status().last_index, before);
  EXPECT_EQ(cluster[leader].status().peer_messages_refused, 1u);
  EXPECT_TRUE(cluster.Call(leader, RequestKind::kPut, Put("a", "1")).status.ok());
}

TEST(Replica, LeadershipIsHandedOver) {
  Cluster cluster(3);
  const int leader = cluster.Elect();
  const int target = leader == 3 ? 1 : leader + 1;
  cluster.Step(leader, TransferLeadership{MemberId(static_cast<uint64_t>(target))});
  cluster.Run(Milliseconds(200));
  EXPECT_EQ(cluster.leader(), target);
}

etcdserverpb::WatchRequest WatchFrom(const std::string& key, int64_t start) {
  etcdserverpb::WatchRequest request;
  request.mutable_create_request()->set_key(key);
  request.mutable_create_request()->set_start_revision(start);
  return request;
}

TEST(Replica, AWatchOnAFollowerSeesPastAndNewRevisions) {
  Cluster cluster(3);
  const int leader = cluster.Elect();
  const int follower = FollowerOf(cluster);
  cluster.Call(leader, RequestKind::kPut, Put("a", "1"));
  cluster.OpenWatch(follower, 9);
  cluster.Watch(follower, 9, WatchFrom("a", 2));
  cluster.Settle();
  cluster.Call(leader, RequestKind::kPut, Put("a", "2"));
  cluster.Call(leader, RequestKind::kDeleteRange, Delete("a"));
  cluster.Settle();
  const auto responses = cluster.TakeWatched(9);
  ASSERT_EQ(responses.size(), 4u);
  EXPECT_TRUE(responses[0].created());
  EXPECT_EQ(responses[0].header().member_id(), static_cast<uint64_t>(follower));
  EXPECT_EQ(responses[1].events(0).kv().value(), "1");
  EXPECT_EQ(responses[2].events(0).kv().value(), "2");
  EXPECT_EQ(responses[3].events(0).type(), mvccpb::Event::DELETE);
  EXPECT_EQ(cluster[follower].status().watchers, 1u);
}

TEST(Replica, ALiveWatcherSeesWhatIsCompactedInTheTurnThatMadeIt) {
  Cluster cluster(1, [](Config* config) { config->store_segment_bytes = 64; });
  cluster.Elect();
  cluster.OpenWatch(1, 1);
  cluster.Watch(1, 1, WatchFrom("k", 0));
  cluster.Settle();
  cluster.TakeWatched(1);
  for (int i = 0; i < 20; ++i) cluster.Send(1, RequestKind::kPut, Put("k", std::to_string(i)));
  etcdserverpb::CompactionRequest compact;
  compact.set_revision(21);
  const RequestToken token = cluster.Send(1, RequestKind::kCompact, compact.SerializeAsString());
  cluster.Settle();
  ASSERT_TRUE(cluster.Find(token)->status.ok());
  int events = 0;
  for (const auto& response : cluster.TakeWatched(1)) {
    EXPECT_FALSE(response.canceled());
    events += response.events_size();
  }
  EXPECT_EQ(events, 20);
}

TEST(Replica, AWatchStreamThatTakesNothingHoldsNobodyUp) {
  Cluster cluster(1);
  cluster.Elect();
  cluster.OpenWatch(1, 1);
  cluster.OpenWatch(1, 2);
  cluster.Watch(1, 1, WatchFrom("k", 0));
  cluster.Watch(1, 2, WatchFrom("k", 0));
  cluster.SetWritable(1, 1, false);
  for (int i = 0; i < 100; ++i) cluster.Send(1, RequestKind::kPut, Put("k", std::to_string(i)));
  cluster.Settle();
  EXPECT_EQ(cluster.TakeWatched(1).size(), 1u);  // that it was created
  EXPECT_EQ(cluster.TakeWatched(2).size(), 101u);
  EXPECT_EQ(cluster[1].status().slow_watchers, 1u);
  cluster.SetWritable(1, 1, true);
  cluster.Settle();
  const auto late = cluster.TakeWatched(1);
  ASSERT_EQ(late.size(), 1u);
  EXPECT_EQ(late[0].events_size(), 100);
}

TEST(Replica, TheSameInputsGiveTheSameHistory) {
  const auto run = [] {
    Cluster cluster(3);
    cluster.Elect();
    for (int i = 0; i < 30; ++i) {
      cluster.Send(1 + i % 3, RequestKind::kPut, Put("k" + std::to_string(i % 4), "v"));
      if (i % 7 == 0) cluster.Run(Milliseconds(37));
    }
    cluster.Run(Seconds(1));
    return std::make_pair(cluster[1].inspector().applied_chain(), cluster[1].StateDigest());
  };
  EXPECT_EQ(run(), run());
}

}  // namespace
}  // namespace quorate::engine
