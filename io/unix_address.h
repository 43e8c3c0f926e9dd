// Addresses beyond "host:port" that io::Network takes in production: "unix:" and the path of a
// socket in the file system. Such a socket goes with its listener; one that was left over by
// somebody who is gone is replaced. Streams that come over it have the peer address "@".
#ifndef QUORATE_IO_UNIX_ADDRESS_H_
#define QUORATE_IO_UNIX_ADDRESS_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quorate::io {

// The path in "unix:/run/q.sock"; nothing if the address is not of that kind.
std::optional<absl::string_view> UnixPathOf(absl::string_view address);

// The name that a certificate of whoever listens at an address must bear: the host; of a socket in
// the file system what looks like one in its path ("localhost:2379"), else "localhost".
// InvalidArgument for what is no address.
absl::StatusOr<std::string> ServerNameOf(absl::string_view address);

}  // namespace quorate::io

#endif  // QUORATE_IO_UNIX_ADDRESS_H_
