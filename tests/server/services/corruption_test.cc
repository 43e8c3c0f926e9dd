// Whole servers, one of which holds other data than the rest: its disk is in order, every
// checksum is right, and yet a value is not what the cluster decided.
#include "server/corruption.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/rpc.pb.h"
#include "server/bootstrap.h"
#include "storage/recovery.h"
#include "tests/server/support/test_cluster.h"

namespace quorate {
namespace {

using server::HashVerdict;
using server::JudgeHashes;
using server::MemberHash;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

MemberHash HashOf(uint64_t member, uint32_t hash, int64_t at = 9, int64_t compacted = 2) {
  return {MemberId(member), hash, Revision(at), Revision(compacted), Revision(at), false};
}

TEST(JudgeHashesTest, WhoeverDiffersFromMostIsNamed) {
  EXPECT_THAT(JudgeHashes({HashOf(1, 7), HashOf(2, 7), HashOf(3, 7)}, 3).differing, IsEmpty());
  EXPECT_THAT(JudgeHashes({HashOf(1, 7), HashOf(2, 7), HashOf(3, 8)}, 3).differing,
              ElementsAre(MemberId(3)));
  // The one that asks may be the one.
  EXPECT_THAT(JudgeHashes({HashOf(1, 8), HashOf(2, 7), HashOf(3, 7)}, 3).differing,
              ElementsAre(MemberId(1)));
}

TEST(JudgeHashesTest, WithoutAMajorityNobodyIsNamed) {
  for (const HashVerdict& verdict :
       {JudgeHashes({HashOf(1, 7), HashOf(2, 8)}, 2), JudgeHashes({HashOf(1, 7), HashOf(2, 8)}, 3),
        JudgeHashes({HashOf(1, 7), HashOf(2, 7), HashOf(3, 8)}, 5)}) {
    EXPECT_TRUE(verdict.undecided);
    EXPECT_THAT(verdict.differing, IsEmpty());
  }
}

TEST(JudgeHashesTest, HashesOfOtherHistoryDoNotCount) {
  const HashVerdict verdict =
      JudgeHashes({HashOf(1, 7), HashOf(2, 7), HashOf(3, 8, 9, 3), HashOf(4, 8, 8)}, 4);
  EXPECT_FALSE(verdict.undecided);
  EXPECT_THAT(verdict.differing, IsEmpty());
  EXPECT_EQ(verdict.agreeing, 2u);
}

// The hash that is computed and the one that a compaction keeps differ there, as in etcd.
TEST(JudgeHashesTest, WhereNothingLivesADifferenceTellsNothing) {
  std::vector<MemberHash> hashes = {HashOf(1, 7, 3, 2), HashOf(2, 8, 3, 2), HashOf(3, 8, 3, 2)};
  EXPECT_THAT(JudgeHashes(hashes, 3).differing, ElementsAre(MemberId(1)));
  hashes.front().empty = true;
  EXPECT_THAT(JudgeHashes(hashes, 3).differing, IsEmpty());
  EXPECT_FALSE(JudgeHashes(hashes, 3).undecided);
}

MemberHash AtRevision(uint64_t member, int64_t current) {
  return {MemberId(member), 7, Revision(9), Revision(2), Revision(current), false};
}

// The leader asks; what it has after a linearizable read is revision 9.
TEST(JudgeRevisionsTest, WhoeverIsAheadOfMostIsNamed) {
  const auto judge = [](const std::vector<MemberHash>& hashes, size_t members) {
    return server::JudgeRevisions(hashes, Revision(9), Revision(2), members);
  };
  EXPECT_THAT(judge({AtRevision(1, 9), AtRevision(2, 8), AtRevision(3, 9)}, 3).differing,
              IsEmpty());
  EXPECT_THAT(judge({AtRevision(1, 9), AtRevision(2, 10), AtRevision(3, 9)}, 3).differing,
              ElementsAre(MemberId(2)));
  // The leader itself has lost a transaction.
  EXPECT_THAT(judge({AtRevision(1, 9), AtRevision(2, 10), AtRevision(3, 10)}, 3).differing,
              ElementsAre(MemberId(1)));
  // One of three did not answer: it could be either.
  EXPECT_TRUE(judge({AtRevision(1, 9), AtRevision(2, 10)}, 3).undecided);
}

// Its members all answer with the hash that a compaction keeps, whose revision is 6, of a history
// that was compacted at 5.
class CompactedTransport final : public node::PeerTransport {
 public:
  explicit CompactedTransport(io::Loop* loop) : loop_(loop) {}
  void Send(absl::Span<raft::Message>) override {}
  void Forward(MemberId, engine::RequestKind, const Bytes&, node::ForwardCallback done) override {
    etcdserverpb::HashKVResponse response;
    response.mutable_header()->set_revision(6);
    response.set_hash(842926332);
    response.set_hash_revision(6);
    response.set_compact_revision(5);
    loop_->Defer(
        [done, body = Bytes::Copy(response.SerializeAsString())] { done(absl::OkStatus(), body); });
  }
  void SendSnapshot(raft::Message, engine::StateImage) override {}
  std::string PeerVersion(MemberId) const override { return ""; }

