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
