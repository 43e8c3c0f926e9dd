#include "sim/model/store.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace quorate::sim {
namespace {

void AppendRange(const Operation& operation, std::string* out) {
  absl::StrAppend(out, "'", absl::CEscape(operation.key), "'");
  if (!operation.range_end.empty()) {
    absl::StrAppend(out, "..'", absl::CEscape(operation.range_end), "'");
  }
}

void AppendFilter(const char* name, int64_t from, int64_t to, std::string* out) {
  if (from != 0) absl::StrAppend(out, " ", name, " from ", from);
  if (to != 0) absl::StrAppend(out, " ", name, " to ", to);
}

void AppendTxn(const std::vector<Comparison>& compare, const std::vector<Operation>& success,
               const std::vector<Operation>& failure, std::string* out);

void AppendOperation(const Operation& operation, std::string* out) {
  switch (operation.kind) {
    case Operation::Kind::kRange:
      absl::StrAppend(out, "get ");
      AppendRange(operation, out);
      if (operation.limit != 0) absl::StrAppend(out, " limit ", operation.limit);
      if (operation.revision != 0) absl::StrAppend(out, " at ", operation.revision);
      if (operation.keys_only) absl::StrAppend(out, " keys-only");
      if (operation.count_only) absl::StrAppend(out, " count-only");
      AppendFilter("mod", operation.min_mod_revision, operation.max_mod_revision, out);
      AppendFilter("create", operation.min_create_revision, operation.max_create_revision, out);
      if (operation.order != Operation::Order::kNone) {
        static constexpr const char* kSorts[] = {"key", "version", "create", "mod", "value"};
        absl::StrAppend(out, operation.order == Operation::Order::kAscend ? " up" : " down", " by ",
                        kSorts[static_cast<int>(operation.sort_by)]);
      }
      break;
    case Operation::Kind::kPut:
      absl::StrAppend(out, "put ");
      AppendRange(operation, out);
      absl::StrAppend(out, " = '", absl::CEscape(operation.value), "'");
      if (operation.lease != 0) absl::StrAppend(out, " lease ", operation.lease);
      if (operation.ignore_lease) absl::StrAppend(out, " ignore-lease");
      break;
    case Operation::Kind::kDelete:
      absl::StrAppend(out, "delete ");
      AppendRange(operation, out);
      break;
    case Operation::Kind::kTxn:
      AppendTxn(operation.compare, operation.success, operation.failure, out);
      break;
  }
  if (operation.prev_kv) absl::StrAppend(out, " prev-kv");
}

void AppendOperations(const std::vector<Operation>& operations, std::string* out) {
  for (size_t i = 0; i < operations.size(); ++i) {
    if (i > 0) out->append("; ");
    AppendOperation(operations[i], out);
  }
}

void AppendComparison(const Comparison& comparison, std::string* out) {
  static constexpr const char* kTargets[] = {"version", "create", "mod", "value", "lease"};
  static constexpr const char* kRelations[] = {"=", ">", "<", "!="};
  absl::StrAppend(
      out, kTargets[static_cast<int>(comparison.target)], "('", absl::CEscape(comparison.key),
      comparison.range_end.empty() ? "" : absl::StrCat("'..'", absl::CEscape(comparison.range_end)),
      "') ", kRelations[static_cast<int>(comparison.relation)], " ");
  if (comparison.target == Comparison::Target::kValue) {
    absl::StrAppend(out, "'", absl::CEscape(comparison.value), "'");
  } else {
    absl::StrAppend(out, comparison.number);
  }
}

void AppendTxn(const std::vector<Comparison>& compare, const std::vector<Operation>& success,
               const std::vector<Operation>& failure, std::string* out) {
  out->append("txn if ");
  for (size_t i = 0; i < compare.size(); ++i) {
    if (i > 0) out->append(" and ");
    AppendComparison(compare[i], out);
  }
  out->append(" then {");
  AppendOperations(success, out);
  out->append("} else {");
  AppendOperations(failure, out);
  out->append("}");
}

bool Reads(const Operation& operation) {
  if (operation.kind != Operation::Kind::kTxn) return operation.kind == Operation::Kind::kRange;
  return std::all_of(operation.success.begin(), operation.success.end(), Reads) &&
         std::all_of(operation.failure.begin(), operation.failure.end(), Reads);
}

// What is left out by a range's filters.
bool Passes(const Operation& o, const KeyValue& kv) {
  if (o.min_mod_revision != 0 && kv.mod_revision < o.min_mod_revision) return false;
  if (o.max_mod_revision != 0 && kv.mod_revision > o.max_mod_revision) return false;
  if (o.min_create_revision != 0 && kv.create_revision < o.min_create_revision) return false;
  return o.max_create_revision == 0 || kv.create_revision <= o.max_create_revision;
}

bool Before(Operation::SortBy by, const KeyValue& a, const KeyValue& b) {
  switch (by) {
    case Operation::SortBy::kKey:
      return a.key < b.key;
    case Operation::SortBy::kVersion:
      return a.version < b.version;
    case Operation::SortBy::kCreateRevision:
      return a.create_revision < b.create_revision;
    case Operation::SortBy::kModRevision:
      return a.mod_revision < b.mod_revision;
    case Operation::SortBy::kValue:
      return a.value < b.value;
  }
  UNREACHABLE("there is nothing else to sort by");
}

}  // namespace

