// etcdserverpb.Maintenance.
#ifndef QUORATE_SERVER_SERVICES_MAINTENANCE_H_
#define QUORATE_SERVER_SERVICES_MAINTENANCE_H_

#include "server/grpc/server.h"
#include "server/node/node.h"

namespace quorate::services {

void AddMaintenance(grpc::Server* server, node::Node* node);

}  // namespace quorate::services

#endif  // QUORATE_SERVER_SERVICES_MAINTENANCE_H_
