// HTTP/1.1 server side on byte streams: keep-alive, pipelining, bounded bodies,
// endless chunked responses, streamed request bodies, Expect: 100-continue.
//
//   http1::Server server(loop, options);
//   server.Route({"GET"}, "/health", [](ExchangePtr exchange) {
//     exchange->Respond(http1::Response::Json(200, R"({"health":"true"})"));
//   });
//   server.RoutePrefix({"GET"}, "/raft/stream/", [](ExchangePtr exchange) {
//     exchange->StartStream(200, {{"X-Server-Version", "3.7.1"}});   // flushed at once
//     exchange->set_on_close([...] { ... });
//     exchange->Write(frame);                                        // one chunk, at once
//   });
//
// What the server answers by itself: 307 (to the clean form of a path with "//", "/./" or "/../",
// as Go's servers do), 400 (malformed), 404 (no route), 405 with Allow (no such method on the
// route), 413 (body over the limit), 417 (unknown expectation), 431 (header over the limit), 408
// (headers or body that do not come), and it closes the connection after each of them but 307, 404
// and 405.
#ifndef QUORATE_SERVER_HTTP1_SERVER_H_
#define QUORATE_SERVER_HTTP1_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/time.h"
#include "io/loop.h"
#include "io/network.h"
#include "server/flow/reader_watch.h"
#include "server/http1/message.h"

namespace quorate::http1 {

class Server;
class ServerConnection;

// One request and its response. The handler keeps the shared pointer for as long as
// it wants to answer. When the client goes away (or the server is destroyed) the
// exchange closes: on_close is called once, every later call does nothing.
class Exchange {
 public:
  Exchange() = default;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  const Request& request() const { return request_; }
  Request& mutable_request() { return request_; }

  // A header field that goes with the answer whoever gives it (Server::set_filter).
  void AddField(std::string name, std::string value) {
    fields_.Add(std::move(name), std::move(value));
  }

  // The whole answer. The next pipelined request is handled after it.
  void Respond(Response response);

  // An answer of unknown or endless length: sends the status and fields at once with
  // chunked coding (to an HTTP/1.0 client: until the connection closes).
  void StartStream(int status, const Fields& fields);
  // One chunk, sent at once. Needs StartStream. Empty data is ignored.
  void Write(Bytes data);
  void Write(std::vector<Bytes> pieces);
  // The last chunk; the connection goes on with the next request.
  void EndStream();
  // Breaks off: closes the connection, so that the client sees a truncated answer.
  void Abort();

  // Bytes written to the connection that its socket has not taken yet. A producer
  // should pause above io::Stream::kWriteHighWater, until on_writable.
  size_t queued_bytes() const;

  // For an answer that may be large: whether so many bytes of it may be held until the client has
  // taken them. If the server holds too much for all its clients, those that have stopped reading
  // are dropped first. True reserves the bytes until the response is complete.
  bool MakeRoom(size_t bytes);

  // True once the response is complete or the client is gone.
  bool closed() const { return connection_ == nullptr; }

  // The client went away, or the server dropped it, before the response was complete.
  void set_on_close(std::function<void()> callback) { on_close_ = std::move(callback); }
  // The connection's queue fell to io::Stream::kWriteLowWater or below.
  void set_on_writable(std::function<void()> callback) { on_writable_ = std::move(callback); }

  // For routes with streamed bodies: pieces of the request's body as they come, then
  // an empty piece with `last`. Back-pressure with PauseBody and ResumeBody (the rest of
  // a piece of input that is being handled still comes). Answering before the end
  // closes the connection after the answer.
  void set_on_body(std::function<void(absl::string_view piece, bool last)> callback) {
    on_body_ = std::move(callback);
  }
  void PauseBody();
  void ResumeBody();

 private:
  friend class ServerConnection;

