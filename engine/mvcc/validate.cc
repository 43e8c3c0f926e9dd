// What etcd's servers refuse before they propose anything.
#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "base/coding.h"
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

// The place of a key among all keys of a transaction: so that they are compared as numbers.
using Rank = uint32_t;
using Ranks = absl::btree_set<Rank>;

// What a list of operations writes, in the order in which it is checked: its deletes, its nested
// transactions, its puts.
struct Write {
  enum class Kind : uint8_t { kDelete, kDeleteRange, kNested, kOtherwise, kNestedEnd, kPut };
  Kind kind = Kind::kPut;
  Rank key = 0;
  Rank end = 0;  // of kDeleteRange
};

class WriteList {
 public:
  explicit WriteList(const std::vector<RequestOp>& ops) {
    Add(ops);
    Number();
  }
  const std::vector<Write>& writes() const { return writes_; }

 private:
  struct Name {
    uint64_t head = 0;  // its first bytes, which mostly decide
    absl::string_view key;
    size_t write = 0;
    bool end = false;
    friend bool operator<(const Name& a, const Name& b) {
      return a.head != b.head ? a.head < b.head : a.key < b.key;
    }
  };

  // Taken literally: a delete of every key from one on does not count as an overlap with
  // anything, as in etcd.
  void Add(const std::vector<RequestOp>& ops) {
    for (const RequestOp& op : ops) {
      const auto* del = std::get_if<DeleteRangeRequest>(&op);
      if (del == nullptr) continue;
      const KeyRange range = del->range();
      if (range.single()) Add(Write::Kind::kDelete, range.begin);
      if (range.kind == KeyRange::Kind::kHalfOpen && range.begin < range.end) {
        Add(Write::Kind::kDeleteRange, range.begin);
        AddName(range.end, /*end=*/true);
      }
    }
    for (const RequestOp& op : ops) {
      const auto* txn = std::get_if<std::unique_ptr<TxnRequest>>(&op);
      if (txn == nullptr) continue;
      writes_.push_back({Write::Kind::kNested});
      Add((*txn)->success);
      writes_.push_back({Write::Kind::kOtherwise});
      Add((*txn)->failure);
      writes_.push_back({Write::Kind::kNestedEnd});
    }
    for (const RequestOp& op : ops) {
      if (const auto* put = std::get_if<PutRequest>(&op)) Add(Write::Kind::kPut, put->key);
    }
  }
  void Add(Write::Kind kind, absl::string_view key) {
    writes_.push_back({kind});
    AddName(key, /*end=*/false);
  }
  void AddName(absl::string_view key, bool end) {
    char head[8] = {};
    std::memcpy(head, key.data(), std::min(key.size(), sizeof(head)));
    names_.push_back({LoadBe64(head), key, writes_.size() - 1, end});
  }

  void Number() {
    std::sort(names_.begin(), names_.end());
    Rank rank = 0;
    for (size_t i = 0; i < names_.size(); ++i) {
      const Name& name = names_[i];
      if (i > 0 && name.key != names_[i - 1].key) ++rank;
      Write& write = writes_[name.write];
      (name.end ? write.end : write.key) = rank;
    }
  }

  std::vector<Write> writes_;
  std::vector<Name> names_;
};

// Joins two sets; the smaller one moves, so that in nested transactions no key moves often.
void Join(Ranks* set, Ranks* other) {
  if (set->size() < other->size()) std::swap(*set, *other);
  set->insert(other->begin(), other->end());
}

// Keys that are deleted, by themselves and in ranges that don't touch each other.
class Deletes {
 public:
  void Add(Rank key) { keys_.insert(key); }
  void AddRange(Rank begin, Rank end) {
    auto at = ranges_.upper_bound(begin);
    if (at != ranges_.begin() && std::prev(at)->second >= begin) --at;
    while (at != ranges_.end() && at->first <= end) {
      begin = std::min(begin, at->first);
      end = std::max(end, at->second);
      at = ranges_.erase(at);
    }
    ranges_.emplace(begin, end);
  }
  void Add(Deletes* other) {
    Join(&keys_, &other->keys_);
    if (ranges_.size() < other->ranges_.size()) std::swap(ranges_, other->ranges_);
    for (const auto& [begin, end] : other->ranges_) AddRange(begin, end);
  }

