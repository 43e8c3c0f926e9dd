// The store as it should be: a sequential, multi-version key-value store that is small
// enough to be seen to be right. Oracles replay committed requests through it and
// compare what clients were told.
//
// Pure data in, pure data out; nothing here knows raft, bytes or time. Revisions are
// etcd's: an empty store is at revision 1, and a request that changes anything makes
// one new revision, whatever number of keys it touches.
#ifndef QUORATE_SIM_MODEL_STORE_H_
#define QUORATE_SIM_MODEL_STORE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/strings/string_view.h"
#include "sim/model/rules.h"

namespace quorate::sim {

// One key as a reader sees it.
struct KeyValue {
  std::string key;
  std::string value;
  int64_t create_revision = 0;
  int64_t mod_revision = 0;
  int64_t version = 0;
  int64_t lease = 0;

  friend bool operator==(const KeyValue&, const KeyValue&) = default;
};

// "key stands in this relation to the given number or value"; with a range, all keys in it do, or,
// if there are none, a missing key does.
struct Comparison {
  enum class Target : uint8_t { kVersion, kCreateRevision, kModRevision, kValue, kLease };
  using Relation = sim::Relation;
  Target target = Target::kVersion;
  Relation relation = Relation::kEqual;
  std::string key;
  std::string range_end;  // as of an Operation
  int64_t number = 0;
  std::string value;

  friend bool operator==(const Comparison&, const Comparison&) = default;
};

// One operation of a request.
struct Operation {
  enum class Kind : uint8_t { kRange, kPut, kDelete, kTxn };
  enum class Order : uint8_t { kNone, kAscend, kDescend };
  enum class SortBy : uint8_t { kKey, kVersion, kCreateRevision, kModRevision, kValue };
  Kind kind = Kind::kRange;
  std::string key;
  // Empty: the one key. "\0" (one zero byte): every key from `key` on. Else exclusive.
  std::string range_end;
  std::string value;          // kPut
  int64_t lease = 0;          // kPut: attached to it; 0 = to none
  bool ignore_lease = false;  // kPut: stays attached as it is; refused if there is no key
  // kRange: 0 = no limit; 0 = the present revision.
  int64_t limit = 0;
  int64_t revision = 0;
  bool keys_only = false;
  bool count_only = false;
  // kRange: only keys whose revisions are so; 0 = any. Limits count what passes.
  int64_t min_mod_revision = 0;
  int64_t max_mod_revision = 0;
  int64_t min_create_revision = 0;
  int64_t max_create_revision = 0;
  // Equal ones stay in ascending order of their keys. By other things than the key always in
  // some order: with a limit, kNone would mean something else (etcd cuts first).
  Order order = Order::kNone;
  SortBy sort_by = SortBy::kKey;
  // kPut, kDelete: tell what was there.
  bool prev_kv = false;
  // kTxn: as of a Request. Comparisons are about the store before the whole request.
  std::vector<Comparison> compare;
  std::vector<Operation> success;
  std::vector<Operation> failure;

  bool filters() const {
    return min_mod_revision != 0 || max_mod_revision != 0 || min_create_revision != 0 ||
           max_create_revision != 0;
  }

  friend bool operator==(const Operation&, const Operation&) = default;
};

// What a client asks for. A plain range, put or delete is one operation in `success`;
// a transaction performs `success` if all comparisons hold, else `failure`.
struct Request {
  enum class Shape : uint8_t {
    kRange,
    kPut,
    kDelete,
    kTxn,
    kCompact,
    kGrant,
    kRevoke,
    kKeepAlive,
    kTimeToLive,
  };
  Shape shape = Shape::kRange;
  // kRange: may be answered from a member's own, possibly stale, state.
  bool serializable = false;
  std::vector<Comparison> compare;
  std::vector<Operation> success;
  std::vector<Operation> failure;
  int64_t compact_revision = 0;  // kCompact
  int64_t lease = 0;             // kGrant, kRevoke, kKeepAlive, kTimeToLive
  int64_t ttl = 0;               // kGrant, in seconds

  // True if performing it never changes the store, whatever is in it. (What it may change
  // of a lease does not count, except that a revocation takes keys with it.)
  bool ReadOnly() const;
  // Is about a lease and not about keys.
  bool AboutLease() const { return shape >= Shape::kGrant; }
  // A text equal for equal requests, for use as a key and in messages to people.
  std::string Fingerprint() const;