  Request request_;
  Fields fields_;                           // of AddField
  ServerConnection* connection_ = nullptr;  // null once closed
  bool streaming_ = false;
  size_t reserved_ = 0;
  std::function<void()> on_close_;
  std::function<void()> on_writable_;
  std::function<void(absl::string_view, bool)> on_body_;
};

using ExchangePtr = std::shared_ptr<Exchange>;

struct ServerOptions {
  // Request line and header fields together; above it 431.
  size_t max_header_bytes = 64 * 1024;
  // Default limit of a request's body; above it 413. A route may have its own.
  size_t max_body_bytes = 2 * 1024 * 1024;
  // From the first byte of a request to the end of its header fields.
  Duration header_timeout = Seconds(10);
  // The longest pause between two pieces of a request's body.
  Duration body_timeout = Seconds(60);
  // The longest wait for the next request on a kept connection.
  Duration idle_timeout = Seconds(300);
  // Bodies of requests that are being received, all connections together; above it 503.
  size_t max_total_body_bytes = 256 * 1024 * 1024;
  // Bytes of answers that Exchange::MakeRoom allows, all connections together; where more are
  // wanted, connections whose clients do not read are closed.
  size_t max_total_answer_bytes = 1024 * 1024 * 1024;
  flow::ReaderRule readers;
  // How long a connection that we close may take to accept our last bytes.
  Duration close_timeout = Seconds(5);
  // Connections at once; above it the newest is closed.
  size_t max_connections = 10000;
};

struct RouteOptions {
  size_t max_body_bytes = 0;  // 0 = the server's default
  // What a client hears whose body is larger; null = 413 and its text.
  std::function<Response()> too_large;
  // True: the handler is called as soon as the header fields are there, and gets the
  // body through set_on_body, without a limit unless max_body_bytes is set.
  bool stream_body = false;
  // The client may pause for as long as it wants between two pieces of the body.
  bool endless_body = false;
  // A client that has sent its last byte counts as gone, although it might still read: for
  // answers that cost much.
  bool leaves_at_end = false;
  // The connection may become a WebSocket (RFC 6455): the handler sees a POST whose body has a line
  // for each of the client's messages (its first message, unless the body is streamed), and each
  // line of the answer becomes a message; the end of the answer closes.
  bool web_socket = false;
  // An answer that is streamed has an end, and goes on if the client sends its last byte
  // meanwhile. (Without, such a client counts as gone.)
  bool answers_after_end = false;
};

class Server {
 public:
  using Handler = std::function<void(ExchangePtr)>;

  Server(io::Loop* loop, const ServerOptions& options);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  // Closes all connections; on_close of open exchanges is called. Not from inside a
  // handler or callback.
  ~Server();

  // An exact path. `methods` empty = all of them.
  void Route(std::vector<std::string> methods, std::string path, Handler handler) {
    Route(std::move(methods), std::move(path), RouteOptions{}, std::move(handler));
  }
  void Route(std::vector<std::string> methods, std::string path, RouteOptions options,
             Handler handler);
  // Every path that begins with `prefix`; the longest matching prefix wins, and an
  // exact route before any prefix. Who asks for a prefix that ends with '/' without that is
  // redirected.
  void RoutePrefix(std::vector<std::string> methods, std::string prefix, Handler handler) {
    RoutePrefix(std::move(methods), std::move(prefix), RouteOptions{}, std::move(handler));
  }
  void RoutePrefix(std::vector<std::string> methods, std::string prefix, RouteOptions options,
                   Handler handler);
  // Answers what no route takes; without one: 404 "404 page not found\n".
  void set_fallback(Handler handler) { fallback_ = std::move(handler); }

  // Sees each request before its route does. False: it has answered.
  void set_filter(std::function<bool(const ExchangePtr&)> filter) { filter_ = std::move(filter); }

  // Serves a fresh stream until it ends.
  void Accept(std::unique_ptr<io::Stream> stream);

  // Lets responses in progress end, closes idle connections now and the others after
  // their response. Endless streams go on until the server is destroyed.
  void Drain();

  size_t connections() const { return connections_.size(); }

 private:
  friend class ServerConnection;

  struct RouteEntry {
    std::vector<std::string> methods;
    RouteOptions options;
    Handler handler;
    bool Allows(absl::string_view method) const;
    std::string AllowHeader() const;
  };
  const RouteEntry* FindRoute(absl::string_view path) const;
  std::optional<std::string> RedirectOf(const Request& request) const;
  bool MakeRoom(size_t bytes);
  // "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, section 5.6.7).
  const std::string& HttpDate();
  // Destroys the connection in a turn of its own.
  void RemoveLater(uint64_t connection_id);

  io::Loop* const loop_;
  const ServerOptions options_;
  absl::btree_map<std::string, RouteEntry> exact_;
  absl::btree_map<std::string, RouteEntry> prefixes_;
  Handler fallback_;
  std::function<bool(const ExchangePtr&)> filter_;
  bool draining_ = false;
  std::string date_;          // of HttpDate
  int64_t date_second_ = -1;  // that it is of
  size_t body_bytes_ = 0;
  size_t reserved_bytes_ = 0;  // for answers that are being made
  uint64_t next_connection_id_ = 0;
  absl::btree_map<uint64_t, std::unique_ptr<ServerConnection>> connections_;
  std::shared_ptr<bool> alive_;
};

}  // namespace quorate::http1

#endif  // QUORATE_SERVER_HTTP1_SERVER_H_
