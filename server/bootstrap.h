// From a configuration and a data directory to a member that may start: recovery of what
// the directory holds, or the foundation of a new cluster in an empty one.
#ifndef QUORATE_SERVER_BOOTSTRAP_H_
#define QUORATE_SERVER_BOOTSTRAP_H_

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "base/strong_int.h"
#include "engine/replica/replica.h"
#include "io/env.h"
#include "server/config/config.h"
#include "server/log/logger.h"
#include "storage/wal.h"

namespace quorate::server {

struct StartPoint {
  MemberId member_id;
  ClusterId cluster_id;
  // True if the directory held nothing.
  bool fresh = false;
  engine::Recovered recovered;
  std::unique_ptr<storage::Wal> wal;
};

// Identities as --initial-cluster gives them.
struct Foundation {
  MemberId member_id;
  ClusterId cluster_id;
  std::vector<engine::BootstrapMember> members;
};
Foundation FoundationOf(const config::Config& config);

// Opens the data directory. `done` comes once, later; it may own what must live until
// then. Everything in a StartPoint is durable. Errors name the directory or file, and say
// what to do: held by another process, of another cluster, damaged, of a newer format.
void OpenDataDirectory(const io::Env& env, const config::Config& config, log::Logger* log,
                       std::function<void(absl::StatusOr<StartPoint>)> done);

}  // namespace quorate::server

#endif  // QUORATE_SERVER_BOOTSTRAP_H_
