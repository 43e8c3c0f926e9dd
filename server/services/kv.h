// etcdserverpb.KV: the engine's own requests, passed through.
#ifndef QUORATE_SERVER_SERVICES_KV_H_
#define QUORATE_SERVER_SERVICES_KV_H_

#include "server/grpc/server.h"
#include "server/node/node.h"

namespace quorate::services {

void AddKv(grpc::Server* server, node::Node* node);

}  // namespace quorate::services

#endif  // QUORATE_SERVER_SERVICES_KV_H_
