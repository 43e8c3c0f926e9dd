// "host:port" as io::Network takes it.
#ifndef QUORATE_IO_ADDRESS_H_
#define QUORATE_IO_ADDRESS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quorate::io {

struct HostPort {
  std::string host;  // a name or IP address, without brackets; may be empty (any)
  uint16_t port = 0;
};

// "10.0.0.1:2380", "[::1]:2380", "localhost:0", ":2380". InvalidArgument, quoting the
// text, for anything else.
absl::StatusOr<HostPort> ParseHostPort(absl::string_view text);

}  // namespace quorate::io

#endif  // QUORATE_IO_ADDRESS_H_
