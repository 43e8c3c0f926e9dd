// io::Network whose connections are TLS clients': what speaks over plain streams speaks over
// TLS by being given this instead.
#ifndef QUORATE_SERVER_TLS_NETWORK_H_
#define QUORATE_SERVER_TLS_NETWORK_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "io/loop.h"
#include "io/network.h"
#include "server/tls/handshake_queue.h"
#include "server/tls/source.h"

namespace quorate::tls {

class Network final : public io::Network {
 public:
  // All borrowed; `source` is a client's.
  Network(io::Loop* loop, io::Network* below, Source* source, HandshakeQueue* queue)
      : loop_(loop), below_(below), source_(source), queue_(queue) {}

  // Unimplemented: a port has an Acceptor.
  absl::StatusOr<std::unique_ptr<io::Listener>> Listen(const std::string& address,
                                                       AcceptCallback accept) override;
  // Connected once the handshake has succeeded. How long it may take is up to the caller.
  std::unique_ptr<io::PendingConnect> Connect(const std::string& address,
                                              ConnectCallback callback) override;

 private:
  class Connecting;

  io::Loop* const loop_;
  io::Network* const below_;
  Source* const source_;
  HandshakeQueue* const queue_;
};

}  // namespace quorate::tls

#endif  // QUORATE_SERVER_TLS_NETWORK_H_
