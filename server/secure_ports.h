// What TLS needs of a member as a whole: the files of both ports, looked at once before
// anything else begins, and the places where handshakes happen.
#ifndef QUORATE_SERVER_SECURE_PORTS_H_
#define QUORATE_SERVER_SECURE_PORTS_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "io/env.h"
#include "io/network.h"
#include "server/config/config.h"
#include "server/log/logger.h"
#include "server/tls/acceptor.h"
#include "server/tls/handshake_queue.h"
#include "server/tls/network.h"
#include "server/tls/source.h"

namespace quorate::server {

class SecurePorts {
 public:
  // All borrowed.
  SecurePorts(const io::Env& env, log::Logger* log, const config::Config& config);
  SecurePorts(const SecurePorts&) = delete;
  SecurePorts& operator=(const SecurePorts&) = delete;
  ~SecurePorts();

  // Makes the certificates of --auto-tls, then loads what the flags name. `done` comes once, and
  // before the return if there is nothing to load; the error names flag and file.
  void Prepare(std::function<void(const absl::Status&)> done);

  // For connections to https URLs.
  std::unique_ptr<tls::Acceptor> NewClientAcceptor(tls::Acceptor::AcceptCallback on_accept);
  std::unique_ptr<tls::Acceptor> NewPeerAcceptor(tls::Acceptor::AcceptCallback on_accept);
  // For calls to members with https URLs.
  io::Network* peer_network() { return &peer_network_; }

 private:
  // The steps of Prepare, each of which goes on with the next, until an error or the end.
  void Next(const absl::Status& status);
  void MakeCertificate(const std::string& directory, const std::vector<config::Url>& urls);
  void LoadFirst(tls::Source* source);
  void WarnOfIgnored(const config::TlsSettings& tls, const std::vector<config::Url>& urls);
  std::unique_ptr<tls::Acceptor> NewAcceptor(const std::string& endpoint, tls::Source* source,
                                             tls::Acceptor::AcceptCallback on_accept);

  const io::Env env_;
  log::Logger* const log_;
  const config::Config& config_;
  const bool client_;  // the client port has an https URL
  const bool peers_;   // the peer port has one
  tls::HandshakeQueue handshakes_;
  tls::Source client_source_;
  tls::Source peer_source_;
  tls::Source peer_client_source_;
  tls::Network peer_network_;
  std::vector<std::function<void()>> steps_;  // the next one last
  std::function<void(const absl::Status&)> done_;
  std::shared_ptr<SecurePorts*> self_;  // what deferred callbacks hold
};

}  // namespace quorate::server

#endif  // QUORATE_SERVER_SECURE_PORTS_H_
