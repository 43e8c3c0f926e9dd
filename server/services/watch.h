// etcdserverpb.Watch: one gRPC stream is one watch stream of the node.
#ifndef QUORATE_SERVER_SERVICES_WATCH_H_
#define QUORATE_SERVER_SERVICES_WATCH_H_

#include "server/grpc/server.h"
#include "server/node/node.h"
#include "server/services/leader_monitor.h"

namespace quorate::services {

// All borrowed; they outlive the server's last call.
void AddWatch(grpc::Server* server, node::Node* node, LeaderMonitor* leaders);

}  // namespace quorate::services

#endif  // QUORATE_SERVER_SERVICES_WATCH_H_
