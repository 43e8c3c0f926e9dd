// --log-rotation-config-json: the settings of Go's lumberjack, as etcd takes them.
#ifndef QUORATE_SERVER_CONFIG_LOG_ROTATION_H_
#define QUORATE_SERVER_CONFIG_LOG_ROTATION_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "io/log_rotation.h"

namespace quorate::config {

// {"maxsize": MiB, "maxage": days, "maxbackups": files, "localtime": bool, "compress": bool}, names
// in any case; what is missing is 0 or false, a size of 0 is 100, names that mean nothing are
// passed over, all as in etcd. FailedPrecondition says what is wrong.
absl::StatusOr<io::LogRotation> ParseLogRotation(absl::string_view json);

// Whether one of the --log-outputs is a file that can be rotated, and no more: FailedPrecondition
// with etcd's text otherwise.
absl::Status CheckRotatedOutputs(const std::vector<std::string>& outputs);

// Whether that is a stream of the process, not a file.
bool IsStandardOutput(absl::string_view output);

}  // namespace quorate::config

#endif  // QUORATE_SERVER_CONFIG_LOG_ROTATION_H_
