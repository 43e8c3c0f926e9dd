// Log lines about a node's work beside its requests, in the words that operators and tools know
// from etcd: snapshots taken and received, compactions, turns that took too long.
#ifndef QUORATE_SERVER_WORK_LOG_H_
#define QUORATE_SERVER_WORK_LOG_H_

#include <functional>

#include "base/time.h"
#include "engine/replica/replica.h"
#include "server/log/logger.h"
#include "server/node/node.h"

namespace quorate::server {

// Sets those callbacks of *options. A turn longer than `long_turn` is told (0: none). `log` is
// borrowed; `status` is asked while the node runs.
void LogWork(log::Logger* log, Duration long_turn, std::function<engine::ReplicaStatus()> status,
             node::Options* options);

}  // namespace quorate::server

#endif  // QUORATE_SERVER_WORK_LOG_H_
