// The services of etcd's API that this release knows by name only: each method answers
// Unimplemented and says so, instead of an "unknown service" that looks like a wrong
// server.
#ifndef QUORATE_SERVER_SERVICES_LATER_H_
#define QUORATE_SERVER_SERVICES_LATER_H_

#include "server/grpc/server.h"

namespace quorate::services {

// Lock, Election.
void AddLaterServices(grpc::Server* server);

}  // namespace quorate::services

#endif  // QUORATE_SERVER_SERVICES_LATER_H_
