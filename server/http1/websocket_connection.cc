// The connection that has become a WebSocket: its messages as the lines of one request's body, the
// lines of the answer as its messages, so that handlers need not know.
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/http1/encode.h"
#include "server/http1/server_connection.h"

namespace quorate::http1 {

void ServerConnection::BeginWebSocket() {
  const ExchangePtr exchange = exchange_;
  Request& request = exchange->request_;
  const absl::StatusOr<std::string> head = AcceptWebSocket(request);
  if (!head.ok()) {
    keep_alive_ = false;
    return Respond(Response::Text(400, absl::StrCat(head.status().message(), "\n")));
  }
  Send(Bytes::Copy(*head));
  const std::string token = TokenOfProtocols(request);
  if (!token.empty() && !request.fields.Has("authorization")) {
    request.fields.Add("Authorization", token);
  }
  web_socket_.emplace();
  keep_alive_ = false;
  body_complete_ = false;
  request.method = head_.method = "POST";
  stream_body_ = route_->options.stream_body;
  // The first message comes first, and is held whole until it is.
  if (!stream_body_) return SetDeadline(server_->options_.body_timeout);
  if (route_->options.max_body_bytes == 0) max_body_ = ~size_t{0};
  Dispatch();
}

// As ParseSome.
bool ServerConnection::ReadWebSocket(absl::string_view* input) {
  FrameReader::Result result;
  const absl::Status status = web_socket_->Put(input, &result);
  if (!result.replies.empty()) {
    // Who pings on and on has to read, too. The last pings are all that need an answer (RFC 6455,
    // section 5.5.3), and it can wait: who reads slowly is alive.
    pongs_due_ = std::move(result.replies);
    if (queued_bytes() <= io::Stream::kWriteHighWater) WritePongs();
  }
  // A route that takes one message has no use for more; what counts behind it are pings and Close.
  const bool counts = stream_body_ || !body_complete_;
  if (counts && !result.payload.empty()) {
    OnBody(result.payload);
    if (!stream_body_) SetDeadline(server_->options_.body_timeout);
  }
  if (stream_ == nullptr || closing_) return false;
  if (!status.ok() || result.closed || refusal_ != 0) {
    const ExchangePtr exchange = exchange_;
    const std::function<void()> on_close =
        exchange != nullptr ? std::move(exchange->on_close_) : nullptr;
    EndWebSocket(status.ok() && refusal_ == 0 ? kNormalClosure : kProtocolError);
    if (on_close) on_close();
    return false;
  }
  if (!result.ended) return true;
  if (stream_body_) {
    DispatchBody("\n", false);
  } else if (!body_complete_) {
    RequestComplete();
  }
  return stream_ != nullptr && !closing_;
}

void ServerConnection::WritePongs() {
  if (!pongs_due_.empty()) Send(Bytes::Copy(std::exchange(pongs_due_, std::string())));
}

// Each call writes a line or a part of one; the frames of a message follow each other.
void ServerConnection::WriteWebSocket(std::vector<Bytes> pieces, bool last) {
  while (!pieces.empty() && pieces.back().empty()) pieces.pop_back();
  if (!pieces.empty() && pieces.back().view().back() == '\n') {
    pieces.back() = pieces.back().Slice(0, pieces.back().size() - 1);
    last = true;
  }
  const size_t size = TotalSize(pieces);
  if (size == 0 && !in_message_) return;
  std::string head;
  AppendFrameHead(in_message_ ? Opcode::kContinuation : Opcode::kText, last, size, &head);
  in_message_ = !last;
  Send(Bytes::Copy(head));
  for (Bytes& piece : pieces) {
    if (!piece.empty()) Send(std::move(piece));
  }
}

void ServerConnection::EndWebSocket(uint16_t code) {
  if (in_message_) WriteWebSocket({}, /*last=*/true);
  Send(Bytes::Copy(CloseFrame(code)));
  FinishExchange();
}

}  // namespace quorate::http1
