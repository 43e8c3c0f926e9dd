// What etcd's servers refuse before they propose anything.
#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
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

// Joins two sets; the smaller one moves, so that in nested transactions no key moves often.
template <typename Set>
void Join(Set* set, Set* other) {
  if (set->size() < other->size()) std::swap(*set, *other);
  set->insert(other->begin(), other->end());
}

// Keys that are deleted, by themselves and in ranges that don't touch each other.
class Deletes {
 public:
  // Taken literally: a delete of every key from one on does not count as an overlap with
  // anything, as in etcd.
  void Add(const KeyRange& range) {
    if (range.single()) keys_.insert(range.begin);
    if (range.kind == KeyRange::Kind::kHalfOpen && range.begin < range.end) {
      AddRange(range.begin, range.end);
    }
  }

  void Add(Deletes* other) {
    Join(&keys_, &other->keys_);
    if (ranges_.size() < other->ranges_.size()) std::swap(ranges_, other->ranges_);
    for (const auto& [begin, end] : other->ranges_) AddRange(begin, end);
  }

  bool Contains(absl::string_view key) const {
    if (keys_.contains(key)) return true;
    const auto after = ranges_.upper_bound(key);
    return after != ranges_.begin() && key < std::prev(after)->second;
  }

  // Whether any of the keys is deleted. Goes over whichever are fewer.
  bool Touch(const absl::btree_set<absl::string_view>& puts) const {
    if (puts.size() <= keys_.size() + ranges_.size()) {
      return std::any_of(puts.begin(), puts.end(), [this](auto key) { return Contains(key); });
    }
    const auto in_range = [&puts](const auto& range) {
      const auto first = puts.lower_bound(range.first);
      return first != puts.end() && *first < range.second;
    };
    return std::any_of(keys_.begin(), keys_.end(), [&](auto key) { return puts.contains(key); }) ||
           std::any_of(ranges_.begin(), ranges_.end(), in_range);
  }

 private:
  void AddRange(absl::string_view begin, absl::string_view end) {
    auto at = ranges_.upper_bound(begin);
    if (at != ranges_.begin() && std::prev(at)->second >= begin) --at;
    while (at != ranges_.end() && at->first <= end) {
      begin = std::min(begin, at->first);
      end = std::max(end, at->second);
      at = ranges_.erase(at);
    }
    ranges_.emplace(begin, end);
  }

  absl::btree_set<absl::string_view> keys_;
  absl::btree_map<absl::string_view, absl::string_view> ranges_;  // begin to end
};

// What one list of operations writes, nested transactions included.
struct Writes {
  absl::btree_set<absl::string_view> puts;
  Deletes deletes;
};

bool Overlap(const absl::btree_set<absl::string_view>& a,
             const absl::btree_set<absl::string_view>& b) {
  const auto& few = a.size() < b.size() ? a : b;
  const auto& many = a.size() < b.size() ? b : a;
  return std::any_of(few.begin(), few.end(), [&](auto key) { return many.contains(key); });
}

absl::Status AddChild(const TxnRequest& txn, Writes* writes);

absl::Status CollectWrites(const std::vector<RequestOp>& ops, Writes* writes) {
  for (const RequestOp& op : ops) {
    if (const auto* del = std::get_if<DeleteRangeRequest>(&op)) writes->deletes.Add(del->range());
  }
  for (const RequestOp& op : ops) {
    const auto* txn = std::get_if<std::unique_ptr<TxnRequest>>(&op);
    if (txn != nullptr) RETURN_IF_ERROR(AddChild(**txn, writes));
  }
  for (const RequestOp& op : ops) {
    const auto* put = std::get_if<PutRequest>(&op);
    if (put == nullptr) continue;
    if (writes->deletes.Contains(put->key) || !writes->puts.insert(put->key).second) {
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
  for (const Writes* child : {&then, &otherwise}) {
    if (writes->deletes.Touch(child->puts) || Overlap(child->puts, writes->puts)) {
      return DuplicateKeyError();
    }
  }
  for (Writes* child : {&then, &otherwise}) {
    Join(&writes->puts, &child->puts);
    writes->deletes.Add(&child->deletes);
  }
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
