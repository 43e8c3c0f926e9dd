// One client's HTTP/1.1 connection. Private to this room.
#ifndef QUORATE_SERVER_HTTP1_SERVER_CONNECTION_H_
#define QUORATE_SERVER_HTTP1_SERVER_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/time.h"
#include "server/flow/reader_watch.h"
#include "server/http1/parser.h"
#include "server/http1/server.h"
#include "server/http1/websocket.h"

namespace quorate::http1 {

class ServerConnection final : private io::Stream::Handler, private Parser::Sink {
 public:
  ServerConnection(Server* server, uint64_t id, std::unique_ptr<io::Stream> stream);
  ServerConnection(const ServerConnection&) = delete;
  ServerConnection& operator=(const ServerConnection&) = delete;
  ~ServerConnection() override;

  void Start();
  // No further request: closes now if none is in progress, else after it.
  void Drain();

  // Exchange's actions.
  void Respond(Response response);
  void StartStream(int status, const Fields& fields);
  void Write(std::vector<Bytes> pieces);
  void EndStream();
  void Abort() { Die(); }
  size_t queued_bytes() const { return stream_ == nullptr ? 0 : stream_->write_queue_bytes(); }
  bool MakeRoom(size_t bytes);
  void PauseBody();
  void ResumeBody();

  // Whether the client takes too little of what waits for it (flow::ReaderWatch).
  bool Stalls();

 private:
  // io::Stream::Handler
  void OnData(absl::string_view data) override;
  void OnWritable() override;
  void OnEnd() override;
  void OnClose(const absl::Status& status) override;

  // Parser::Sink
  void OnHead(Head head) override;
  void OnBody(absl::string_view piece) override;

  void NewParser();
  bool InputWaits() const;
  // Works through the input until it ends or a response has to come first.
  void Process();
  void ProcessLater();
  // Feeds the parser. False if the connection cannot go on with this input now.
  bool ParseSome(absl::string_view* input);
  bool TakeTarget();
  absl::string_view FramingError(const Fields& fields) const;
  void Dispatch();
  void DispatchBody(absl::string_view piece, bool last);
  void RequestComplete();
  // Once a WebSocket was asked for (server/http1/websocket.h), in websocket_connection.cc.
  void BeginWebSocket();
  bool ReadWebSocket(absl::string_view* input);
  void WriteWebSocket(std::vector<Bytes> pieces, bool last);
  void WritePongs();
  void EndWebSocket(uint16_t code);
  void Fail(int status, absl::string_view text);
  void FailWith(Response response);
  void AppendHead(int status, const Fields& fields, std::string* out) const;
  void Send(Bytes data);
  void WatchWrite();
  void FinishExchange();
  void Unreserve(Exchange* exchange);
  void CloseAfterFlush();
  // The connection is over: tells the exchange, lets go of the stream.
  void Die();
  void SetDeadline(Duration from_now);
  void OnTimer();
  bool head_only() const { return head_.method == "HEAD"; }

  Server* const server_;
  const uint64_t id_;
  std::unique_ptr<io::Stream> stream_;  // null once dead
  std::unique_ptr<io::Timer> timer_;
  Instant deadline_ = Instant::Infinite();
  Instant timer_at_ = Instant::Infinite();

  std::string input_;  // kept while a response is pending or the body paused
  size_t parsed_ = 0;  // bytes at its front that are done with
  bool reading_paused_ = false;
  bool processing_ = false;
  bool process_scheduled_ = false;
  bool input_ended_ = false;
  bool closing_ = false;
  bool draining_ = false;

  // The request being read or answered.
  std::optional<Parser> parser_;
  Head head_;
  const Server::RouteEntry* route_ = nullptr;
  bool stream_body_ = false;
  bool body_paused_ = false;
  bool body_complete_ = false;
  size_t max_body_ = 0;
  uint64_t body_size_ = 0;
  std::optional<BytesBuilder> body_;
  int refusal_ = 0;  // an error status found while parsing
  absl::string_view refusal_text_;
  ExchangePtr exchange_;
  bool chunked_ = false;
  std::optional<FrameReader> web_socket_;
  std::string pongs_due_;    // until much has left of what waits for the client
  bool in_message_ = false;  // of ours, of which some was written
  bool keep_alive_ = true;

  uint64_t written_ = 0;  // bytes
  flow::ReaderWatch reader_;
};

}  // namespace quorate::http1

#endif  // QUORATE_SERVER_HTTP1_SERVER_CONNECTION_H_