  bool Contains(Rank key) const {
    if (keys_.contains(key)) return true;
    const auto after = ranges_.upper_bound(key);
    return after != ranges_.begin() && key < std::prev(after)->second;
  }

  // Whether any of the keys is deleted. Goes over whichever are fewer.
  bool Touch(const Ranks& puts) const {
    if (puts.size() <= keys_.size() + ranges_.size()) {
      return std::any_of(puts.begin(), puts.end(), [this](Rank key) { return Contains(key); });
    }
    const auto in_range = [&puts](const auto& range) {
      const auto first = puts.lower_bound(range.first);
      return first != puts.end() && *first < range.second;
    };
    return std::any_of(keys_.begin(), keys_.end(), [&](Rank key) { return puts.contains(key); }) ||
           std::any_of(ranges_.begin(), ranges_.end(), in_range);
  }

 private:
  Ranks keys_;
  absl::btree_map<Rank, Rank> ranges_;  // begin to end
};

// What one list of operations writes, nested transactions included.
struct Writes {
  Ranks puts;
  Deletes deletes;
};

bool Overlap(const Ranks& a, const Ranks& b) {
  const Ranks& few = a.size() < b.size() ? a : b;
  const Ranks& many = a.size() < b.size() ? b : a;
  return std::any_of(few.begin(), few.end(), [&](Rank key) { return many.contains(key); });
}

using NextWrite = std::vector<Write>::const_iterator;

bool AddNested(NextWrite* at, NextWrite end, Writes* writes);

// Adds the writes up to the end of a list, which *at then is. False if two of them are not allowed
// beside each other.
bool Collect(NextWrite* at, NextWrite end, Writes* writes) {
  for (; *at != end; ++*at) {
    switch ((*at)->kind) {
      case Write::Kind::kDelete:
        writes->deletes.Add((*at)->key);
        break;
      case Write::Kind::kDeleteRange:
        writes->deletes.AddRange((*at)->key, (*at)->end);
        break;
      case Write::Kind::kNested:
        if (!AddNested(at, end, writes)) return false;
        break;
      case Write::Kind::kOtherwise:
      case Write::Kind::kNestedEnd:
        return true;
      case Write::Kind::kPut:
        if (writes->deletes.Contains((*at)->key)) return false;
        if (!writes->puts.insert((*at)->key).second) return false;
        break;
    }
  }
  return true;
}

// Only one of a nested transaction's lists is performed: they may share keys.
bool AddNested(NextWrite* at, NextWrite end, Writes* writes) {
  Writes then;
  Writes otherwise;
  if (!Collect(&++*at, end, &then) || !Collect(&++*at, end, &otherwise)) return false;
  for (const Writes* child : {&then, &otherwise}) {
    if (writes->deletes.Touch(child->puts) || Overlap(child->puts, writes->puts)) return false;
  }
  for (Writes* child : {&then, &otherwise}) {
    Join(&writes->puts, &child->puts);
    writes->deletes.Add(&child->deletes);
  }
  return true;
}

absl::Status CheckWrites(const std::vector<RequestOp>& ops) {
  const WriteList list(ops);
  Writes writes;
  NextWrite at = list.writes().begin();
  return Collect(&at, list.writes().end(), &writes) ? absl::OkStatus() : DuplicateKeyError();
}

}  // namespace

absl::Status Validate(const TxnRequest& request, size_t max_ops) {
  RETURN_IF_ERROR(ValidateOps(request, max_ops));
  RETURN_IF_ERROR(CheckWrites(request.success));
  return CheckWrites(request.failure);
}

}  // namespace quorate::mvcc