 private:
  io::Loop* const loop_;
};

class CorruptionTest : public ::testing::Test {
 protected:
  void Begin(const std::function<void(int, config::Config*)>& adjust) {
    cluster_ = std::make_unique<TestCluster>(3, 1, adjust);
    cluster_->StartAll();
    ASSERT_TRUE(cluster_->RunUntilReady());
    for (const char* value : {"one", "two", "victim", "four"}) ASSERT_TRUE(Put(value).ok());
  }
  absl::Status Put(const std::string& value) {
    etcdserverpb::PutRequest request;
    request.set_key("k");
    request.set_value(value);
    return cluster_->Call(1, "/etcdserverpb.KV/Put", request.SerializeAsString()).status;
  }
  absl::Status Compact(int64_t revision) {
    etcdserverpb::CompactionRequest request;
    request.set_revision(revision);
    return cluster_->Call(1, "/etcdserverpb.KV/Compact", request.SerializeAsString()).status;
  }

  // Rewrites the entry that holds "victim" in the log of a member that is down: with right
  // checksums, as a bug in the server would have done it.
  void Forge(int member) {
    sim::Host& host = cluster_->host(member);
    const io::Env env = host.Boot();
    const server::Foundation own = server::FoundationOf(cluster_->config(member));
    bool done = false;
    absl::StatusOr<storage::OpenedStorage> opened = absl::UnknownError("");
    std::unique_ptr<storage::PendingOpen> opening;
    host.Run([&] {
      opening = storage::OpenStorage(env,
                                     {.data_dir = cluster_->config(member).DataDir(),
                                      .cluster_id = own.cluster_id,
                                      .member_id = own.member_id},
                                     [&](absl::StatusOr<storage::OpenedStorage> result) {
                                       opened = std::move(result);
                                       Rewrite(&*opened, &done);
                                     });
    });
    ASSERT_TRUE(cluster_->world().RunUntil([&] { return done; }));
    host.Crash(sim::CrashKind::kKill);
  }
  static void Rewrite(storage::OpenedStorage* opened, bool* done) {
    std::vector<raft::Entry>& entries = opened->state.entries;
    const auto victim = std::find_if(entries.begin(), entries.end(), [](const raft::Entry& e) {
      return absl::StrContains(e.data.view(), "victim");
    });
    ASSERT_NE(victim, entries.end());
    std::string bytes(victim->data.view());
    bytes.replace(bytes.find("victim"), 6, "VICTIM");
    victim->data = Bytes::Copy(bytes);
    const std::vector<raft::Entry> tail(victim, entries.end());
    opened->wal->Append(tail, &opened->state.hard_state, true, [done](const absl::Status& status) {
      EXPECT_TRUE(status.ok()) << status;
      *done = true;
    });
  }

  // The members that a CORRUPT alarm names.
  std::vector<MemberId> Accused() {
    std::vector<MemberId> accused;
    for (const alarm::Alarm& alarm : cluster_->node(1)->alarms()) {
      EXPECT_EQ(alarm.type, alarm::kCorrupt);
      accused.push_back(alarm.member);
    }
    return accused;
  }
  void CrashAll() {
    for (int i = 1; i <= 3; ++i) cluster_->Crash(i);
  }
  MemberId id(int member) { return server::FoundationOf(cluster_->config(member)).member_id; }

