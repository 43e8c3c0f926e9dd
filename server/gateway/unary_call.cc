#include "server/gateway/unary_call.h"

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/gateway/errors.h"
#include "server/gateway/json.h"
#include "server/grpc/codec.h"

namespace quorate::gateway {
namespace {

// What of an answer is in between the gRPC server and the client's socket.
constexpr uint32_t kStreamWindow = 512 * 1024;
// JSON leaves in slices of this size; an answer of less has a Content-Length.
constexpr size_t kSliceBytes = 224 * 1024;
// With what the last piece of the message adds to it. So large that the allocator takes it from the
// system and gives it back there (io/uv/allocator.h), however many readers stop at once.
constexpr size_t kSliceRoom = 256 * 1024 - 64;

constexpr absl::string_view kMetadataPrefix = "grpc-metadata-";

bool IsMetadataName(absl::string_view name) {
  if (name.empty() || absl::StartsWith(name, "grpc-")) return false;
  for (const char c : name) {
    const bool fine =
        absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.';
    if (!fine) return false;
  }
  // Fields that HTTP/2 and gRPC give a meaning of their own.
  for (const absl::string_view taken :
       {"te", "host", "connection", "content-type", "content-length", "transfer-encoding",
        "keep-alive", "proxy-connection", "upgrade", "user-agent"}) {
    if (name == taken) return false;
  }
  return true;
}

bool IsMetadataValue(absl::string_view value) {
  for (const char c : value) {
    if (c < 0x20 || c > 0x7e) return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<grpc::CallOptions> CallOptionsOf(const http1::Request& request) {
  grpc::CallOptions options;
  for (const auto& [field, value] : request.fields) {
    std::string name = absl::AsciiStrToLower(field);
    if (name == "grpc-timeout") {
      if (value.empty()) continue;
      const std::optional<Duration> timeout = grpc::ParseTimeout(value);
      if (!timeout.has_value()) {
        return absl::InvalidArgumentError(absl::StrCat("invalid grpc-timeout: ", value));
      }
      options.timeout = *timeout;
      continue;
    }
    if (absl::StartsWith(name, kMetadataPrefix)) {
      name.erase(0, kMetadataPrefix.size());
    } else if (name != "authorization") {
      continue;
    }
    if (IsMetadataName(name) && IsMetadataValue(value)) {
      options.metadata.emplace_back(std::move(name), value);
    }
  }
  return options;
}

http1::Response ErrorResponse(const absl::Status& status, std::string json) {
  http1::Response response = http1::Response::Json(HttpStatusOf(status.code()), json);
  if (absl::IsUnauthenticated(status)) {
    response.fields.Add("WWW-Authenticate", std::string(status.message()));
  }
  return response;
}

http1::Fields AnswerFields() {
  return {{"Content-Type", "application/json"}, {"Grpc-Metadata-Content-Type", "application/grpc"}};
}

UnaryCall::UnaryCall(io::Loop* loop, const Route& route, http1::ExchangePtr exchange)
    : loop_(loop),
      route_(route),
      exchange_(std::move(exchange)),
      writer_(route.response->GetDescriptor()) {}

void UnaryCall::Start(io::Network* network) {
  const absl::StatusOr<grpc::CallOptions> options = CallOptionsOf(exchange_->request());
  if (!options.ok()) return Fail(options.status());
  // What follows the first document is not looked at.
  DocumentSplitter splitter(exchange_->request().body.size());
  splitter.Append(exchange_->request().body);
  const absl::StatusOr<std::optional<std::string>> document = splitter.Next();
  if (!document.ok()) return Fail(document.status());
  const absl::Status cut_off = document->has_value() ? absl::OkStatus() : splitter.AtEnd();
  if (!cut_off.ok()) return Fail(cut_off);
  const absl::StatusOr<std::string> wire = JsonToWire(document->value_or(""), *route_.request);
  if (!wire.ok()) return Fail(wire.status());
  grpc::ChannelOptions channel_options;
  channel_options.http2.stream_window = kStreamWindow;
  channel_ =
      std::make_unique<grpc::Channel>(loop_, network, exchange_->request().peer, channel_options);
  stream_ = channel_->Stream(route_.method, *options, this);
  stream_->Send(Bytes::Copy(*wire));
  stream_->HalfClose();
  // These closures are what keeps the call alive.
  exchange_->set_on_close([self = shared_from_this()] {
    self->stream_.reset();
    self->channel_.reset();
  });
  exchange_->set_on_writable([weak = weak_from_this()] {
    const std::shared_ptr<UnaryCall> self = weak.lock();
    if (self == nullptr || self->stream_ == nullptr) return;
    if (std::exchange(self->paused_, false)) self->stream_->ResumeReading();
  });
}

void UnaryCall::OnMessage(Bytes message) { OnPiece(message, true); }

void UnaryCall::OnPiece(absl::string_view piece, bool last) {
  const std::shared_ptr<UnaryCall> self = shared_from_this();  // answering lets go of it
  if (stream_ == nullptr) return;
  absl::Status status =
      complete_ ? absl::InternalError("more than one answer to one request") : absl::OkStatus();
  if (!json_.has_value()) json_.emplace(last ? 2 * piece.size() + 64 : kSliceRoom);
  if (status.ok()) status = writer_.Write(piece, &*json_);
  if (status.ok() && last) status = writer_.End(&*json_);
  if (!status.ok()) return Fail(status);
  complete_ = last;
  if (json_->size() >= kSliceBytes) SendSlice();
}

void UnaryCall::SendSlice() {
  if (!begun_) {
    if (!exchange_->MakeRoom(kStreamWindow + kSliceBytes)) {
      return Fail(absl::ResourceExhaustedError(
          "etcdserver: too many bytes of answers wait for their readers"));
    }
    begun_ = true;
    exchange_->StartStream(200, AnswerFields());
  }
  exchange_->Write(std::move(*json_).Finish());
  json_.reset();
  if (stream_ == nullptr || exchange_->queued_bytes() <= io::Stream::kWriteHighWater) return;
  if (!std::exchange(paused_, true)) stream_->PauseReading();
}

void UnaryCall::OnFinish(const absl::Status& status) {
  const std::shared_ptr<UnaryCall> self = shared_from_this();
  if (!status.ok()) return Fail(status);
  if (!complete_) return Fail(absl::InternalError("the call ended without an answer"));
  Bytes rest = json_.has_value() ? std::move(*json_).Finish() : Bytes();
  if (begun_) {
    exchange_->Write(std::move(rest));
    return exchange_->EndStream();
  }
  http1::Response response;
  response.fields = AnswerFields();
  response.body.push_back(std::move(rest));
  exchange_->Respond(std::move(response));
}

void UnaryCall::Fail(const absl::Status& status) {
  stream_.reset();
  // A client that has half of an answer must not take it for a whole one.
  if (begun_) return exchange_->Abort();
  exchange_->Respond(ErrorResponse(status, ErrorJson(status)));
}

}  // namespace quorate::gateway
