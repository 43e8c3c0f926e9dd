// etcdserverpb.Lease.
#ifndef QUORATE_SERVER_SERVICES_LEASE_H_
#define QUORATE_SERVER_SERVICES_LEASE_H_

#include "server/grpc/server.h"
#include "server/node/node.h"
#include "server/services/leader_monitor.h"

namespace quorate::services {

// All borrowed; they outlive the server's last call.
void AddLease(grpc::Server* server, node::Node* node, LeaderMonitor* leaders);

}  // namespace quorate::services

#endif  // QUORATE_SERVER_SERVICES_LEASE_H_
