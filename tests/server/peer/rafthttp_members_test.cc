// What members' transports do when the cluster's members change.
#include <optional>

#include "api/rpc.pb.h"
#include "tests/server/peer/rafthttp_fixture.h"

namespace quorate::peer {
namespace {

TEST_F(RaftHttpTest, PromotionsGoToThePeerAndItsAnswersComeBack) {
  ConnectTwo();
  etcdserverpb::MemberPromoteRequest request;
  request.set_id(77);
  const auto forward = [&] {
    std::optional<std::pair<absl::Status, std::string>> answer;
    a_->host().Run([&] {
      a_->transport().Forward(MemberId(2), engine::RequestKind::kMemberPromote,
                              Bytes::Copy(request.SerializeAsString()),
                              [&](const absl::Status& status, const Bytes& reply) {
                                answer.emplace(status, std::string(reply.view()));
                              });
    });
    EXPECT_TRUE(world_.RunUntil([&] { return answer.has_value(); }));
    return *answer;
  };
  etcdserverpb::MemberPromoteResponse promoted;
  etcdserverpb::Member* const member = promoted.add_members();
  member->set_id(77);
  member->set_name("m77");
  member->add_peerurls("http://m77:1");
  member->add_clienturls("http://m77:2");
  b_->reply = promoted.SerializeAsString();
  EXPECT_EQ(forward(), std::make_pair(absl::OkStatus(), b_->reply));
  EXPECT_EQ(b_->forwarded.back(),
            std::make_pair(engine::RequestKind::kPeerMemberPromote, request.SerializeAsString()));
  for (const absl::Status& refusal :
       {absl::NotFoundError("etcdserver: member not found"),
        absl::FailedPreconditionError("etcdserver: can only promote a learner member"),
        absl::FailedPreconditionError("etcdserver: can only promote a learner member which is in "
                                      "sync with leader")}) {
    b_->refusal = refusal;
    EXPECT_EQ(forward().first, refusal);
  }
  // The next leader may know better.
  b_->refusal = absl::FailedPreconditionError("etcdserver: not leader");
  EXPECT_TRUE(absl::IsUnavailable(forward().first));
}

TEST_F(RaftHttpTest, AskingAPeerForItsHash) {
  ConnectTwo();
  etcdserverpb::HashKVRequest request;
  request.set_revision(int64_t{1} << 60);
  const auto ask = [&] {
    std::optional<std::pair<absl::Status, std::string>> answer;
    a_->host().Run([&] {
      a_->transport().Forward(MemberId(2), engine::RequestKind::kHashKv,
                              Bytes::Copy(request.SerializeAsString()),
                              [&](const absl::Status& status, const Bytes& reply) {
                                answer.emplace(status, std::string(reply.view()));
                              });
    });
    EXPECT_TRUE(world_.RunUntil([&] { return answer.has_value(); }));
    return *answer;
  };
  etcdserverpb::HashKVResponse hash;
  hash.mutable_header()->set_member_id(~uint64_t{0});
  hash.mutable_header()->set_revision((int64_t{1} << 60) + 1);
  hash.set_hash(4'000'000'000u);
  hash.set_compact_revision(-1);
  hash.set_hash_revision(int64_t{1} << 60);
  b_->reply = hash.SerializeAsString();
  EXPECT_EQ(ask(), std::make_pair(absl::OkStatus(), b_->reply));
  EXPECT_EQ(b_->forwarded.back(),
            std::make_pair(engine::RequestKind::kHashKv, request.SerializeAsString()));
  b_->refusal = absl::OutOfRangeError("etcdserver: mvcc: required revision has been compacted");
  EXPECT_TRUE(absl::IsOutOfRange(ask().first));
  b_->refusal = absl::UnavailableError("etcdserver: server stopped");
  EXPECT_TRUE(absl::IsUnavailable(ask().first));
}

// Members that ask member 2 for its hash.
class HashQuestionsTest : public RaftHttpTest {
 protected:
  void SetUp() override {
    b_ = Make(2, {});
    b_->holds_answers = true;
  }
  struct Asker {
    std::unique_ptr<http1::ClientExchange> exchange;
    int status = 0;  // of the answer
  };
  Asker* Ask(int revision) {
    Asker* const asker = askers_.emplace_back(std::make_unique<Asker>()).get();
    http1::ClientRequest request;
    request.target = kHashPath;
    request.fields = RequestFields({MemberId(1), kCluster, {"http://m1:1"}});
    request.body = {Bytes::Copy(absl::StrCat("{\"revision\":", revision, "}"))};
    client_.Run([&] {
      asker->exchange = http_.Fetch(std::move(request), 1 << 20, [asker](auto answer) {
        asker->status = answer.ok() ? answer->head.status : -1;
      });
    });
    world_.RunFor(Milliseconds(500));  // of the simulated network
    return asker;
  }
  void GoAway(Asker* asker) {
    client_.Run([asker] { asker->exchange.reset(); });
  }
  void Answer(uint64_t number) {
    b_->host().Run([this, number] { b_->Answer(engine::RequestToken(number)); });
  }
  std::vector<std::string> Asked() const {
    std::vector<std::string> revisions;
    for (const auto& [kind, body] : b_->forwarded) {
      etcdserverpb::HashKVRequest request;
      EXPECT_TRUE(request.ParseFromString(body));
      revisions.push_back(absl::StrCat(request.revision()));
    }
    return revisions;
  }

  http1::Client http_{client_env_.loop, client_env_.network, "m2:1", {}};
  std::vector<std::unique_ptr<Asker>> askers_;
};

TEST_F(HashQuestionsTest, AreAnsweredOneAtATime) {
  Asker* const first = Ask(1);
  Asker* const second = Ask(2);
  EXPECT_EQ(Asked(), std::vector<std::string>({"1"}));
  Answer(1);
  EXPECT_TRUE(world_.RunUntil([&] { return first->status == 200 && Asked().size() == 2; }));
  EXPECT_EQ(second->status, 0);
  b_->refusal = absl::OutOfRangeError("etcdserver: mvcc: required revision has been compacted");
  Answer(2);
  EXPECT_TRUE(world_.RunUntil([&] { return second->status == 400; }));
  EXPECT_EQ(Asked(), std::vector<std::string>({"1", "2"}));
}

TEST_F(HashQuestionsTest, OfAskersThatHaveGoneAreGivenUp) {
  Asker* const first = Ask(1);
  Asker* const second = Ask(2);
  Asker* const third = Ask(3);
  GoAway(second);  // while it waits
  world_.RunFor(Milliseconds(500));
  GoAway(first);  // while it is being answered
  EXPECT_TRUE(world_.RunUntil([&] { return Asked().size() == 2; }));
  EXPECT_EQ(b_->abandoned, std::vector<uint64_t>({1}));
  EXPECT_EQ(Asked(), std::vector<std::string>({"1", "3"}));
  Answer(2);
  EXPECT_TRUE(world_.RunUntil([&] { return third->status == 200; }));
}

TEST_F(HashQuestionsTest, MoreThanAFewMayNotWait) {
  const size_t many = options_.max_queued_hashes + 1;
  for (size_t i = 0; i < many; ++i) Ask(static_cast<int>(i));
  Asker* const refused = Ask(100);
  EXPECT_TRUE(world_.RunUntil([&] { return refused->status == 503; }));
  for (size_t i = 1; i <= many; ++i) {
    EXPECT_TRUE(world_.RunUntil([&] { return Asked().size() == i; }));
    Answer(i);
  }
  EXPECT_TRUE(world_.RunUntil([&] { return askers_[many - 1]->status == 200; }));
}

TEST_F(RaftHttpTest, MembersAskWhetherADowngradeIsUnderWay) {
  a_ = Make(1, {});
  const auto ask = [this] {
    http1::ClientRequest request;
    request.target = "/downgrade/enabled";
    return Fetch(std::move(request));
  };
  EXPECT_EQ(ask().head.status, 200);
  EXPECT_EQ(ask().body, "false");
  a_->downgrading = true;
  EXPECT_EQ(ask().body, "true");
}

TEST_F(RaftHttpTest, WhoIsConnectedIsTold) {
  ConnectTwo();
  EXPECT_EQ(a_->connected, std::set<uint64_t>{2});
  b_->Crash(sim::CrashKind::kKill);
  EXPECT_TRUE(world_.RunUntil([this] { return a_->connected.empty(); }));
  b_->Restart(kCluster, options_);
  b_->SetPeers({1});
  EXPECT_TRUE(world_.RunUntil([this] { return !a_->connected.empty(); }));
  a_->SetPeers({});
  EXPECT_TRUE(a_->connected.empty());
}

TEST_F(RaftHttpTest, ARemovedMemberIsToldSo) {
  ConnectTwo();
  a_->removed.insert(2);
  a_->SetPeers({});
  EXPECT_TRUE(world_.RunUntil([this] { return !b_->removals.empty(); }));
  EXPECT_EQ(Fetch(StreamRequest()).head.status, 410);
  EXPECT_EQ(Fetch(StreamRequest()).body, "removed member\n");
  http1::ClientRequest post = StreamRequest();
  post.method = "POST";
  post.target = "/raft";
  const auto answer = Fetch(std::move(post));
  EXPECT_EQ(answer.head.status, 403);
  EXPECT_EQ(answer.body, "{\"message\":\"cannot process message from removed member\"}");
}

// A member that is behind does not know yet that 2 is one of the cluster's.
TEST_F(RaftHttpTest, AnUnknownMemberThatCallsIsDialled) {
  a_ = Make(1, {});
  b_ = Make(2, {1});
  EXPECT_TRUE(Reconnected());
  b_->Send({Heartbeat(2, 1, 3)});
  EXPECT_TRUE(world_.RunUntil([this] { return !a_->received.empty(); }));
  a_->SetPeers({});
  EXPECT_EQ(a_->transport().peers().size(), 1u);  // still
  a_->removed.insert(2);
  a_->SetPeers({});
  EXPECT_TRUE(a_->transport().peers().empty());
}

}  // namespace
}  // namespace quorate::peer
