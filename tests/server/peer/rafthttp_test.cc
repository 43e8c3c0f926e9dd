// etcd's peer protocol between simulated hosts: delivery, order, loss of streams, and what
// is refused with which status.
#include <gmock/gmock.h>

#include "api/lease.pb.h"
#include "api/rpc.pb.h"
#include "server/config/ids.h"
#include "tests/server/peer/rafthttp_fixture.h"

namespace quorate::peer {
namespace {

using ::testing::HasSubstr;

TEST_F(RaftHttpTest, MessagesArriveInOrder) {
  ConnectTwo();
  for (uint64_t turn = 0; turn < 10; ++turn) {
    std::vector<raft::Message> messages;
    for (uint64_t i = 0; i < 10; ++i) messages.push_back(Heartbeat(1, 2, 10 * turn + i));
    a_->Send(std::move(messages));
  }
  ASSERT_TRUE(world_.RunUntil([this] { return b_->received.size() == 100; }));
  const std::vector<uint64_t> commits = b_->Commits();
  for (uint64_t i = 0; i < 100; ++i) EXPECT_EQ(commits[i], i);
  EXPECT_TRUE(a_->unreachable.empty());
  EXPECT_EQ(a_->stats(2).sent_messages, 100u);
}

TEST_F(RaftHttpTest, ALargeEntryPassesWhole) {
  ConnectTwo();
  raft::Message message = Heartbeat(1, 2, 0);
  message.type = raft::MessageType::kApp;
  raft::Entry entry;
  entry.term = Term(3);
  entry.index = LogIndex(1);
  entry.data = Bytes::Copy(std::string(3 * 1024 * 1024, 'x'));
  message.entries.push_back(entry);
  a_->Send({message});
  ASSERT_TRUE(world_.RunUntil([this] { return b_->received.size() == 1; }));
  EXPECT_EQ(b_->received[0].entries, message.entries);
}

TEST_F(RaftHttpTest, VersionsAreAnnounced) {
  ConnectTwo();
  EXPECT_EQ(a_->transport().PeerVersion(MemberId(2)), "3.7.1");
  EXPECT_EQ(a_->transport().PeerVersion(MemberId(9)), "");
}

TEST_F(RaftHttpTest, AQuietLinkStaysUp) {
  ConnectTwo();
  world_.RunFor(Seconds(60));
  EXPECT_TRUE(a_->Connected());
  EXPECT_TRUE(a_->unreachable.empty());
  EXPECT_TRUE(b_->received.empty()) << "link heartbeats are not raft's business";
}

TEST_F(RaftHttpTest, APeerThatComesBackIsDialledAgain) {
  ConnectTwo();
  b_->Crash(sim::CrashKind::kKill);
  ASSERT_TRUE(world_.RunUntil([this] { return a_->transport().receiving_streams() == 0; }));
  ASSERT_TRUE(world_.RunUntil([this] { return !a_->unreachable.empty(); }));
  b_->Restart(kCluster, options_);
  b_->SetPeers({1});
  ASSERT_TRUE(Reconnected());
  b_->received.clear();
  a_->Send({Heartbeat(1, 2, 1)});
  EXPECT_TRUE(world_.RunUntil([this] { return b_->received.size() == 1; }));
}

TEST_F(RaftHttpTest, ASilentStreamIsGivenUpAfterFiveSeconds) {
  ConnectTwo();
  world_.network().Block(b_->host().id(), a_->host().id());
  const sim::VirtualTime start = world_.scheduler().now();
  ASSERT_TRUE(world_.RunUntil([this] { return a_->transport().receiving_streams() == 0; }));
  const Duration silence = world_.scheduler().now() - start;
  EXPECT_GE(silence, Seconds(3));
  EXPECT_LE(silence, Milliseconds(5100));
  world_.network().UnblockAll();
  EXPECT_TRUE(Reconnected());
}

TEST_F(RaftHttpTest, WithoutAStreamMessagesArePosted) {
  a_ = Make(1, {});
  b_ = Make(2, {1});  // 1 does not know 2 and refuses its stream
  world_.RunFor(Seconds(1));
  b_->Send({Heartbeat(2, 1, 42)});
  ASSERT_TRUE(world_.RunUntil([this] { return a_->received.size() == 1; }));
  EXPECT_EQ(a_->received[0].commit, LogIndex(42));
}

TEST_F(RaftHttpTest, WhatCannotBeDeliveredIsReported) {
  a_ = Make(1, {2});
  b_ = Make(2, {});
  b_->Crash(sim::CrashKind::kPowerLoss);
  a_->Send({Heartbeat(1, 2, 1)});
  ASSERT_TRUE(world_.RunUntil([this] { return !a_->unreachable.empty(); }));
  EXPECT_EQ(a_->unreachable[0], MemberId(2));
  EXPECT_GT(a_->stats(2).sent_failures, 0u);
}

TEST_F(RaftHttpTest, TheQueueToASlowPeerIsBounded) {
  options_.max_queued_bytes = 100'000;
  ConnectTwo();
  world_.network().Block(a_->host().id(), b_->host().id());
  raft::Message message = Heartbeat(1, 2, 0);
  message.type = raft::MessageType::kApp;
  message.entries.push_back(
      {Term(3), LogIndex(1), raft::EntryType::kNormal, Bytes::Copy(std::string(50'000, 'x'))});
  for (int i = 0; i < 100; ++i) a_->Send({message});
  world_.RunFor(Milliseconds(500));
  EXPECT_FALSE(a_->unreachable.empty());
  // The window of the connection, our bound, and one turn above it.
  EXPECT_LT(a_->stats(2).sent_bytes, 256u * 1024 + 100'000 + 2 * 51'000);
  EXPECT_GT(a_->stats(2).sent_failures, 80u);
}

TEST_F(RaftHttpTest, ANewStreamOfAPeerReplacesTheOldOne) {
  ConnectTwo();
  b_->SetPeers({});  // its dialler goes, and with it the stream
  b_->SetPeers({1});
  ASSERT_TRUE(Reconnected());
  a_->Send({Heartbeat(1, 2, 7)});
  EXPECT_TRUE(world_.RunUntil([this] { return b_->received.size() == 1; }));
}

TEST_F(RaftHttpTest, StreamsOfAnotherClusterAreRefused) {
  a_ = Make(1, {2});
  b_ = Make(2, {1}, ClusterId(0x99));
  world_.RunFor(Seconds(3));
  EXPECT_EQ(a_->transport().sending_streams(), 0u);
  EXPECT_EQ(b_->transport().sending_streams(), 0u);
  const auto answer = Fetch(StreamRequest(), "m2:1");
  EXPECT_EQ(answer.head.status, 412);
  EXPECT_EQ(answer.body, "cluster ID mismatch\n");
  EXPECT_EQ(answer.head.fields.Get("X-Etcd-Cluster-ID"), "99");
  EXPECT_TRUE(b_->removals.empty());
}

TEST_F(RaftHttpTest, RefusalsHaveEtcdsStatusAndText) {
  a_ = Make(1, {2});
  const auto refuse = [this](const std::function<void(http1::ClientRequest*)>& spoil) {
    http1::ClientRequest request = StreamRequest();
    spoil(&request);
    const auto answer = Fetch(std::move(request));
    return std::make_pair(answer.head.status, answer.body);
  };
  using Refusal = std::pair<int, std::string>;
  EXPECT_EQ(refuse([](auto* r) { r->target = "/raft/stream/message/3"; }),
            Refusal(404, "error sender not found\n"));
  EXPECT_EQ(refuse([](auto* r) { r->target = "/raft/stream/message/xyz"; }).first, 404);
  EXPECT_EQ(refuse([](auto* r) { r->target = "/raft/stream/nothing/2"; }).first, 404);
  EXPECT_EQ(refuse([](auto* r) {
              r->fields = Without(r->fields, "X-Raft-To");
              r->fields.Add("X-Raft-To", "3");
            }),
            Refusal(412, "to field mismatch\n"));
  EXPECT_EQ(refuse([](auto* r) { r->fields = Without(r->fields, "X-Server-Version"); }),
            Refusal(412, "incompatible version\n"));
  EXPECT_EQ(refuse([](auto* r) {
              r->fields = Without(r->fields, "X-Min-Cluster-Version");
              r->fields.Add("X-Min-Cluster-Version", "3.8.0");
            }),
            Refusal(412, "incompatible version\n"));
  EXPECT_EQ(refuse([](auto* r) { r->method = "PUT"; }).first, 405);
}

TEST_F(RaftHttpTest, PostedMessages) {
  a_ = Make(1, {2});
  const auto post = [this](const std::string& body) {
    http1::ClientRequest request = StreamRequest();
    request.method = "POST";
    request.target = "/raft";
    request.body = {Bytes::Copy(body)};
    return Fetch(std::move(request)).head.status;
  };
  std::string encoded;
  for (const Bytes& piece : EncodePost(Heartbeat(2, 1, 3))) encoded += std::string(piece.view());
  EXPECT_EQ(post(encoded), 204);
  ASSERT_EQ(a_->received.size(), 1u);
  EXPECT_EQ(a_->received[0].commit, LogIndex(3));
  EXPECT_EQ(post("\xff\xff garbage"), 400);
  EXPECT_EQ(post(encoded.substr(0, encoded.size() - 1)), 400);
  EXPECT_EQ(a_->received.size(), 1u);
  EXPECT_EQ(a_->stats(2).received_failures, 2u);
}

TEST_F(RaftHttpTest, OtherQuestionsOfPeers) {
  a_ = Make(1, {2});
  http1::ClientRequest request;
  request.target = "/members";
  const auto members = Fetch(request);
  EXPECT_EQ(members.body,
            "[{\"id\":5,\"peerURLs\":[\"http://m5:1\"],\"name\":\"five\","
            "\"clientURLs\":[\"http://m5:2\"]}]\n");
  EXPECT_EQ(members.head.fields.Get("X-Etcd-Cluster-ID"), "77");
  request.target = "/version";
  EXPECT_THAT(Fetch(request).body, HasSubstr("\"etcdcluster\":\"3.7.0\""));
  request.target = "/raft/probing";
  EXPECT_THAT(Fetch(request).body, HasSubstr("\"OK\":true"));
}

// A server that accepts our stream and then sends something else than raft messages.
class RaftHttpGarbageTest : public RaftHttpTest,
                            public ::testing::WithParamInterface<std::string> {};

TEST_P(RaftHttpGarbageTest, CostsTheStreamAndNothingElse) {
  sim::Host liar(world_.context(), &world_.network(), "m2", {});
  const io::Env env = liar.Boot();
  http1::Server http(env.loop, http1::ServerOptions());
  std::vector<http1::ExchangePtr> streams;
  std::unique_ptr<io::Listener> listener;
  liar.Run([&] {
    http.RoutePrefix({"GET"}, "/raft/stream/message/", [&](const http1::ExchangePtr& exchange) {
      streams.push_back(exchange);
      exchange->StartStream(200, ResponseFields({MemberId(2), kCluster, {}}));
      exchange->Write(Bytes::Copy(GetParam()));
    });
    listener = *env.network->Listen(
        "m2:1", [&](std::unique_ptr<io::Stream> stream) { http.Accept(std::move(stream)); });
  });
  a_ = Make(1, {2});
  // It is dialled, dropped and dialled again, at a bounded rate.
  world_.RunFor(Seconds(10));
  EXPECT_GE(streams.size(), 3u);
  EXPECT_LE(streams.size(), 30u);
  EXPECT_GE(a_->stats(2).received_failures, 3u);
  EXPECT_TRUE(a_->received.empty());
  liar.Crash(sim::CrashKind::kKill);
  listener.reset();
}

std::string Framed(const raft::Message& message) {
  FrameWriter writer;
  writer.Add(message);
  std::string wire;
  for (const Bytes& piece : writer.Take()) wire += std::string(piece.view());
  return wire;
}

raft::Message Local() {
  raft::Message message = Heartbeat(2, 1, 0);
  message.type = raft::MessageType::kHup;
  return message;
}

INSTANTIATE_TEST_SUITE_P(Garbage, RaftHttpGarbageTest,
                         ::testing::Values(std::string(64, '\xff'),
                                           std::string("\0\0\0\0\0\0\0\x03\xff\xff\xff", 11),
                                           Framed(Heartbeat(2, 3, 0)),  // for somebody else
                                           Framed(Heartbeat(3, 1, 0)),  // in somebody else's name
                                           Framed(Local())));           // what never travels

// ---- lease requests, passed on ----

TEST_F(RaftHttpTest, LeaseRequestsGoToThePeerAndItsAnswersComeBack) {
  ConnectTwo();
  using engine::RequestKind;
  std::vector<std::pair<absl::Status, std::string>> answers;
  const auto forward = [&](RequestKind kind, const std::string& body) {
    const size_t before = answers.size();
    a_->host().Run([&] {
      a_->transport().Forward(MemberId(2), kind, Bytes::Copy(body),
                              [&](const absl::Status& status, const Bytes& reply) {
                                answers.emplace_back(status, std::string(reply.view()));
                              });
    });
    EXPECT_TRUE(world_.RunUntil([&] { return answers.size() > before; }));
    return answers.back();
  };
  etcdserverpb::LeaseKeepAliveResponse renewed;
  renewed.set_id(77);
  renewed.set_ttl(5);
  b_->reply = renewed.SerializeAsString();
  EXPECT_EQ(forward(RequestKind::kLeaseKeepAlive, "\x08\x4d"),
            std::make_pair(absl::OkStatus(), b_->reply));
  EXPECT_EQ(b_->forwarded.back(),
            std::make_pair(RequestKind::kPeerLeaseKeepAlive, std::string("\x08\x4d")));

  etcdserverpb::LeaseTimeToLiveResponse left;
  left.mutable_header();
  left.set_id(77);
  left.set_ttl(4);
  left.add_keys("a");
  b_->reply = left.SerializeAsString();
  EXPECT_EQ(forward(RequestKind::kLeaseTimeToLive, "\x08\x4d\x10\x01"),
            std::make_pair(absl::OkStatus(), b_->reply));
  EXPECT_EQ(b_->forwarded.back(),
            std::make_pair(RequestKind::kPeerLeaseTimeToLive, std::string("\x08\x4d\x10\x01")));

  b_->refusal = absl::NotFoundError("etcdserver: requested lease not found");
  EXPECT_EQ(forward(RequestKind::kLeaseKeepAlive, "\x08\x4d").first.code(),
            absl::StatusCode::kNotFound);
  for (const absl::Status& refusal : {absl::FailedPreconditionError("etcdserver: not leader"),
                                      absl::UnavailableError("etcdserver: request timed out")}) {
    b_->refusal = refusal;
    EXPECT_EQ(forward(RequestKind::kLeaseTimeToLive, "\x08\x4d").first.code(),
              absl::StatusCode::kUnavailable);
  }
}

// The bytes that an etcd member sends and understands.
TEST_F(RaftHttpTest, AnswersLeaseRequestsAsAnEtcdMemberWould) {
  a_ = Make(1, {});
  http1::ClientRequest request;
  request.method = "POST";
  request.target = "/leases";
  request.fields.Add("Content-Type", "application/protobuf");
  request.body = {Bytes::Copy("\x08\x4d")};
  a_->reply = "\x10\x4d\x18\x05";
  const auto renewed = Fetch(request);
  EXPECT_EQ(renewed.head.status, 200);
  EXPECT_EQ(renewed.head.fields.Get("Content-Type"), "application/protobuf");
  EXPECT_EQ(renewed.body, "\x10\x4d\x18\x05");

  request.target = "/leases/internal";
  request.body = {Bytes::Copy("\x0a\x04\x08\x4d\x10\x01")};
  const auto told = Fetch(request);
  EXPECT_EQ(told.head.status, 200);
  EXPECT_EQ(a_->forwarded.back().second, "\x08\x4d\x10\x01");
  leasepb::LeaseInternalResponse response;
  ASSERT_TRUE(response.ParseFromString(told.body));
  EXPECT_TRUE(response.leasetimetoliveresponse().has_header());
  EXPECT_EQ(response.leasetimetoliveresponse().ttl(), 5);

  a_->refusal = absl::NotFoundError("etcdserver: requested lease not found");
  EXPECT_EQ(Fetch(request).head.status, 404);
  a_->refusal = absl::UnavailableError("etcdserver: request timed out");
  EXPECT_EQ(Fetch(request).head.status, 408);
  a_->refusal = absl::FailedPreconditionError("etcdserver: not leader");
  EXPECT_EQ(Fetch(request).head.status, 400);

  request.body = {Bytes::Copy("\xff")};
  EXPECT_EQ(Fetch(request).head.status, 400);
  request.body = {Bytes::Copy(std::string(65 * 1024, 'x'))};
  EXPECT_EQ(Fetch(request).head.status, 413);
  request.body.clear();
  request.fields.Add("X-Etcd-Cluster-ID", "1234");
  EXPECT_EQ(Fetch(request).head.status, 412);
  request.method = "GET";
  EXPECT_EQ(Fetch(request).head.status, 405);
}

// ---- snapshots ----

raft::Message SnapshotFromTo(uint64_t from, uint64_t to) {
  raft::Message message;
  message.type = raft::MessageType::kSnap;
  message.from = MemberId(from);
  message.to = MemberId(to);
  message.term = Term(3);
  auto snapshot = std::make_shared<raft::Snapshot>();
  snapshot->meta = {LogIndex(70), Term(2), {{MemberId(1), MemberId(2)}, {}, {}, {}, false}};
  message.snapshot = std::move(snapshot);
  return message;
}

engine::StateImage ImageOf(size_t segments, size_t bytes) {
  engine::StateImage image;
  image.index = LogIndex(70);
  image.term = Term(2);
  image.sections = Bytes::Copy("sections");
  for (size_t i = 0; i < segments; ++i) {
    image.segments.push_back({i + 1, Revision(static_cast<int64_t>(i)),
                              Bytes::Copy(std::string(bytes, static_cast<char>('a' + i % 26))),
                              i % 2 == 0 ? Bytes() : Bytes::Copy("gggg")});
  }
  return image;
}

void ExpectSame(const engine::StateImage& a, const engine::StateImage& b) {
  EXPECT_EQ(a.index, b.index);
  EXPECT_EQ(a.term, b.term);
  EXPECT_EQ(a.sections, b.sections);
  EXPECT_TRUE(a.segments == b.segments);
}

TEST_F(RaftHttpTest, ASnapshotArrivesWholeInManyChunksWhileMessagesGoOn) {
  ConnectTwo();
  const engine::StateImage image = ImageOf(20, 300'000);
  a_->SendSnapshot(SnapshotFromTo(1, 2), image);
  ASSERT_TRUE(world_.RunUntil([this] { return !a_->snapshots_sent.empty(); }));
  EXPECT_EQ(a_->snapshots_sent[0], std::make_pair(MemberId(2), true));
  ASSERT_EQ(b_->snapshots.size(), 1u);
  ExpectSame(b_->snapshots[0].second, image);
  EXPECT_EQ(b_->snapshots[0].first.snapshot->meta.index, LogIndex(70));
  EXPECT_EQ(b_->snapshots[0].first.term, Term(3));
  // An empty store has a snapshot, too.
  a_->SendSnapshot(SnapshotFromTo(1, 2), ImageOf(0, 0));
  ASSERT_TRUE(world_.RunUntil([this] { return a_->snapshots_sent.size() == 2; }));
  ASSERT_EQ(b_->snapshots.size(), 2u);
  EXPECT_EQ(a_->stats(2).snapshots_sent, 2u);
  EXPECT_EQ(b_->stats(1).snapshots_received, 2u);
  EXPECT_GT(b_->stats(1).snapshot_receive_times.total_nanos, 0);
  EXPECT_GE(a_->stats(2).snapshot_send_times.total_nanos,
            b_->stats(1).snapshot_receive_times.total_nanos);
}

// It goes on where it was: what has arrived is not sent again but for the chunk under way.
TEST_F(RaftHttpTest, ASnapshotWhoseConnectionsBreakGoesOnWhereItWas) {
  ConnectTwo();
  const engine::StateImage image = ImageOf(60, 200'000);
  const uint64_t before = a_->stats(2).sent_bytes;
  a_->SendSnapshot(SnapshotFromTo(1, 2), image);
  for (uint64_t broken = 1; broken <= 4; ++broken) {
    const uint64_t sent = before + broken * image.bytes() / 5;
    ASSERT_TRUE(world_.RunUntil([&] { return a_->stats(2).sent_bytes >= sent; }));
    ASSERT_TRUE(a_->snapshots_sent.empty()) << "it is still under way";
    world_.network().ResetStreams(a_->host().id(), b_->host().id());
  }
  ASSERT_TRUE(world_.RunUntil([this] { return !a_->snapshots_sent.empty(); }));
  EXPECT_EQ(a_->snapshots_sent[0], std::make_pair(MemberId(2), true));
  ASSERT_EQ(b_->snapshots.size(), 1u);
  ExpectSame(b_->snapshots[0].second, image);
  EXPECT_LT(a_->stats(2).sent_bytes - before, image.bytes() * 3 / 2);
}

TEST_F(RaftHttpTest, ASnapshotToNobodyIsReportedLost) {
  ConnectTwo();
  a_->SendSnapshot(SnapshotFromTo(1, 9), ImageOf(1, 10));
  ASSERT_TRUE(world_.RunUntil([this] { return !a_->snapshots_sent.empty(); }));
  EXPECT_EQ(a_->snapshots_sent[0], std::make_pair(MemberId(9), false));
  b_->Crash(sim::CrashKind::kKill);
  a_->SendSnapshot(SnapshotFromTo(1, 2), ImageOf(1, 10));
  ASSERT_TRUE(world_.RunUntil([this] { return a_->snapshots_sent.size() == 2; }));
  EXPECT_EQ(a_->snapshots_sent[1], std::make_pair(MemberId(2), false));
  EXPECT_EQ(a_->stats(2).snapshots_not_sent, 1u);
  EXPECT_EQ(a_->stats(2).disconnects, 1u);
}

TEST_F(RaftHttpTest, AChunkThatIsDamagedOrOutOfOrderIsRefused) {
  ConnectTwo();
  const auto post = [this](Bytes chunk) {
    http1::ClientRequest request;
    request.method = "POST";
    request.target = kSnapshotPath;
    request.fields = RequestFields({MemberId(2), kCluster, {"http://m2:1"}});
    request.body = {std::move(chunk)};
    return Fetch(std::move(request)).head.status;
  };
  SnapshotChunker chunker(77, SnapshotFromTo(2, 1), ImageOf(9, 300'000));
  std::vector<std::string> chunks;
  while (!chunker.done()) {
    std::string& chunk = chunks.emplace_back();
    for (const Bytes& piece : chunker.Next()) chunk += std::string(piece.view());
  }
  ASSERT_GE(chunks.size(), 3u);
  EXPECT_EQ(post(Bytes::Copy(chunks[1])), 409);  // not the first
  EXPECT_EQ(post(Bytes::Copy(chunks[0])), 204);
  EXPECT_EQ(post(Bytes::Copy(chunks[0])), 204);  // its answer may have been lost
  std::string damaged = chunks[1];
  damaged[1000] = static_cast<char>(damaged[1000] ^ 1);
  EXPECT_EQ(post(Bytes::Copy(damaged)), 500);
  EXPECT_EQ(post(Bytes::Copy(chunks[2])), 409);
  EXPECT_EQ(post(Bytes::Copy("short")), 409);
  EXPECT_TRUE(a_->snapshots.empty());
  EXPECT_EQ(a_->stats(2).snapshots_not_received, 4u);
  for (size_t i = 1; i < chunks.size(); ++i) EXPECT_EQ(post(Bytes::Copy(chunks[i])), 204);
  ASSERT_EQ(a_->snapshots.size(), 1u);
  ExpectSame(a_->snapshots[0].second, ImageOf(9, 300'000));
  EXPECT_EQ(post(Bytes::Copy(chunks.back())), 204);
  EXPECT_EQ(a_->snapshots.size(), 1u);  // once
}

}  // namespace
}  // namespace quorate::peer
