// The `hasleader: true` metadata: a client that asks for it would rather have an error
// than wait at a member that knows no leader.
#ifndef QUORATE_SERVER_SERVICES_LEADER_MONITOR_H_
#define QUORATE_SERVER_SERVICES_LEADER_MONITOR_H_

#include <cstdint>
#include <memory>

#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "base/time.h"
#include "io/loop.h"
#include "server/grpc/server.h"
#include "server/node/node.h"

namespace quorate::services {

class LeaderMonitor {
 public:
  // Streams are ended after `patience` (etcd: three election time-outs) without a leader.
  LeaderMonitor(io::Loop* loop, grpc::Server* server, const node::Node* node, Duration patience);

  // For grpc::Server::set_gate: Unavailable "etcdserver: no leader" for a call that asks
  // for a leader while none is known.
  absl::Status Check(const grpc::Call& call) const;

  // Follows a streaming call from its start to its end, if it asks for a leader.
  void AddStream(const grpc::Call& call);
  void RemoveStream(uint64_t call_id);

  // To be called whenever the leader that the node knows may have changed.
  void OnLeadershipChange();

 private:
  void OnTimer();

  grpc::Server* const server_;
  const node::Node* const node_;
  const Duration patience_;
  io::Loop* const loop_;
  std::unique_ptr<io::Timer> timer_;
  bool waiting_ = false;
  absl::btree_set<uint64_t> streams_;
};

}  // namespace quorate::services

#endif  // QUORATE_SERVER_SERVICES_LEADER_MONITOR_H_