bool Request::ReadOnly() const {
  if (shape == Shape::kCompact || shape == Shape::kRevoke) return false;
  return std::all_of(success.begin(), success.end(), Reads) &&
         std::all_of(failure.begin(), failure.end(), Reads);
}

std::string Request::Fingerprint() const {
  std::string out;
  switch (shape) {
    case Shape::kCompact:
      return absl::StrCat("compact ", compact_revision);
    case Shape::kGrant:
      return absl::StrCat("grant lease ", lease, " for ", ttl, " s");
    case Shape::kRevoke:
      return absl::StrCat("revoke lease ", lease);
    case Shape::kKeepAlive:
      return absl::StrCat("keep lease ", lease, " alive");
    case Shape::kTimeToLive:
      return absl::StrCat("ask for lease ", lease);
    default:
      break;
  }
  if (serializable) out.append("serializable ");
  if (shape != Shape::kTxn) {
    AppendOperations(success, &out);
    return out;
  }
  AppendTxn(compare, success, failure, &out);
  return out;
}

const Model::Version* Model::Find(const History& history, int64_t revision) const {
  // Mostly it is the present that counts.
  if (!history.empty() && history.back().revision <= revision) {
    return history.back().version == 0 ? nullptr : &history.back();
  }
  auto after = std::upper_bound(
      history.begin(), history.end(), revision,
      [](int64_t wanted, const Version& version) { return wanted < version.revision; });
  if (after == history.begin()) return nullptr;
  --after;
  return after->version == 0 ? nullptr : &*after;
}

KeyValue Model::Show(const std::string& key, const Version& version) const {
  return KeyValue{
      key,          version.value, version.create_revision, version.revision, version.version,
      version.lease};
}

template <typename Visit>
void Model::ForEach(const Operation& operation, int64_t revision, Visit visit) const {
  if (operation.range_end.empty()) {
    const auto it = keys_.find(operation.key);
    const Version* version = it == keys_.end() ? nullptr : Find(it->second, revision);
    if (version != nullptr) visit(it->first, *version);
    return;
  }
  for (auto it = keys_.lower_bound(operation.key); it != keys_.end(); ++it) {
    if (!InRange(it->first, operation.key, operation.range_end)) break;
    const Version* version = Find(it->second, revision);
    if (version != nullptr) visit(it->first, *version);
  }
}

bool Model::Holds(const Comparison& comparison, int64_t revision) const {
  static const Version kMissing;
  const auto holds = [&comparison](const Version& version) {
    switch (comparison.target) {
      case Comparison::Target::kVersion:
        return Stands(version.version, comparison.relation, comparison.number);
      case Comparison::Target::kCreateRevision:
        return Stands(version.create_revision, comparison.relation, comparison.number);
      case Comparison::Target::kModRevision:
        return Stands(version.revision, comparison.relation, comparison.number);
      case Comparison::Target::kValue:
        return Stands(version.value, comparison.relation, comparison.value);
      case Comparison::Target::kLease:
        return Stands(version.lease, comparison.relation, comparison.number);
    }
    UNREACHABLE("every target is handled");
  };
  Operation range;
  range.key = comparison.key;
  range.range_end = comparison.range_end;
  bool any = false;
  bool all = true;
  ForEach(range, revision, [&](const std::string&, const Version& version) {
    any = true;
    all = all && holds(version);
  });
  if (any) return all;
  // The value of a key that is not there stands in no relation to anything.
  return comparison.target != Comparison::Target::kValue && holds(kMissing);
}

bool Model::AllHold(const std::vector<Comparison>& comparisons, int64_t revision) const {
  return std::all_of(comparisons.begin(), comparisons.end(),
                     [&](const Comparison& c) { return Holds(c, revision); });
}

