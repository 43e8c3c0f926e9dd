// HTTP/1.1 client side on io::Network: requests with whole or streamed bodies,
// responses whose bodies may be endless (a peer's raft stream).
//
//   http1::Client client(loop, network, "127.0.0.1:2380", options);
//   auto request = client.Start({"GET", "/raft/stream/message/1f", fields}, &handler);
//   ...
//   request.reset();          // gives up: the connection is closed
#ifndef QUORATE_SERVER_HTTP1_CLIENT_H_
#define QUORATE_SERVER_HTTP1_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/time.h"
#include "io/loop.h"
#include "io/network.h"
#include "server/http1/message.h"

namespace quorate::http1 {

class ClientConnection;

// What happens to a request. After OnEnd or OnError nothing more comes. Each of them may
// destroy the request or the client.
class ResponseHandler {
 public:
  virtual ~ResponseHandler() = default;
  // The status line and fields; interim 1xx answers are not shown.
  virtual void OnResponse(const ResponseHead& head) = 0;
  // A piece of the body, chunked coding undone; valid during the call only.
  virtual void OnBody(absl::string_view piece) = 0;
  // The body is complete.
  virtual void OnEnd() = 0;
  // Unavailable: could not connect, or the connection ended early; DeadlineExceeded:
  // one of the client's time limits; Internal: the answer is not HTTP. The text names the address.
  virtual void OnError(const absl::Status& status) = 0;
  // The connection's write queue fell to io::Stream::kWriteLowWater or below.
  virtual void OnWritable() {}
};

struct ClientRequest {
  std::string method = "GET";
  std::string target = "/";
  Fields fields;  // host and content-length are added
  std::vector<Bytes> body;
  // Set: the body is `body` and then what Write gives, this many bytes in all.
  // 0 with stream_body: chunked coding, ended by EndBody.
  bool stream_body = false;
  uint64_t content_length = 0;
};

struct ClientOptions {
  Duration connect_timeout = Seconds(5);
  // From the request's last byte to the response's header fields.
  Duration response_timeout = Seconds(30);
  // The longest silence within a response's body.
  Duration read_timeout = Duration::Infinite();
  // Idle connections kept for reuse.
  size_t max_idle_connections = 4;
  Duration idle_timeout = Seconds(60);
  size_t max_header_bytes = 64 * 1024;
};

// A request in progress. Destroying it gives up, closing its connection.
class ClientExchange {
 public:
  explicit ClientExchange(ClientConnection* connection) : connection_(connection) {}
  ClientExchange(const ClientExchange&) = delete;
  ClientExchange& operator=(const ClientExchange&) = delete;
  ~ClientExchange();

  // For stream_body: a piece of the request's body, and its end.
  void Write(Bytes data);
  void EndBody();
  size_t queued_bytes() const;

  // Back-pressure on the response's body.
  void PauseReading();
  void ResumeReading();

 private:
  friend class Client;
  friend class ClientConnection;
  ClientConnection* connection_;                    // null once the request is over
  std::unique_ptr<ResponseHandler> owned_handler_;  // Fetch's
};

// Requests to one address. Destroying it ends all of them without a callback.
class Client {
 public:
  Client(io::Loop* loop, io::Network* network, std::string address, const ClientOptions& options);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();

  // Begins a request on an idle connection or a new one. The handler is not owned and
  // is never called from inside Start. A request that fails on a reused connection
  // before any byte of an answer came is repeated once on a new one if its method is
  // safe (GET, HEAD).
  std::unique_ptr<ClientExchange> Start(ClientRequest request, ResponseHandler* handler);

  // Start with the body gathered (at most max_body_bytes): for short answers. The
  // callback comes once, unless the exchange is destroyed first.
  struct WholeResponse {
    ResponseHead head;
    std::string body;
  };
  using WholeCallback = std::function<void(absl::StatusOr<WholeResponse>)>;
  std::unique_ptr<ClientExchange> Fetch(ClientRequest request, size_t max_body_bytes,
                                        WholeCallback callback);

  const std::string& address() const { return address_; }

 private:
  friend class ClientConnection;

  bool MayKeepIdle() const;
  // Destroys the connection in a turn of its own.
  void RemoveLater(uint64_t connection_id);

  io::Loop* const loop_;
  io::Network* const network_;
  const std::string address_;
  const ClientOptions options_;
  uint64_t next_connection_id_ = 0;
  absl::btree_map<uint64_t, std::unique_ptr<ClientConnection>> connections_;  // busy and idle
  std::shared_ptr<bool> alive_;
};

}  // namespace quorate::http1

#endif  // QUORATE_SERVER_HTTP1_CLIENT_H_
