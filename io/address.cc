#include "io/address.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace quorate::io {
namespace {

absl::Status Malformed(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("address \"", text, "\": ", why));
}

}  // namespace

absl::StatusOr<HostPort> ParseHostPort(absl::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return Malformed(text, "missing port");
  absl::string_view host = text.substr(0, colon);
  const absl::string_view digits = text.substr(colon + 1);
  if (absl::ConsumePrefix(&host, "[")) {
    if (!absl::ConsumeSuffix(&host, "]")) return Malformed(text, "missing ]");
  } else if (host.find(':') != absl::string_view::npos) {
    return Malformed(text, "too many colons (IPv6 addresses go into brackets)");
  }
  uint32_t port = 0;
  const bool numeric =
      !digits.empty() && digits.find_first_not_of("0123456789") == absl::string_view::npos;
  if (!numeric || !absl::SimpleAtoi(digits, &port) || port > 65535) {
    return Malformed(text, "the port is not a number from 0 to 65535");
  }
  return HostPort{std::string(host), static_cast<uint16_t>(port)};
}

}  // namespace quorate::io
