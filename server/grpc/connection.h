// One client's HTTP/2 connection. Private to this room.
#ifndef QUORATE_SERVER_GRPC_CONNECTION_H_
#define QUORATE_SERVER_GRPC_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "server/flow/reader_watch.h"
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
  // To be asked when answers no longer fit: whether the client takes too little of what waits for
  // it (flow::ReaderWatch).
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
  flow::ReaderWatch reader_;
  const std::string peer_address_;
};

}  // namespace quorate::grpc

#endif  // QUORATE_SERVER_GRPC_CONNECTION_H_
