// What listens to the other members and calls them: etcd's peer protocol, plain and by TLS.
#ifndef QUORATE_SERVER_PEER_PORT_H_
#define QUORATE_SERVER_PEER_PORT_H_

#include <cstddef>
#include <memory>

#include "io/env.h"
#include "server/config/config.h"
#include "server/http1/server.h"
#include "server/log/logger.h"
#include "server/peer/rafthttp.h"
#include "server/secure_ports.h"
#include "storage/identity.h"

namespace quorate::server {

class PeerPort {
 public:
  // All borrowed; `information` is asked as long as this lives.
  PeerPort(const io::Env& env, log::Logger* log, SecurePorts* secure_ports,
           const config::Config& config, const storage::Identity& self,
           peer::Information information);
  PeerPort(const PeerPort&) = delete;
  PeerPort& operator=(const PeerPort&) = delete;

  // Takes a connection, and whether TLS is to begin on it.
  void Accept(std::unique_ptr<io::Stream> stream, bool secure);
  peer::RaftHttp* transport() { return rafthttp_.get(); }

 private:
  const size_t max_connections_;
  http1::Server http_;  // goes after whoever handles its requests
  std::unique_ptr<peer::RaftHttp> rafthttp_;
  std::unique_ptr<tls::Acceptor> acceptor_;
};

}  // namespace quorate::server

#endif  // QUORATE_SERVER_PEER_PORT_H_
