// What is refused about leases, with etcd's codes and texts.
// That there is no such lease: mvcc::LeaseNotFoundError, since puts say so too.
#ifndef QUORATE_ENGINE_LEASE_ERRORS_H_
#define QUORATE_ENGINE_LEASE_ERRORS_H_

#include "absl/status/status.h"

namespace quorate::lease {

inline absl::Status ExistsError() {
  return absl::FailedPreconditionError("etcdserver: lease already exists");
}
inline absl::Status TtlTooLargeError() {
  return absl::OutOfRangeError("etcdserver: too large lease TTL");
}

}  // namespace quorate::lease

#endif  // QUORATE_ENGINE_LEASE_ERRORS_H_
