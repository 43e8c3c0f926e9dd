#include "server/client_port.h"

#include <utility>

#include "base/limits.h"
#include "server/services/cluster.h"
#include "server/services/kv.h"
#include "server/services/later.h"
#include "server/services/lease.h"
#include "server/services/maintenance.h"
#include "server/services/watch.h"

namespace quorate::server {

ClientPort::ClientPort(const io::Env& env, node::Node* node, const config::Config& config,
                       metrics::Sources sources) {
  io::Loop* const loop = env.loop;
  grpc::ServerOptions options;
  options.max_connections = config.max_client_connections;
  options.max_message_bytes = config.max_request_bytes + limits::kGrpcOverheadBytes;
  grpc_ = std::make_unique<grpc::Server>(loop, options);
  http1::ServerOptions http_options;
  http_options.max_connections = config.max_client_connections;
  http_ = std::make_unique<http1::Server>(loop, http_options);
  leaders_ = std::make_unique<services::LeaderMonitor>(loop, grpc_.get(), node,
                                                       config.election_timeout * 3);
  grpc_->set_gate([this, node](const grpc::Call& call) {
    // A learner serves no streams; single requests the node refuses by itself.
    if (call.method().kind != grpc::MethodKind::kUnary && node->status().is_learner) {
      return absl::FailedPreconditionError("etcdserver: rpc not supported for learner");
    }
    return leaders_->Check(call);
  });

  services::AddKv(grpc_.get(), node);
  services::AddWatch(grpc_.get(), node, leaders_.get());
  services::AddLease(grpc_.get(), node, leaders_.get());
  services::AddCluster(grpc_.get(), node, loop);
  services::AddMaintenance(grpc_.get(), node);
  services::Auth::Options auth;
  auth.bcrypt_cost = config.BcryptCost();
  auth_ = std::make_unique<services::Auth>(grpc_.get(), node, env.compute, env.random, auth);
  services::AddLaterServices(grpc_.get());
  health_ = std::make_unique<services::Health>(grpc_.get());

  sources.grpc = grpc_.get();
  metrics_ = std::make_unique<metrics::ServerMetrics>(&registry_, std::move(sources));
  probes_ = std::make_unique<services::Probes>(http_.get(), node, &registry_);
  mux_ = std::make_unique<mux::Mux>(
      loop, mux::Options(),
      [this](std::unique_ptr<io::Stream> stream) { grpc_->Accept(std::move(stream)); },
      [this](std::unique_ptr<io::Stream> stream) { http_->Accept(std::move(stream)); });
}

ClientPort::~ClientPort() = default;

void ClientPort::Drain() {
  health_->SetServing(false);
  grpc_->Drain();
  http_->Drain();
}

size_t ClientPort::connections() const {
  return grpc_->connections() + http_->connections() + mux_->undecided();
}

}  // namespace quorate::server
