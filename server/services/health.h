// grpc.health.v1.Health: the server as a whole (service name "") and each of its services.
#ifndef QUORATE_SERVER_SERVICES_HEALTH_H_
#define QUORATE_SERVER_SERVICES_HEALTH_H_

#include <cstdint>
#include <string>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/strings/string_view.h"
#include "server/grpc/server.h"

namespace quorate::services {

class Health {
 public:
  // Adds the service; must outlive the server's last call.
  explicit Health(grpc::Server* server);
  Health(const Health&) = delete;
  Health& operator=(const Health&) = delete;

  // What Check answers from now on, and what watchers are told if it changes. Starts as
  // serving: the port is not served before the member is ready.
  void SetServing(bool serving);

 private:
  class WatchCall;

  void Check(grpc::Call* call, const Bytes& request) const;
  // Services have no health of their own, as in etcd.
  static bool Knows(absl::string_view service) { return service.empty(); }
  Bytes Reply(absl::string_view service) const;
  void Remove(uint64_t call_id) { watches_.erase(call_id); }

  grpc::Server* const server_;
  bool serving_ = true;
  absl::btree_map<uint64_t, std::string> watches_;  // call to service name
};

}  // namespace quorate::services

#endif  // QUORATE_SERVER_SERVICES_HEALTH_H_
