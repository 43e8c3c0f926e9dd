// etcdserverpb.Cluster: who the members are, and changes of that.
#ifndef QUORATE_SERVER_SERVICES_CLUSTER_H_
#define QUORATE_SERVER_SERVICES_CLUSTER_H_

#include "io/loop.h"
#include "server/grpc/server.h"
#include "server/node/node.h"

namespace quorate::services {

// All borrowed; they outlive the server's last call. The loop tells the time of day, which
// goes into the ids of new members.
void AddCluster(grpc::Server* server, node::Node* node, io::Loop* loop);

}  // namespace quorate::services

#endif  // QUORATE_SERVER_SERVICES_CLUSTER_H_
