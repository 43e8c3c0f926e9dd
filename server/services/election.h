// v3electionpb.Election: leadership among clients.
#ifndef QUORATE_SERVER_SERVICES_ELECTION_H_
#define QUORATE_SERVER_SERVICES_ELECTION_H_

#include "io/loop.h"
#include "server/grpc/server.h"
#include "server/node/node.h"

namespace quorate::services {

// All borrowed; they outlive the server's last call.
void AddElection(grpc::Server* server, io::Loop* loop, node::Node* node);

}  // namespace quorate::services

#endif  // QUORATE_SERVER_SERVICES_ELECTION_H_
