// One client's HTTP/2 connection. Private to this room.
#ifndef QUORATE_SERVER_GRPC_CONNECTION_H_
#define QUORATE_SERVER_GRPC_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "base/time.h"
#include "server/grpc/server.h"
#include "server/http2/session.h"

namespace quorate::grpc {

class Connection final : public http2::Session::Owner {
 public:
  Connection(Server* server, uint64_t id, std::unique_ptr<io::Stream> stream,
             std::string peer_name);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() override;

  void Start() { session_->Start(); }
  void Shutdown() { session_->Shutdown(); }
  // Also while it is destroyed, when its last calls end.
  const std::string& peer_address() const { return peer_address_; }
  const std::string& peer_name() const { return peer_name_; }

  // Bytes of answers that wait for the client to read them.
  size_t response_bytes() const { return response_bytes_; }
  void SetResponseBytes(size_t bytes);
  // To be asked when answers no longer fit. True if this connection's were waiting when it was
  // asked ServerOptions::stalled_reader_timeout ago or earlier, never all left since, and did so
  // at less than min_reader_rate. (What left before it was first asked shows how much the client's
  // windows take, not that it reads.)
  bool Stalled();

  // Request bytes of this connection's calls in memory.
  size_t request_bytes = 0;

 private:
  http2::Stream* OnRequest(http2::Session* session) override;
  void OnSessionClosed(http2::Session* session, const absl::Status& status) override;

  Server* const server_;
  const uint64_t id_;
  const std::string peer_name_;
  std::unique_ptr<http2::Session> session_;
  size_t response_bytes_ = 0;
  // Since when the client is watched, while answers wait, and the bytes that had left by then.
  std::optional<Instant> watched_since_;
  uint64_t sent_before_ = 0;
  const std::string peer_address_;
};

}  // namespace quorate::grpc

#endif  // QUORATE_SERVER_GRPC_CONNECTION_H_
