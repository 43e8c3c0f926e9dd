// Members come and go while the cluster serves: what changes, what is refused and why.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "api/membership.pb.h"
#include "api/rpc.pb.h"
#include "engine/raft/codec.h"
#include "engine/replica/inspector.h"
#include "engine/replica/replica.h"
#include "tests/engine/replica/cluster.h"

namespace quorate::engine {
namespace {

std::string Url(int member) { return "http://10.0.0." + std::to_string(member) + ":2380"; }

std::string Add(int member, bool learner = false, const std::string& url = "") {
  etcdserverpb::Member request;
  request.set_id(static_cast<uint64_t>(member));
  request.add_peerurls(url.empty() ? Url(member) : url);
  request.set_islearner(learner);
  return request.SerializeAsString();
}

// Of a removal and of a promotion.
std::string Id(int member) {
  etcdserverpb::MemberRemoveRequest request;
  request.set_id(static_cast<uint64_t>(member));
  return request.SerializeAsString();
}

std::string NewUrl(int member, const std::string& url) {
  etcdserverpb::MemberUpdateRequest request;
  request.set_id(static_cast<uint64_t>(member));
  request.add_peerurls(url);
  return request.SerializeAsString();
}

std::string MoveTo(int member) {
  etcdserverpb::MoveLeaderRequest request;
  request.set_targetid(static_cast<uint64_t>(member));
  return request.SerializeAsString();
}

std::string Announcement(int member) {
  membershippb::ClusterMemberAttrSetRequest request;
  request.set_member_id(static_cast<uint64_t>(member));
  request.mutable_member_attributes()->set_name("m" + std::to_string(member));
  return request.SerializeAsString();
}

void Lax(Config* config) { config->strict_reconfig_check = false; }

std::vector<uint64_t> MembersOf(Cluster& cluster, int member) {
  std::vector<uint64_t> ids;
  for (const MemberInfo& info : cluster[member].members()) ids.push_back(info.id.value());
  return ids;
}

// Adds a member, starts it, and lets it announce itself.
void Grow(Cluster* cluster, int asked, int joining, bool learner = false) {
  const Response added = cluster->Call(asked, RequestKind::kMemberAdd, Add(joining, learner));
  ASSERT_TRUE(added.status.ok()) << added.status;
  cluster->Join(joining);
  cluster->Run(Seconds(3));
  const Response told =
      cluster->Call(joining, RequestKind::kMemberAttributes, Announcement(joining));
  ASSERT_TRUE(told.status.ok()) << told.status;
}

void ExpectEqual(Cluster* cluster, std::vector<int> members) {
  cluster->Run(Seconds(1));
  for (const int member : members) {
    EXPECT_EQ((*cluster)[member].status().applied, (*cluster)[members[0]].status().applied);
    EXPECT_EQ((*cluster)[member].StateDigest(), (*cluster)[members[0]].StateDigest());
    EXPECT_EQ((*cluster)[member].inspector().conf_state(),
              (*cluster)[members[0]].inspector().conf_state());
  }
}

TEST(ReplicaMembership, GrowsFromOneToThreeAndShrinksBackWhileItServes) {
  Cluster cluster(1, Lax);
  cluster.Elect();
  cluster.Call(1, RequestKind::kPut, Put("a", "1"));
  Grow(&cluster, 1, 2);
  Grow(&cluster, 2, 3);
  EXPECT_EQ(MembersOf(cluster, 3), (std::vector<uint64_t>{1, 2, 3}));
  ASSERT_TRUE(cluster.Call(3, RequestKind::kPut, Put("a", "2")).status.ok());
  ExpectEqual(&cluster, {1, 2, 3});
  EXPECT_EQ(cluster[1].inspector().conf_state().voters.size(), 3u);

  const int leader = cluster.Elect();
  const int leaving = leader == 3 ? 2 : 3;
  const Response removed = cluster.Call(leader, RequestKind::kMemberRemove, Id(leaving));
  ASSERT_TRUE(removed.status.ok()) << removed.status;
  EXPECT_EQ(Parsed<etcdserverpb::MemberRemoveResponse>(removed).members_size(), 2);
  EXPECT_TRUE(cluster[leader].IsRemoved(MemberId(static_cast<uint64_t>(leaving))));
  cluster.Forget(leaving);
  ASSERT_TRUE(cluster.Call(leader, RequestKind::kPut, Put("a", "3")).status.ok());
  const int other = 6 - leader - leaving;
  ASSERT_TRUE(cluster.Call(leader, RequestKind::kMemberRemove, Id(other)).status.ok());
  cluster.Forget(other);
  ASSERT_TRUE(cluster.Call(leader, RequestKind::kPut, Put("a", "4")).status.ok());
  EXPECT_EQ(cluster[leader].inspector().conf_state().voters.size(), 1u);
}

TEST(ReplicaMembership, TheAnswerToAnAdditionNamesTheMemberAndAllOthers) {
  Cluster cluster(1, Lax);
  cluster.Elect();
  const auto response = Parsed<etcdserverpb::MemberAddResponse>(
      cluster.Call(1, RequestKind::kMemberAdd, Add(2, /*learner=*/true)));
  EXPECT_EQ(response.member().id(), 2u);
  EXPECT_TRUE(response.member().islearner());
  EXPECT_EQ(response.member().peerurls(0), Url(2));
  ASSERT_EQ(response.members_size(), 2);
  EXPECT_EQ(response.members(0).name(), "m1");
  EXPECT_EQ(response.header().cluster_id(), 77u);
  EXPECT_EQ(response.header().member_id(), 1u);
  EXPECT_EQ(response.header().revision(), 0);
}

TEST(ReplicaMembership, EntriesAreThoseThatEtcdWrites) {
  Cluster cluster(1, Lax);
  cluster.Elect();
  cluster.Call(1, RequestKind::kMemberAdd, Add(2, /*learner=*/true));
  std::vector<std::string> contexts;
  const auto collect = [&] {
    contexts.clear();
    for (LogIndex i(2); i <= cluster[1].inspector().last_index(); ++i) {
      const auto entry = cluster[1].inspector().EntryAt(i);
      if (entry->type != raft::EntryType::kConfChange) continue;
      const auto change = raft::DecodeConfChange(entry->data);
      ASSERT_TRUE(change.ok());
      EXPECT_NE(change->id, 0u);
      contexts.emplace_back(change->context.view());
    }
  };
  cluster.Join(2);
  cluster.Run(Seconds(2));
  cluster.Call(1, RequestKind::kMemberPromote, Id(2));
  cluster.Call(1, RequestKind::kMemberUpdate, NewUrl(2, "http://10.0.0.9:1"));
  cluster.Call(1, RequestKind::kMemberRemove, Id(2));
  collect();
  EXPECT_EQ(contexts, (std::vector<std::string>{
                          R"({"id":2,"peerURLs":["http://10.0.0.2:2380"],"isLearner":true})",
                          R"({"id":2,"peerURLs":null,"isPromote":true})",
                          R"({"id":2,"peerURLs":["http://10.0.0.9:1"]})", ""}));
}

TEST(ReplicaMembership, TheBoundOnLearnersIsASettingOfWhoeverProposes) {
  Cluster cluster(3, [](Config* config) {
    Lax(config);
    config->max_learners = config->member_id == MemberId(1) ? 2 : 1;
  });
  const int leader = cluster.Elect();
  for (const int id : {4, 5}) {
    EXPECT_TRUE(cluster.Call(1, RequestKind::kMemberAdd, Add(id, true)).status.ok());
  }
  // The others have applied what they would not have proposed.
  ExpectEqual(&cluster, {1, 2, 3});
  for (const int proposer : {1, 2, 3}) {
    EXPECT_EQ(cluster.Call(proposer, RequestKind::kMemberAdd, Add(6, true)).status.message(),
              "etcdserver: too many learner members in cluster");
  }
  EXPECT_TRUE(cluster.Call(leader, RequestKind::kMemberAdd, Add(6)).status.ok());
  EXPECT_EQ(MembersOf(cluster, leader), (std::vector<uint64_t>{1, 2, 3, 4, 5, 6}));
  ExpectEqual(&cluster, {1, 2, 3});
}

TEST(ReplicaMembership, WhatIsImpossibleIsRefusedWithEtcdsTexts) {
  Cluster cluster(3, Lax);
  const int leader = cluster.Elect();
  const auto text = [&](RequestKind kind, const std::string& body) {
    return std::string(cluster.Call(leader, kind, body).status.message());
  };
  EXPECT_EQ(text(RequestKind::kMemberAdd, Add(2)), "etcdserver: member ID already exist");
  EXPECT_EQ(text(RequestKind::kMemberAdd, Add(4, false, Url(1))),
            "etcdserver: Peer URLs already exists");
  EXPECT_EQ(text(RequestKind::kMemberRemove, Id(9)), "etcdserver: member not found");
  EXPECT_EQ(text(RequestKind::kMemberUpdate, NewUrl(9, Url(9))), "etcdserver: member not found");
  EXPECT_EQ(text(RequestKind::kMemberUpdate, NewUrl(2, Url(1))),
            "etcdserver: Peer URLs already exists");
  EXPECT_EQ(text(RequestKind::kMemberPromote, Id(9)), "etcdserver: member not found");
  EXPECT_EQ(text(RequestKind::kMemberPromote, Id(leader)),
            "etcdserver: can only promote a learner member");
  EXPECT_EQ(text(RequestKind::kMemberAdd, Add(4, true)), "");
  EXPECT_EQ(text(RequestKind::kMemberAdd, Add(4, true)), "etcdserver: member ID already exist");
  EXPECT_EQ(text(RequestKind::kMemberAdd, Add(5, true, Url(1))),
            "etcdserver: Peer URLs already exists");
  EXPECT_EQ(text(RequestKind::kMemberAdd, Add(5, true)),
            "etcdserver: too many learner members in cluster");
  EXPECT_EQ(text(RequestKind::kMemberPromote, Id(4)),
            "etcdserver: can only promote a learner member which is in sync with leader");
  EXPECT_EQ(text(RequestKind::kMemberRemove, Id(4)), "");
  // Ids are never used again.
  EXPECT_EQ(text(RequestKind::kMemberAdd, Add(4)), "etcdserver: member not found");
  EXPECT_EQ(MembersOf(cluster, leader), (std::vector<uint64_t>{1, 2, 3}));
  ExpectEqual(&cluster, {1, 2, 3});
}

TEST(ReplicaMembership, StrictChecksWantStartedAndConnectedVoters) {
  Cluster cluster(3);
  const int leader = cluster.Elect();
  const auto add = [&](int member, bool learner = false) {
    return std::string(
        cluster.Call(leader, RequestKind::kMemberAdd, Add(member, learner)).status.message());
  };
  const auto connect = [&](bool up) {
    for (int m = 1; m <= 3; ++m) {
      if (m != leader) cluster.Step(leader, PeerConnected{MemberId(static_cast<uint64_t>(m)), up});
    }
  };
  const std::string unhealthy = "etcdserver: unhealthy cluster";
  EXPECT_EQ(add(4), unhealthy);
  EXPECT_EQ(add(4, /*learner=*/true), unhealthy);
  connect(true);
  cluster.Run(Seconds(4));
  EXPECT_EQ(add(4), unhealthy);  // not for long enough
  cluster.Run(Seconds(2));
  EXPECT_EQ(add(4), "");
  // The fourth has not started: a fifth is all right, a sixth would leave three of six.
  EXPECT_EQ(add(5), "");
  const Response sixth = cluster.Call(leader, RequestKind::kMemberAdd, Add(6));
  EXPECT_EQ(sixth.status, absl::UnknownError("etcdserver: re-configuration failed due to not "
                                             "enough started members"));
}

TEST(ReplicaMembership, StrictChecksKeepTheQuorumThatWorks) {
  Cluster cluster(3);
  const int leader = cluster.Elect();
  const int a = leader % 3 + 1;
  const int b = a % 3 + 1;
  const auto connect = [&](int member, bool up) {
    cluster.Step(leader, PeerConnected{MemberId(static_cast<uint64_t>(member)), up});
  };
  connect(a, true);
  connect(b, true);
  cluster.Run(Seconds(6));
  connect(b, false);
  // The leader and one other work: without that other nothing would.
  const Response working = cluster.Call(leader, RequestKind::kMemberRemove, Id(a));
  EXPECT_EQ(working.status, absl::UnavailableError("etcdserver: unhealthy cluster"));
  // The one that is down may go.
  EXPECT_TRUE(cluster.Call(leader, RequestKind::kMemberRemove, Id(b)).status.ok());
}

TEST(ReplicaMembership, TheOnlyVoterStays) {
  for (const bool strict : {true, false}) {
    Cluster cluster(1, [strict](Config* config) { config->strict_reconfig_check = strict; });
    cluster.Elect();
    EXPECT_FALSE(cluster.Call(1, RequestKind::kMemberRemove, Id(1)).status.ok());
    EXPECT_TRUE(cluster.Call(1, RequestKind::kPut, Put("a", "1")).status.ok());
    EXPECT_EQ(MembersOf(cluster, 1), std::vector<uint64_t>{1});
  }
}

TEST(ReplicaMembership, ALearnerServesStatusAndLocalReadsAndCountsForNothing) {
  Cluster cluster(1, Lax);
  cluster.Elect();
  cluster.Call(1, RequestKind::kPut, Put("a", "1"));
  Grow(&cluster, 1, 2, /*learner=*/true);
  EXPECT_TRUE(cluster[2].status().is_learner);
  const auto text = [&](RequestKind kind, const std::string& body) {
    return std::string(cluster.Call(2, kind, body).status.message());
  };
  const std::string refusal = "etcdserver: rpc not supported for learner";
  EXPECT_EQ(text(RequestKind::kPut, Put("a", "2")), refusal);
  EXPECT_EQ(text(RequestKind::kRange, Get("a")), refusal);
  EXPECT_EQ(text(RequestKind::kMemberList, ""), refusal);
  EXPECT_EQ(text(RequestKind::kMemberAdd, Add(3)), refusal);
  EXPECT_EQ(text(RequestKind::kMoveLeader, MoveTo(2)), refusal);
  EXPECT_EQ(text(RequestKind::kStatus, ""), "");
  const auto local = Parsed<etcdserverpb::RangeResponse>(
      cluster.Call(2, RequestKind::kRange, Get("a", /*serializable=*/true)));
  ASSERT_EQ(local.kvs_size(), 1);
  EXPECT_EQ(local.kvs(0).value(), "1");
  cluster.Crash(2);
  EXPECT_TRUE(cluster.Call(1, RequestKind::kPut, Put("a", "3")).status.ok());
}

TEST(ReplicaMembership, APromotionAskedOfAFollowerIsDecidedByTheLeader) {
  Cluster cluster(3, Lax);
  const int leader = cluster.Elect();
  const int follower = leader % 3 + 1;
  Grow(&cluster, leader, 4, /*learner=*/true);
  const Response promoted = cluster.Call(follower, RequestKind::kMemberPromote, Id(4));
  ASSERT_TRUE(promoted.status.ok()) << promoted.status;
  const auto response = Parsed<etcdserverpb::MemberPromoteResponse>(promoted);
  EXPECT_EQ(response.header().member_id(), static_cast<uint64_t>(follower));
  ASSERT_EQ(response.members_size(), 4);
  EXPECT_FALSE(response.members(3).islearner());
  EXPECT_EQ(cluster.Call(follower, RequestKind::kMemberPromote, Id(4)).status,
            absl::FailedPreconditionError("etcdserver: can only promote a learner member"));
  EXPECT_TRUE(absl::IsNotFound(cluster.Call(follower, RequestKind::kMemberPromote, Id(9)).status));
  EXPECT_EQ(cluster.Call(follower, RequestKind::kPeerMemberPromote, Id(4)).status,
            absl::FailedPreconditionError("etcdserver: not leader"));
  ExpectEqual(&cluster, {1, 2, 3, 4});
}

TEST(ReplicaMembership, ChangesAskedForAtOnceAreMadeOneAfterAnother) {
  Cluster cluster(3, Lax);
  const int leader = cluster.Elect();
  std::vector<RequestToken> asked;
  for (const int member : {4, 5, 6}) {
    asked.push_back(cluster.Send(leader, RequestKind::kMemberAdd, Add(member)));
  }
  cluster.Join(4);
  cluster.Join(5);
  cluster.Join(6);
  cluster.Run(Seconds(5));
  for (const RequestToken token : asked) {
    const Response* const response = cluster.Find(token);
    ASSERT_NE(response, nullptr);
    EXPECT_TRUE(response->status.ok()) << response->status;
  }
  ExpectEqual(&cluster, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(cluster[leader].inspector().conf_state().voters.size(), 6u);
}

TEST(ReplicaMembership, AMemberThatJoinsLateGetsTheStateFromASnapshot) {
  Cluster cluster(1, [](Config* config) {
    Lax(config);
    config->checkpoint_entries = 20;
    config->catchup_entries = 0;
    config->store_segment_bytes = 512;
  });
  cluster.Elect();
  for (int i = 0; i < 100; ++i) {
    cluster.Call(1, RequestKind::kPut, Put("k" + std::to_string(i), std::to_string(i)));
  }
  ASSERT_TRUE(cluster.Call(1, RequestKind::kMemberAdd, Add(2, /*learner=*/true)).status.ok());
  ASSERT_TRUE(cluster.Call(1, RequestKind::kMemberRemove, Id(2)).status.ok());
  Grow(&cluster, 1, 3);
  ExpectEqual(&cluster, {1, 3});
  EXPECT_GT(cluster[3].status().snapshots_installed, 0u);
  EXPECT_TRUE(cluster[3].IsRemoved(MemberId(2)));
  EXPECT_EQ(MembersOf(cluster, 3), (std::vector<uint64_t>{1, 3}));
}

TEST(ReplicaMembership, MembersAndRemovedIdsSurviveRestartsFromCheckpoints) {
  Cluster cluster(1, [](Config* config) {
    Lax(config);
    config->checkpoint_entries = 5;
    config->catchup_entries = 0;
  });
  cluster.Elect();
  Grow(&cluster, 1, 2);
  ASSERT_TRUE(cluster.Call(1, RequestKind::kMemberAdd, Add(3, /*learner=*/true)).status.ok());
  ASSERT_TRUE(cluster.Call(1, RequestKind::kMemberRemove, Id(3)).status.ok());
  for (int i = 0; i < 20; ++i) cluster.Call(1, RequestKind::kPut, Put("k", std::to_string(i)));
  cluster.Run(Seconds(1));
  const raft::ConfState before = cluster[1].inspector().conf_state();
  for (const int member : {1, 2}) {
    cluster.Crash(member);
    cluster.Restart(member);
    EXPECT_GT(cluster[member].status().checkpoint, LogIndex(5));
    EXPECT_EQ(cluster[member].inspector().conf_state(), before);
    EXPECT_TRUE(cluster[member].IsRemoved(MemberId(3)));
    EXPECT_EQ(MembersOf(cluster, member), (std::vector<uint64_t>{1, 2}));
  }
  cluster.Elect();
  ExpectEqual(&cluster, {1, 2});
}

TEST(ReplicaMembership, ALeaderThatIsRemovedLeavesTheOthersInCharge) {
  Cluster cluster(3, Lax);
  const int leader = cluster.Elect();
  const Response removed = cluster.Call(leader, RequestKind::kMemberRemove, Id(leader));
  ASSERT_TRUE(removed.status.ok()) << removed.status;
  EXPECT_NE(cluster[leader].status().role, Role::kLeader);
  EXPECT_TRUE(cluster[leader].IsRemoved(MemberId(static_cast<uint64_t>(leader))));
  cluster.Run(Seconds(5));
  cluster.Forget(leader);
  const int next = cluster.Elect();
  EXPECT_NE(next, leader);
  EXPECT_TRUE(cluster.Call(next, RequestKind::kPut, Put("a", "1")).status.ok());
}

TEST(ReplicaMembership, NobodyIsElectedByAMemberThatTheOthersRemoved) {
  Cluster cluster(3, Lax);
  const int leader = cluster.Elect();
  const int gone = leader % 3 + 1;
  cluster.Isolate(gone, true);
  ASSERT_TRUE(cluster.Call(leader, RequestKind::kMemberRemove, Id(gone)).status.ok());
  const Term term = cluster[leader].status().term;
  cluster.Isolate(gone, false);
  cluster.Run(Seconds(20));
  EXPECT_EQ(cluster[leader].status().role, Role::kLeader);
  EXPECT_EQ(cluster[leader].status().term, term);
}

TEST(ReplicaMembership, AChangeThatItsLeaderCouldNotCommitIsAnsweredByTheNext) {
  Cluster cluster(3, Lax);
  const int old = cluster.Elect();
  cluster.Isolate(old, true);
  const RequestToken lost = cluster.Send(old, RequestKind::kMemberAdd, Add(4));
  cluster.Run(Seconds(10));
  EXPECT_EQ(cluster.Find(lost), nullptr);
  cluster.Isolate(old, false);
  cluster.Elect();
  cluster.Run(Seconds(5));
  const Response* const response = cluster.Find(lost);
  ASSERT_NE(response, nullptr);
  EXPECT_EQ(response->status, absl::UnavailableError("etcdserver: leader changed"));
  EXPECT_EQ(MembersOf(cluster, old), (std::vector<uint64_t>{1, 2, 3}));
}

TEST(ReplicaMembership, LeadershipMovesToWhomItIsGiven) {
  Cluster cluster(3, Lax);
  const int leader = cluster.Elect();
  const int target = leader % 3 + 1;
  EXPECT_EQ(cluster.Call(target, RequestKind::kMoveLeader, MoveTo(target)).status,
            absl::FailedPreconditionError("etcdserver: not leader"));
  EXPECT_EQ(cluster.Call(leader, RequestKind::kMoveLeader, MoveTo(9)).status,
            absl::FailedPreconditionError("etcdserver: bad leader transferee"));
  EXPECT_TRUE(cluster.Call(leader, RequestKind::kMoveLeader, MoveTo(leader)).status.ok());
  const Response moved = cluster.Call(leader, RequestKind::kMoveLeader, MoveTo(target));
  EXPECT_TRUE(moved.status.ok()) << moved.status;
  EXPECT_EQ(cluster.Elect(), target);
}

TEST(ReplicaMembership, AMalformedChangeFromAPeerIsNotProposed) {
  Cluster cluster(3, Lax);
  const int leader = cluster.Elect();
  raft::ConfChange change;
  change.node_id = MemberId(4);
  change.context = Bytes::Copy("{\"id\":4,");
  raft::Message message;
  message.type = raft::MessageType::kProp;
  message.from = MemberId(static_cast<uint64_t>(leader % 3 + 1));
  message.to = MemberId(static_cast<uint64_t>(leader));
  raft::Entry entry;
  entry.type = raft::EntryType::kConfChange;
  entry.data = raft::EncodeToBytes(change);
  message.entries.push_back(entry);
  const ReplicaStatus before = cluster[leader].status();
  cluster.Step(leader, PeerMessage{message});
  cluster.Settle();
  EXPECT_EQ(cluster[leader].status().last_index, before.last_index);
  EXPECT_EQ(cluster[leader].status().peer_messages_refused, before.peer_messages_refused + 1);
}

}  // namespace
}  // namespace quorate::engine