  std::unique_ptr<TestCluster> cluster_;
};

TEST_F(CorruptionTest, TheLeaderFindsTheMemberThatDiffersWhoeverItIs) {
  for (const int wrong : {1, 2, 3}) {
    Begin([](int, config::Config* config) { config->corrupt_check_time = Seconds(10); });
    cluster_->world().RunFor(Seconds(30));
    EXPECT_THAT(Accused(), IsEmpty());
    CrashAll();
    Forge(wrong);
    cluster_->StartAll();
    ASSERT_TRUE(cluster_->RunUntilReady());
    ASSERT_TRUE(cluster_->world().RunUntil([this] { return !Accused().empty(); }));
    EXPECT_THAT(Accused(), ElementsAre(id(wrong)));
    // As etcd's: nothing is changed any more, and the probes tell.
    EXPECT_THAT(Put("more").message(), HasSubstr("etcdserver: corrupt cluster"));
    EXPECT_EQ(cluster_->Get(1, "/readyz")->head.status, 503);
  }
}

TEST_F(CorruptionTest, ACompactionBringsItToLightWithoutAComparisonOfEverything) {
  Begin([](int, config::Config* config) {
    config->compact_hash_check = true;
    config->compact_hash_check_time = Seconds(10);
  });
  cluster_->Crash(3);
  Forge(3);
  cluster_->Start(3);
  ASSERT_TRUE(cluster_->RunUntilReady());
  cluster_->world().RunFor(Seconds(30));
  EXPECT_THAT(Accused(), IsEmpty());
  ASSERT_TRUE(Compact(4).ok());
  ASSERT_TRUE(cluster_->world().RunUntil([this] { return !Accused().empty(); }));
  EXPECT_THAT(Accused(), ElementsAre(id(3)));
}

TEST_F(CorruptionTest, CompactionsOfASoundClusterRaiseNothing) {
  Begin([](int, config::Config* config) {
    config->compact_hash_check = true;
    config->compact_hash_check_time = Seconds(10);
  });
  ASSERT_TRUE(Compact(4).ok());
  const int leader = cluster_->Leader();
  ASSERT_TRUE(cluster_->world().RunUntil(
      [&] { return cluster_->Logged(leader, "finished compaction hash check"); }));
  EXPECT_TRUE(cluster_->Logged(leader, "\"number-of-hashes-checked\":3,\"revision\":4"));
  EXPECT_THAT(Accused(), IsEmpty());
}

// Each member computes or keeps another hash of a store that has no keys.
TEST_F(CorruptionTest, MembersWithoutKeysAreNotAccusedForWhenTheyCompact) {
  Begin(nullptr);
  ASSERT_TRUE(Compact(5).ok());
  etcdserverpb::DeleteRangeRequest all;
  all.set_key("k");
  ASSERT_TRUE(
      cluster_->Call(1, "/etcdserverpb.KV/DeleteRange", all.SerializeAsString()).status.ok());
  // One who has compacted at its revision where the asking member has not yet.
  const io::Env& env = cluster_->env(1);
  log::Logger log(env.log, env.loop);
  CompactedTransport transport(env.loop);
  std::unique_ptr<server::HashRound> round;
  std::vector<MemberHash> hashes;
  cluster_->host(1).Run([&] {
    round = std::make_unique<server::HashRound>(
        env.loop, &log, cluster_->node(1), &transport, Revision(0), Seconds(5),
        [&](const absl::StatusOr<std::vector<MemberHash>>& result) { hashes = *result; });
  });
  ASSERT_TRUE(cluster_->world().RunUntil([&] { return !hashes.empty(); }));
  ASSERT_EQ(hashes.size(), 3u);
  EXPECT_NE(hashes[0].hash, hashes[1].hash);
  EXPECT_EQ(hashes[0].compacted, hashes[1].compacted);
  EXPECT_TRUE(hashes[0].empty);
  EXPECT_FALSE(JudgeHashes(hashes, 3).undecided);
  EXPECT_THAT(JudgeHashes(hashes, 3).differing, IsEmpty());
}

TEST_F(CorruptionTest, AMemberThatDiffersDoesNotBeginToServe) {
  Begin([](int, config::Config* config) { config->initial_corrupt_check = true; });
  cluster_->Crash(2);
  Forge(2);
  cluster_->Start(2);
  ASSERT_TRUE(cluster_->world().RunUntil([this] { return !cluster_->failure(2).ok(); }));
  EXPECT_THAT(cluster_->failure(2).message(), HasSubstr("found data inconsistency with peers"));
  EXPECT_FALSE(cluster_->ready(2));
  EXPECT_TRUE(Put("the others go on").ok());
}

TEST_F(CorruptionTest, ASoundMemberBesideACorruptOneServesAndAccusesIt) {
  Begin([](int member, config::Config* config) { config->initial_corrupt_check = member != 2; });
  cluster_->Crash(2);
  Forge(2);
  cluster_->Start(2);
  ASSERT_TRUE(cluster_->RunUntilReady());
  cluster_->Crash(3);
  cluster_->Start(3);
  ASSERT_TRUE(cluster_->RunUntilReady());
  EXPECT_TRUE(cluster_->Logged(3, "initial corruption checking passed"));
  ASSERT_TRUE(cluster_->world().RunUntil([this] { return !Accused().empty(); }));
  EXPECT_THAT(Accused(), ElementsAre(id(2)));
}

// Answers each question twice, as a network may.
class TwiceTransport final : public node::PeerTransport {
 public:
  explicit TwiceTransport(io::Loop* loop) : loop_(loop) {}
  void Send(absl::Span<raft::Message>) override {}
  void Forward(MemberId, engine::RequestKind, const Bytes&, node::ForwardCallback done) override {
    for (int i = 0; i < 2; ++i) {
      loop_->Defer([done] { done(absl::UnavailableError("nobody there"), Bytes()); });
    }
  }
  void SendSnapshot(raft::Message, engine::StateImage) override {}
  std::string PeerVersion(MemberId) const override { return ""; }

