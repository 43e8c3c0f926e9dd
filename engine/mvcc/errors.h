// The state machine's refusals, with etcd's codes and texts (clients compare them).
#ifndef QUORATE_ENGINE_MVCC_ERRORS_H_
#define QUORATE_ENGINE_MVCC_ERRORS_H_

#include "absl/status/status.h"

namespace quorate::mvcc {

inline absl::Status EmptyKeyError() {
  return absl::InvalidArgumentError("etcdserver: key is not provided");
}
inline absl::Status KeyNotFoundError() {
  return absl::InvalidArgumentError("etcdserver: key not found");
}
inline absl::Status ValueProvidedError() {
  return absl::InvalidArgumentError("etcdserver: value is provided");
}
inline absl::Status LeaseProvidedError() {
  return absl::InvalidArgumentError("etcdserver: lease is provided");
}
inline absl::Status TooManyOpsError() {
  return absl::InvalidArgumentError("etcdserver: too many operations in txn request");
}
inline absl::Status DuplicateKeyError() {
  return absl::InvalidArgumentError("etcdserver: duplicate key given in txn request");
}
inline absl::Status InvalidSortOptionError() {
  return absl::InvalidArgumentError("etcdserver: invalid sort option");
}
inline absl::Status RequestTooLargeError() {
  return absl::InvalidArgumentError("etcdserver: request is too large");
}
inline absl::Status CompactedError() {
  return absl::OutOfRangeError("etcdserver: mvcc: required revision has been compacted");
}
inline absl::Status FutureRevisionError() {
  return absl::OutOfRangeError("etcdserver: mvcc: required revision is a future revision");
}
inline absl::Status LeaseNotFoundError() {
  return absl::NotFoundError("etcdserver: requested lease not found");
}

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_ERRORS_H_
