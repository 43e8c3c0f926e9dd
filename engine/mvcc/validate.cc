// What etcd's servers refuse before they propose anything.
#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "base/status.h"
#include "engine/mvcc/errors.h"
#include "engine/mvcc/requests.h"

namespace quorate::mvcc {

absl::Status Validate(const RangeRequest& request) {
  if (request.key.empty()) return EmptyKeyError();
  if (request.sort_order < RangeRequest::kNone || request.sort_order > RangeRequest::kDescend ||
      request.sort_target < RangeRequest::kKey || request.sort_target > RangeRequest::kValue) {
    return InvalidSortOptionError();
  }
  return absl::OkStatus();
}

absl::Status Validate(const PutRequest& request) {
  if (request.key.empty()) return EmptyKeyError();
  if (request.ignore_value && !request.value.empty()) return ValueProvidedError();
  if (request.ignore_lease && request.lease != LeaseId()) return LeaseProvidedError();
  return absl::OkStatus();
}

absl::Status Validate(const DeleteRangeRequest& request) {
  return request.key.empty() ? EmptyKeyError() : absl::OkStatus();
}

namespace {

absl::Status ValidateOps(const TxnRequest& request, size_t max_ops);

absl::Status ValidateOp(const RequestOp& op, size_t max_ops) {
  if (const auto* range = std::get_if<RangeRequest>(&op)) return Validate(*range);
  if (const auto* put = std::get_if<PutRequest>(&op)) return Validate(*put);
  if (const auto* del = std::get_if<DeleteRangeRequest>(&op)) return Validate(*del);
  if (const auto* txn = std::get_if<std::unique_ptr<TxnRequest>>(&op)) {
    return ValidateOps(**txn, max_ops);
  }
  return KeyNotFoundError();  // etcd's answer to an empty operation
}

absl::Status ValidateOps(const TxnRequest& request, size_t max_ops) {
  const size_t ops =
      std::max({request.compare.size(), request.success.size(), request.failure.size()});
  if (ops > max_ops) return TooManyOpsError();
  for (const Compare& compare : request.compare) {
    if (compare.key.empty()) return EmptyKeyError();
  }
  for (const RequestOp& op : request.success) RETURN_IF_ERROR(ValidateOp(op, max_ops - ops));
  for (const RequestOp& op : request.failure) RETURN_IF_ERROR(ValidateOp(op, max_ops - ops));
  return absl::OkStatus();
}

// The keys that one list of operations puts and the ranges that it deletes, nested
// transactions included.
struct Writes {
  absl::btree_set<absl::string_view> puts;
  // Taken literally: a delete of every key from one on does not count as an overlap
  // with anything, as in etcd.
  std::vector<KeyRange> deletes;

  bool Deletes(absl::string_view key) const {
    return std::any_of(deletes.begin(), deletes.end(),
                       [key](const KeyRange& range) { return range.Contains(key); });
  }
};

absl::Status AddChild(const TxnRequest& txn, Writes* writes);

absl::Status CollectWrites(const std::vector<RequestOp>& ops, Writes* writes) {
  for (const RequestOp& op : ops) {
    const auto* del = std::get_if<DeleteRangeRequest>(&op);
    if (del != nullptr && del->range().kind != KeyRange::Kind::kFrom) {
      writes->deletes.push_back(del->range());
    }
  }
  for (const RequestOp& op : ops) {
    const auto* txn = std::get_if<std::unique_ptr<TxnRequest>>(&op);
    if (txn != nullptr) RETURN_IF_ERROR(AddChild(**txn, writes));
  }
  for (const RequestOp& op : ops) {
    const auto* put = std::get_if<PutRequest>(&op);
    if (put == nullptr) continue;
    if (writes->Deletes(put->key) || !writes->puts.insert(put->key).second) {
      return DuplicateKeyError();
    }
  }
  return absl::OkStatus();
}

// Only one of a nested transaction's lists is performed: they may share keys.
absl::Status AddChild(const TxnRequest& txn, Writes* writes) {
  Writes then;
  Writes otherwise;
  RETURN_IF_ERROR(CollectWrites(txn.success, &then));
  RETURN_IF_ERROR(CollectWrites(txn.failure, &otherwise));
  for (const absl::string_view key : then.puts) {
    if (writes->Deletes(key) || !writes->puts.insert(key).second) return DuplicateKeyError();
  }
  for (const absl::string_view key : otherwise.puts) {
    if (writes->Deletes(key)) return DuplicateKeyError();
    if (!writes->puts.insert(key).second && !then.puts.contains(key)) return DuplicateKeyError();
  }
  writes->deletes.insert(writes->deletes.end(), then.deletes.begin(), then.deletes.end());
  writes->deletes.insert(writes->deletes.end(), otherwise.deletes.begin(), otherwise.deletes.end());
  return absl::OkStatus();
}

}  // namespace

absl::Status Validate(const TxnRequest& request, size_t max_ops) {
  RETURN_IF_ERROR(ValidateOps(request, max_ops));
  Writes success;
  RETURN_IF_ERROR(CollectWrites(request.success, &success));
  Writes failure;
  return CollectWrites(request.failure, &failure);
}

}  // namespace quorate::mvcc
