#include "server/gateway/unary_call.h"

#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/gateway/errors.h"
#include "server/gateway/json.h"
#include "server/grpc/codec.h"

namespace quorate::gateway {
namespace {

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

absl::StatusOr<Bytes> ToJson(absl::string_view wire, const google::protobuf::Message& prototype) {
  absl::StatusOr<std::string> json = WireToJson(wire, prototype);
  if (!json.ok()) return json.status();
  return Bytes::Copy(*json);
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

UnaryCall::UnaryCall(io::Loop* loop, io::Compute* compute, const Route& route,
                     size_t max_inline_bytes, http1::ExchangePtr exchange)
    : loop_(loop),
      compute_(compute),
      route_(route),
      max_inline_bytes_(max_inline_bytes),
      exchange_(std::move(exchange)) {}

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
  channel_ = std::make_unique<grpc::Channel>(loop_, network, exchange_->request().peer);
  channel_->Unary(route_.method, Bytes::Copy(*wire), *options,
                  [this](grpc::Result result) { OnResult(std::move(result)); });
  // This closure is what keeps the call alive.
  exchange_->set_on_close([self = shared_from_this()] {});
}

void UnaryCall::OnResult(grpc::Result result) {
  const std::shared_ptr<UnaryCall> self = shared_from_this();  // answering lets go of it
  if (!result.status.ok()) return Fail(result.status);
  if (result.message.size() <= max_inline_bytes_) {
    return Answer(ToJson(result.message, *route_.response));
  }
  // Base64 has a third more; what is being converted is here, too.
  if (!exchange_->MakeRoom(result.message.size() * 7 / 3)) {
    return Fail(absl::ResourceExhaustedError(
        "etcdserver: too many bytes of answers wait for their readers"));
  }
  auto json = std::make_shared<absl::StatusOr<Bytes>>(absl::UnknownError(""));
  compute_->Run([json, wire = result.message,
                 prototype = route_.response] { *json = ToJson(wire, *prototype); },
                [json, weak = weak_from_this()] {
                  if (const std::shared_ptr<UnaryCall> call = weak.lock()) {
                    call->Answer(std::move(*json));
                  }
                });
}

void UnaryCall::Answer(absl::StatusOr<Bytes> json) {
  if (!json.ok()) return Fail(json.status());
  http1::Response response;
  response.fields = AnswerFields();
  response.body.push_back(*std::move(json));
  exchange_->Respond(std::move(response));
}

void UnaryCall::Fail(const absl::Status& status) {
  exchange_->Respond(ErrorResponse(status, ErrorJson(status)));
}

}  // namespace quorate::gateway
