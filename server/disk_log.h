// What a member is to watch its disk for, and what its log says of it.
#ifndef QUORATE_SERVER_DISK_LOG_H_
#define QUORATE_SERVER_DISK_LOG_H_

#include "server/config/config.h"
#include "server/log/logger.h"
#include "server/node/node.h"

namespace quorate::server {

// Fills in the node's options about space and stalls, as configured; what is found
// goes into the log. Both must outlive the node.
void WatchDisk(const config::Config& config, log::Logger* log, node::Options* options);

}  // namespace quorate::server

#endif  // QUORATE_SERVER_DISK_LOG_H_
