// A directory that lies elsewhere, behind a symbolic link: for a start, before the loop runs.
#ifndef QUORATE_IO_UV_LINKED_DIRECTORY_H_
#define QUORATE_IO_UV_LINKED_DIRECTORY_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace quorate::io::uv {

// Makes `link` a symbolic link to the directory `target`, which is made if it is missing (0700, as
// its parents and the link's). All of it is durable before OK. A link that is there already must
// lead to `target`; it, and anything else under the name, is left as it is: FailedPrecondition,
// naming both. Does nothing where the two are one path.
absl::Status LinkDirectory(const std::string& link, const std::string& target);

// Where the symbolic link `path` leads to; empty if it is none, or nothing is there.
// FailedPrecondition if it leads to no directory: its disk is not mounted, as a rule.
absl::StatusOr<std::string> LinkedDirectory(const std::string& path);

}  // namespace quorate::io::uv

#endif  // QUORATE_IO_UV_LINKED_DIRECTORY_H_
