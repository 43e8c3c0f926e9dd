// v3lockpb.Lock: a lock as a call that answers once it is held.
#ifndef QUORATE_SERVER_SERVICES_LOCK_H_
#define QUORATE_SERVER_SERVICES_LOCK_H_

#include "io/loop.h"
#include "server/grpc/server.h"
#include "server/node/node.h"

namespace quorate::services {

// All borrowed; they outlive the server's last call.
void AddLock(grpc::Server* server, io::Loop* loop, node::Node* node);

}  // namespace quorate::services

#endif  // QUORATE_SERVER_SERVICES_LOCK_H_
