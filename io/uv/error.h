// The system's error numbers as absl::Status, as io/disk.h and io/network.h promise.
#ifndef QUORATE_IO_UV_ERROR_H_
#define QUORATE_IO_UV_ERROR_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace quorate::io::uv {

// What kind of access failed: an I/O error is lost data when reading.
enum class Access { kRead, kWrite };

// "open /data/wal/3: no such file or directory". `error_number` is errno's.
absl::Status DiskError(absl::string_view operation, absl::string_view path, int error_number,
                       Access access);

// "connect 10.0.0.1:2380: connection refused". `uv_error` is libuv's (negative).
absl::Status NetworkError(absl::string_view operation, absl::string_view address, int uv_error);

}  // namespace quorate::io::uv

#endif  // QUORATE_IO_UV_ERROR_H_
