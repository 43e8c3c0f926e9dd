// How errors look in JSON. Releases of etcd differ, and so do its clients: what is written
// here is the union of what all of them read.
#ifndef QUORATE_SERVER_GATEWAY_ERRORS_H_
#define QUORATE_SERVER_GATEWAY_ERRORS_H_

#include <string>

#include "absl/status/status.h"

namespace quorate::gateway {

// The HTTP status of a gRPC code, as etcd 3.6 and later map it.
int HttpStatusOf(absl::StatusCode code);

// {"error":TEXT,"code":N,"message":TEXT}: the answer to a call. Releases before 3.6 have "error",
// later ones have not.
std::string ErrorJson(const absl::Status& status);

// {"error":{"code":N,"message":TEXT,"grpc_code":N,"http_code":N,"http_status":TEXT}}: what
// ends a stream. The last three are of releases before 3.6.
std::string StreamErrorJson(const absl::Status& status);

// The same with "code" and "message" beside "error": the answer to a stream that did not begin.
// Releases since 3.6 have these two for what is refused before the call begins: a body of Snapshot
// or Observe that is no JSON, and a Grpc-Timeout that is none. What a call says they put below
// "error".
std::string RefusedStreamJson(const absl::Status& status);

}  // namespace quorate::gateway

#endif  // QUORATE_SERVER_GATEWAY_ERRORS_H_
