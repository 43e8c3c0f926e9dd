// The HTTP/1.1 side of the client port: /health, /livez, /readyz, /version, /metrics
// (etcd-operations, section 1).
#ifndef QUORATE_SERVER_SERVICES_PROBES_H_
#define QUORATE_SERVER_SERVICES_PROBES_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/http1/server.h"
#include "server/metrics/registry.h"
#include "server/node/node.h"

namespace quorate::services {

class Probes {
 public:
  // Adds the routes; everything borrowed outlives the server's last exchange.
  Probes(http1::Server* server, node::Node* node, metrics::Registry* metrics);
  Probes(const Probes&) = delete;
  Probes& operator=(const Probes&) = delete;

 private:
  // One named condition of /livez or /readyz.
  enum class Check { kSerializableRead, kLinearizableRead, kDataCorruption, kNonLearner };
  struct NamedCheck {
    absl::string_view name;
    Check check;
  };
  struct Run;

  void AnswerHealth(const http1::ExchangePtr& exchange);
  void AnswerChecks(const http1::ExchangePtr& exchange, std::vector<NamedCheck> checks);
  void AddChecks(http1::Server* server, const std::string& path, std::vector<NamedCheck> checks);
  void NextCheck(const std::shared_ptr<Run>& run);
  bool HasCorruptAlarm() const;
  // Reads a key; `done` gets why that failed.
  void Read(const http1::ExchangePtr& exchange, bool serializable,
            std::function<void(const absl::Status&)> done);

  node::Node* const node_;
};

}  // namespace quorate::services

#endif  // QUORATE_SERVER_SERVICES_PROBES_H_
