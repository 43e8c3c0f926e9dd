#include "server/http2/field_rules.h"

#include <nghttp2/nghttp2.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"

namespace quorate::http2 {
namespace {

enum Pseudo : uint32_t { kMethod = 1, kScheme = 2, kPath = 4, kAuthority = 8 };
constexpr uint32_t kRequired = kMethod | kScheme | kPath;

const uint8_t* Raw(absl::string_view text) { return reinterpret_cast<const uint8_t*>(text.data()); }

// Fields that speak of one HTTP/1.1 connection (section 8.2.2).
bool IsConnectionSpecific(absl::string_view name) {
  return name == "connection" || name == "keep-alive" || name == "proxy-connection" ||
         name == "transfer-encoding" || name == "upgrade";
}

}  // namespace

void FieldRules::Begin(bool trailers) {
  trailers_ = trailers;
  regular_began_ = false;
  seen_ = 0;
  content_length_.reset();
}

bool FieldRules::Field(absl::string_view name, absl::string_view value) {
  if (nghttp2_check_header_value(Raw(value), value.size()) == 0) return false;
  if (!name.empty() && name.front() == ':') return PseudoField(name, value);
  regular_began_ = true;
  if (nghttp2_check_header_name(Raw(name), name.size()) == 0) return false;
  if (IsConnectionSpecific(name)) return false;
  if (name == "te") return absl::EqualsIgnoreCase(value, "trailers");
  if (name != "content-length") return true;
  uint64_t length = 0;
  if (content_length_.has_value() || value.empty() || !absl::ascii_isdigit(value.front()) ||
      !absl::SimpleAtoi(value, &length)) {
    return false;
  }
  content_length_ = length;
  return true;
}

bool FieldRules::PseudoField(absl::string_view name, absl::string_view value) {
  uint32_t field = 0;
  if (name == ":method") {
    field = kMethod;
  } else if (name == ":scheme") {
    field = kScheme;
  } else if (name == ":path") {
    field = kPath;
  } else if (name == ":authority") {
    field = kAuthority;
  } else {
    return false;
  }
  if (trailers_ || regular_began_ || (seen_ & field) != 0) return false;
  seen_ |= field;
  return field == kAuthority || !value.empty();
}

bool FieldRules::Complete() const { return trailers_ || (seen_ & kRequired) == kRequired; }

}  // namespace quorate::http2
