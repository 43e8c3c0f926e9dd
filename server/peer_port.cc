#include "server/peer_port.h"

#include <utility>

namespace quorate::server {
namespace {

http1::ServerOptions HttpOptions(const config::Config& config) {
  http1::ServerOptions options;
  options.max_connections = config.max_peer_connections;
  return options;
}

}  // namespace

PeerPort::PeerPort(const io::Env& env, log::Logger* log, SecurePorts* secure_ports,
                   const config::Config& config, const storage::Identity& self,
                   peer::Information information)
    : max_connections_(config.max_peer_connections), http_(env.loop, HttpOptions(config)) {
  peer::Identity identity{self.member_id, self.cluster_id,
                          config::UrlStrings(config.initial_advertise_peer_urls)};
  peer::Options options;
  options.dial_timeout = Seconds(1) + config.election_timeout;
  rafthttp_ = std::make_unique<peer::RaftHttp>(env, log, std::move(identity), options);
  rafthttp_->set_secure_network(secure_ports->peer_network());
  rafthttp_->AddRoutes(&http_, std::move(information));
  acceptor_ = secure_ports->NewPeerAcceptor(
      [this](tls::Accepted accepted) { http_.Accept(std::move(accepted.stream)); });
}

void PeerPort::Accept(std::unique_ptr<io::Stream> stream, bool secure) {
  if (!secure) return http_.Accept(std::move(stream));
  // What http_ itself bounds, with those that have not got so far yet.
  if (http_.connections() + acceptor_->connections() < max_connections_) {
    acceptor_->Accept(std::move(stream));
  }
}

}  // namespace quorate::server
