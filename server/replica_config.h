// What the settings of a server say to the replica in it.
#ifndef QUORATE_SERVER_REPLICA_CONFIG_H_
#define QUORATE_SERVER_REPLICA_CONFIG_H_

#include "engine/replica/replica.h"
#include "server/config/config.h"

namespace quorate::server {

// All but who the member is, in which run, and the seed of its randomness.
engine::Config ReplicaConfig(const config::Config& config);

}  // namespace quorate::server

#endif  // QUORATE_SERVER_REPLICA_CONFIG_H_
