#include "server/http1/server_connection.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "server/http1/encode.h"

namespace quorate::http1 {
namespace {

constexpr absl::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
constexpr size_t kBodyReserve = 16 * 1024;
// Whoever has less than this waiting harms nobody: events that come now and then, say.
constexpr size_t kWatchedBytes = 64 * 1024;

// Fields that this room writes itself.
bool IsOurs(absl::string_view name) {
  return absl::EqualsIgnoreCase(name, "content-length") ||
         absl::EqualsIgnoreCase(name, "transfer-encoding") ||
         absl::EqualsIgnoreCase(name, "connection");
}

bool StatusHasNoBody(int status) { return status / 100 == 1 || status == 204 || status == 304; }

}  // namespace

ServerConnection::ServerConnection(Server* server, uint64_t id, std::unique_ptr<io::Stream> stream)
    : server_(server),
      id_(id),
      stream_(std::move(stream)),
      timer_(server->loop_->NewTimer([this] { OnTimer(); })) {
  NewParser();
}

void ServerConnection::NewParser() {
  parser_.emplace(Parser::Kind::kRequest, server_->options_.max_header_bytes,
                  static_cast<Parser::Sink*>(this));
}

ServerConnection::~ServerConnection() {
  stream_.reset();
  Die();
}

void ServerConnection::Start() {
  SetDeadline(server_->options_.idle_timeout);
  stream_->Start(this);
}

void ServerConnection::Drain() {
  draining_ = true;
  keep_alive_ = false;
  if (exchange_ == nullptr && !parser_->started()) CloseAfterFlush();
}

// --- Input ---

void ServerConnection::OnData(absl::string_view data) {
  if (stream_ == nullptr || closing_) return;
  // Not at each step: who sends a thousand requests at once would have the rest copied as often.
  if (parsed_ > input_.size() / 2) input_.erase(0, std::exchange(parsed_, 0));
  input_.append(data.data(), data.size());
  Process();
}

// Whether the input has to wait.
bool ServerConnection::InputWaits() const {
  // A WebSocket is read even behind its only request: pings and the close come there.
  if (web_socket_.has_value()) return body_paused_;
  // Pipelined requests wait for the answer; a paused body for its handler.
  if (exchange_ != nullptr) return body_complete_ || body_paused_;
  // Whoever asks on and on has to read, too.
  return queued_bytes() > io::Stream::kWriteHighWater;
}

void ServerConnection::Process() {
  if (processing_) return;
  processing_ = true;
  while (stream_ != nullptr && !closing_ && parsed_ < input_.size() && !InputWaits()) {
    std::string input = std::exchange(input_, std::string());
    absl::string_view rest = input;
    rest.remove_prefix(std::exchange(parsed_, 0));
    bool go_on = true;
    while (go_on && stream_ != nullptr && !closing_ && !rest.empty() && !InputWaits()) {
      go_on = ParseSome(&rest);
    }
    if (stream_ == nullptr || closing_) break;
    if (!rest.empty()) {
      parsed_ = input.size() - rest.size();
      input.append(input_);  // of what came meanwhile
      input_ = std::move(input);
    }
    if (!go_on) break;
  }
  processing_ = false;
  if (stream_ == nullptr || closing_) return;
  const bool pause = input_.size() - parsed_ > server_->options_.max_header_bytes;
  if (pause != reading_paused_) {
    reading_paused_ = pause;
    pause ? stream_->PauseReading() : stream_->ResumeReading();
  }
}

void ServerConnection::ProcessLater() {
  if (std::exchange(process_scheduled_, true)) return;
  server_->loop_->Defer([server = server_, id = id_, alive = server_->alive_] {
    if (!*alive) return;
    const auto found = server->connections_.find(id);
    if (found == server->connections_.end()) return;
    ServerConnection* const self = found->second.get();
    self->process_scheduled_ = false;
    self->Process();
    // The client had nothing more to ask.
    if (self->input_ended_ && self->exchange_ == nullptr && !self->closing_) {
      self->CloseAfterFlush();
    }
  });
}

bool ServerConnection::ParseSome(absl::string_view* input) {
  if (web_socket_.has_value()) return ReadWebSocket(input);
  const bool had_started = parser_->started();
  parser_->set_stop_after_head(true);
  const absl::Status status = parser_->Put(input);
  if (stream_ == nullptr || closing_) return false;
  if (!status.ok()) {
    if (absl::IsOutOfRange(status)) {
      Fail(431, "request header fields too large");
    } else {
      Fail(400, absl::StrCat("malformed request: ", status.message()));
    }
    return false;
  }
  if (refusal_ != 0) {
    const bool own = refusal_ == 413 && route_ != nullptr && route_->options.too_large != nullptr;
    if (own) {
      FailWith(route_->options.too_large());
    } else {
      Fail(refusal_, refusal_text_.empty() ? ReasonPhrase(refusal_) : refusal_text_);
    }
    return false;
  }
  if (!had_started && !parser_->head_done()) SetDeadline(server_->options_.header_timeout);
  if (parser_->done()) {
    RequestComplete();
  } else if (parser_->head_done()) {
    const bool endless = route_ != nullptr && route_->options.endless_body;
    SetDeadline(endless ? Duration::Infinite() : server_->options_.body_timeout);
  }
  return true;
}

void ServerConnection::OnHead(Head head) {
  head_ = std::move(head);
  keep_alive_ = head_.keep_alive && !draining_;
  body_complete_ = false;
  body_size_ = 0;
  stream_body_ = false;
  auto exchange = std::make_shared<Exchange>();
  exchange_ = exchange;
  exchange->connection_ = this;
  exchange->request_.peer = stream_->peer_address();
  exchange->request_.keep_alive = keep_alive_;
  if (!TakeTarget()) {
    refusal_ = 400;
    return;
  }
  if (const absl::string_view error = FramingError(exchange->request_.fields); !error.empty()) {
    refusal_ = absl::StartsWith(error, "unsupported") ? 501 : 400;
    refusal_text_ = error;
    return;
  }
  route_ = server_->FindRoute(exchange->request_.path);
  const RouteOptions options = route_ != nullptr ? route_->options : RouteOptions{};
  const bool allowed = route_ != nullptr && route_->Allows(head_.method);
  const bool becomes_socket = options.web_socket && WantsWebSocket(exchange->request_);
  stream_body_ = options.stream_body && allowed && !becomes_socket;
  max_body_ = options.max_body_bytes != 0 ? options.max_body_bytes
              : stream_body_              ? ~size_t{0}
                                          : server_->options_.max_body_bytes;
  if (head_.content_length.value_or(0) > max_body_) {
    refusal_ = 413;
    return;
  }
  const absl::string_view expect = exchange->request_.fields.Get("expect");
  if (!expect.empty() && !absl::EqualsIgnoreCase(expect, "100-continue")) {
    refusal_ = 417;
    return;
  }
  if (!expect.empty() && head_.http11 && head_.has_body()) {
    Send(Bytes::Static(kContinue));
  }
  if (stream_body_) Dispatch();
}

// What others could read as another request than we do (RFC 9112, sections 3.2 and 6.3): a body
// whose end nothing tells, two hosts, or none. Empty if there is nothing of it.
absl::string_view ServerConnection::FramingError(const Fields& fields) const {
  if (fields.Has("transfer-encoding") && !head_.chunked) return "unsupported transfer encoding";
  const auto hosts = std::count_if(fields.begin(), fields.end(), [](const auto& field) {
    return absl::EqualsIgnoreCase(field.first, "host");
  });
  if (hosts > 1) return "too many Host headers";
  return hosts == 0 && head_.http11 ? "missing required Host header" : "";
}

// Splits the request target: "/path?query", or a whole URL as sent to proxies.
bool ServerConnection::TakeTarget() {
  Request& request = exchange_->request_;
  request.method = head_.method;
  request.target = std::move(head_.target);
  request.fields = std::move(head_.fields);
  const absl::string_view path = request.raw_path();
  const bool absolute = absl::StartsWith(path, "/") || request.method == "CONNECT";
  if (!absolute && (path != "*" || request.method != "OPTIONS")) return false;
  const size_t question = request.target.find('?');
  if (question != std::string::npos) request.query = request.target.substr(question + 1);
  return PercentDecode(path, false, &request.path);
}

void ServerConnection::OnBody(absl::string_view piece) {
  if (stream_ == nullptr || refusal_ != 0) return;
  body_size_ += piece.size();
  if (body_size_ > max_body_) {
    refusal_ = 413;
    return;
  }
  if (stream_body_) return DispatchBody(piece, false);
  if (server_->body_bytes_ + piece.size() > server_->options_.max_total_body_bytes) {
    refusal_ = 503;
    return;
  }
  server_->body_bytes_ += piece.size();
  if (!body_.has_value()) {
    body_.emplace(std::min<uint64_t>(head_.content_length.value_or(kBodyReserve), kBodyReserve));
  }
  body_->Append(piece);
}

// --- Requests ---

void ServerConnection::RequestComplete() {
  body_complete_ = true;
  SetDeadline(Duration::Infinite());
  if (stream_body_) {
    return DispatchBody(absl::string_view(), true);
  }
  if (body_.has_value()) {
    server_->body_bytes_ -= body_->size();
    exchange_->request_.body = std::move(*body_).Finish();
    body_.reset();
  }
  Dispatch();
}

void ServerConnection::Dispatch() {
  const ExchangePtr exchange = exchange_;  // outlives the handler
  if (web_socket_.has_value()) return route_->handler(exchange);
  if (server_->filter_ && !server_->filter_(exchange)) return;
  if (exchange->request_.method == "OPTIONS" && exchange->request_.path == "*") {
    return exchange->Respond(Response());
  }
  if (const std::optional<std::string> elsewhere = server_->RedirectOf(exchange->request_)) {
    return exchange->Respond(Response::Redirect(exchange->request_.method, *elsewhere));
  }
  if (route_ != nullptr && route_->options.web_socket && WantsWebSocket(exchange->request())) {
    return BeginWebSocket();
  }
  if (route_ != nullptr && route_->Allows(head_.method)) return route_->handler(exchange);
  if (route_ != nullptr) {
    Response response = Response::Text(405, "Method Not Allowed\n");
    response.fields.Add("Allow", route_->AllowHeader());
    return exchange->Respond(std::move(response));
  }
  if (server_->fallback_) return server_->fallback_(exchange);
  exchange->Respond(Response::Text(404, "404 page not found\n"));
}

void ServerConnection::DispatchBody(absl::string_view piece, bool last) {
  const ExchangePtr exchange = exchange_;
  if (exchange != nullptr && exchange->on_body_) exchange->on_body_(piece, last);
}

void ServerConnection::PauseBody() { body_paused_ = true; }

void ServerConnection::ResumeBody() {
  if (std::exchange(body_paused_, false)) ProcessLater();
}

// --- Responses ---

void ServerConnection::AppendHead(int status, const Fields& fields, std::string* out) const {
  absl::StrAppend(out, "HTTP/1.1 ", status, " ", ReasonPhrase(status), "\r\n");
  Fields kept;
  for (const auto& [name, value] : fields) {
    if (!IsOurs(name)) kept.Add(name, value);
  }
  if (exchange_ != nullptr) {
    for (const auto& [name, value] : exchange_->fields_) kept.Add(name, value);
  }
  if (!kept.Has("date")) kept.Add("Date", server_->HttpDate());
  AppendFields(kept, out);
  if (!keep_alive_) {
    out->append("Connection: close\r\n");
  } else if (!head_.http11) {
    out->append("Connection: keep-alive\r\n");
  }
}

void ServerConnection::Respond(Response response) {
  if (web_socket_.has_value()) {
    WriteWebSocket(std::move(response.body), /*last=*/true);
    return EndWebSocket(kNormalClosure);
  }
  if (!body_complete_) keep_alive_ = false;  // the rest of the body is not read
  const size_t size = TotalSize(response.body);
  std::string head;
  AppendHead(response.status, response.fields, &head);
  if (!StatusHasNoBody(response.status)) absl::StrAppend(&head, "Content-Length: ", size, "\r\n");
  head.append("\r\n");
  const bool has_body = !head_only() && !StatusHasNoBody(response.status);
  if (has_body && size <= 4096) {
    for (const Bytes& piece : response.body) head.append(piece.data(), piece.size());
    Send(Bytes::Copy(head));
  } else {
    Send(Bytes::Copy(head));
    for (Bytes& piece : response.body) {
      if (has_body && !piece.empty()) Send(std::move(piece));
    }
  }
  FinishExchange();
}

void ServerConnection::StartStream(int status, const Fields& fields) {
  if (web_socket_.has_value()) return;  // the answer has begun with the handshake
  chunked_ = head_.http11 && !StatusHasNoBody(status) && !head_only();
  if (!chunked_ || !body_complete_) keep_alive_ = false;
  std::string head;
  AppendHead(status, fields, &head);
  if (chunked_) head.append("Transfer-Encoding: chunked\r\n");
  head.append("\r\n");
  Send(Bytes::Copy(head));
}

// Everything but chunks goes through here.
void ServerConnection::Send(Bytes data) {
  WatchWrite();
  written_ += data.size();
  stream_->Write(std::move(data));
}

// Who had taken nearly all is watched anew.
void ServerConnection::WatchWrite() {
  if (queued_bytes() < kWatchedBytes) reader_.Rest();
}

void ServerConnection::Write(std::vector<Bytes> pieces) {
  if (web_socket_.has_value()) {
    WriteWebSocket(std::move(pieces), /*last=*/false);
  } else if (chunked_) {
    WatchWrite();
    const size_t queued = queued_bytes();
    WriteChunk(std::move(pieces), stream_.get());
    written_ += queued_bytes() - queued;
  } else if (!head_only()) {
    for (Bytes& piece : pieces) {
      if (!piece.empty()) Send(std::move(piece));
    }
  }
}

void ServerConnection::EndStream() {
  if (web_socket_.has_value()) return EndWebSocket(kNormalClosure);
  if (chunked_) Send(Bytes::Static(kLastChunk));
  FinishExchange();
}

bool ServerConnection::MakeRoom(size_t bytes) {
  if (!server_->MakeRoom(bytes) || exchange_ == nullptr) return false;
  exchange_->reserved_ += bytes;
  server_->reserved_bytes_ += bytes;
  return true;
}

void ServerConnection::Unreserve(Exchange* exchange) {
  server_->reserved_bytes_ -= std::exchange(exchange->reserved_, 0);
}

bool ServerConnection::Stalls() {
  const size_t queued = queued_bytes();
  if (queued < kWatchedBytes) {
    reader_.Rest();
    return false;
  }
  const int64_t left = static_cast<int64_t>(written_) - static_cast<int64_t>(queued);
  return reader_.Stalls(server_->options_.readers, server_->loop_->Now(), left);
}

// The response is complete: on to the next request, or the end.
void ServerConnection::FinishExchange() {
  if (exchange_ != nullptr) {
    Unreserve(exchange_.get());
    exchange_->connection_ = nullptr;
    exchange_->on_close_ = nullptr;
    exchange_->on_writable_ = nullptr;
    // It may be running just now, and must not be destroyed under itself.
    const ExchangePtr exchange = std::move(exchange_);
    server_->loop_->Defer([exchange] {});
  }
  if (!keep_alive_) return CloseAfterFlush();
  NewParser();
  route_ = nullptr;
  body_complete_ = false;
  body_paused_ = false;
  chunked_ = false;
  SetDeadline(server_->options_.idle_timeout);
  ProcessLater();
}

// An error of the client's, found before any handler had the request.
void ServerConnection::Fail(int status, absl::string_view text) {
  FailWith(Response::Text(status, absl::StrCat(text, "\n")));
}

void ServerConnection::FailWith(Response response) {
  keep_alive_ = false;
  if (exchange_ == nullptr) head_ = Head();
  if (exchange_ != nullptr && exchange_->streaming_) return Die();
  const ExchangePtr exchange = exchange_;
  const std::function<void()> on_close =
      exchange != nullptr ? std::move(exchange->on_close_) : nullptr;
  Respond(std::move(response));
  if (on_close) on_close();
}

// --- The end ---

void ServerConnection::CloseAfterFlush() {
  if (stream_ == nullptr || closing_) return;
  closing_ = true;
  input_.clear();
  parsed_ = 0;
  if (std::exchange(reading_paused_, false)) stream_->ResumeReading();
  SetDeadline(server_->options_.close_timeout);
  stream_->CloseAfterFlush();
}

void ServerConnection::OnWritable() {
  if (!closing_) WritePongs();
  const ExchangePtr exchange = exchange_;
  if (exchange == nullptr) return ProcessLater();
  if (exchange->on_writable_) exchange->on_writable_();
}

// The client has sent its last byte. An answer may still be on its way to it; an endless
// stream has lost its reader.
void ServerConnection::OnEnd() {
  input_ended_ = true;
  keep_alive_ = false;
  const bool leaves = route_ != nullptr && route_->options.leaves_at_end;
  const bool ends =
      exchange_ != nullptr &&
      (!exchange_->streaming_ || (route_ != nullptr && route_->options.answers_after_end));
  const bool answer_pending = ends && body_complete_ && !leaves;
  if (!answer_pending) Die();
}

void ServerConnection::OnClose(const absl::Status& status) {
  (void)status;
  Die();
}

void ServerConnection::Die() {
  if (stream_ != nullptr) server_->RemoveLater(id_);
  stream_.reset();
  timer_.reset();
  if (body_.has_value()) server_->body_bytes_ -= body_->size();
  body_.reset();
  const ExchangePtr exchange = std::move(exchange_);
  if (exchange != nullptr) Unreserve(exchange.get());
  if (exchange == nullptr || exchange->connection_ == nullptr) return;
  exchange->connection_ = nullptr;
  const std::function<void()> on_close = std::move(exchange->on_close_);
  exchange->on_close_ = nullptr;
  if (on_close) on_close();
}

void ServerConnection::SetDeadline(Duration from_now) {
  deadline_ =
      from_now == Duration::Infinite() ? Instant::Infinite() : server_->loop_->Now() + from_now;
  if (deadline_ >= timer_at_ || timer_ == nullptr) return;  // it fires early and is set again
  timer_at_ = deadline_;
  timer_->Set(deadline_);
}

void ServerConnection::OnTimer() {
  timer_at_ = Instant::Infinite();
  if (deadline_ == Instant::Infinite()) return;
  if (server_->loop_->Now() < deadline_) {
    timer_at_ = deadline_;
    timer_->Set(deadline_);
    return;
  }
  if (closing_ || !parser_->started()) return Die();
  if (body_paused_) return SetDeadline(server_->options_.body_timeout);  // it waits for us
  deadline_ = Instant::Infinite();
  if (web_socket_.has_value()) return EndWebSocket(kPolicyViolation);
  Fail(408, "the request did not come in time");
}

}  // namespace quorate::http1
