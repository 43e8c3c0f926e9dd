// etcdserverpb.KV: the engine's own requests, passed through.
#ifndef QUORATE_SERVER_SERVICES_KV_H_
#define QUORATE_SERVER_SERVICES_KV_H_

#include <cstddef>

#include "server/grpc/server.h"
#include "server/log/logger.h"
#include "server/node/node.h"

namespace quorate::services {

// `max_request_bytes`: what the node takes (engine::Config); a request that it refuses for its
// size is logged with its client, its first key and its size. All borrowed.
void AddKv(grpc::Server* server, node::Node* node, log::Logger* log, size_t max_request_bytes);

}  // namespace quorate::services

#endif  // QUORATE_SERVER_SERVICES_KV_H_
