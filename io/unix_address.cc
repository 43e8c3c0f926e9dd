#include "io/unix_address.h"

#include "absl/strings/strip.h"
#include "io/address.h"

namespace quorate::io {

std::optional<absl::string_view> UnixPathOf(absl::string_view address) {
  if (!absl::ConsumePrefix(&address, "unix:")) return std::nullopt;
  return address;
}

absl::StatusOr<std::string> ServerNameOf(absl::string_view address) {
  const std::optional<absl::string_view> path = UnixPathOf(address);
  const absl::StatusOr<HostPort> at = ParseHostPort(path.value_or(address));
  if (!path.has_value()) return at.ok() ? at->host : absl::StatusOr<std::string>(at.status());
  const bool named = at.ok() && !at->host.empty() && at->host.find('/') == std::string::npos;
  return named ? at->host : "localhost";
}

}  // namespace quorate::io
