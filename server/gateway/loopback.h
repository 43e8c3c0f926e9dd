// A network within the process: byte streams from the gateway to our own gRPC server.
#ifndef QUORATE_SERVER_GATEWAY_LOOPBACK_H_
#define QUORATE_SERVER_GATEWAY_LOOPBACK_H_

#include <functional>
#include <memory>
#include <string>

#include "io/loop.h"
#include "io/network.h"

namespace quorate::gateway {

// Every Connect makes a fresh pair of streams: one for the caller, the other for `accept`.
// The address is what the accepted end gives as its peer's. Bytes pass at the end of the
// loop's turn; an end that does not read makes the other's queue grow, as a socket would.
class Loopback final : public io::Network {
 public:
  Loopback(io::Loop* loop, AcceptCallback accept);
  ~Loopback() override;

  // Nobody can listen here.
  absl::StatusOr<std::unique_ptr<io::Listener>> Listen(const std::string& address,
                                                       AcceptCallback accept) override;
  std::unique_ptr<io::PendingConnect> Connect(const std::string& address,
                                              ConnectCallback callback) override;

 private:
  io::Loop* const loop_;
  // What connects under way hold; expires with this.
  const std::shared_ptr<AcceptCallback> accept_;
};

}  // namespace quorate::gateway

#endif  // QUORATE_SERVER_GATEWAY_LOOPBACK_H_
