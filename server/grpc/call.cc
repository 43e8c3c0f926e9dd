#include "server/grpc/call.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "server/grpc/connection.h"
#include "server/grpc/gzip.h"
#include "server/grpc/server.h"

namespace quorate::grpc {
namespace {

// Of what goes through gzip on the loop. Longer messages of ours go as they are.
constexpr size_t kMaxInlineGzip = 64 * 1024;

// Bytes are given back to the flow-control window in steps of at least this many.
constexpr size_t kConsumeStep = 64 * 1024;

// A pooled call keeps a buffer of this size for the next one's metadata.
constexpr size_t kMaxPooledText = 1024;

// The words of grpc-go.
absl::Status TooLarge(size_t size) {
  return absl::ResourceExhaustedError(absl::StrCat("trying to send message larger than max (", size,
                                                   " vs. ", kMaxMessageBytes, ")"));
}

size_t TotalSize(absl::Span<const Bytes> pieces) {
  size_t size = 0;
  for (const Bytes& piece : pieces) size += piece.size();
  return size;
}

}  // namespace

const std::string& Call::peer_name() const { return connection_->peer_name(); }
const std::string& Call::peer() const { return connection_->peer_address(); }

// --- The request's messages ---

void Call::OnBody(absl::string_view data) {
  if (source_ != nullptr) return Consume(data.size());  // answered: nobody asks for it any more
  if (!open_) return;
  unconsumed_ += data.size();
  if (blocked() || !held_.empty()) {
    held_.append(data.data(), data.size());
    return Charge(charged_ + data.size());
  }
  ReadMessages(data);
}

void Call::ReadMessages(absl::string_view data) {
  reading_ = true;
  while (reads() && !blocked() && !data.empty()) {
    absl::StatusOr<std::optional<Bytes>> next = reader_.Next(&data);
    if (!next.ok()) {
      Finish(next.status());
    } else if (next->has_value()) {
      reader_.compressed() ? Unpack(**next) : OnMessage(*std::move(*next));
    }
  }
  reading_ = false;
  if (!reads()) return;
  if (blocked()) {
    held_.assign(data.data(), data.size());
  } else if (unconsumed_ >= kConsumeStep) {
    Consume(std::exchange(unconsumed_, 0));
  }
  const size_t whole = method_->kind == MethodKind::kUnary && got_message_ ? charged_ : 0;
  Charge(whole + reader_.buffered() + held_.size() + unpacking_);
}

void Call::Unpack(const Bytes& packed) {
  const size_t max = server_->options_.max_message_bytes;
  io::Compute* const compute = server_->options_.compute;
  absl::StatusOr<Bytes> message =
      Gunzip(packed, compute == nullptr ? max : std::min(max, kMaxInlineGzip));
  if (message.ok()) return OnMessage(*std::move(message));
  if (!absl::IsResourceExhausted(message.status()) || compute == nullptr || max <= kMaxInlineGzip) {
    return Finish(message.status());
  }
  unpacking_ = packed.size();
  auto result = std::make_shared<absl::StatusOr<Bytes>>(absl::UnknownError(""));
  compute->Run([result, packed, max] { *result = Gunzip(packed, max); },
               [result, server = server_, id = id_, alive = server_->alive_] {
                 Call* const call = *alive ? server->Find(id) : nullptr;
                 if (call != nullptr) call->OnUnpacked(std::move(*result));
               });
}

void Call::OnUnpacked(absl::StatusOr<Bytes> message) {
  unpacking_ = 0;
  if (!reads()) return;
  if (!message.ok()) return Finish(message.status());
  const uint64_t id = id_;
  Server* const server = server_;
  OnMessage(*std::move(message));
  if (server->Find(id) == this && !blocked()) ReadHeld();
}

void Call::ReadHeld() {
  if (!reads()) return;
  const std::string held = std::exchange(held_, std::string());
  ReadMessages(held);
  if (reads() && !blocked() && half_closed_) OnHalfClose();
}

void Call::OnMessage(Bytes message) {
  ++method_->stats.messages_received;
  server_->stats_.received_bytes += message.size();
  const bool one_only =
      method_->kind == MethodKind::kUnary || method_->kind == MethodKind::kServerStream;
  if (one_only && std::exchange(got_message_, true)) {
    return Finish(
        absl::InternalError("grpc: more than one request message for a method that takes one"));
  }
  if (method_->kind != MethodKind::kUnary) {
    StreamHandler* handler = handler_.get();
    CHECK(handler != nullptr);  // it lives as long as the call is open
    return handler->OnMessage(std::move(message));
  }
  request_bytes_ = message.size();
  Charge(message.size());
  if (!open_) return;
  if (server_->gate_) {
    const absl::Status status = server_->gate_(*this);
    if (!status.ok()) return Finish(status);
  }
  method_->unary(this, std::move(message));
}

// Counts the request bytes that this call has in memory.
void Call::Charge(size_t bytes) {
  const bool grows = bytes > charged_;
  connection_->request_bytes += bytes - charged_;
  server_->request_bytes_ += bytes - charged_;
  charged_ = bytes;
  if (!grows) return;
  if (connection_->request_bytes > server_->options_.max_connection_request_bytes) {
    Finish(absl::ResourceExhaustedError("grpc: too many bytes of requests on one connection"));
  } else if (server_->request_bytes_ > server_->options_.max_total_request_bytes) {
    Finish(absl::ResourceExhaustedError("grpc: too many bytes of requests in progress"));
  }
}

void Call::OnEnd() {
  half_closed_ = true;
  if (reads() && !blocked() && held_.empty()) OnHalfClose();
}

void Call::OnHalfClose() {
  if (std::exchange(half_close_delivered_, true)) return;
  if (!reader_.at_boundary()) return Finish(absl::InternalError("unexpected EOF"));
  if (method_->kind == MethodKind::kBidiStream || method_->kind == MethodKind::kClientStream) {
    return handler_->OnHalfClose();
  }
  if (!got_message_) {
    return Finish(absl::InternalError("grpc: the call ended without a request message"));
  }
  if (handler_ != nullptr) handler_->OnHalfClose();
}

void Call::PauseReading() { reading_paused_ = true; }

void Call::ResumeReading() {
  if (!reading_paused_) return;
  reading_paused_ = false;
  // Inside ReadMessages its loop goes on by itself.
  if (!reading_ || !held_.empty()) ResumeLater();
}

void Call::ResumeLater() {
  if (std::exchange(resume_scheduled_, true)) return;
  server_->loop_->Defer([server = server_, id = id_, alive = server_->alive_] {
    if (!*alive) return;
    Call* const call = server->Find(id);
    if (call == nullptr) return;
    call->resume_scheduled_ = false;
    if (!call->blocked()) call->ReadHeld();
  });
}

// --- The response ---

void Call::StartResponse() {
  if (std::exchange(response_started_, true)) return;
  const bool usual = content_type_ != ContentType::kGrpcSubtype;
  const http2::Header headers[] = {{":status", "200", true},
                                   {"content-type", ContentTypeText(), usual},
                                   {"grpc-encoding", kGzip, true}};
  SendHeaders(absl::MakeSpan(headers, gzip_ ? 3 : 2), false);
}

void Call::FinishFrom(std::unique_ptr<ResponseSource> source) {
  CHECK_MSG(open_, "FinishFrom on a call that has ended");
  CHECK(!response_started_);
  if (source->size() > kMaxMessageBytes) return Finish(TooLarge(source->size()));
  const size_t room = source->held_bytes() + std::min(source->size(), http2::Stream::kHighWater);
  if (!server_->TakesResponse(*connection_, room)) return FinishTooMany();
  answered_ = server_->loop_->Now();
  on_cancel_ = nullptr;  // whom it would tell is done
  ++method_->stats.messages_sent;
  server_->stats_.sent_bytes += source->size();
  StartResponse();
  char header[kFrameHeaderBytes];
  StoreFrameHeader(header, source->size());
  SendBody(Bytes(), absl::string_view(header, kFrameHeaderBytes));
  source_left_ = source->size();
  source_ = std::move(source);
  // Of the request nothing is needed any more, nor of what the client may send behind it.
  Charge(0);
  held_.clear();
  Consume(std::exchange(unconsumed_, 0));
  held_response_ = source_->held_bytes();
  ChargeResponse(charged_response_ + held_response_);
  SendFromSource();
}

void Call::SendFromSource() {
  while (source_left_ > 0 && writable()) {
    std::optional<Bytes> piece = source_->Next();
    if (!piece.has_value()) return Break();
    CHECK(!piece->empty() && piece->size() <= source_left_);
    source_left_ -= piece->size();
    ChargeResponse(charged_response_ + piece->size());
    SendBody(*std::move(piece));
  }
  if (source_left_ > 0) return;
  DropSource();
  SendStatus(absl::OkStatus());
  End(absl::OkStatus());
}

void Call::DropSource() {
  if (source_ == nullptr) return;
  source_.reset();
  ChargeResponse(charged_response_ - std::min(charged_response_, held_response_));
  held_response_ = 0;
}

void Call::Break() {
  Cancel(absl::ResourceExhaustedError("grpc: the answer was read too slowly"));
  Reset(http2::ErrorCode::kEnhanceYourCalm);
}

void Call::Abandon(const absl::Status& why) {
  Cancel(why);
  Reset(http2::ErrorCode::kCancel);
}

void Call::SendMessage(absl::Span<Bytes> pieces) {
  const size_t size = TotalSize(pieces);
  ++method_->stats.messages_sent;
  server_->stats_.sent_bytes += size;
  StartResponse();
  char header[kFrameHeaderBytes];
  if (gzip_ && size > 0 && size <= kMaxInlineGzip) {
    Bytes packed = Gzip(pieces);
    StoreFrameHeader(header, packed.size(), /*compressed=*/true);
    return SendBody(std::move(packed), absl::string_view(header, kFrameHeaderBytes));
  }
  StoreFrameHeader(header, size);
  absl::string_view prefix(header, kFrameHeaderBytes);
  for (Bytes& piece : pieces) SendBody(std::move(piece), std::exchange(prefix, ""));
  if (!prefix.empty()) SendBody(Bytes(), prefix);
}

void Call::Send(Bytes message) { SendPieces(absl::MakeSpan(&message, 1)); }

void Call::SendPieces(absl::Span<Bytes> pieces) {
  CHECK(open_);
  if (!failure_.ok()) return;
  const size_t size = TotalSize(pieces);
  if (size > kMaxMessageBytes) return FailLater(TooLarge(size));
  SendMessage(pieces);
}

void Call::FailLater(const absl::Status& status) {
  failure_ = status;
  server_->loop_->Defer([server = server_, id = id_, alive = server_->alive_] {
    Call* const call = *alive ? server->Find(id) : nullptr;
    if (call == nullptr) return;
    const absl::Status why = call->failure_;
    call->SendStatus(why);
    call->Cancel(why);
  });
}

void Call::Finish(const absl::Status& status, Bytes response) {
  CHECK_MSG(open_, "Finish on a call that has ended");
  if (source_ != nullptr) return Abandon(status);
  if (status.ok() && method_->kind == MethodKind::kUnary) {
    return FinishPieces(absl::MakeSpan(&response, 1));
  }
  const absl::Status& ended = failure_.ok() ? status : failure_;
  SendStatus(ended);
  End(ended);
}

void Call::FinishPieces(absl::Span<Bytes> pieces) {
  CHECK_MSG(open_, "Finish on a call that has ended");
  const size_t size = TotalSize(pieces);
  if (size > kMaxMessageBytes) return Finish(TooLarge(size));
  if (!server_->TakesResponse(*connection_, size)) return FinishTooMany();
  ChargeResponse(size);
  SendMessage(pieces);
  SendStatus(absl::OkStatus());
  End(absl::OkStatus());
}

void Call::FinishTooMany() {
  const absl::Status status =
      absl::ResourceExhaustedError("grpc: too many bytes of answers wait to be read");
  SendStatus(status);
  End(status);
}

// Counts the bytes of its answer that this call has in memory.
void Call::ChargeResponse(size_t bytes) {
  if (bytes == charged_response_) return;
  connection_->SetResponseBytes(connection_->response_bytes() + bytes - charged_response_);
  server_->response_bytes_ += bytes - charged_response_;
  charged_response_ = bytes;
}

// A buffer counts until its last byte has left.
void Call::OnBodySent(size_t bytes) {
  ChargeResponse(charged_response_ - std::min(charged_response_, bytes));
}

void Call::SendStatus(const absl::Status& status) {
  if (status.ok()) {
    StartResponse();
    return EndBodyWithTrailers({{"grpc-status", "0", true}});
  }
  const std::string message = EncodeStatusMessage(status.message());
  const absl::string_view code = StatusCodeText(status.code());
  if (response_started_) {
    return EndBodyWithTrailers({{"grpc-status", code, true}, {"grpc-message", message}});
  }
  response_started_ = true;
  const bool usual = content_type_ != ContentType::kGrpcSubtype;
  SendHeaders({{":status", "200", true},
               {"content-type", ContentTypeText(), usual},
               {"grpc-status", code, true},
               {"grpc-message", message}},
              true);
}

void Call::OnWritable() {
  if (!open_) return;
  if (handler_ != nullptr) return handler_->OnWritable();
  if (source_ != nullptr) SendFromSource();
}

// --- Its end ---

void Call::End(const absl::Status& status) {
  const auto code = static_cast<size_t>(status.code());
  MethodStats& stats = method_->stats;
  ++stats.handled[code < stats.handled.size() ? code : 2];
  // The time that a client takes to read a long answer is its own.
  const Instant answered = answered_ != Instant() ? answered_ : server_->loop_->Now();
  const Duration took = answered - start_;
  DropSource();
  const auto& bounds = MethodStats::kTimeBounds;
  const auto at = std::lower_bound(bounds.begin(), bounds.end(), took) - bounds.begin();
  ++stats.times[static_cast<size_t>(at)];
  stats.total_time = stats.total_time + took;
  if (server_->on_slow_ && method_->kind == MethodKind::kUnary) {
    if (took >= server_->slow_threshold_) server_->on_slow_(*this, took, status);
  }
  server_->CloseCall(this);
  Charge(0);
  held_.clear();
  server_->Bury(std::move(handler_));
  on_cancel_ = nullptr;
}

void Call::Cancel(const absl::Status& why) {
  std::unique_ptr<StreamHandler> handler = std::move(handler_);
  const std::function<void(const absl::Status&)> on_cancel = std::move(on_cancel_);
  End(why);
  if (handler != nullptr) handler->OnCancel(why);
  if (on_cancel) on_cancel(why);
  server_->Bury(std::move(handler));
}

// grpc-go's server resets the stream; the client has reached its deadline by itself.
void Call::Expire() { Abandon(absl::DeadlineExceededError("context deadline exceeded")); }

void Call::OnClosed(http2::ErrorCode code) {
  (void)code;
  if (open_) Cancel(absl::CancelledError("context canceled"));
  ChargeResponse(0);
  server_->ReleaseCall(this);
}

void Call::Clear() {
  connection_ = nullptr;
  method_ = nullptr;
  deadline_ = Instant::Infinite();
  content_type_ = ContentType::kOther;
  is_post_ = false;
  bad_timeout_ = false;
  headers_done_ = false;
  response_started_ = false;
  failure_ = absl::OkStatus();
  got_message_ = false;
  reading_paused_ = false;
  resume_scheduled_ = false;
  gzip_ = false;
  unpacking_ = 0;
  half_closed_ = false;
  half_close_delivered_ = false;
  answered_ = Instant();
  source_left_ = 0;
  unconsumed_ = 0;
  reader_.Reset(0);
  metadata_.clear();
  metadata_text_.clear();
  if (metadata_text_.capacity() > kMaxPooledText) metadata_text_.shrink_to_fit();
  path_.clear();
  http_method_.clear();
  content_type_text_.clear();
  encoding_.clear();
  timeout_text_.clear();
}

}  // namespace quorate::grpc
