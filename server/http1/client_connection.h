// One connection of a Client: at most one request at a time. Private to this room.
#ifndef QUORATE_SERVER_HTTP1_CLIENT_CONNECTION_H_
#define QUORATE_SERVER_HTTP1_CLIENT_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/time.h"
#include "server/http1/client.h"
#include "server/http1/parser.h"

namespace quorate::http1 {

class ClientConnection final : private io::Stream::Handler, private Parser::Sink {
 public:
  ClientConnection(Client* client, uint64_t id);
  ClientConnection(const ClientConnection&) = delete;
  ClientConnection& operator=(const ClientConnection&) = delete;
  ~ClientConnection() override;

  bool idle() const { return stream_ != nullptr && exchange_ == nullptr && !dead_; }
  bool busy() const { return exchange_ != nullptr; }

  // Takes a request; the connection is idle or new.
  void Begin(ClientRequest request, ResponseHandler* handler, ClientExchange* exchange);
  // The exchange was destroyed.
  void Abandon();
  // The client was destroyed: nothing more happens.
  void Orphan();

  void WriteBody(Bytes data);
  void EndBody();
  size_t queued_bytes() const { return stream_ == nullptr ? 0 : stream_->write_queue_bytes(); }
  void PauseReading();
  void ResumeReading();

 private:
  // io::Stream::Handler
  void OnData(absl::string_view data) override;
  void OnWritable() override;
  void OnEnd() override;
  void OnClose(const absl::Status& status) override;

  // Parser::Sink
  void OnHead(Head head) override;
  void OnBody(absl::string_view piece) override;

  void Connect();
  void OnConnected(absl::StatusOr<std::unique_ptr<io::Stream>> stream);
  void SendRequest();
  void NewParser();
  void Finish();
  // The connection is lost. Repeats the request if that is safe, else fails it.
  void Lose(const absl::Status& status);
  void Fail(const absl::Status& status);
  void Die();
  ResponseHandler* EndExchange();
  void SetDeadline(Duration from_now, absl::string_view what);
  void OnTimer();

  Client* const client_;
  const uint64_t id_;
  std::unique_ptr<io::PendingConnect> connecting_;
  std::unique_ptr<io::Stream> stream_;
  std::unique_ptr<io::Timer> timer_;
  Instant deadline_ = Instant::Infinite();
  absl::string_view deadline_what_;
  Instant timer_at_ = Instant::Infinite();
  bool dead_ = false;
  bool reused_ = false;

  ClientRequest request_;
  ResponseHandler* handler_ = nullptr;
  ClientExchange* exchange_ = nullptr;
  std::optional<Parser> parser_;
  Head head_;
  bool body_ended_ = false;  // of the request
  bool early_end_ = false;   // EndBody came before the connection
  std::vector<Bytes> early_body_;
  bool got_bytes_ = false;  // of this response
};

}  // namespace quorate::http1

#endif  // QUORATE_SERVER_HTTP1_CLIENT_CONNECTION_H_
