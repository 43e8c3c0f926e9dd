// What a subject needs to be permitted for a request: the keys that the request reads,
// those that it writes, and those of the lease that it attaches to.
//
// The same checks are made where a command is applied and where a read is answered. A
// transaction needs everything that any of its branches could do, nested ones included.
#ifndef QUORATE_ENGINE_APPLY_AUTHORIZE_H_
#define QUORATE_ENGINE_APPLY_AUTHORIZE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/strong_int.h"
#include "engine/auth/auth.h"
#include "engine/mvcc/requests.h"

namespace quorate::apply {

// The keys that are attached to leases.
class LeaseKeys {
 public:
  virtual ~LeaseKeys() = default;
  // The least key of the lease that is not before `from`, if there is one.
  virtual std::optional<std::string> KeyFrom(LeaseId lease, absl::string_view from) const = 0;
};

class Authorizer {
 public:
  // All borrowed; `leases` may be null: then no lease has keys.
  Authorizer(const auth::Auth& auth, const auth::Subject& subject, const LeaseKeys* leases)
      : auth_(auth), subject_(subject), leases_(leases) {}

  // OK, or etcd's refusal. All OK while authentication is disabled.
  absl::Status Check(const mvcc::RangeRequest& request) const;
  absl::Status Check(const mvcc::PutRequest& request) const;
  absl::Status Check(const mvcc::DeleteRangeRequest& request) const;
  absl::Status Check(const mvcc::TxnRequest& request) const;
  // Access to every key of a lease: writing, to attach one more or to revoke it; reading,
  // to be told of them.
  absl::Status CheckLease(auth::Access access, LeaseId lease) const;

 private:
  absl::Status CheckOps(const std::vector<mvcc::RequestOp>& ops) const;

  const auth::Auth& auth_;
  const auth::Subject subject_;
  const LeaseKeys* const leases_;
};

}  // namespace quorate::apply

#endif  // QUORATE_ENGINE_APPLY_AUTHORIZE_H_
