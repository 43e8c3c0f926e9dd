// The HTTP/1.1 side of the client port: /health, /livez, /readyz, /version, /metrics, with etcd's
// parameters, statuses and bodies.
#ifndef QUORATE_SERVER_SERVICES_PROBES_H_
#define QUORATE_SERVER_SERVICES_PROBES_H_

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/http1/server.h"
#include "server/metrics/registry.h"
#include "server/node/node.h"

namespace quorate::services {

class Probes {
 public:
  // Both are borrowed, and outlive the last exchange of every server, as this does.
  Probes(node::Node* node, metrics::Registry* metrics);
  Probes(const Probes&) = delete;
  Probes& operator=(const Probes&) = delete;

  // Adds /health, /livez, /readyz and /metrics.
  void AddProbes(http1::Server* server);
  void AddVersion(http1::Server* server);
  // Adds /debug/vars: of what etcd tells there, the state of raft.
  void AddDebug(http1::Server* server);

 private:
  // One named condition of /livez or /readyz.
  enum class Check { kSerializableRead, kLinearizableRead, kDataCorruption, kNonLearner };
  struct NamedCheck {
    absl::string_view name;
    Check check;
    absl::string_view type;  // "livez" or "readyz"
  };
  struct Run;

  // Metrics of one check: the last outcome, and how often it was so.
  struct CheckMetrics {
    metrics::Gauge* healthy = nullptr;
    metrics::Counter* successes = nullptr;
    metrics::Counter* errors = nullptr;
  };

  void AddCheckMetrics(const NamedCheck& check);
  void Note(const NamedCheck& check, const absl::Status& status, Run* run);
  http1::Response HealthResponse(absl::string_view failure);
  void AnswerMetrics(const http1::ExchangePtr& exchange);
  void AnswerHealth(const http1::ExchangePtr& exchange);
  void AnswerChecks(const http1::ExchangePtr& exchange, std::vector<NamedCheck> checks);
  void AddChecks(http1::Server* server, const std::string& path, std::vector<NamedCheck> checks);
  void NextCheck(const std::shared_ptr<Run>& run);
  bool HasCorruptAlarm() const;
  // Reads a key; `done` gets why that failed.
  void Read(const http1::ExchangePtr& exchange, bool serializable,
            std::function<void(const absl::Status&)> done);

  node::Node* const node_;
  metrics::Registry* const metrics_;
  metrics::Counter* const health_successes_;
  metrics::Counter* const health_failures_;
  metrics::Counter* const scrapes_;
  std::map<std::pair<absl::string_view, absl::string_view>, CheckMetrics> check_metrics_;
};

}  // namespace quorate::services

#endif  // QUORATE_SERVER_SERVICES_PROBES_H_
