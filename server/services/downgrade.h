// etcdserverpb.Maintenance/Downgrade: takes a cluster one minor version down, as etcd's does. Here
// it is checked and put into the log; the leader (server/publisher) lowers the cluster's version.
#ifndef QUORATE_SERVER_SERVICES_DOWNGRADE_H_
#define QUORATE_SERVER_SERVICES_DOWNGRADE_H_

#include "absl/strings/string_view.h"
#include "server/grpc/server.h"
#include "server/node/node.h"

namespace quorate::services {

void AddDowngrade(grpc::Server* server, node::Node* node, absl::string_view path);

}  // namespace quorate::services

#endif  // QUORATE_SERVER_SERVICES_DOWNGRADE_H_
