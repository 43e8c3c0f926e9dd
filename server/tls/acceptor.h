// The server's side of a TLS port: raw connections in, established ones out, with what was
// agreed on. Bounds how long and, with the port's bound on connections, how many handshakes
// may be under way.
#ifndef QUORATE_SERVER_TLS_ACCEPTOR_H_
#define QUORATE_SERVER_TLS_ACCEPTOR_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "base/time.h"
#include "io/loop.h"
#include "io/network.h"
#include "server/log/logger.h"
#include "server/log/throttle.h"
#include "server/tls/handshake_queue.h"
#include "server/tls/source.h"
#include "server/tls/stream.h"

namespace quorate::tls {

// An established connection.
struct Accepted {
  std::unique_ptr<io::Stream> stream;
  std::string protocol;       // "h2", "http/1.1"; empty if the client named none
  std::string verified_name;  // the common name of a verified client certificate
};

struct AcceptorOptions {
  Duration handshake_timeout = Seconds(10);
  // How long a refused client may take to hear why.
  Duration linger_timeout = Seconds(1);
  // Of refused connections each address and cause is logged this often at most.
  Duration notice_interval = Seconds(60);
  // "client" or "peer", for log lines.
  std::string endpoint = "client";
};

// Everything runs on the loop. Destroying it closes what it has not handed over.
class Acceptor {
 public:
  using AcceptCallback = std::function<void(Accepted)>;

  // All borrowed.
  Acceptor(io::Loop* loop, log::Logger* log, Source* source, HandshakeQueue* queue,
           AcceptorOptions options, AcceptCallback on_accept);
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;
  ~Acceptor();

  // Takes over a fresh, not yet started stream.
  void Accept(std::unique_ptr<io::Stream> stream);

  // Connections that are here: half open, or being refused.
  size_t connections() const { return pending_.size(); }

 private:
  struct Pending {
    std::unique_ptr<io::Stream> raw;  // until the files have been read
    std::unique_ptr<TlsStream> stream;
    Instant deadline;
  };

  void Begin(uint64_t id, const Source::ContextOr& context);
  void OnHandshake(uint64_t id, const absl::Status& status);
  void Refuse(uint64_t id, const absl::Status& why);
  void Drop(uint64_t id);
  void Notice(const std::string& remote, const absl::Status& why);
  void SetDeadline(Pending* pending, Duration from_now);
  void OnTimer();

  io::Loop* const loop_;
  log::Logger* const log_;
  Source* const source_;
  HandshakeQueue* const queue_;
  const AcceptorOptions options_;
  const AcceptCallback on_accept_;
  std::unique_ptr<io::Timer> timer_;
  Instant timer_at_ = Instant::Infinite();
  uint64_t next_id_ = 0;
  absl::btree_map<uint64_t, Pending> pending_;
  log::Throttle throttle_;
  std::shared_ptr<Acceptor*> self_;  // what the source's callbacks hold
};

}  // namespace quorate::tls

#endif  // QUORATE_SERVER_TLS_ACCEPTOR_H_
