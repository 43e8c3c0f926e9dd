// A port that is taken at start, so that a conflict shows at once, and served later: what
// connects meanwhile waits.
#ifndef QUORATE_SERVER_GATE_LISTENER_H_
#define QUORATE_SERVER_GATE_LISTENER_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "io/network.h"
#include "server/config/url.h"

namespace quorate::server {

class GateListener {
 public:
  GateListener() = default;
  GateListener(const GateListener&) = delete;
  GateListener& operator=(const GateListener&) = delete;

  // Takes the addresses. The error names the URL. Of the connections that come before Open
  // so many may wait; what comes above that is closed.
  absl::Status Listen(io::Network* network, const std::vector<config::Url>& urls,
                      size_t max_waiting);
  // Takes a connection, and whether its URL is one for TLS, which has not begun.
  using ServeCallback = std::function<void(std::unique_ptr<io::Stream>, bool secure)>;
  // Hands over all that wait, and from now on every connection at once.
  void Open(ServeCallback serve);
  // From now on connections wait again.
  void Hold() { serve_ = nullptr; }
  // Gives the ports back.
  void Close();

  // Bound addresses with their real ports.
  std::vector<std::string> addresses() const;

 private:
  void OnAccept(std::unique_ptr<io::Stream> stream, bool secure);

  size_t max_waiting_ = 0;
  std::vector<std::unique_ptr<io::Listener>> listeners_;
  std::vector<std::pair<std::unique_ptr<io::Stream>, bool>> waiting_;
  ServeCallback serve_;
};

}  // namespace quorate::server

#endif  // QUORATE_SERVER_GATE_LISTENER_H_
