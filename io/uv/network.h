// io::Network over TCP and over sockets in the file system.
#ifndef QUORATE_IO_UV_NETWORK_H_
#define QUORATE_IO_UV_NETWORK_H_

#include <memory>
#include <string>

#include "io/network.h"
#include "io/uv/loop.h"

namespace quorate::io::uv {

class Network final : public io::Network {
 public:
  // With `reuse_port`, of ports on which only such sockets listen there may be more than one
  // (SO_REUSEPORT): the kernel shares out the connections.
  Network(Loop* loop, bool reuse_port) : loop_(loop), reuse_port_(reuse_port) {}

  // Resolves a name while it waits (at start, from the hosts file as a rule).
  absl::StatusOr<std::unique_ptr<Listener>> Listen(const std::string& address,
                                                   AcceptCallback accept) override;
  // Tries the addresses of a name one after another.
  std::unique_ptr<PendingConnect> Connect(const std::string& address,
                                          ConnectCallback callback) override;

 private:
  Loop* const loop_;
  const bool reuse_port_;
};

}  // namespace quorate::io::uv

#endif  // QUORATE_IO_UV_NETWORK_H_
