#include "server/grpc/client_call.h"

#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "server/http2/session.h"

namespace quorate::grpc {
namespace {

constexpr size_t kConsumeStep = 256 * 1024;
// Of a message that is taken by pieces.
constexpr size_t kMaxPiece = 64 * 1024;

// gRPC's mapping for answers that are not gRPC's.
absl::Status StatusOfHttp(int status) {
  const std::string text =
      absl::StrCat("unexpected HTTP status code received from server: ", status);
  switch (status) {
    case 400:
      return absl::InternalError(text);
    case 401:
      return absl::UnauthenticatedError(text);
    case 403:
      return absl::PermissionDeniedError(text);
    case 404:
      return absl::UnimplementedError(text);
    case 429:
    case 502:
    case 503:
    case 504:
      return absl::UnavailableError(text);
    default:
      return absl::UnknownError(text);
  }
}

absl::Status StatusOfReset(http2::ErrorCode code) {
  switch (code) {
    case http2::ErrorCode::kRefusedStream:
      return absl::UnavailableError("the server refused the stream");
    case http2::ErrorCode::kCancel:
      return absl::CancelledError("the server cancelled the stream");
    case http2::ErrorCode::kEnhanceYourCalm:
      return absl::ResourceExhaustedError("the server reset the stream: ENHANCE_YOUR_CALM");
    default:
      return absl::InternalError(absl::StrCat("stream terminated by RST_STREAM with error code ",
                                              static_cast<uint32_t>(code)));
  }
}

}  // namespace

void ClientCall::Prepare(uint64_t id, absl::string_view path, const CallOptions& options,
                         Instant deadline) {
  id_ = id;
  path_.assign(path.data(), path.size());
  metadata_ = options.metadata;
  timeout_ = options.timeout;
  deadline_ = deadline;
  reader_.Reset(channel_->options_.max_message_bytes);
}

void ClientCall::SetUnary(Bytes request, ResultCallback callback) {
  callback_ = std::move(callback);
  SendMessage(std::move(request));
  HalfClose();
}

void ClientCall::SetStream(ClientStream* stream, ClientStreamHandler* handler) {
  stream_ = stream;
  handler_ = handler;
  by_pieces_ = handler->TakesPieces();
}

bool ClientCall::Open(http2::Session* session) {
  absl::InlinedVector<http2::Header, 12> headers = {
      {":method", "POST", true}, {":scheme", "http", true},
      {":path", path_},          {":authority", channel_->address_},
      {"te", "trailers", true},  {"content-type", "application/grpc", true},
  };
  std::string timeout;
  if (deadline_ != Instant::Infinite()) {
    timeout = FormatTimeout(deadline_ - channel_->loop_->Now());
    headers.push_back({"grpc-timeout", timeout});
  }
  for (const auto& [name, value] : metadata_) headers.push_back({name, value});
  if (!session->Request(this, headers, false)) return false;
  std::vector<Bytes> early = std::exchange(early_, {});
  early_bytes_ = 0;
  for (Bytes& message : early) SendMessage(std::move(message));
  if (half_closed_) EndBody();
  return true;
}

void ClientCall::SendMessage(Bytes message) {
  if (!attached()) {
    early_bytes_ += kFrameHeaderBytes + message.size();
    early_.push_back(std::move(message));
    return;
  }
  char header[kFrameHeaderBytes];
  StoreFrameHeader(header, message.size());
  SendBody(std::move(message), absl::string_view(header, kFrameHeaderBytes));
}

void ClientCall::HalfClose() {
  if (std::exchange(half_closed_, true)) return;
  if (attached()) EndBody();
}

bool ClientCall::OnHeader(absl::string_view name, absl::string_view value) {
  if (name == ":status") {
    if (!absl::SimpleAtoi(value, &http_status_)) http_status_ = 0;
  } else if (name == "grpc-status") {
    has_status_ = true;
    status_code_.assign(value.data(), value.size());
  } else if (name == "grpc-message") {
    status_message_.assign(value.data(), value.size());
  } else if (name == "grpc-encoding" && value != "identity") {
    encoding_.assign(value.data(), value.size());
  }
  return true;
}

void ClientCall::OnHeadersEnd(bool trailers) {
  (void)trailers;
  if (encoding_.empty() || !read_error_.ok()) return;
  read_error_ = absl::UnimplementedError(
      absl::StrCat("grpc: Decompressor is not installed for grpc-encoding \"", encoding_, "\""));
}

void ClientCall::OnBody(absl::string_view data) {
  unconsumed_ += data.size();
  if (paused_ || !held_.empty()) {
    held_.append(data.data(), data.size());
    return;
  }
  ReadMessages(data);
}

void ClientCall::ReadMessages(absl::string_view data) {
  const uint64_t id = id_;
  while (id_ == id && !paused_ && !data.empty()) {
    if (!read_error_.ok() || (http_status_ != 200 && !has_status_)) return;  // no messages
    const absl::Status status = TakeMessage(&data);
    if (!status.ok()) {
      read_error_ = status;
      return Complete(status, false);
    }
  }
  if (id_ != id) return;  // the application dropped it
  if (paused_) {
    held_.assign(data.data(), data.size());
  } else if (unconsumed_ >= kConsumeStep) {
    Consume(std::exchange(unconsumed_, 0));
  }
}

absl::Status ClientCall::TakeMessage(absl::string_view* data) {
  if (by_pieces_) {
    ASSIGN_OR_RETURN(const auto piece, reader_.NextPiece(data, kMaxPiece));
    if (piece.has_value()) handler_->OnPiece(piece->bytes, piece->last);
  } else {
    ASSIGN_OR_RETURN(auto message, reader_.Next(data));
    if (message.has_value()) OnMessage(*std::move(message));
  }
  return absl::OkStatus();
}

void ClientCall::OnMessage(Bytes message) {
  ++messages_;
  if (handler_ != nullptr) return handler_->OnMessage(std::move(message));
  message_ = std::move(message);
}

void ClientCall::ResumeReading() {
  if (!std::exchange(paused_, false)) return;
  channel_->loop_->Defer([channel = channel_, id = id_, alive = channel_->alive_] {
    ClientCall* const call = *alive ? channel->FindCall(id) : nullptr;
    if (call != nullptr && !call->paused_) call->OnResume();
  });
}

void ClientCall::OnResume() {
  const uint64_t id = id_;
  const std::string held = std::exchange(held_, std::string());
  ReadMessages(held);
  if (id_ == id && !paused_ && ended_) Finish();
}

void ClientCall::OnEnd() {
  ended_ = true;
  if (!paused_ && held_.empty()) Finish();
}

// Everything that the server sent has been read.
void ClientCall::Finish() { Complete(FinalStatus(), false); }

absl::Status ClientCall::FinalStatus() const {
  if (has_status_) {
    absl::Status status = MakeStatus(status_code_, status_message_);
    if (!status.ok()) return status;
  } else if (http_status_ != 200) {
    return StatusOfHttp(http_status_);
  } else {
    return absl::InternalError("the server closed the stream without sending trailers");
  }
  if (!read_error_.ok()) return read_error_;
  if (!reader_.at_boundary()) return absl::InternalError("unexpected EOF");
  if (handler_ == nullptr && messages_ != 1) {
    return absl::InternalError(
        absl::StrCat("grpc: ", messages_, " response messages for a unary call"));
  }
  return absl::OkStatus();
}

void ClientCall::OnWritable() {
  if (handler_ != nullptr) handler_->OnWritable();
}

void ClientCall::OnClosed(http2::ErrorCode code) {
  if (id_ == 0) {
    if (channel_ != nullptr) channel_->Release(this);
    return;
  }
  if (ended_) return;  // all is there; a paused reader takes it later
  const absl::Status& lost = channel_->session_->close_status();
  if (channel_->session_->closed()) {
    return Complete(lost.ok() ? absl::UnavailableError(
                                    absl::StrCat("connection closed by ", channel_->address_))
                              : absl::UnavailableError(lost.message()),
                    !began());
  }
  // A server that has answered may reset what is left of the request.
  if (code == http2::ErrorCode::kNoError && has_status_) return Finish();
  // The server has the same deadline, and may be the first to act on it.
  const bool late = code == http2::ErrorCode::kCancel && channel_->loop_->Now() >= deadline_;
  Complete(late ? absl::DeadlineExceededError("context deadline exceeded") : StatusOfReset(code),
           code == http2::ErrorCode::kRefusedStream || !began());
}

void ClientCall::Complete(const absl::Status& status, bool unprocessed) {
  const ResultCallback callback = std::move(callback_);
  ClientStreamHandler* const handler = handler_;
  Bytes message = std::move(message_);
  Drop();
  if (handler != nullptr) return handler->OnFinish(status);
  if (!callback) return;
  Result result;
  result.status = status;
  if (status.ok()) result.message = std::move(message);
  result.unprocessed = unprocessed && !status.ok();
  callback(std::move(result));
}

void ClientCall::Drop() {
  if (stream_ != nullptr) stream_->call_ = nullptr;
  if (deadline_ != Instant::Infinite()) channel_->deadlines_.erase({deadline_, id_});
  --channel_->open_calls_;
  Clear();
  if (attached()) {
    // Still open: OnClosed releases it, at once if it is reset.
    const bool complete = remote_ended() && local_ended();
    if (!complete) Reset(http2::ErrorCode::kCancel);
  } else {
    channel_->Release(this);
  }
}

void ClientCall::Orphan() {
  if (stream_ != nullptr) stream_->call_ = nullptr;
  Clear();
  channel_ = nullptr;
}

void ClientCall::Clear() {
  id_ = 0;
  metadata_.clear();
  callback_ = nullptr;
  stream_ = nullptr;
  handler_ = nullptr;
  by_pieces_ = false;
  early_.clear();
  early_bytes_ = 0;
  half_closed_ = false;
  message_ = Bytes();
  messages_ = 0;
  read_error_ = absl::OkStatus();
  paused_ = false;
  ended_ = false;
  held_.clear();
  unconsumed_ = 0;
  deadline_ = Instant::Infinite();
  http_status_ = 0;
  has_status_ = false;
  status_code_.clear();
  status_message_.clear();
  encoding_.clear();
}

}  // namespace quorate::grpc
