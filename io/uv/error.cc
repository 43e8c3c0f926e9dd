#include "io/uv/error.h"

#include <uv.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace quorate::io::uv {
namespace {

// In libuv's words; of what it has none for (EDQUOT), in the C library's. uv_strerror would leak
// these.
std::string Text(int uv_error) {
  char text[128];
  uv_strerror_r(uv_error, text, sizeof(text));
  const bool known = !absl::StartsWith(text, "Unknown");
  return known ? text : std::generic_category().message(-uv_error);
}

}  // namespace

absl::Status DiskError(absl::string_view operation, absl::string_view path, int error_number,
                       Access access) {
  const std::string text =
      absl::StrCat(operation, " ", path, ": ", Text(uv_translate_sys_error(error_number)));
  switch (error_number) {
    case ENOENT:
      return absl::NotFoundError(text);
    case EEXIST:
    case ENOTEMPTY:
      return absl::AlreadyExistsError(text);
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return absl::ResourceExhaustedError(text);
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(text);
    case EROFS:
    case EISDIR:
    case ENOTDIR:
      return absl::FailedPreconditionError(text);
    case EIO:
    case EUCLEAN:  // the file system's own structures do not fit their checks
    case EBADMSG:
      if (access == Access::kRead) return absl::DataLossError(text);
      return absl::InternalError(text);
    default:
      return absl::InternalError(text);
  }
}

absl::Status NetworkError(absl::string_view operation, absl::string_view address, int uv_error) {
  const std::string text = absl::StrCat(operation, " ", address, ": ", Text(uv_error));
  switch (uv_error) {
    case UV_EADDRINUSE:
      return absl::AlreadyExistsError(text);
    case UV_EACCES:
    case UV_EPERM:
      return absl::PermissionDeniedError(text);
    case UV_EADDRNOTAVAIL:
    case UV_EINVAL:
      return absl::InvalidArgumentError(text);
    case UV_EMFILE:
    case UV_ENFILE:
    case UV_ENOMEM:
    case UV_ENOBUFS:
      return absl::ResourceExhaustedError(text);
    default:
      return absl::UnavailableError(text);
  }
}

}  // namespace quorate::io::uv
