// gRPC server side over HTTP/2 byte streams.
//
//   grpc::Server server(loop, options);
//   server.AddUnary("/etcdserverpb.KV/Range", [&](grpc::Call* call, Bytes request) {...});
//   server.AddStreaming("/etcdserverpb.Watch/Watch", MethodKind::kBidiStream,
//                       [&](grpc::Call* call) { return std::make_unique<WatchStream>(call); });
//   network->Listen(address, [&](auto stream) { server.Accept(std::move(stream)); });
//
// What it answers by itself, with gRPC-Go's codes and texts: a wrong method (HTTP 405,
// 13), content type (415, 3) or timeout (400, 13); unknown service or method (12);
// unsupported coding (12); oversized (8) or malformed (13) messages; passed deadlines
// (the stream is reset with CANCEL).
#ifndef QUORATE_SERVER_GRPC_SERVER_H_
#define QUORATE_SERVER_GRPC_SERVER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "base/time.h"
#include "io/compute.h"
#include "io/loop.h"
#include "io/network.h"
#include "server/flow/reader_watch.h"
#include "server/grpc/call.h"
#include "server/http2/flush_queue.h"
#include "server/http2/options.h"

namespace quorate::grpc {

enum class MethodKind : uint8_t { kUnary, kClientStream, kServerStream, kBidiStream };

using UnaryHandler = std::function<void(Call*, Bytes request)>;
// May finish the call at once and return null.
using StreamingHandler = std::function<std::unique_ptr<StreamHandler>(Call*)>;

// Counters of one method, for metrics.
struct MethodStats {
  static constexpr std::array<Duration, 11> kTimeBounds = {
      Milliseconds(5),    Milliseconds(10),  Milliseconds(25),  Milliseconds(50),
      Milliseconds(100),  Milliseconds(250), Milliseconds(500), Seconds(1),
      Milliseconds(2500), Seconds(5),        Seconds(10)};

  uint64_t started = 0;
  std::array<uint64_t, 17> handled = {};  // by status code
  uint64_t messages_received = 0;
  uint64_t messages_sent = 0;
  // Calls that ended, by the time since their header fields: at most each of kTimeBounds, and
  // those that took longer.
  std::array<uint64_t, kTimeBounds.size() + 1> times = {};
  Duration total_time;
};

struct Method {
  std::string path;     // "/etcdserverpb.KV/Put"
  std::string service;  // "etcdserverpb.KV"
  std::string name;     // "Put"
  MethodKind kind = MethodKind::kUnary;
  UnaryHandler unary;
  StreamingHandler streaming;
  mutable MethodStats stats;
};

struct ServerOptions {
  // Largest request message; above it ResourceExhausted.
  size_t max_message_bytes = limits::kMaxGrpcReceiveBytes;
  // Request bytes that one connection, and all of them, may have in memory (unfinished
  // messages and requests in progress). Above it calls fail with ResourceExhausted.
  size_t max_connection_request_bytes = 64 * limits::kMiB;
  size_t max_total_request_bytes = 512 * limits::kMiB;
  // Bytes of unary answers that may wait for one client, and for all of them, to be read. What
  // does not fit is dropped and the call fails with ResourceExhausted; on a connection where
  // nothing waits the first answer may have any size, unless half of the second is taken. Small
  // answers do not wait for the large ones before them: the first does not bind them, and they may
  // take as much again of the second.
  size_t max_connection_response_bytes = 256 * limits::kMiB;
  size_t max_total_response_bytes = 1024 * limits::kMiB;
  // When answers no longer fit, connections whose clients do not read are closed.
  flow::ReaderRule readers;
  // Connections at once; above it the newest is closed.
  size_t max_connections = 20000;
  // Requests in progress on all connections; above it the newest is refused
  // (REFUSED_STREAM).
  size_t max_streams = 256 * 1024;
  // Where large compressed messages are unpacked; null: on the loop.
  io::Compute* compute = nullptr;
  http2::Options http2;
};

struct ServerStats {
  uint64_t received_bytes = 0;  // of request messages
  uint64_t sent_bytes = 0;      // of response messages
  uint64_t connections_accepted = 0;
};

class Server {
 public:
  Server(io::Loop* loop, const ServerOptions& options);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  // Closes every connection. Calls in progress are cancelled (callbacks run). Not from
  // inside a handler or callback.
  ~Server();

