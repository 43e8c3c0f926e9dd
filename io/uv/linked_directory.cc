#include "io/uv/linked_directory.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "io/uv/disk.h"
#include "io/uv/error.h"

namespace quorate::io::uv {
namespace {

namespace fs = std::filesystem;

// Absolute, without "." and "..", and without a slash at the end.
fs::path Normal(const std::string& path) {
  const fs::path normal = fs::absolute(path).lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();
}

// Any directory above may be new.
absl::Status MakeDurably(const fs::path& path) {
  RETURN_IF_ERROR(MakeDirectories(path.string()));
  for (fs::path at = path; at != at.parent_path(); at = at.parent_path()) {
    RETURN_IF_ERROR(SyncDirectory(at.parent_path().string()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> LinkedDirectory(const std::string& path) {
  std::error_code error;
  const fs::path target = fs::read_symlink(path, error);
  if (error) return std::string();
  if (!fs::is_directory(path, error)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is a link to ", target.string(),
                     ", where there is no directory; is its disk mounted?"));
  }
  return target.string();
}

absl::Status LinkDirectory(const std::string& link, const std::string& target) {
  const fs::path from = Normal(link);
  const fs::path to = Normal(target);
  if (from == to) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string linked, LinkedDirectory(from.string()));
  std::error_code error;
  if (!linked.empty() && fs::equivalent(from, to, error)) return absl::OkStatus();
  if (fs::exists(fs::symlink_status(from, error))) {
    return absl::FailedPreconditionError(
        absl::StrCat(from.string(), " is ",
                     linked.empty() ? "there already" : absl::StrCat("a link to ", linked),
                     ", so it cannot be a link to ", to.string()));
  }
  RETURN_IF_ERROR(MakeDurably(to));
  RETURN_IF_ERROR(MakeDurably(from.parent_path()));
  if (symlink(to.c_str(), from.c_str()) != 0) {
    return DiskError("link", from.string(), errno, Access::kWrite);
  }
  return SyncDirectory(from.parent_path().string());
}

}  // namespace quorate::io::uv
