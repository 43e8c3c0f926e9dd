#include "server/gateway/stream_call.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/gateway/errors.h"
#include "server/gateway/json_writer.h"
#include "server/gateway/unary_call.h"

namespace quorate::gateway {
namespace {

constexpr uint32_t kStreamWindow = 1024 * 1024;

}  // namespace

StreamCall::StreamCall(io::Loop* loop, const Route& route, size_t max_document_bytes,
                       http1::ExchangePtr exchange)
    : loop_(loop), route_(route), exchange_(std::move(exchange)), splitter_(max_document_bytes) {}

void StreamCall::Start(io::Network* network) {
  const absl::StatusOr<grpc::CallOptions> options = CallOptionsOf(exchange_->request());
  if (!options.ok()) return Fail(options.status());
  // What a reader that stops leaves in memory is this and the two queues' high waters.
  grpc::ChannelOptions channel_options;
  channel_options.http2.stream_window = kStreamWindow;
  channel_ =
      std::make_unique<grpc::Channel>(loop_, network, exchange_->request().peer, channel_options);
  stream_ = channel_->Stream(route_.method, *options, this);
  // These closures are what keeps the call alive.
  exchange_->set_on_close([self = shared_from_this()] {
    self->stream_.reset();
    self->channel_.reset();
  });
  exchange_->set_on_writable([weak = weak_from_this()] {
    const std::shared_ptr<StreamCall> self = weak.lock();
    if (self == nullptr || self->stream_ == nullptr) return;
    if (std::exchange(self->reading_paused_, false)) self->stream_->ResumeReading();
  });
  exchange_->set_on_body([weak = weak_from_this()](absl::string_view piece, bool last) {
    if (const std::shared_ptr<StreamCall> self = weak.lock()) self->OnBody(piece, last);
  });
}

// ---- requests ----

void StreamCall::OnBody(absl::string_view piece, bool last) {
  if (stream_ == nullptr) return;  // the call is over
  splitter_.Append(piece);
  if (!SendDocuments()) return;
  if (last) {
    const absl::Status cut_off = splitter_.AtEnd();
    if (!cut_off.ok()) return Fail(cut_off);
    // One request that says nothing, where one is due.
    if (route_.kind == grpc::MethodKind::kServerStream && !sent_) stream_->Send(Bytes());
    stream_->HalfClose();
  } else if (stream_->queued_bytes() > kHighWater && !std::exchange(body_paused_, true)) {
    exchange_->PauseBody();
  }
}

bool StreamCall::SendDocuments() {
  while (true) {
    const absl::StatusOr<std::optional<std::string>> document = splitter_.Next();
    if (!document.ok()) {
      Fail(document.status());
      return false;
    }
    if (!document->has_value()) return true;
    // Only the first counts where there is to be one.
    if (sent_ && route_.kind == grpc::MethodKind::kServerStream) continue;
    const absl::StatusOr<std::string> wire = JsonToWire(**document, *route_.request);
    if (!wire.ok()) {
      Fail(wire.status());
      return false;
    }
    sent_ = true;
    stream_->Send(Bytes::Copy(*wire));
  }
}

void StreamCall::OnWritable() {
  if (std::exchange(body_paused_, false)) exchange_->ResumeBody();
}

// ---- answers ----

void StreamCall::Begin() {
  if (!std::exchange(begun_, true)) exchange_->StartStream(200, AnswerFields());
}

void StreamCall::OnMessage(Bytes message) {
  const std::shared_ptr<StreamCall> self = shared_from_this();
  JsonWriter writer(route_.response->GetDescriptor());
  BytesBuilder json(message.size() * 3 / 2 + 256);
  json.Append("{\"result\":");
  absl::Status status = writer.Write(message, &json);
  if (status.ok()) status = writer.End(&json);
  if (!status.ok()) return Fail(status);
  json.Append("}\n");
  Begin();
  exchange_->Write(std::move(json).Finish());
  if (stream_ == nullptr || exchange_->queued_bytes() <= io::Stream::kWriteHighWater) return;
  if (!std::exchange(reading_paused_, true)) stream_->PauseReading();
}

void StreamCall::OnFinish(const absl::Status& status) {
  const std::shared_ptr<StreamCall> self = shared_from_this();
  if (!status.ok()) return Fail(status);
  Begin();
  exchange_->EndStream();
}

void StreamCall::Fail(const absl::Status& status) {
  const std::shared_ptr<StreamCall> self = shared_from_this();
  stream_.reset();
  if (!begun_) {
    return exchange_->Respond(ErrorResponse(status, RefusedStreamJson(status)));
  }
  exchange_->Write(Bytes::Copy(absl::StrCat(StreamErrorJson(status), "\n")));
  exchange_->EndStream();
}

}  // namespace quorate::gateway