  // Before the first Accept. `path` is "/package.Service/Method".
  void AddUnary(absl::string_view path, UnaryHandler handler);
  void AddStreaming(absl::string_view path, MethodKind kind, StreamingHandler handler);
  // Asked before each handler (with the call's metadata in place); an error ends the call.
  void set_gate(std::function<absl::Status(const Call&)> gate) { gate_ = std::move(gate); }

  // Told of unary calls that took at least `threshold` from their header fields to their
  // answer.
  using SlowCallback = std::function<void(const Call&, Duration took, const absl::Status&)>;
  void set_on_slow(Duration threshold, SlowCallback callback) {
    slow_threshold_ = threshold;
    on_slow_ = std::move(callback);
  }

  // Serves a fresh stream until it ends. `peer_name`: what the connection itself proves of
  // the client's identity, such as the name in its certificate.
  void Accept(std::unique_ptr<io::Stream> stream, std::string peer_name = "");

  // The call with that id while it is open; null once it ended. O(1).
  Call* Find(uint64_t id);

  // Sends GOAWAY to every client, lets open calls end, then closes. New connections are
  // closed at once.
  void Drain();

  size_t connections() const { return connections_.size(); }
  size_t open_calls() const { return open_calls_; }
  size_t request_bytes() const { return request_bytes_; }
  // Of unary answers that wait to be read.
  size_t response_bytes() const { return response_bytes_; }
  const ServerStats& stats() const { return stats_; }
  // In order of path.
  const absl::btree_map<std::string, std::unique_ptr<Method>>& methods() const { return methods_; }

 private:
  friend class Call;
  friend class Connection;

  Method* AddMethod(absl::string_view path, MethodKind kind);
  const Method* FindMethod(absl::string_view path) const;
  bool HasService(absl::string_view service) const;

  Call* AcquireCall(Connection* connection);
  void OpenCall(Call* call);
  void CloseCall(Call* call);
  void ReleaseCall(Call* call);
  // Whether an answer of that size may wait on the connection.
  bool TakesResponse(const Connection& connection, size_t size);
  void CloseStalledReaders();
  void AddDeadline(Call* call);
  void OnDeadlineTimer();
  void Bury(std::unique_ptr<StreamHandler> handler);
  void Remove(uint64_t connection_id);

  io::Loop* const loop_;
  const ServerOptions options_;
  http2::FlushQueue flush_queue_;
  absl::btree_map<std::string, std::unique_ptr<Method>> methods_;
  absl::flat_hash_map<absl::string_view, Method*> by_path_;  // lookup only
  std::function<absl::Status(const Call&)> gate_;
  Duration slow_threshold_ = Duration::Infinite();
  SlowCallback on_slow_;
  bool draining_ = false;

  uint64_t next_connection_id_ = 0;
  absl::btree_map<uint64_t, std::unique_ptr<Connection>> connections_;

  // All call objects, in use and free; an open call's id is its slot and the slot's
  // generation.
  struct Slot {
    Call* call = nullptr;
    uint64_t generation = 0;
  };
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_;
  size_t open_calls_ = 0;
  size_t request_bytes_ = 0;
  size_t response_bytes_ = 0;
  Instant next_stall_check_;
  ServerStats stats_;

  // (deadline, slot) of open calls that have one.
  absl::btree_set<std::pair<Instant, uint32_t>> deadlines_;
  std::unique_ptr<io::Timer> deadline_timer_;
  Instant deadline_timer_at_ = Instant::Infinite();

  std::vector<std::unique_ptr<StreamHandler>> graveyard_;
  std::shared_ptr<bool> alive_;
};

}  // namespace quorate::grpc

#endif  // QUORATE_SERVER_GRPC_SERVER_H_
