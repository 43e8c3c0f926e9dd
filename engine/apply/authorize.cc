#include "engine/apply/authorize.h"

#include <memory>
#include <utility>
#include <variant>

#include "base/status.h"

namespace quorate::apply {

using auth::Access;
using mvcc::KeyRange;

absl::Status Authorizer::Check(const mvcc::RangeRequest& request) const {
  return auth_.CheckAccess(subject_, Access::kRead, request.range());
}

absl::Status Authorizer::Check(const mvcc::PutRequest& request) const {
  const KeyRange key = KeyRange::FromRequest(request.key, {});
  RETURN_IF_ERROR(auth_.CheckAccess(subject_, Access::kWrite, key));
  // Else the user could keep others' keys alive, or could not revoke what it attached to.
  RETURN_IF_ERROR(CheckLease(Access::kWrite, request.lease));
  return request.prev_kv ? auth_.CheckAccess(subject_, Access::kRead, key) : absl::OkStatus();
}

absl::Status Authorizer::Check(const mvcc::DeleteRangeRequest& request) const {
  RETURN_IF_ERROR(auth_.CheckAccess(subject_, Access::kWrite, request.range()));
  if (!request.prev_kv) return absl::OkStatus();
  return auth_.CheckAccess(subject_, Access::kRead, request.range());
}

absl::Status Authorizer::Check(const mvcc::TxnRequest& request) const {
  if (!auth_.enabled()) return absl::OkStatus();
  for (const mvcc::Compare& compare : request.compare) {
    RETURN_IF_ERROR(auth_.CheckAccess(subject_, Access::kRead, compare.range()));
  }
  RETURN_IF_ERROR(CheckOps(request.success));
  return CheckOps(request.failure);
}

absl::Status Authorizer::CheckOps(const std::vector<mvcc::RequestOp>& ops) const {
  for (const mvcc::RequestOp& op : ops) {
    if (const auto* range = std::get_if<mvcc::RangeRequest>(&op)) {
      RETURN_IF_ERROR(Check(*range));
    } else if (const auto* put = std::get_if<mvcc::PutRequest>(&op)) {
      RETURN_IF_ERROR(Check(*put));
    } else if (const auto* del = std::get_if<mvcc::DeleteRangeRequest>(&op)) {
      RETURN_IF_ERROR(Check(*del));
    } else if (const auto* txn = std::get_if<std::unique_ptr<mvcc::TxnRequest>>(&op)) {
      RETURN_IF_ERROR(Check(**txn));
    }
  }
  return absl::OkStatus();
}

absl::Status Authorizer::CheckLease(Access access, LeaseId lease) const {
  if (leases_ == nullptr || lease == LeaseId() || auth_.CheckAdmin(subject_).ok()) {
    return absl::OkStatus();
  }
  // Of the keys that the subject is permitted in one run, only the first is looked at: there
  // may be very many.
  std::string from;
  while (const std::optional<std::string> key = leases_->KeyFrom(lease, from)) {
    RETURN_IF_ERROR(auth_.CheckAccess(subject_, access, KeyRange::FromRequest(*key, {})));
    std::optional<std::string> end = auth_.EndOfAccess(subject_, access, *key);
    if (!end.has_value()) break;
    from = *std::move(end);
  }
  return absl::OkStatus();
}

}  // namespace quorate::apply
