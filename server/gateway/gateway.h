// etcd's JSON gateway: every method of the API under /v3/ (and /v3beta/, its older name)
// by HTTP. A request becomes a call to our own gRPC server over a stream in memory, so
// that credentials, deadlines, limits, statistics and back-pressure are those of any
// other call.
//
// One request is one JSON object; watches and keep-alives take any number of them, one
// after another, in one body. One answer is one object; a streamed answer is a chunk of
// {"result":{...}} and a line feed for each message.
#ifndef QUORATE_SERVER_GATEWAY_GATEWAY_H_
#define QUORATE_SERVER_GATEWAY_GATEWAY_H_

#include <cstddef>
#include <functional>
#include <memory>

#include "io/loop.h"
#include "server/gateway/loopback.h"
#include "server/gateway/routes.h"
#include "server/http1/server.h"

namespace quorate::gateway {

struct Options {
  // The largest request message that the gRPC server takes; its JSON may have twice that.
  size_t max_message_bytes = 2 * 1024 * 1024;
};

class Gateway {
 public:
  // Adds the routes to `http`, and passes calls to `accept`. All borrowed; `http` is
  // destroyed before this, and this before what `accept` refers to.
  Gateway(io::Loop* loop, http1::Server* http, io::Network::AcceptCallback accept,
          const Options& options);
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

 private:
  void AddRoute(http1::Server* http, const Route& route);

  io::Loop* const loop_;
  const Options options_;
  Loopback loopback_;
};

}  // namespace quorate::gateway

#endif  // QUORATE_SERVER_GATEWAY_GATEWAY_H_
