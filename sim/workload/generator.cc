#include "sim/workload/generator.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/check.h"

namespace quorate::sim {
namespace {

constexpr absl::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyz";

}  // namespace

Generator::Generator(uint64_t seed, uint32_t client, const WorkloadOptions& options)
    : options_(options), seed_(seed), client_(client), prng_(seed) {
  Begin(0);
}

void Generator::Begin(uint64_t number) {
  const uint64_t stream = NamedDraw(seed_, HashName("client"), HashName("requests"), client_);
  prng_ = Prng(Mix64(stream ^ number));
}

std::string PrefixEnd(std::string prefix) {
  CHECK(!prefix.empty() && prefix.back() != '\xff');
  ++prefix.back();
  return prefix;
}

// Two digits and a slash keep one group's prefix from being another's.
std::string Generator::GroupPrefix(uint64_t group) const {
  return absl::StrCat(kPrefix, absl::Dec(group, absl::kZeroPad2), "/");
}

std::string Generator::Key(uint64_t group) {
  return absl::StrCat(GroupPrefix(group), "k", prng_.Below(options_.keys));
}

std::string Generator::FreshValue() {
  std::string value = absl::StrCat("c", client_, ".", ++values_);
  const uint64_t size = prng_.Below(options_.value_bytes_max + 1);
  // The alphabet from where the head of the value ends on.
  while (value.size() < size) {
    const absl::string_view letters = kAlphabet.substr(value.size() % kAlphabet.size());
    absl::StrAppend(&value, letters.substr(0, size - value.size()));
  }
  return value;
}

Operation Generator::PutOperation(const std::string& key) {
  Operation operation;
  operation.kind = Operation::Kind::kPut;
  operation.key = key;
  operation.value = FreshValue();
  operation.prev_kv = prng_.Chance(1, 4);
  return operation;
}

Operation Generator::GetOperation(uint64_t group) {
  Operation operation;
  operation.key = Key(group);
  if (prng_.Chance(1, 3)) {
    operation.key = GroupPrefix(group);
    operation.range_end = PrefixEnd(operation.key);
    operation.keys_only = prng_.Chance(1, 8);
    operation.count_only = prng_.Chance(1, 8);
    if (prng_.Chance(1, 6)) operation.limit = prng_.Between(1, 3);
    if (group % 2 == 1) SortAndFilter(&operation);
  }
  return operation;
}

void Generator::SortAndFilter(Operation* operation) {
  if (prng_.Chance(1, 3)) {
    operation->order = prng_.Chance(1, 2) ? Operation::Order::kAscend : Operation::Order::kDescend;
    operation->sort_by = static_cast<Operation::SortBy>(prng_.Below(5));
  }
  const int64_t revision = std::max<int64_t>(1, revision_ - prng_.Between(0, 30));
  switch (prng_.Below(12)) {
    case 0:
      operation->min_mod_revision = revision;
      break;
    case 1:
      operation->max_mod_revision = revision;
      break;
    case 2:
      operation->min_create_revision = revision;
      break;
    case 3:
      operation->max_create_revision = revision;
      break;
    default:
      break;
  }
}

Request Generator::Put(uint64_t group) {
  Request request;
  request.shape = Request::Shape::kPut;
  const std::string key = Key(group);
  request.success.push_back(PutOperation(key));
  return request;
}

Request Generator::Probe() {
  Request request;
  request.shape = Request::Shape::kPut;
  request.success.push_back(PutOperation(absl::StrCat(GroupPrefix(99), "probe", client_)));
  return request;
}

Request Generator::Get(uint64_t group, bool serializable) {
  Request request;
  request.serializable = serializable;
  request.success.push_back(GetOperation(group));
  if (prng_.Chance(1, 10)) {
    request.success[0].revision = std::max<int64_t>(1, revision_ - prng_.Between(0, 20));
  }
  return request;
}

Request Generator::Remove(uint64_t group) {
  Request request;
  request.shape = Request::Shape::kDelete;
  Operation operation;
  operation.kind = Operation::Kind::kDelete;
  operation.key = Key(group);
  if (prng_.Chance(1, 6)) {
    operation.key = GroupPrefix(group);
    operation.range_end = PrefixEnd(operation.key);
  }
  operation.prev_kv = prng_.Chance(1, 3);
  request.success.push_back(std::move(operation));
  return request;
}

// Compares with what was seen of the key, in one of the ways that clients do. Groups
// with an even number leave revisions, leases, ranges and sorting alone, so that a checker that
// knows none can judge them.
Comparison Generator::Compare(uint64_t group, const std::string& key) {
  Comparison comparison;
  comparison.key = key;
  if (group % 2 == 1 && prng_.Chance(1, 12)) {
    // Of all keys of the group: that there are some, and none newer than what is known.
    comparison.key = GroupPrefix(group);
    comparison.range_end = PrefixEnd(comparison.key);
    const bool present = prng_.Chance(1, 2);
    comparison.target = present ? Comparison::Target::kVersion : Comparison::Target::kModRevision;
    comparison.relation = present ? Comparison::Relation::kGreater : Comparison::Relation::kLess;
    comparison.number = present ? 0 : revision_ + 1;
    return comparison;
  }
  const auto seen = seen_.find(key);
  if (seen == seen_.end()) {
    comparison.target =
        prng_.Chance(1, 2) ? Comparison::Target::kVersion : Comparison::Target::kCreateRevision;
    return comparison;
  }
  const KeyValue& kv = seen->second;
  switch (prng_.Below(group % 2 == 0 ? 2 : 5)) {
    case 0:
      comparison.target = Comparison::Target::kValue;
      comparison.value = kv.value;
      break;
    case 1:
      comparison.target = Comparison::Target::kVersion;
      comparison.number = kv.version;
      break;
    case 2:
      comparison.target = Comparison::Target::kModRevision;
      comparison.number = kv.mod_revision;
      break;
    case 3:
      comparison.target = Comparison::Target::kLease;
      comparison.number = kv.lease;
      break;
    default:
      comparison.target = Comparison::Target::kCreateRevision;
      comparison.relation = Comparison::Relation::kLess;
      comparison.number = kv.create_revision + 1;
      break;
  }
  if (prng_.Chance(1, 10)) comparison.relation = Comparison::Relation::kNotEqual;
  return comparison;
}

Operation Generator::Nested(uint64_t group, const std::set<std::string>& written) {
  Operation txn;
  txn.kind = Operation::Kind::kTxn;
  const std::string key = Key(group);
  txn.compare.push_back(Compare(group, key));
  if (written.count(key) == 0) {
    txn.success.push_back(PutOperation(key));
    if (prng_.Chance(1, 3)) {
      Operation removal;
      removal.kind = Operation::Kind::kDelete;
      removal.key = key;
      txn.failure.push_back(std::move(removal));
    }
  }
  txn.success.push_back(GetOperation(group));
  if (prng_.Chance(1, 4)) {
    Operation deeper;
    deeper.kind = Operation::Kind::kTxn;
    deeper.compare.push_back(Compare(group, Key(group)));
    deeper.success.push_back(GetOperation(group));
    txn.failure.push_back(std::move(deeper));
  }
  return txn;
}

Request Generator::Txn(uint64_t group) {
  Request request;
  request.shape = Request::Shape::kTxn;
  const std::string key = Key(group);
  request.compare.push_back(Compare(group, key));
  request.success.push_back(PutOperation(key));
  const std::string other = Key(group);
  if (other != key && prng_.Chance(1, 2)) {
    if (prng_.Chance(1, 2)) request.compare.push_back(Compare(group, other));
    Operation second;
    second.kind = Operation::Kind::kDelete;
    second.key = other;
    if (prng_.Chance(3, 4)) second = PutOperation(other);
    request.success.push_back(std::move(second));
  }
  if (group % 2 == 1 && prng_.Chance(1, 4)) {
    request.success.push_back(Nested(group, {key, other}));
  }
  // Reads what it wrote, with what else is there; or what was there once, compacted perhaps.
  if (prng_.Chance(1, 3)) {
    request.success.push_back(GetOperation(group));
    if (group % 2 == 1 && prng_.Chance(1, 4)) {
      request.success.back().revision = std::max<int64_t>(1, revision_ - prng_.Between(0, 40));
    }
  }
  Operation look;
  look.key = key;
  // What the other branch may do counts, whichever branch is taken.
  if (options_.auth && prng_.Chance(1, 4)) look.key = Key(prng_.Below(options_.groups));
  request.failure.push_back(std::move(look));
  return request;
}

Request Generator::Compact() {
  Request request;
  request.shape = Request::Shape::kCompact;
  request.compact_revision = std::max<int64_t>(1, revision_ - prng_.Between(0, 40));
  return request;
}

// Mostly one of this client's own.
int64_t Generator::LeaseId() {
  const uint64_t owner = prng_.Chance(1, 8) ? prng_.Below(options_.clients) + 1 : client_;
  const uint64_t number = prng_.Below(options_.lease_ids) + 1;
  return static_cast<int64_t>(number <= 2 ? owner * 10 + number : owner * 1000 + number);
}

Request Generator::Lease(uint64_t group) {
  Request request;
  request.lease = LeaseId();
  const uint64_t at = prng_.Below(16);
  if (at < 6) {
    request.shape = Request::Shape::kKeepAlive;
  } else if (at < 9) {
    request.shape = Request::Shape::kGrant;
    request.ttl = prng_.Between(1, options_.lease_ttl_max);
  } else if (at < 10) {
    request.shape = Request::Shape::kTimeToLive;
  } else if (at < 11) {
    request.shape = Request::Shape::kRevoke;
  } else {
    // The other groups are left to the checker that knows no leases.
    const int64_t lease = std::exchange(request.lease, 0);
    request = at < 15 ? Put(group % 2) : Txn(group % 2);
    if (prng_.Chance(1, 8)) {
      request.success[0].ignore_lease = true;
    } else {
      request.success[0].lease = lease;
    }
  }
  return request;
}

Request Generator::Next() {
  const WorkloadOptions& o = options_;
  const uint64_t group = prng_.Below(o.groups);
  uint64_t at =
      prng_.Below(o.put + o.get + o.serializable + o.remove + o.txn + o.compact + o.lease);
  const auto falls = [&at](uint32_t weight) {
    if (at < weight) return true;
    at -= weight;
    return false;
  };
  if (falls(o.put)) return Put(group);
  if (falls(o.get)) return Get(group, false);
  if (falls(o.serializable)) return Get(group, true);
  if (falls(o.remove)) return Remove(group);
  if (falls(o.txn)) return Txn(group);
  if (falls(o.lease)) return Lease(group);
  return Compact();
}

void Generator::Learn(const Request& request, const Result& result) {
  revision_ = std::max(revision_, result.revision);
  const bool first = request.shape != Request::Shape::kTxn || result.succeeded;
  const std::vector<Operation>& operations = first ? request.success : request.failure;
  for (size_t i = 0; i < operations.size() && i < result.operations.size(); ++i) {
    const Operation& operation = operations[i];
    if (operation.kind == Operation::Kind::kDelete) seen_.erase(operation.key);
    if (operation.kind != Operation::Kind::kRange || operation.keys_only) continue;
    if (operation.revision == 0 && operation.range_end.empty()) seen_.erase(operation.key);
    for (const KeyValue& kv : result.operations[i].kvs) seen_[kv.key] = kv;
  }
}

}  // namespace quorate::sim
