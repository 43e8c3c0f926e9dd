// Whole servers on simulated hosts with simulated streams and disks, and a client host
// that talks to them as real clients do.
//
//   TestCluster cluster(3);
//   cluster.StartAll();
//   ASSERT_TRUE(cluster.RunUntilReady());
//   auto reply = cluster.Call(1, "/etcdserverpb.KV/Range", request);
#ifndef QUORATE_TESTS_SERVER_SUPPORT_TEST_CLUSTER_H_
#define QUORATE_TESTS_SERVER_SUPPORT_TEST_CLUSTER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/time.h"
#include "io/env.h"
#include "server/config/config.h"
#include "server/grpc/channel.h"
#include "server/http1/client.h"
#include "server/server.h"
#include "sim/env.h"
#include "tests/server/support/test_world.h"

namespace quorate {

class TestCluster {
 public:
  // Members 1..n on hosts m1..mn; `adjust` may change each one's configuration.
  explicit TestCluster(int members, uint64_t seed = 1,
                       const std::function<void(int, config::Config*)>& adjust = nullptr);
  TestCluster(const TestCluster&) = delete;
  TestCluster& operator=(const TestCluster&) = delete;
  ~TestCluster();

  TestWorld& world() { return world_; }
  int size() const { return static_cast<int>(members_.size()); }

  void Start(int member);
  void StartAll();
  // All members that run are ready.
  bool RunUntilReady();
  void Crash(int member, sim::CrashKind kind = sim::CrashKind::kPowerLoss);

  server::Server* server(int member) { return At(member).server.get(); }
  node::Node* node(int member) { return server(member)->node(); }
  sim::Host& host(int member) { return *At(member).host; }
  // Of its process since the last Start.
  const io::Env& env(int member) { return At(member).env; }
  config::Config& config(int member) { return At(member).config; }
  bool ready(int member) { return At(member).ready; }
  // Why the server failed; OK if it did not.
  const absl::Status& failure(int member) { return At(member).failure; }
  // Log lines so far, over all its processes.
  const std::vector<std::string>& log(int member) { return At(member).log; }
  bool Logged(int member, const std::string& text);
  // The member that leads and that a majority knows; 0 if there is none now.
  int Leader();

  // --- The client host ---
  const io::Env& client_env() const { return client_env_; }
  sim::Host& client_host() { return *client_host_; }
  static std::string ClientAddress(int member);
  static std::string PeerAddress(int member);
  // A connection to a member, made when first asked for, again when the last one failed.
  grpc::Channel* channel(int member);
  // A unary call, run to its end.
  grpc::Result Call(int member, const std::string& path, const std::string& request,
                    const grpc::CallOptions& options = {});
  // Puts "v" at the key.
  grpc::Result Put(int member, const std::string& key);
  // How many keys there are. Serializable: as far as the member itself knows.
  int CountKeys(int member, bool serializable = false);
  // An HTTP/1.1 request to any address, run to its end.
  absl::StatusOr<http1::Client::WholeResponse> Http(const std::string& address,
                                                    http1::ClientRequest request);
  absl::StatusOr<http1::Client::WholeResponse> Get(int member, const std::string& target);

 private:
  struct Member {
    config::Config config;
    std::unique_ptr<sim::Host> host;
    io::Env env;
    std::unique_ptr<server::Server> server;
    bool ready = false;
    absl::Status failure;
    std::vector<std::string> log;
  };
  Member& At(int member) { return *members_.at(static_cast<size_t>(member - 1)); }
  config::Config ConfigOf(int member, int members) const;

  TestWorld world_;
  std::vector<std::unique_ptr<Member>> members_;
  std::unique_ptr<sim::Host> client_host_;
  io::Env client_env_;
  std::vector<std::unique_ptr<grpc::Channel>> channels_;
};

}  // namespace quorate

#endif  // QUORATE_TESTS_SERVER_SUPPORT_TEST_CLUSTER_H_
