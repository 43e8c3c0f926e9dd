#include "server/gateway/errors.h"

#include "absl/strings/str_cat.h"
#include "server/http1/message.h"
#include "server/log/logger.h"

namespace quorate::gateway {
namespace {

std::string Quoted(absl::string_view text) {
  std::string out;
  log::AppendJsonString(text, &out);
  return out;
}

// What ends a stream, as an object.
std::string Details(const absl::Status& status) {
  const int code = static_cast<int>(status.code());
  const int http = HttpStatusOf(status.code());
  return absl::StrCat("{\"code\":", code, ",\"message\":", Quoted(status.message()),
                      ",\"grpc_code\":", code, ",\"http_code\":", http,
                      ",\"http_status\":", Quoted(http1::ReasonPhrase(http)), "}");
}

}  // namespace

int HttpStatusOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kCancelled:
      return 499;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
      return 400;
    case absl::StatusCode::kDeadlineExceeded:
      return 504;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kAborted:
      return 409;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    case absl::StatusCode::kUnimplemented:
      return 501;
    case absl::StatusCode::kUnavailable:
      return 503;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    default:
      return 500;
  }
}

std::string ErrorJson(const absl::Status& status) {
  const std::string text = Quoted(status.message());
  return absl::StrCat("{\"error\":", text, ",\"code\":", static_cast<int>(status.code()),
                      ",\"message\":", text, "}");
}

std::string StreamErrorJson(const absl::Status& status) {
  return absl::StrCat("{\"error\":", Details(status), "}");
}

std::string RefusedStreamJson(const absl::Status& status) {
  return absl::StrCat("{\"error\":", Details(status), ",\"code\":", static_cast<int>(status.code()),
                      ",\"message\":", Quoted(status.message()), "}");
}

}  // namespace quorate::gateway