  friend bool operator==(const Request&, const Request&) = default;
};

struct OperationResult {
  // kRange: what was found; kPut, kDelete with prev_kv: what was there.
  std::vector<KeyValue> kvs;
  // kRange: keys in the range whatever the limit; kDelete: keys deleted.
  int64_t count = 0;
  bool more = false;
  // kTxn: the comparisons held, and what was performed then.
  bool succeeded = false;
  std::vector<OperationResult> operations;

  friend bool operator==(const OperationResult&, const OperationResult&) = default;
};

struct Result {
  // The store's revision after the request.
  int64_t revision = 0;
  // kTxn: the comparisons held.
  bool succeeded = false;
  // The request was refused: a range at a compacted or future revision, a put to a lease
  // or key that must exist and does not, a grant of a lease that does.
  bool refused = false;
  // kGrant, kKeepAlive, kTimeToLive: there is such a lease, and its times in seconds.
  bool lease_found = false;
  int64_t ttl = 0;
  int64_t granted_ttl = 0;  // kTimeToLive
  std::vector<OperationResult> operations;

  friend bool operator==(const Result&, const Result&) = default;
};

// A change as a watcher is told about it.
struct Change {
  bool deleted = false;
  // For a deletion only the key and the mod_revision of the deletion.
  KeyValue kv;
  // What it replaced, where there was something.
  std::optional<KeyValue> prev;

  friend bool operator==(const Change&, const Change&) = default;
};

class Model {
 public:
  // Performs a request.
  Result Apply(const Request& request);
  // What the request would have answered when the store's revision was `revision`, if
  // it changes nothing there; `revision` is at most the present one. Compaction does not
  // count here: the model forgets nothing.
  Result ReadAt(const Request& request, int64_t revision) const;

  int64_t revision() const { return revision_; }
  int64_t compacted() const { return compacted_; }
  // Leases by id, with their attached keys.
  struct Lease {
    int64_t ttl = 0;
    std::set<std::string> keys;
  };
  const std::map<int64_t, Lease>& leases() const { return leases_; }
  // Leases that began, ended, got or lost a key, in the order in which they did; again for each
  // time.
  const std::vector<int64_t>& lease_changes() const { return lease_changes_; }
  // Changes of one revision, in the order in which they were made: of all keys, or of a range.
  std::vector<Change> ChangesAt(int64_t revision) const;
  std::vector<Change> ChangesAt(int64_t revision, absl::string_view key,
                                absl::string_view range_end) const;

 private:
  struct Version {
    int64_t revision = 0;
    int64_t create_revision = 0;
    int64_t version = 0;  // 0: deleted
    std::string value;
    int64_t lease = 0;
  };
  using History = std::vector<Version>;

  const Version* Find(const History& history, int64_t revision) const;
  KeyValue Show(const std::string& key, const Version& version) const;
  // Calls visit(key, version) for each key in the operation's range.
  template <typename Visit>
  void ForEach(const Operation& operation, int64_t revision, Visit visit) const;
  bool Holds(const Comparison& comparison, int64_t revision) const;
  bool AllHold(const std::vector<Comparison>& comparisons, int64_t revision) const;
  OperationResult Range(const Operation& operation, int64_t revision) const;
  bool Refused(const std::vector<Operation>& operations, int64_t revision) const;
  OperationResult Perform(const Operation& operation);
  OperationResult ReadAt(const Operation& operation, int64_t revision, bool* refused) const;
  OperationResult Put(const Operation& operation);
  OperationResult Delete(const Operation& operation);
  void Record(const std::string& key, History* history, Version version);
  Result ApplyLease(const Request& request);
  Result Perform(const Request& request);

  int64_t revision_ = 1;
  int64_t compacted_ = 0;
  // While a request is performed: revision_ + 1, or 0 outside.
  int64_t writing_ = 0;
  bool changed_ = false;
  absl::btree_map<std::string, History> keys_;
  std::map<int64_t, Lease> leases_;
  std::vector<int64_t> lease_changes_;
  std::vector<std::string> changed_keys_;  // of all revisions, in order
  std::vector<size_t> changes_begin_;      // [revision - 2]: in changed_keys_
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_MODEL_STORE_H_
