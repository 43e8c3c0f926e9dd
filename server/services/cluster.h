// etcdserverpb.Cluster.
#ifndef QUORATE_SERVER_SERVICES_CLUSTER_H_
#define QUORATE_SERVER_SERVICES_CLUSTER_H_

#include "server/grpc/server.h"
#include "server/node/node.h"

namespace quorate::services {

void AddCluster(grpc::Server* server, node::Node* node);

}  // namespace quorate::services

#endif  // QUORATE_SERVER_SERVICES_CLUSTER_H_
