// Messages that came compressed: grpc-encoding "gzip", the one coding that etcd's servers take.
#ifndef QUORATE_SERVER_GRPC_GZIP_H_
#define QUORATE_SERVER_GRPC_GZIP_H_

#include <cstddef>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"

namespace quorate::grpc {

// The bytes behind `compressed`. ResourceExhausted if they are more than `max` (no more than that
// is ever unpacked), Internal if it is no gzip stream, or not all of one.
absl::StatusOr<Bytes> Gunzip(absl::string_view compressed, size_t max);

}  // namespace quorate::grpc

#endif  // QUORATE_SERVER_GRPC_GZIP_H_
