#include "server/client_port.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "server/services/cluster.h"
#include "server/services/election.h"
#include "server/services/http_rules.h"
#include "server/services/kv.h"
#include "server/services/lease.h"
#include "server/services/lock.h"
#include "server/services/maintenance.h"
#include "server/services/watch.h"

namespace quorate::server {

ClientPort::ClientPort(const io::Env& env, log::Logger* log, node::Node* node,
                       const config::Config& config, metrics::Sources sources)
    : names_from_certificates_(config.client_tls.client_cert_auth) {
  io::Loop* const loop = env.loop;
  grpc::ServerOptions options;
  options.max_connections = config.max_client_connections;
  if (config.max_concurrent_streams > 0) {  // 0: no bound of the operator's, as in etcd
    options.http2.max_concurrent_streams = static_cast<uint32_t>(
        std::min<size_t>(config.max_concurrent_streams, options.http2.max_concurrent_streams));
  }
  options.http2.min_ping_interval = config.grpc_keepalive_min_time;
  const bool pings =
      config.grpc_keepalive_interval > Duration() && config.grpc_keepalive_timeout > Duration();
  options.http2.keepalive_interval = pings ? config.grpc_keepalive_interval : Duration::Infinite();
  if (pings) options.http2.keepalive_timeout = config.grpc_keepalive_timeout;
  options.max_message_bytes = config.max_request_bytes + limits::kGrpcOverheadBytes;
  options.compute = env.compute;
  grpc_ = std::make_unique<grpc::Server>(loop, options);
  http1::ServerOptions http_options;
  http_options.max_connections = config.max_client_connections;
  http_ = std::make_unique<http1::Server>(loop, http_options);
  metrics_http_ = std::make_unique<http1::Server>(loop, http_options);
  leaders_ = std::make_unique<services::LeaderMonitor>(loop, grpc_.get(), node,
                                                       config.election_timeout * 3);
  grpc_->set_gate([this, node](const grpc::Call& call) {
    metrics_->CountClientRequest(call.method().kind != grpc::MethodKind::kUnary,
                                 call.Metadata("client-api-version").value_or(""));
    // A learner serves no streams; single requests the node refuses by itself.
    if (call.method().kind != grpc::MethodKind::kUnary && node->status().is_learner) {
      return absl::FailedPreconditionError("etcdserver: rpc not supported for learner");
    }
    return leaders_->Check(call);
  });

  LogSlowCalls(log, node, loop, config.warning_unary_request_duration);
  services::AddKv(grpc_.get(), node, log, config.max_request_bytes);
  services::AddWatch(grpc_.get(), node, leaders_.get());
  services::AddLease(grpc_.get(), node, leaders_.get());
  services::AddCluster(grpc_.get(), node, loop);
  services::AddMaintenance(grpc_.get(), node);
  services::Auth::Options auth;
  auth.bcrypt_cost = config.BcryptCost();
  auth_ = std::make_unique<services::Auth>(grpc_.get(), node, env.compute, env.random, auth);
  services::AddLock(grpc_.get(), loop, node);
  services::AddElection(grpc_.get(), loop, node);
  health_ = std::make_unique<services::Health>(grpc_.get());

  sources.grpc = grpc_.get();
  metrics_ = std::make_unique<metrics::ServerMetrics>(&registry_, std::move(sources));
  probes_ = std::make_unique<services::Probes>(node, &registry_);
  AddHttp(env, config, options.max_message_bytes);
  mux_ = std::make_unique<mux::Mux>(
      loop, mux::Options(),
      [this](std::unique_ptr<io::Stream> stream) { grpc_->Accept(std::move(stream)); },
      [this](std::unique_ptr<io::Stream> stream) { http_->Accept(std::move(stream)); });
}

// Keys and values are nobody's business but their owner's: sizes have to do.
void ClientPort::LogSlowCalls(log::Logger* log, const node::Node* node, const io::Loop* loop,
                              Duration threshold) {
  if (threshold <= Duration()) return;
  grpc_->set_on_slow(threshold, [log, node, loop](const grpc::Call& call, Duration took,
                                                  const absl::Status& status) {
    LOG_WARN(log, "request stats", {"time spent", took}, {"remote", call.peer()},
             {"response type", call.method().path}, {"request size", call.request_bytes()},
             {"response code", absl::StatusCodeToString(status.code())},
             {"trace", node->trace().Since(loop->Now() - took)});
  });
}

void ClientPort::AddHttp(const io::Env& env, const config::Config& config,
                         size_t max_message_bytes) {
  services::AddHttpRules(http_.get(), &config, /*check_hosts=*/true);
  services::AddV2Explanation(http_.get());
  probes_->AddProbes(http_.get());
  probes_->AddVersion(http_.get());
  probes_->AddDebug(http_.get());
  probes_->AddProbes(metrics_http_.get());
  if (!config.enable_grpc_gateway) return;
  gateway::Options options;
  options.max_message_bytes = max_message_bytes;
  gateway_ = std::make_unique<gateway::Gateway>(
      env.loop, http_.get(),
      [this](std::unique_ptr<io::Stream> stream) { grpc_->Accept(std::move(stream)); }, options);
}

ClientPort::~ClientPort() = default;

// A client that named no protocol shows it, but gets no name then: gRPC's clients name it.
void ClientPort::AcceptSecure(tls::Accepted accepted) {
  if (accepted.protocol == "http/1.1") return http_->Accept(std::move(accepted.stream));
  if (accepted.protocol != "h2") return mux_->Accept(std::move(accepted.stream));
  grpc_->Accept(std::move(accepted.stream),
                names_from_certificates_ ? std::move(accepted.verified_name) : "");
}

void ClientPort::Drain() {
  health_->SetServing(false);
  grpc_->Drain();
  http_->Drain();
  metrics_http_->Drain();
}

size_t ClientPort::connections() const {
  return grpc_->connections() + http_->connections() + metrics_http_->connections() +
         mux_->undecided();
}

}  // namespace quorate::server
