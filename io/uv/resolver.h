// Questions to the system's name servers that wait for their answers: for a start, before the loop
// runs.
#ifndef QUORATE_IO_UV_RESOLVER_H_
#define QUORATE_IO_UV_RESOLVER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "io/srv.h"

namespace quorate::io::uv {

// The SRV records of "_service._proto.domain", by priority, then weight (the largest first), then
// name. NotFound if there are none, Unavailable if no name server answers; both name the domain.
// `name_server`: "10.0.0.1:53" instead of the system's; empty: the system's.
absl::StatusOr<std::vector<SrvRecord>> LookUpSrv(const std::string& name,
                                                 const std::string& name_server = "");

// The numeric addresses of "host:port", sorted. Errors as above.
absl::StatusOr<std::vector<std::string>> LookUpAddresses(const std::string& host_port);

}  // namespace quorate::io::uv

#endif  // QUORATE_IO_UV_RESOLVER_H_
