// etcdserverpb.KV/RangeStream: a range in pieces, all of one revision, with no more in
// memory than the client is about to read.
#ifndef QUORATE_SERVER_SERVICES_RANGE_STREAM_H_
#define QUORATE_SERVER_SERVICES_RANGE_STREAM_H_

#include "server/grpc/server.h"
#include "server/node/node.h"

namespace quorate::services {

// Both are borrowed; they outlive the server's last call.
void AddRangeStream(grpc::Server* server, node::Node* node);

}  // namespace quorate::services

#endif  // QUORATE_SERVER_SERVICES_RANGE_STREAM_H_
