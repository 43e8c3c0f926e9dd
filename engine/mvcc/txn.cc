#include "engine/mvcc/txn.h"

#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/status.h"
#include "engine/mvcc/errors.h"
#include "engine/mvcc/key_value.h"
#include "engine/mvcc/wire.h"

namespace quorate::mvcc {
namespace {

// Fields of etcdserverpb.Compare's oneof, and of ResponseOp's.
enum CompareField : uint32_t { kVersion = 4, kCreate = 5, kMod = 6, kValue = 7, kLease = 8 };
enum ResponseField : uint32_t { kRange = 1, kPut = 2, kDelete = 3, kTxn = 4 };

bool LeaseExists(const Store& store, LeaseId lease) {
  return lease == LeaseId() || (store.leases() != nullptr && store.leases()->Exists(lease));
}

bool NeedsKey(const PutRequest& put) { return put.ignore_value || put.ignore_lease; }

// ---- comparisons ----

int Order(int64_t a, int64_t b) { return a < b ? -1 : a > b ? 1 : 0; }

// The number given, if it was given for this target; a mismatched one counts as zero.
int64_t Given(const Compare& compare, CompareField field) {
  return compare.given_field == field ? compare.number : 0;
}

bool Holds(const Compare& compare, const KeyValue& kv) {
  int order = 0;
  switch (compare.target) {
    case Compare::kVersion:
      order = Order(kv.version, Given(compare, kVersion));
      break;
    case Compare::kCreate:
      order = Order(kv.create_revision.value(), Given(compare, kCreate));
      break;
    case Compare::kMod:
      order = Order(kv.mod_revision.value(), Given(compare, kMod));
      break;
    case Compare::kValue:
      order = kv.value.compare(compare.given_field == kValue ? compare.value : absl::string_view());
      break;
    case Compare::kLease:
      order = Order(kv.lease.value(), Given(compare, kLease));
      break;
    default:
      break;
  }
  switch (compare.result) {
    case Compare::kEqual:
      return order == 0;
    case Compare::kNotEqual:
      return order != 0;
    case Compare::kGreater:
      return order > 0;
    case Compare::kLess:
      return order < 0;
    default:
      return true;
  }
}

bool Holds(const Compare& compare, const Store& store) {
  const KeyRange range = compare.range();
  const Revision at = store.revision();
  bool any = false;
  for (auto c = store.index().LowerBound(range.begin); c.valid() && range.EndsAfter(c.key());
       c.Next()) {
    const std::optional<Location> location = store.Visible(c.entry(), at);
    if (!location.has_value()) continue;
    any = true;
    if (!Holds(compare, Decode(store.log().Get(*location).bytes))) return false;
  }
  if (any) return true;
  // Where there is no key, its numbers are zero; but it has no value to compare.
  return compare.target != Compare::kValue && Holds(compare, KeyValue{});
}

// ---- the path: which list of each transaction is performed ----

// One decision per transaction that is performed, in the order of execution.
using TxnPath = std::vector<bool>;

const std::vector<RequestOp>& Chosen(const TxnRequest& txn, bool succeeded) {
  return succeeded ? txn.success : txn.failure;
}

void Decide(const TxnRequest& txn, const Store& store, TxnPath* path) {
  bool succeeded = true;
  for (const Compare& compare : txn.compare) {
    if (!Holds(compare, store)) {
      succeeded = false;
      break;
    }
  }
  path->push_back(succeeded);
  for (const RequestOp& op : Chosen(txn, succeeded)) {
    const auto* nested = std::get_if<std::unique_ptr<TxnRequest>>(&op);
    if (nested != nullptr) Decide(**nested, store, path);
  }
}

// ---- checks before anything is performed ----

absl::Status CheckRange(const RangeRequest& range, const Store& store) {
  if (range.revision == Revision(0)) return absl::OkStatus();
  if (range.revision > store.revision()) return FutureRevisionError();
  if (range.revision < store.compact_revision()) return CompactedError();
  return absl::OkStatus();
}

absl::Status CheckPut(const PutRequest& put, const Store& store) {
  if (!LeaseExists(store, put.lease)) return LeaseNotFoundError();
  if (NeedsKey(put) && !store.Visible(put.key, store.revision()).has_value()) {
    return KeyNotFoundError();
  }
  return absl::OkStatus();
}

absl::Status Check(const TxnRequest& txn, const Store& store, const TxnPath& path, size_t* step) {
  for (const RequestOp& op : Chosen(txn, path[(*step)++])) {
    if (const auto* range = std::get_if<RangeRequest>(&op)) {
      RETURN_IF_ERROR(CheckRange(*range, store));
    } else if (const auto* put = std::get_if<PutRequest>(&op)) {
      RETURN_IF_ERROR(CheckPut(*put, store));
    } else if (const auto* nested = std::get_if<std::unique_ptr<TxnRequest>>(&op)) {
      RETURN_IF_ERROR(Check(**nested, store, path, step));
    }
  }
  return absl::OkStatus();
}

// ---- performing ----

// Performs one put whose checks have passed. A key that vanished under an earlier
// operation of the same transaction counts as new.
void Put(WriteTxn* txn, const PutRequest& put, const Identity& identity, BytesBuilder* out) {
  const Store& store = txn->store();
  std::optional<Location> previous;
  if (NeedsKey(put) || (put.prev_kv && out != nullptr)) {
    previous = store.Visible(put.key, txn->view());
  }
  absl::string_view value = put.value;
  LeaseId lease = put.lease;
  if (previous.has_value() && NeedsKey(put)) {
    const KeyValue kv = Decode(store.log().Get(*previous).bytes);
    if (put.ignore_value) value = kv.value;
    if (put.ignore_lease) lease = kv.lease;
  }
  txn->Put(put.key, value, lease);
  if (out == nullptr) return;
  AppendHeader(identity, txn->view(), out);
  if (put.prev_kv && previous.has_value()) AppendLen(out, 2, store.log().Get(*previous).bytes);
}

void Delete(WriteTxn* txn, const DeleteRangeRequest& request, const Identity& identity,
            BytesBuilder* out) {
  const Store& store = txn->store();
  const KeyRange range = request.range();
  if (out == nullptr) {
    txn->DeleteRange(range);
    return;
  }
  const uint64_t doomed = store.index().CountLive(range);
  const bool changes = doomed > 0 || txn->changes() > 0;
  AppendHeader(identity, changes ? store.revision() + 1 : store.revision(), out);
  AppendUint64(out, 2, doomed);
  if (request.prev_kv) {
    for (auto c = store.index().LowerBound(range.begin); c.valid() && range.EndsAfter(c.key());
         c.Next()) {
      const std::optional<Location> location = store.Visible(c.entry(), txn->view());
      if (location.has_value()) AppendLen(out, 3, store.log().Get(*location).bytes);
    }
  }
  CHECK_EQ(txn->DeleteRange(range), doomed);
}

void Execute(WriteTxn* txn, const TxnRequest& request, const TxnPath& path, size_t* step,
             BytesBuilder* out);

void ExecuteOp(WriteTxn* txn, const RequestOp& op, const TxnPath& path, size_t* step,
               BytesBuilder* out) {
  const Identity nobody;
  // Each answer is ResponseOp{response_...}, field 3 of the TxnResponse.
  size_t response_op = 0;
  size_t response = 0;
  const auto begin = [&](ResponseField field) {
    if (out == nullptr) return;
    response_op = BeginMessage(out, 3);
    response = BeginMessage(out, field);
  };
  if (const auto* range = std::get_if<RangeRequest>(&op)) {
    if (out == nullptr) return;
    begin(kRange);
    const absl::Status status = Range(txn->store(), txn->view(), *range, nobody, out);
    CHECK_MSG(status.ok(), "a checked range failed inside its transaction");
  } else if (const auto* put = std::get_if<PutRequest>(&op)) {
    begin(kPut);
    Put(txn, *put, nobody, out);
  } else if (const auto* del = std::get_if<DeleteRangeRequest>(&op)) {
    begin(kDelete);
    Delete(txn, *del, nobody, out);
  } else if (const auto* nested = std::get_if<std::unique_ptr<TxnRequest>>(&op)) {
    begin(kTxn);
    if (out != nullptr) AppendHeader(nobody, Revision(0), out);
    Execute(txn, **nested, path, step, out);
  } else {
    if (out != nullptr) AppendLen(out, 3, absl::string_view());
    return;
  }
  if (out == nullptr) return;
  EndMessage(out, response);
  EndMessage(out, response_op);
}

void Execute(WriteTxn* txn, const TxnRequest& request, const TxnPath& path, size_t* step,
             BytesBuilder* out) {
  const bool succeeded = path[(*step)++];
  if (out != nullptr) AppendBool(out, 2, succeeded);
  for (const RequestOp& op : Chosen(request, succeeded)) ExecuteOp(txn, op, path, step, out);
}

// Writes `revision` into a header that was appended at [begin, end) with another one.
void CorrectHeader(const Identity& identity, Revision revision, size_t begin, size_t end,
                   BytesBuilder* out) {
  BytesBuilder header(64);
  AppendHeader(identity, revision, &header);
  const size_t size = end - begin;
  if (header.size() > size) {  // the revision's varint grew
    const size_t rest = out->size() - end;
    out->Grow(header.size() - size);
    std::memmove(out->data() + begin + header.size(), out->data() + end, rest);
  }
  CHECK(header.size() >= size);
  std::memcpy(out->data() + begin, header.data(), header.size());
}

}  // namespace

absl::Status ApplyPut(Store* store, const PutRequest& request, const Identity& identity,
                      BytesBuilder* out) {
  RETURN_IF_ERROR(CheckPut(request, *store));
  WriteTxn txn(store);
  Put(&txn, request, identity, out);
  txn.Commit();
  return absl::OkStatus();
}

absl::Status ApplyDeleteRange(Store* store, const DeleteRangeRequest& request,
                              const Identity& identity, BytesBuilder* out) {
  WriteTxn txn(store);
  Delete(&txn, request, identity, out);
  txn.Commit();
  return absl::OkStatus();
}

absl::Status ApplyTxn(Store* store, const TxnRequest& request, const Identity& identity,
                      BytesBuilder* out) {
  TxnPath path;
  Decide(request, *store, &path);
  size_t step = 0;
  RETURN_IF_ERROR(Check(request, *store, path, &step));
  step = 0;
  WriteTxn txn(store);
  // The header comes first but tells what is known last.
  const size_t begin = out == nullptr ? 0 : out->size();
  if (out != nullptr) AppendHeader(identity, txn.view(), out);
  const size_t end = out == nullptr ? 0 : out->size();
  Execute(&txn, request, path, &step, out);
  if (out != nullptr && txn.changes() > 0) CorrectHeader(identity, txn.view(), begin, end, out);
  txn.Commit();
  return absl::OkStatus();
}

}  // namespace quorate::mvcc
