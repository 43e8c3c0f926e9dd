// Signing and verifying take a core about a millisecond each time. Handshakes do so off the
// loop, a few at once: when a thousand clients come back together, requests and heartbeats
// of those that are there go on.
#ifndef QUORATE_SERVER_TLS_HANDSHAKE_QUEUE_H_
#define QUORATE_SERVER_TLS_HANDSHAKE_QUEUE_H_

#include <cstddef>
#include <functional>
#include <memory>

#include "io/compute.h"

namespace quorate::tls {

class HandshakeQueue {
 public:
  // `compute` is borrowed. At most so many steps run at once; the rest waits in order.
  HandshakeQueue(io::Compute* compute, size_t max_running);
  HandshakeQueue(const HandshakeQueue&) = delete;
  HandshakeQueue& operator=(const HandshakeQueue&) = delete;
  // What waits is dropped; what runs still calls its `done`.
  ~HandshakeQueue();

  // As io::Compute::Run.
  void Run(std::function<void()> work, std::function<void()> done);

 private:
  struct State;
  static void StartNext(const std::shared_ptr<State>& state);
  const std::shared_ptr<State> state_;
};

}  // namespace quorate::tls

#endif  // QUORATE_SERVER_TLS_HANDSHAKE_QUEUE_H_
