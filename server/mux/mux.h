// One port for gRPC and HTTP/1.1, as etcd's client port: the first bytes of a
// connection say which it is (the HTTP/2 preface "PRI * HTTP/2.0..." or anything
// else), however they are split.
//
//   mux::Mux mux(loop, options,
//                [&](auto stream) { grpc.Accept(std::move(stream)); },
//                [&](auto stream) { http1.Accept(std::move(stream)); });
//   network->Listen(address, [&](auto stream) { mux.Accept(std::move(stream)); });
//
// The stream that comes out gives the bytes already read first, right after its new
// owner's Start.
#ifndef QUORATE_SERVER_MUX_MUX_H_
#define QUORATE_SERVER_MUX_MUX_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/container/btree_map.h"
#include "base/time.h"
#include "io/loop.h"
#include "io/network.h"

namespace quorate::mux {

struct Options {
  // A connection that has not shown its protocol by then is closed.
  Duration handshake_timeout = Seconds(10);
};

// Everything runs on the loop. Destroying a Mux closes the connections that it has
// not yet handed over; those handed over live on.
class Mux {
 public:
  using AcceptCallback = std::function<void(std::unique_ptr<io::Stream>)>;

  Mux(io::Loop* loop, const Options& options, AcceptCallback on_http2, AcceptCallback on_http1);
  Mux(const Mux&) = delete;
  Mux& operator=(const Mux&) = delete;
  ~Mux();

  // Takes over a fresh, not yet started stream.
  void Accept(std::unique_ptr<io::Stream> stream);

  // Connections whose protocol is not known yet.
  size_t undecided() const { return undecided_.size(); }

 private:
  class SniffedStream;
  struct Undecided {
    std::unique_ptr<SniffedStream> stream;
    Instant deadline;
  };

  // Called by the stream, last, when it knows. May destroy it.
  void Decide(uint64_t id, bool is_http2);
  void Drop(uint64_t id);
  void OnTimer();

  io::Loop* const loop_;
  const Options options_;
  const AcceptCallback on_http2_;
  const AcceptCallback on_http1_;
  std::unique_ptr<io::Timer> timer_;
  bool timer_set_ = false;
  uint64_t next_id_ = 0;
  // In order of arrival, hence of deadline.
  absl::btree_map<uint64_t, Undecided> undecided_;
};

}  // namespace quorate::mux

#endif  // QUORATE_SERVER_MUX_MUX_H_
