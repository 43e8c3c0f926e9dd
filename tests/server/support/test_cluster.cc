#include "tests/server/support/test_cluster.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/rpc.pb.h"
#include "base/check.h"

namespace quorate {
namespace {

constexpr size_t kMaxBody = size_t{16} * 1024 * 1024;

config::Url MemberUrl(int member, uint16_t port) {
  return {"http", absl::StrCat("m", member), port};
}

}  // namespace

TestCluster::TestCluster(int members, uint64_t seed,
                         const std::function<void(int, config::Config*)>& adjust)
    : world_(seed) {
  for (int i = 1; i <= members; ++i) {
    members_.push_back(std::make_unique<Member>());
    Member& member = *members_.back();
    member.config = ConfigOf(i, members);
    if (adjust != nullptr) adjust(i, &member.config);
    sim::HostOptions options;
    options.on_log_line = [&member](absl::string_view line) { member.log.emplace_back(line); };
    member.host = std::make_unique<sim::Host>(world_.context(), &world_.network(),
                                              absl::StrCat("m", i), options);
  }
  client_host_ = std::make_unique<sim::Host>(world_.context(), &world_.network(), "client",
                                             sim::HostOptions());
  client_env_ = client_host_->Boot();
  channels_.resize(members_.size());
}

TestCluster::~TestCluster() {
  channels_.clear();
  for (auto& member : members_) {
    if (member->host->running()) member->host->Crash(sim::CrashKind::kKill);
    member->server.reset();
  }
}

config::Config TestCluster::ConfigOf(int member, int members) const {
  config::Config config;
  config.name = absl::StrCat("m", member);
  config.data_dir = "/data";
  config.listen_client_urls = {MemberUrl(member, 2379)};
  config.advertise_client_urls = config.listen_client_urls;
  config.listen_peer_urls = {MemberUrl(member, 2380)};
  config.initial_advertise_peer_urls = config.listen_peer_urls;
  for (int i = 1; i <= members; ++i) {
    config.initial_cluster.push_back({absl::StrCat("m", i), {MemberUrl(i, 2380)}});
  }
  return config;
}

void TestCluster::Start(int number) {
  Member& member = At(number);
  CHECK(member.server == nullptr);
  member.ready = false;
  member.failure = absl::OkStatus();
  member.env = member.host->Boot();
  const io::Env env = member.env;
  server::Options options;
  options.on_ready = [&member] { member.ready = true; };
  options.on_failure = [&member](const absl::Status& why) { member.failure = why; };
  member.host->Run([&member, env, options] {
    member.server = std::make_unique<server::Server>(env, member.config, options);
    member.server->Start();
  });
}

void TestCluster::StartAll() {
  for (int i = 1; i <= size(); ++i) Start(i);
}

bool TestCluster::RunUntilReady() {
  return world_.RunUntil([this] {
    return std::all_of(members_.begin(), members_.end(), [](const auto& member) {
      return !member->host->running() || member->ready;
    });
  });
}

void TestCluster::Crash(int number, sim::CrashKind kind) {
  Member& member = At(number);
  member.host->Crash(kind);
  // A client would notice a power loss only when its system gives up.
  channels_.at(static_cast<size_t>(number - 1)).reset();
  member.server.reset();
  member.ready = false;
}

bool TestCluster::Logged(int member, const std::string& text) {
  const std::vector<std::string>& lines = log(member);
  return std::any_of(lines.begin(), lines.end(),
                     [&](const std::string& line) { return absl::StrContains(line, text); });
}

int TestCluster::Leader() {
  for (int i = 1; i <= size(); ++i) {
    if (At(i).server == nullptr || node(i) == nullptr) continue;
    if (node(i)->status().role != engine::Role::kLeader) continue;
    int followers = 0;
    for (int j = 1; j <= size(); ++j) {
      if (At(j).server == nullptr || node(j) == nullptr) continue;
      if (node(j)->status().leader == node(i)->member_id()) ++followers;
    }
    if (2 * followers > size()) return i;
  }
  return 0;
}

std::string TestCluster::ClientAddress(int member) { return absl::StrCat("m", member, ":2379"); }
std::string TestCluster::PeerAddress(int member) { return absl::StrCat("m", member, ":2380"); }

grpc::Channel* TestCluster::channel(int member) {
  std::unique_ptr<grpc::Channel>& channel = channels_.at(static_cast<size_t>(member - 1));
  if (channel == nullptr || channel->state() == grpc::Channel::State::kFailed ||
      channel->state() == grpc::Channel::State::kDraining) {
    client_host_->Run([&] {
      channel = std::make_unique<grpc::Channel>(client_env_.loop, client_env_.network,
                                                ClientAddress(member));
    });
    CHECK(world_.RunUntil([&] { return channel != nullptr; }));
  }
  return channel.get();
}

grpc::Result TestCluster::Call(int member, const std::string& path, const std::string& request,
                               const grpc::CallOptions& options) {
  grpc::Channel* connection = channel(member);
  grpc::Result result;
  bool done = false;
  client_host_->Run([&] {
    connection->Unary(path, Bytes::Copy(request), options, [&](grpc::Result answer) {
      result = std::move(answer);
      done = true;
    });
  });
  CHECK_MSG(world_.RunUntil([&] { return done; }), "a call never ended");
  return result;
}

grpc::Result TestCluster::Put(int member, const std::string& key) {
  etcdserverpb::PutRequest request;
  request.set_key(key);
  request.set_value("v");
  return Call(member, "/etcdserverpb.KV/Put", request.SerializeAsString());
}

int TestCluster::CountKeys(int member, bool serializable) {
  etcdserverpb::RangeRequest request;
  request.set_key(std::string(1, '\0'));
  request.set_range_end(std::string(1, '\0'));
  request.set_serializable(serializable);
  const grpc::Result result = Call(member, "/etcdserverpb.KV/Range", request.SerializeAsString());
  etcdserverpb::RangeResponse response;
  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_TRUE(response.ParseFromString(std::string(result.message.view())));
  return static_cast<int>(response.count());
}

absl::StatusOr<http1::Client::WholeResponse> TestCluster::Http(const std::string& address,
                                                               http1::ClientRequest request) {
  http1::Client client(client_env_.loop, client_env_.network, address, http1::ClientOptions());
  absl::StatusOr<http1::Client::WholeResponse> result = absl::UnknownError("no answer");
  bool done = false;
  std::unique_ptr<http1::ClientExchange> exchange;
  client_host_->Run([&] {
    exchange = client.Fetch(std::move(request), kMaxBody, [&](auto answer) {
      result = std::move(answer);
      done = true;
    });
  });
  CHECK_MSG(world_.RunUntil([&] { return done; }), "a request never ended");
  return result;
}

absl::StatusOr<http1::Client::WholeResponse> TestCluster::Get(int member,
                                                              const std::string& target) {
  http1::ClientRequest request;
  request.target = target;
  return Http(ClientAddress(member), std::move(request));
}

}  // namespace quorate
