// grpc-encoding "gzip", the one coding of messages that etcd's servers know.
#ifndef QUORATE_SERVER_GRPC_GZIP_H_
#define QUORATE_SERVER_GRPC_GZIP_H_

#include <cstddef>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/bytes.h"

namespace quorate::grpc {

// Its name in grpc-encoding and grpc-accept-encoding.
inline constexpr absl::string_view kGzip = "gzip";

// The bytes behind `compressed`, which may be of several gzip members one after another.
// ResourceExhausted if they are more than `max` (no more than that is ever unpacked), Internal if
// it is no gzip, or not all of one.
absl::StatusOr<Bytes> Gunzip(absl::string_view compressed, size_t max);

// One gzip member of the pieces in order.
Bytes Gzip(absl::Span<const Bytes> pieces);

}  // namespace quorate::grpc

#endif  // QUORATE_SERVER_GRPC_GZIP_H_