OperationResult Model::Range(const Operation& operation, int64_t revision) const {
  OperationResult result;
  ForEach(operation, operation.revision > 0 ? operation.revision : revision,
          [&](const std::string& key, const Version& version) {
            ++result.count;
            if (operation.count_only) return;
            KeyValue kv = Show(key, version);
            if (Passes(operation, kv)) result.kvs.push_back(std::move(kv));
          });
  const bool down = operation.order == Operation::Order::kDescend;
  if (operation.order != Operation::Order::kNone) {
    std::stable_sort(
        result.kvs.begin(), result.kvs.end(), [&](const KeyValue& a, const KeyValue& b) {
          return down ? Before(operation.sort_by, b, a) : Before(operation.sort_by, a, b);
        });
  }
  const auto limit = static_cast<size_t>(operation.limit);
  if (operation.limit > 0 && result.kvs.size() > limit) {
    result.more = true;
    result.kvs.resize(limit);
  }
  if (!operation.keys_only) return result;
  // Sorted by value, etcd leaves leases in.
  const bool leases = operation.sort_by == Operation::SortBy::kValue;
  for (KeyValue& kv : result.kvs) {
    kv.value.clear();
    if (!leases) kv.lease = 0;
  }
  return result;
}

void Model::Record(const std::string& key, History* of_key, Version version) {
  if (!std::exchange(changed_, true)) changes_begin_.push_back(changed_keys_.size());
  changed_keys_.push_back(key);
  History& history = *of_key;
  // The key leaves the lease that it was attached to, for another one or for none.
  if (!history.empty() && history.back().lease != 0) {
    leases_[history.back().lease].keys.erase(key);
    lease_changes_.push_back(history.back().lease);
  }
  if (version.lease != 0) {
    leases_[version.lease].keys.insert(key);
    lease_changes_.push_back(version.lease);
  }
  // Within one request a key may be written once only (etcd refuses more), except that
  // a read of the same request must see the write: versions of one revision replace.
  if (!history.empty() && history.back().revision == version.revision) history.pop_back();
  history.push_back(std::move(version));
}

OperationResult Model::Put(const Operation& operation) {
  OperationResult result;
  History& history = keys_[operation.key];
  const Version* before = Find(history, writing_);
  if (before != nullptr && operation.prev_kv) result.kvs.push_back(Show(operation.key, *before));
  Version version;
  version.revision = writing_;
  version.create_revision = before == nullptr ? writing_ : before->create_revision;
  version.version = before == nullptr ? 1 : before->version + 1;
  version.value = operation.value;
  version.lease = operation.ignore_lease && before != nullptr ? before->lease : operation.lease;
  Record(operation.key, &history, std::move(version));
  return result;
}

OperationResult Model::Delete(const Operation& operation) {
  OperationResult result;
  std::vector<std::string> keys;
  ForEach(operation, writing_, [&](const std::string& key, const Version& version) {
    keys.push_back(key);
    if (operation.prev_kv) result.kvs.push_back(Show(key, version));
  });
  result.count = static_cast<int64_t>(keys.size());
  for (const std::string& key : keys) Record(key, &keys_[key], Version{writing_, 0, 0, "", 0});
  return result;
}

Result Model::ApplyLease(const Request& request) {
  Result result;
  const auto lease = leases_.find(request.lease);
  if (request.shape == Request::Shape::kGrant) {
    result.refused = lease != leases_.end();
    if (!result.refused) leases_[request.lease].ttl = request.ttl;
  } else {
    CHECK_MSG(request.shape == Request::Shape::kRevoke, "renewals are in no log");
    result.refused = lease == leases_.end();
    if (!result.refused) {
      const std::set<std::string> keys = lease->second.keys;
      for (const std::string& key : keys) Record(key, &keys_[key], Version{writing_, 0, 0, "", 0});
      leases_.erase(request.lease);
    }
  }
  if (!result.refused) lease_changes_.push_back(request.lease);
  return result;
}

bool Model::Refused(const std::vector<Operation>& operations, int64_t revision) const {
  return std::any_of(operations.begin(), operations.end(), [&](const Operation& o) {
    if (o.kind == Operation::Kind::kTxn) {
      return Refused(AllHold(o.compare, revision) ? o.success : o.failure, revision);
    }
    if (o.kind == Operation::Kind::kPut) {
      if (o.lease != 0 && leases_.count(o.lease) == 0) return true;
      if (!o.ignore_lease) return false;
      const auto it = keys_.find(o.key);
      return it == keys_.end() || Find(it->second, revision) == nullptr;
    }
    if (o.kind != Operation::Kind::kRange || o.revision <= 0) return false;
    return o.revision > revision || o.revision < compacted_;
  });
}

