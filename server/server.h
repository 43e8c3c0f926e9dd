// A whole member: recovery or bootstrap, node, peers, listeners, services. Everything
// goes through io::Env, so the simulator hosts servers exactly as main.cc does.
//
//   Server server(env, config, {.on_ready = ..., .on_failure = ...});
//   server.Start();
//   ...
//   server.Stop([] { /* may be destroyed now */ });
//
// Life: kNew -> kRecovering -> kJoining (node runs, has peers, listens for them; not yet
// published) -> kReady (serves clients) -> kStopping -> kStopped. A failure at any point
// (directory of another cluster, taken port, failed disk) leads to kFailed: on_failure
// tells why, once, and nothing is acknowledged afterwards.
// What is found damaged and cannot be done without comes from another member (server/repair.h):
// that is still kRecovering.
//
// Destroying a Server at any time is a crash: nothing is flushed, no callback is made.
#ifndef QUORATE_SERVER_SERVER_H_
#define QUORATE_SERVER_SERVER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "base/strong_int.h"
#include "io/env.h"
#include "server/config/config.h"
#include "server/join.h"
#include "server/metrics/server_metrics.h"
#include "server/node/node.h"
#include "server/node/peer_transport.h"

namespace quorate::server {

enum class State { kNew, kRecovering, kJoining, kReady, kStopping, kStopped, kFailed };

struct Options {
  // Member attributes are applied and clients are served. Called once.
  std::function<void()> on_ready;
  // The member has been removed from the cluster, and has stopped. Called once, on the loop,
  // from no call of ours.
  std::function<void()> on_removed;
  // The server cannot start or go on. Called once, on the loop, from no call of ours.
  std::function<void(const absl::Status&)> on_failure;
  // Borrowed; used instead of etcd's peer protocol, and no peer URL is listened on. Its
  // owner delivers to node() (null until recovery is done: drop messages then).
  node::PeerTransport* peer_transport = nullptr;
  // For a member without data: what it would ask the others for (server/bootstrap.h).
  std::optional<JoinPoint> join;
  // False: no client URL is listened on; clients call node().
  bool listen_for_clients = true;
  // For process_* metrics; empty: none.
  std::function<metrics::ProcessStats()> process_stats;
  // As in node::Options.
  std::function<Instant()> stopwatch;
  // Borrowed; as in engine::Config.
  engine::Hindrance* hindrance = nullptr;
};

class Server {
 public:
  Server(const io::Env& env, config::Config config, Options options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Begins; the outcome comes as on_ready or on_failure. Called once.
  void Start();

  // Graceful: hands over leadership (waits up to one election timeout), says GOAWAY to
  // clients, ends calls, then calls `done`. Called at most once.
  void Stop(std::function<void()> done);

  // Switches the log between its configured level and debug.
  void ToggleDebugLog();

  State state() const;
  // Null until recovery is done, and after a failed one.
  node::Node* node();
  // Where peer_transport's owner delivers: node(), or what asks the others for the state after
  // damage was found; null before both.
  node::PeerSink* peer_sink();
  // Whether this start found damage and got the state from another member.
  bool repaired() const;
  // 0 until known.
  MemberId member_id() const;
  ClusterId cluster_id() const;
  const config::Config& config() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quorate::server

#endif  // QUORATE_SERVER_SERVER_H_
