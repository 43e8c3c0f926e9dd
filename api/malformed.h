// What etcd's gRPC server tells a client whose bytes are no message of the type that they should
// be. (Go's protobuf puts another kind of space behind "proto:" in some of its builds, so that
// nobody relies on the text.)
#ifndef QUORATE_API_MALFORMED_H_
#define QUORATE_API_MALFORMED_H_

#include "absl/status/status.h"

namespace quorate {

// Of a unary call.
inline absl::Status MalformedRequestError() {
  return absl::InternalError(
      "grpc: error unmarshalling request: proto: cannot parse invalid wire-format data");
}

// Of a call of which either side is a stream.
inline absl::Status MalformedMessageError() {
  return absl::InternalError(
      "grpc: failed to unmarshal the received message: proto: cannot parse invalid wire-format "
      "data");
}

}  // namespace quorate

#endif  // QUORATE_API_MALFORMED_H_
