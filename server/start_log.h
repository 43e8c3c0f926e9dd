// What a member says of itself and of its configuration before it does anything.
#ifndef QUORATE_SERVER_START_LOG_H_
#define QUORATE_SERVER_START_LOG_H_

#include "server/config/config.h"
#include "server/log/logger.h"

namespace quorate::server {

void LogStart(const config::Config& config, log::Logger* log);

}  // namespace quorate::server

#endif  // QUORATE_SERVER_START_LOG_H_
