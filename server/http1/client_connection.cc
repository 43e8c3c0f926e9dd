#include "server/http1/client_connection.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "io/unix_address.h"
#include "server/http1/encode.h"

namespace quorate::http1 {

ClientConnection::ClientConnection(Client* client, uint64_t id)
    : client_(client), id_(id), timer_(client->loop_->NewTimer([this] { OnTimer(); })) {}

ClientConnection::~ClientConnection() = default;

void ClientConnection::Begin(ClientRequest request, ResponseHandler* handler,
                             ClientExchange* exchange) {
  CHECK(exchange_ == nullptr);
  request_ = std::move(request);
  handler_ = handler;
  exchange_ = exchange;
  body_ended_ = !request_.stream_body;
  early_end_ = false;
  early_body_.clear();
  got_bytes_ = false;
  reused_ = stream_ != nullptr;
  reused_ ? SendRequest() : Connect();
}

void ClientConnection::Connect() {
  SetDeadline(client_->options_.connect_timeout, "connecting");
  connecting_ = client_->network_->Connect(
      client_->address_, [this](absl::StatusOr<std::unique_ptr<io::Stream>> stream) {
        OnConnected(std::move(stream));
      });
}

void ClientConnection::OnConnected(absl::StatusOr<std::unique_ptr<io::Stream>> stream) {
  connecting_.reset();
  if (!stream.ok()) return Fail(absl::UnavailableError(stream.status().message()));
  stream_ = *std::move(stream);
  SendRequest();
  stream_->Start(this);
}

void ClientConnection::SendRequest() {
  NewParser();
  std::string head = absl::StrCat(request_.method, " ", request_.target, " HTTP/1.1\r\n");
  if (!request_.fields.Has("host")) {
    const bool is_socket = io::UnixPathOf(client_->address_).has_value();
    absl::StrAppend(&head, "Host: ", is_socket ? "localhost" : client_->address_, "\r\n");
  }
  AppendFields(request_.fields, &head);
  if (request_.stream_body && request_.content_length == 0) {
    head.append("Transfer-Encoding: chunked\r\n");
  } else {
    const uint64_t length =
        request_.stream_body ? request_.content_length : TotalSize(request_.body);
    const bool usual_without = request_.method == "GET" || request_.method == "HEAD";
    if (length > 0 || !usual_without) absl::StrAppend(&head, "Content-Length: ", length, "\r\n");
  }
  head.append("\r\n");
  stream_->Write(Bytes::Copy(head));
  for (const Bytes& piece : request_.body) {
    if (!piece.empty()) request_.stream_body ? WriteBody(piece) : stream_->Write(piece);
  }
  for (Bytes& piece : std::exchange(early_body_, {})) WriteBody(std::move(piece));
  if (early_end_) EndBody();
  if (body_ended_) SetDeadline(client_->options_.response_timeout, "waiting for the response of");
}

void ClientConnection::WriteBody(Bytes data) {
  if (body_ended_ || data.empty()) return;
  if (stream_ == nullptr) return early_body_.push_back(std::move(data));
  SetDeadline(Duration::Infinite(), "");
  if (request_.content_length != 0) return stream_->Write(std::move(data));
  std::vector<Bytes> pieces;
  pieces.push_back(std::move(data));
  WriteChunk(std::move(pieces), stream_.get());
}

void ClientConnection::EndBody() {
  if (body_ended_) return;
  if (stream_ == nullptr) {
    early_end_ = true;
    return;
  }
  body_ended_ = true;
  if (request_.content_length == 0) stream_->Write(Bytes::Static(kLastChunk));
  SetDeadline(client_->options_.response_timeout, "waiting for the response of");
}

void ClientConnection::NewParser() {
  parser_.emplace(Parser::Kind::kResponse, client_->options_.max_header_bytes,
                  static_cast<Parser::Sink*>(this));
  if (request_.method == "HEAD") parser_->SkipBody();
}

void ClientConnection::OnData(absl::string_view data) {
  if (dead_) return;
  if (exchange_ == nullptr) return Die();  // an idle connection has nothing to say
  got_bytes_ = true;
  while (!dead_ && exchange_ != nullptr && !data.empty()) {
    parser_->set_stop_after_head(true);
    const absl::Status status = parser_->Put(&data);
    if (dead_ || exchange_ == nullptr) return;
    if (!status.ok()) {
      return Fail(absl::InternalError(
          absl::StrCat("bad HTTP response from ", client_->address_, ": ", status.message())));
    }
    if (parser_->head_done()) {
      if (head_.status / 100 == 1 && head_.status != 101) {  // interim: the real one follows
        NewParser();
        continue;
      }
      SetDeadline(client_->options_.read_timeout, "reading the response of");
    }
    if (parser_->done()) {
      if (!data.empty()) head_.keep_alive = false;  // more than was asked for
      return Finish();
    }
  }
}

void ClientConnection::OnHead(Head head) {
  head_ = std::move(head);
  if (exchange_ == nullptr || (head_.status / 100 == 1 && head_.status != 101)) return;
  ResponseHead response;
  response.status = head_.status;
  response.fields = std::move(head_.fields);
  handler_->OnResponse(response);
}

void ClientConnection::OnBody(absl::string_view piece) {
  if (exchange_ != nullptr) handler_->OnBody(piece);
}

void ClientConnection::OnWritable() {
  if (exchange_ != nullptr) handler_->OnWritable();
}

void ClientConnection::OnEnd() {
  if (dead_) return;
  if (exchange_ != nullptr && parser_->started() && parser_->PutEnd().ok()) {
    head_.keep_alive = false;
    return Finish();
  }
  Lose(absl::UnavailableError(absl::StrCat("connection closed by ", client_->address_)));
}

void ClientConnection::OnClose(const absl::Status& status) {
  if (dead_) return;
  Lose(absl::UnavailableError(
      absl::StrCat("connection to ", client_->address_, " failed: ", status.message())));
}

void ClientConnection::Lose(const absl::Status& status) {
  const bool safe = request_.method == "GET" || request_.method == "HEAD";
  if (exchange_ == nullptr || !reused_ || got_bytes_ || !safe) return Fail(status);
  // The server closed a kept connection just when we used it again.
  stream_.reset();
  reused_ = false;
  Connect();
}

// The response is complete.
void ClientConnection::Finish() {
  ResponseHandler* const handler = EndExchange();
  const bool keep = head_.keep_alive && body_ended_ && client_->MayKeepIdle();
  if (keep) {
    stream_->ResumeReading();
    SetDeadline(client_->options_.idle_timeout, "idle");
  } else {
    Die();
  }
  handler->OnEnd();
}

void ClientConnection::Fail(const absl::Status& status) {
  ResponseHandler* const handler = EndExchange();
  Die();
  if (handler != nullptr) handler->OnError(status);
}

void ClientConnection::Abandon() {
  EndExchange();
  Die();
}

ResponseHandler* ClientConnection::EndExchange() {
  if (exchange_ != nullptr) exchange_->connection_ = nullptr;
  exchange_ = nullptr;
  request_ = ClientRequest();
  return std::exchange(handler_, nullptr);
}

void ClientConnection::Orphan() {
  EndExchange();
  dead_ = true;
  connecting_.reset();
  stream_.reset();
  timer_.reset();
}

void ClientConnection::Die() {
  if (dead_) return;
  Orphan();
  client_->RemoveLater(id_);
}

void ClientConnection::PauseReading() {
  if (stream_ != nullptr) stream_->PauseReading();
}

void ClientConnection::ResumeReading() {
  if (stream_ != nullptr) stream_->ResumeReading();
}

void ClientConnection::SetDeadline(Duration from_now, absl::string_view what) {
  deadline_what_ = what;
  if (from_now == Duration::Infinite()) {
    deadline_ = Instant::Infinite();
    return;
  }
  deadline_ = client_->loop_->Now() + from_now;
  if (deadline_ >= timer_at_) return;  // it fires early and is set again
  timer_at_ = deadline_;
  timer_->Set(deadline_);
}

void ClientConnection::OnTimer() {
  timer_at_ = Instant::Infinite();
  if (dead_ || deadline_ == Instant::Infinite()) return;
  if (client_->loop_->Now() < deadline_) {
    timer_at_ = deadline_;
    timer_->Set(deadline_);
    return;
  }
  if (exchange_ == nullptr) return Die();
  Fail(absl::DeadlineExceededError(
      absl::StrCat(deadline_what_, " ", client_->address_, " took too long")));
}

}  // namespace quorate::http1
