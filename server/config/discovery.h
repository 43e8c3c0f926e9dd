// --discovery-srv: the first members of a cluster, as DNS names them.
#ifndef QUORATE_SERVER_CONFIG_DISCOVERY_H_
#define QUORATE_SERVER_CONFIG_DISCOVERY_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "io/srv.h"
#include "server/config/config.h"

namespace quorate::config {

// What it needs of the outside; both may wait.
struct Resolver {
  // The SRV records of a name (io/uv/resolver.h).
  std::function<absl::StatusOr<std::vector<io::SrvRecord>>(const std::string& name)> srv;
  // Whether both "host:port" are the same place.
  std::function<bool(const std::string& a, const std::string& b)> same_place;
};

// The members that the records of _etcd-server-ssl._tcp (https) and _etcd-server._tcp (http) of
// config.discovery_srv name, each by a number but for this member, which has its own name: it is
// the one that advertises the record's place. FailedPrecondition if neither service has records, or
// if this member is not among them.
absl::StatusOr<std::vector<InitialMember>> MembersFromDns(const Config& config,
                                                          const Resolver& resolver);

}  // namespace quorate::config

#endif  // QUORATE_SERVER_CONFIG_DISCOVERY_H_
