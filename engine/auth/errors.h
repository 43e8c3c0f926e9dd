// Refusals of the auth store and of permission checks, with etcd's codes and texts
// (clients compare them).
#ifndef QUORATE_ENGINE_AUTH_ERRORS_H_
#define QUORATE_ENGINE_AUTH_ERRORS_H_

#include "absl/status/status.h"

namespace quorate::auth {

inline absl::Status RootUserNotExistError() {
  return absl::FailedPreconditionError("etcdserver: root user does not exist");
}
inline absl::Status RootRoleNotExistError() {
  return absl::FailedPreconditionError("etcdserver: root user does not have root role");
}
inline absl::Status UserAlreadyExistError() {
  return absl::FailedPreconditionError("etcdserver: user name already exists");
}
inline absl::Status UserEmptyError() {
  return absl::InvalidArgumentError("etcdserver: user name is empty");
}
inline absl::Status UserNotFoundError() {
  return absl::FailedPreconditionError("etcdserver: user name not found");
}
inline absl::Status RoleAlreadyExistError() {
  return absl::FailedPreconditionError("etcdserver: role name already exists");
}
inline absl::Status RoleNotFoundError() {
  return absl::FailedPreconditionError("etcdserver: role name not found");
}
inline absl::Status RoleEmptyError() {
  return absl::InvalidArgumentError("etcdserver: role name is empty");
}
inline absl::Status AuthFailedError() {
  return absl::InvalidArgumentError(
      "etcdserver: authentication failed, invalid user ID or password");
}
// Not one of etcd's public errors: it reaches clients raw.
inline absl::Status NoPasswordUserError() {
  return absl::UnknownError("auth: authentication failed, password was given for no password user");
}
inline absl::Status PermissionNotGivenError() {
  return absl::InvalidArgumentError("etcdserver: permission not given");
}
inline absl::Status PermissionDeniedError() {
  return absl::PermissionDeniedError("etcdserver: permission denied");
}
inline absl::Status RoleNotGrantedError() {
  return absl::FailedPreconditionError("etcdserver: role is not granted to the user");
}
inline absl::Status PermissionNotGrantedError() {
  return absl::FailedPreconditionError("etcdserver: permission is not granted to the role");
}
inline absl::Status AuthNotEnabledError() {
  return absl::FailedPreconditionError("etcdserver: authentication is not enabled");
}
inline absl::Status InvalidAuthTokenError() {
  return absl::UnauthenticatedError("etcdserver: invalid auth token");
}
inline absl::Status InvalidAuthMgmtError() {
  return absl::InvalidArgumentError("etcdserver: invalid auth management");
}
inline absl::Status AuthOldRevisionError() {
  return absl::InvalidArgumentError("etcdserver: revision of auth store is old");
}

}  // namespace quorate::auth

#endif  // QUORATE_ENGINE_AUTH_ERRORS_H_
