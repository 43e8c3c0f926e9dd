// A call's header block: what is asked for, how, and with which metadata.
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/grpc/call.h"
#include "server/grpc/connection.h"
#include "server/grpc/gzip.h"
#include "server/grpc/server.h"

namespace quorate::grpc {
namespace {

constexpr absl::string_view kGrpc = "application/grpc";
constexpr absl::string_view kGrpcProto = "application/grpc+proto";

// Header fields of gRPC and HTTP that are no metadata of the application's.
bool IsReserved(absl::string_view name) {
  return absl::StartsWith(name, "grpc-") || name == "te" || name == "user-agent" ||
         name == "accept-encoding" || name == "host";
}

absl::Status Quoted(absl::StatusCode code, absl::string_view text, absl::string_view quoted,
                    absl::string_view rest = "") {
  return absl::Status(code, absl::StrCat(text, "\"", quoted, "\"", rest));
}

}  // namespace

bool Call::OnHeader(absl::string_view name, absl::string_view value) {
  if (headers_done_) return true;  // a client's trailers say nothing
  if (name[0] == ':') {
    OnPseudoHeader(name, value);
  } else if (name == "content-type") {
    OnContentType(value);
  } else if (name == "grpc-timeout") {
    OnTimeout(value);
  } else if (name == "grpc-encoding") {
    if (value != "identity") encoding_.assign(value.data(), value.size());
  } else if (!IsReserved(name)) {
    AddMetadata(name, value);
  }
  return true;
}

void Call::OnPseudoHeader(absl::string_view name, absl::string_view value) {
  if (name == ":path") {
    method_ = server_->FindMethod(value);
    if (method_ == nullptr) path_.assign(value.data(), value.size());
  } else if (name == ":method") {
    is_post_ = value == "POST";
    if (!is_post_) http_method_.assign(value.data(), value.size());
  }
}

void Call::OnContentType(absl::string_view value) {
  if (value == kGrpc) {
    content_type_ = ContentType::kGrpc;
  } else if (value == kGrpcProto) {
    content_type_ = ContentType::kGrpcProto;
  } else {
    content_type_text_.assign(value.data(), value.size());
    const bool subtype = absl::StartsWithIgnoreCase(value, kGrpc) && value.size() > kGrpc.size() &&
                         (value[kGrpc.size()] == '+' || value[kGrpc.size()] == ';');
    content_type_ = subtype ? ContentType::kGrpcSubtype : ContentType::kOther;
  }
}

void Call::OnTimeout(absl::string_view value) {
  const std::optional<Duration> timeout = ParseTimeout(value);
  if (!timeout.has_value()) {
    bad_timeout_ = true;
    timeout_text_.assign(value.data(), value.size());
    return;
  }
  deadline_ = server_->loop_->Now() + *timeout;
}

void Call::AddMetadata(absl::string_view name, absl::string_view value) {
  metadata_.push_back({static_cast<uint32_t>(name.size()), static_cast<uint32_t>(value.size())});
  metadata_text_.append(name.data(), name.size());
  metadata_text_.append(value.data(), value.size());
}

std::optional<absl::string_view> Call::Metadata(absl::string_view name) const {
  absl::string_view text = metadata_text_;
  for (const MetadataEntry& entry : metadata_) {
    if (text.substr(0, entry.name_size) == name) {
      return text.substr(entry.name_size, entry.value_size);
    }
    text.remove_prefix(entry.name_size + entry.value_size);
  }
  return std::nullopt;
}

void Call::OnHeadersEnd(bool trailers) {
  (void)trailers;
  if (headers_done_) return;
  headers_done_ = true;
  using absl::StatusCode;
  if (content_type_ == ContentType::kOther) {
    return Refuse("415", Quoted(StatusCode::kInvalidArgument, "invalid gRPC request content-type ",
                                content_type_text_));
  }
  if (bad_timeout_) {
    return Refuse("400", Quoted(StatusCode::kInternal, "malformed grpc-timeout: ", timeout_text_));
  }
  if (!is_post_) {
    return Refuse("405", Quoted(StatusCode::kInternal, "Received a HEADERS frame with :method ",
                                http_method_, " which should be POST"));
  }
  if (method_ == nullptr) return Refuse("200", PathError());
  if (!encoding_.empty() && encoding_ != kGzip) {
    return Refuse("200",
                  Quoted(StatusCode::kUnimplemented,
                         "grpc: Decompressor is not installed for grpc-encoding ", encoding_));
  }
  if (deadline_ <= server_->loop_->Now()) {
    return Refuse("200", absl::DeadlineExceededError("context deadline exceeded"));
  }
  Begin();
}

absl::Status Call::PathError() const {
  absl::string_view path = path_;
  if (!path.empty() && path[0] == '/') path.remove_prefix(1);
  const size_t slash = path.rfind('/');
  if (slash == absl::string_view::npos) {
    return Quoted(absl::StatusCode::kUnimplemented, "malformed method name: ", path_);
  }
  const absl::string_view service = path.substr(0, slash);
  if (!server_->HasService(service)) {
    return absl::UnimplementedError(absl::StrCat("unknown service ", service));
  }
  return absl::UnimplementedError(
      absl::StrCat("unknown method ", path.substr(slash + 1), " for service ", service));
}

void Call::Refuse(absl::string_view http_status, const absl::Status& status) {
  const std::string message = EncodeStatusMessage(status.message());
  SendHeaders({{":status", http_status, true},
               {"content-type", kGrpc, true},
               {"grpc-status", StatusCodeText(status.code()), true},
               {"grpc-message", message}},
              true);
}

void Call::Begin() {
  start_ = server_->loop_->Now();
  gzip_ = encoding_ == kGzip;
  reader_.Reset(server_->options_.max_message_bytes, gzip_);
  server_->OpenCall(this);
  if (method_->kind == MethodKind::kUnary) return;
  if (server_->gate_) {
    const absl::Status status = server_->gate_(*this);
    if (!status.ok()) return Finish(status);
  }
  const uint64_t id = id_;
  std::unique_ptr<StreamHandler> handler = method_->streaming(this);
  if (server_->Find(id) == this) {
    CHECK(handler != nullptr);
    handler_ = std::move(handler);
  } else {
    server_->Bury(std::move(handler));
  }
}

absl::string_view Call::ContentTypeText() const {
  switch (content_type_) {
    case ContentType::kGrpcProto:
      return kGrpcProto;
    case ContentType::kGrpcSubtype:
      return content_type_text_;
    default:
      return kGrpc;
  }
}

}  // namespace quorate::grpc