OperationResult Model::Perform(const Operation& operation) {
  OperationResult result;
  switch (operation.kind) {
    case Operation::Kind::kRange:
      return Range(operation, writing_);
    case Operation::Kind::kPut:
      return Put(operation);
    case Operation::Kind::kDelete:
      return Delete(operation);
    case Operation::Kind::kTxn:
      result.succeeded = AllHold(operation.compare, revision_);
      for (const Operation& o : result.succeeded ? operation.success : operation.failure) {
        result.operations.push_back(Perform(o));
      }
      return result;
  }
  UNREACHABLE("every kind is handled");
}

Result Model::Perform(const Request& request) {
  Result result;
  result.succeeded = request.shape == Request::Shape::kTxn && AllHold(request.compare, revision_);
  const bool first = request.shape != Request::Shape::kTxn || result.succeeded;
  const std::vector<Operation>& operations = first ? request.success : request.failure;
  if (Refused(operations, revision_)) {
    result.refused = true;
    return result;
  }
  for (const Operation& operation : operations) result.operations.push_back(Perform(operation));
  return result;
}

Result Model::Apply(const Request& request) {
  Result result;
  if (request.shape == Request::Shape::kCompact) {
    result.refused = request.compact_revision <= compacted_ || request.compact_revision > revision_;
    if (!result.refused) compacted_ = request.compact_revision;
    result.revision = revision_;
    return result;
  }
  writing_ = revision_ + 1;
  changed_ = false;
  result = request.AboutLease() ? ApplyLease(request) : Perform(request);
  if (changed_) ++revision_;
  writing_ = 0;
  result.revision = revision_;
  return result;
}

OperationResult Model::ReadAt(const Operation& operation, int64_t revision, bool* refused) const {
  OperationResult result;
  if (operation.kind == Operation::Kind::kRange) {
    *refused = *refused || operation.revision > revision;
    return Range(operation, revision);
  }
  if (operation.kind == Operation::Kind::kTxn) {
    result.succeeded = AllHold(operation.compare, revision);
    for (const Operation& o : result.succeeded ? operation.success : operation.failure) {
      result.operations.push_back(ReadAt(o, revision, refused));
    }
    return result;
  }
  // A deletion of nothing is the only write that changes nothing.
  ForEach(operation, revision, [&](const std::string& key, const Version& version) {
    ++result.count;
    if (operation.prev_kv) result.kvs.push_back(Show(key, version));
  });
  return result;
}

Result Model::ReadAt(const Request& request, int64_t revision) const {
  CHECK(revision <= revision_);
  Result result;
  result.revision = revision;
  result.succeeded = request.shape == Request::Shape::kTxn && AllHold(request.compare, revision);
  const bool first = request.shape != Request::Shape::kTxn || result.succeeded;
  for (const Operation& operation : first ? request.success : request.failure) {
    result.operations.push_back(ReadAt(operation, revision, &result.refused));
  }
  return result;
}

std::vector<Change> Model::ChangesAt(int64_t revision) const {
  static constexpr absl::string_view kAll("\0", 1);
  return ChangesAt(revision, kAll, kAll);
}

std::vector<Change> Model::ChangesAt(int64_t revision, absl::string_view from,
                                     absl::string_view range_end) const {
  std::vector<Change> changes;
  if (revision < 2 || revision > revision_) return changes;
  const auto number = static_cast<size_t>(revision - 2);
  const size_t end =
      number + 1 < changes_begin_.size() ? changes_begin_[number + 1] : changed_keys_.size();
  for (size_t i = changes_begin_[number]; i < end; ++i) {
    const std::string& key = changed_keys_[i];
    if (!InRange(key, from, range_end)) continue;
    const History& history = keys_.find(key)->second;
    const auto at = std::lower_bound(
        history.begin(), history.end(), revision,
        [](const Version& version, int64_t wanted) { return version.revision < wanted; });
    CHECK(at != history.end() && at->revision == revision);
    Change change;
    change.deleted = at->version == 0;
    change.kv = Show(key, *at);
    if (at != history.begin() && std::prev(at)->version != 0)
      change.prev = Show(key, *std::prev(at));
    changes.push_back(std::move(change));
  }
  return changes;
}

}  // namespace quorate::sim
