// Members' transports on simulated hosts, with what came out of each.
#ifndef QUORATE_TESTS_SERVER_PEER_RAFTHTTP_FIXTURE_H_
#define QUORATE_TESTS_SERVER_PEER_RAFTHTTP_FIXTURE_H_

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/raft/codec.h"
#include "server/http1/client.h"
#include "server/log/logger.h"
#include "server/peer/rafthttp.h"
#include "sim/env.h"
#include "tests/server/support/test_world.h"

namespace quorate::peer {

inline constexpr ClusterId kCluster(0x77);

inline raft::Message Heartbeat(uint64_t from, uint64_t to, uint64_t commit) {
  raft::Message message;
  message.type = raft::MessageType::kHeartbeat;
  message.from = MemberId(from);
  message.to = MemberId(to);
  message.term = Term(3);
  message.commit = LogIndex(commit);
  return message;
}

// One member's transport, and what came out of it.
class Endpoint final : public node::PeerSink {
 public:
  Endpoint(TestWorld* world, uint64_t id, ClusterId cluster, const Options& options)
      : id_(id), host_(world->context(), &world->network(), absl::StrCat("m", id), {}) {
    env_ = host_.Boot();
    host_.Run([this, cluster, options] { Build(cluster, options); });
  }
  ~Endpoint() override {
    if (host_.running()) host_.Crash(sim::CrashKind::kKill);
    Destroy();
  }

  void Crash(sim::CrashKind kind) {
    host_.Crash(kind);
    Destroy();
  }
  void Restart(ClusterId cluster, const Options& options) {
    env_ = host_.Boot();
    host_.Run([this, cluster, options] { Build(cluster, options); });
  }
  void SetPeers(const std::vector<uint64_t>& ids) {
    host_.Run([this, ids] {
      std::vector<PeerAddresses> peers;
      for (const uint64_t id : ids) peers.push_back({MemberId(id), {absl::StrCat("m", id, ":1")}});
      transport_->SetPeers(peers);
    });
  }
  void Send(std::vector<raft::Message> messages) {
    host_.Run([this, messages = std::move(messages)]() mutable {
      transport_->Send(absl::MakeSpan(messages));
    });
  }

  void OnPeerConnected(MemberId peer, bool up) override {
    if (up) {
      connected.insert(peer.value());
    } else {
      connected.erase(peer.value());
    }
  }
  void OnPeerMessage(raft::Message message) override { received.push_back(std::move(message)); }
  void OnSnapshot(raft::Message message, engine::StateImage image) override {
    snapshots.push_back({std::move(message), std::move(image)});
  }
  void ReportUnreachable(MemberId peer) override { unreachable.push_back(peer); }
  engine::RequestToken OnForwarded(engine::RequestKind kind, Bytes body, Duration,
                                   node::ForwardCallback done) override {
    forwarded.emplace_back(kind, std::string(body.view()));
    const engine::RequestToken token(forwarded.size());
    asked[token] = std::move(done);
    if (!holds_answers) env_.loop->Defer([this, token] { Answer(token); });
    return token;
  }
  void Abandon(engine::RequestToken request) override {
    if (asked.erase(request) > 0) abandoned.push_back(request.value());
  }
  // Gives the answer to what was forwarded as the token's number; nothing if it was abandoned.
  void Answer(engine::RequestToken token) {
    const auto at = asked.find(token);
    if (at == asked.end()) return;
    const node::ForwardCallback done = std::move(at->second);
    asked.erase(at);
    done(refusal, refusal.ok() ? Bytes::Copy(reply) : Bytes());
  }
  void ReportSnapshotSent(MemberId peer, bool ok) override { snapshots_sent.push_back({peer, ok}); }
  void SendSnapshot(raft::Message message, engine::StateImage image) {
    host_.Run([this, message = std::move(message), image = std::move(image)]() mutable {
      transport_->SendSnapshot(std::move(message), std::move(image));
    });
  }

  std::vector<uint64_t> Commits() const {
    std::vector<uint64_t> commits;
    for (const raft::Message& message : received) commits.push_back(message.commit.value());
    return commits;
  }
  RaftHttp& transport() { return *transport_; }
  const PeerStats& stats(uint64_t peer) { return transport_->peers().at(MemberId(peer))->stats(); }
  bool Connected() const {
    return transport_ != nullptr && !transport_->peers().empty() &&
           transport_->sending_streams() == transport_->peers().size() &&
           transport_->receiving_streams() == transport_->peers().size();
  }
  sim::Host& host() { return host_; }
  const io::Env& env() const { return env_; }

