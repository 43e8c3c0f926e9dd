// The client port: gRPC and HTTP/1.1 on one listener, and all services behind it.
#ifndef QUORATE_SERVER_CLIENT_PORT_H_
#define QUORATE_SERVER_CLIENT_PORT_H_

#include <cstddef>
#include <memory>

#include "io/env.h"
#include "io/network.h"
#include "server/config/config.h"
#include "server/gateway/gateway.h"
#include "server/grpc/server.h"
#include "server/http1/server.h"
#include "server/log/logger.h"
#include "server/metrics/registry.h"
#include "server/metrics/server_metrics.h"
#include "server/mux/mux.h"
#include "server/node/node.h"
#include "server/services/auth.h"
#include "server/services/health.h"
#include "server/services/leader_monitor.h"
#include "server/services/probes.h"
#include "server/tls/acceptor.h"

namespace quorate::server {

class ClientPort {
 public:
  // `sources` for the metrics; its gRPC server is this one. `log`, `node` and `config` must
  // outlive this.
  ClientPort(const io::Env& env, log::Logger* log, node::Node* node, const config::Config& config,
             metrics::Sources sources);
  ClientPort(const ClientPort&) = delete;
  ClientPort& operator=(const ClientPort&) = delete;
  ~ClientPort();

  // Serves a fresh stream, whatever it speaks.
  void Accept(std::unique_ptr<io::Stream> stream) { mux_->Accept(std::move(stream)); }
  // Serves one that may speak only this.
  void AcceptGrpc(std::unique_ptr<io::Stream> stream) { grpc_->Accept(std::move(stream)); }
  void AcceptHttp(std::unique_ptr<io::Stream> stream) { http_->Accept(std::move(stream)); }
  // Serves one that may see metrics and health, and nothing else.
  void AcceptMetrics(std::unique_ptr<io::Stream> stream) {
    metrics_http_->Accept(std::move(stream));
  }
  // Serves one whose TLS handshake is done.
  void AcceptSecure(tls::Accepted accepted);
  void OnLeadershipChange() { leaders_->OnLeadershipChange(); }

  metrics::ServerMetrics* metrics() { return metrics_.get(); }
  metrics::Registry* registry() { return &registry_; }

  // GOAWAY to all; new connections are closed, calls in progress end.
  void Drain();
  // Connections, also those that have not shown their protocol yet.
  size_t connections() const;

 private:
  void LogSlowCalls(log::Logger* log, const node::Node* node, const io::Loop* loop,
                    Duration threshold);
  void AddHttp(const io::Env& env, const config::Config& config, size_t max_message_bytes);

  const bool names_from_certificates_;
  // In this order: a server's last calls still meet their services.
  metrics::Registry registry_;
  std::unique_ptr<services::LeaderMonitor> leaders_;
  std::unique_ptr<services::Health> health_;
  std::unique_ptr<services::Auth> auth_;
  std::unique_ptr<services::Probes> probes_;
  std::unique_ptr<metrics::ServerMetrics> metrics_;
  std::unique_ptr<grpc::Server> grpc_;
  std::unique_ptr<gateway::Gateway> gateway_;
  std::unique_ptr<http1::Server> http_;
  std::unique_ptr<http1::Server> metrics_http_;
  std::unique_ptr<mux::Mux> mux_;
};

}  // namespace quorate::server

#endif  // QUORATE_SERVER_CLIENT_PORT_H_