 private:
  io::Loop* const loop_;
};

// Found by the simulator, whose datagrams may be carried twice.
TEST_F(CorruptionTest, AnAnswerThatComesTwiceCountsOnce) {
  Begin(nullptr);
  const io::Env& env = cluster_->env(1);
  log::Logger log(env.log, env.loop);
  TwiceTransport transport(env.loop);
  std::unique_ptr<server::HashRound> round;
  size_t hashes = 0;
  cluster_->host(1).Run([&] {
    round = std::make_unique<server::HashRound>(
        env.loop, &log, cluster_->node(1), &transport, Revision(0), Seconds(5),
        [&](const absl::StatusOr<std::vector<MemberHash>>& result) { hashes = result->size(); });
  });
  ASSERT_TRUE(cluster_->world().RunUntil([&] { return hashes > 0; }));
  EXPECT_EQ(hashes, 1u);
}

// As etcd's members ask, with nothing but the cluster's id.
TEST_F(CorruptionTest, PeersAskByHttp) {
  Begin(nullptr);
  const auto ask = [this](const std::string& cluster, const std::string& body) {
    http1::ClientRequest request;
    request.target = "/members/hashkv";
    if (!cluster.empty()) request.fields.Add("X-Etcd-Cluster-ID", cluster);
    request.body = {Bytes::Copy(body)};
    return *cluster_->Http(TestCluster::PeerAddress(1), std::move(request));
  };
  const std::string own = absl::StrCat(absl::Hex(cluster_->server(1)->cluster_id().value()));
  const auto answer = ask(own, "{\"revision\":3}");
  EXPECT_EQ(answer.head.status, 200);
  EXPECT_THAT(answer.body, HasSubstr("\"header\":{\"cluster_id\":"));
  EXPECT_THAT(answer.body, HasSubstr("\"hash\":"));
  EXPECT_THAT(answer.body, HasSubstr("\"compact_revision\":-1,\"hash_revision\":3}"));
  EXPECT_EQ(ask("abc", "{}").head.status, 412);
  EXPECT_EQ(ask("", "{\"revision\":3}").body, answer.body);
  EXPECT_EQ(ask(own, "{\"revision\":1000}").head.status, 400);
  EXPECT_THAT(ask(own, "{\"revision\":1000}").body, HasSubstr("future revision"));
  EXPECT_EQ(ask(own, "nonsense").head.status, 400);
}

}  // namespace
}  // namespace quorate