  std::vector<raft::Message> received;
  std::set<uint64_t> connected;
  std::set<uint64_t> removed;  // members that this one knows to be gone
  bool downgrading = false;
  std::vector<MemberId> unreachable;
  std::vector<absl::Status> removals;
  std::vector<std::pair<engine::RequestKind, std::string>> forwarded;
  bool holds_answers = false;  // they wait for Answer()
  std::map<engine::RequestToken, node::ForwardCallback> asked;
  std::vector<uint64_t> abandoned;
  std::string reply;  // to what is forwarded, unless it is refused
  absl::Status refusal;
  std::vector<std::pair<raft::Message, engine::StateImage>> snapshots;
  std::vector<std::pair<MemberId, bool>> snapshots_sent;

 private:
  void Build(ClusterId cluster, const Options& options) {
    log_ = std::make_unique<log::Logger>(env_.log, env_.loop);
    http_ = std::make_unique<http1::Server>(env_.loop, http1::ServerOptions());
    transport_ = std::make_unique<RaftHttp>(
        env_, log_.get(), Identity{MemberId(id_), cluster, {absl::StrCat("http://m", id_, ":1")}},
        options);
    transport_->set_on_removed([this](const absl::Status& why) { removals.push_back(why); });
    transport_->AddRoutes(http_.get(),
                          {[] { return std::vector<engine::MemberInfo>{Self()}; },
                           [] { return std::string("3.7.0"); }, [this] { return downgrading; },
                           [this](MemberId id) { return removed.contains(id.value()); }});
    transport_->Start(this);
    auto listener = env_.network->Listen(
        absl::StrCat("m", id_, ":1"),
        [this](std::unique_ptr<io::Stream> stream) { http_->Accept(std::move(stream)); });
    ASSERT_TRUE(listener.ok()) << listener.status();
    listener_ = *std::move(listener);
  }
  void Destroy() {
    listener_.reset();
    transport_.reset();
    http_.reset();
    log_.reset();
  }
  static engine::MemberInfo Self() {
    return {MemberId(5), "five", {"http://m5:1"}, {"http://m5:2"}, false};
  }

  const uint64_t id_;
  sim::Host host_;
  io::Env env_;
  std::unique_ptr<log::Logger> log_;
  std::unique_ptr<http1::Server> http_;
  std::unique_ptr<RaftHttp> transport_;
  std::unique_ptr<io::Listener> listener_;
};

class RaftHttpTest : public ::testing::Test {
 protected:
  RaftHttpTest() : world_(11), client_(world_.context(), &world_.network(), "client", {}) {
    client_env_ = client_.Boot();
  }

  std::unique_ptr<Endpoint> Make(uint64_t id, const std::vector<uint64_t>& peers,
                                 ClusterId cluster = kCluster) {
    auto endpoint = std::make_unique<Endpoint>(&world_, id, cluster, options_);
    endpoint->SetPeers(peers);
    return endpoint;
  }
  void ConnectTwo() {
    a_ = Make(1, {2});
    b_ = Make(2, {1});
    ASSERT_TRUE(Reconnected());
  }
  bool Reconnected() {
    return world_.RunUntil([this] { return a_->Connected() && b_->Connected(); });
  }

  // A request by hand, as another implementation would send it.
  http1::Client::WholeResponse Fetch(http1::ClientRequest request,
                                     const std::string& address = "m1:1") {
    http1::Client client(client_env_.loop, client_env_.network, address, {});
    absl::StatusOr<http1::Client::WholeResponse> result = absl::UnknownError("no answer");
    bool done = false;
    std::unique_ptr<http1::ClientExchange> exchange;
    client_.Run([&] {
      exchange = client.Fetch(std::move(request), 1 << 20, [&](auto answer) {
        result = std::move(answer);
        done = true;
      });
    });
    EXPECT_TRUE(world_.RunUntil([&] { return done; }));
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *std::move(result) : http1::Client::WholeResponse{};
  }
  // A well-formed request of member 2 to member 1.
  static http1::ClientRequest StreamRequest() {
    http1::ClientRequest request;
    request.target = "/raft/stream/message/2";
    request.fields = RequestFields({MemberId(2), kCluster, {"http://m2:1"}});
    AddStreamFields(MemberId(1), &request.fields);
    return request;
  }
  static http1::Fields Without(const http1::Fields& fields, const std::string& name) {
    http1::Fields rest;
    for (const auto& [key, value] : fields) {
      if (key != name) rest.Add(key, value);
    }
    return rest;
  }

  TestWorld world_;
  Options options_;
  sim::Host client_;
  io::Env client_env_;
  std::unique_ptr<Endpoint> a_;
  std::unique_ptr<Endpoint> b_;
};

}  // namespace quorate::peer

#endif  // QUORATE_TESTS_SERVER_PEER_RAFTHTTP_FIXTURE_H_
