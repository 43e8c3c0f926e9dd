#include "engine/mvcc/txn.h"

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/status.h"
#include "base/wire.h"
#include "engine/mvcc/errors.h"
#include "engine/mvcc/key_value.h"

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

// ---- parts of a transaction ----

const std::vector<RequestOp>& Chosen(const TxnRequest& txn, bool succeeded) {
  return succeeded ? txn.success : txn.failure;
}

absl::Status CheckPut(const PutRequest& put, const Store& store) {
  if (!LeaseExists(store, put.lease)) return LeaseNotFoundError();
  if (NeedsKey(put) && !store.Visible(put.key, store.revision()).has_value()) {
    return KeyNotFoundError();
  }
  return absl::OkStatus();
}

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

}  // namespace

OperationCounts Counts(const PutRequest& put) {
  OperationCounts counts;
  counts.puts = 1;
  counts.put_bytes = put.key.size() + put.value.size();
  counts.ranges = NeedsKey(put) || put.prev_kv ? 1 : 0;
  return counts;
}

OperationCounts Counts(const DeleteRangeRequest& del) {
  OperationCounts counts;
  counts.deletes = 1;
  counts.ranges = del.prev_kv ? 1 : 0;
  return counts;
}

absl::Status ApplyPut(Store* store, const PutRequest& request, const Identity& identity,
                      BytesBuilder* out) {
  RETURN_IF_ERROR(CheckPut(request, *store));
  WriteTxn txn(store);
  Put(&txn, request, identity, out);
  txn.Commit();
  return absl::OkStatus();
}

// ---- deletes ----

bool DeleteRun::Step(WriteTxn* txn, const Identity& identity, Work* work, Reply* reply) {
  if (phase_ == Phase::kCount) {
    doomed_ = txn->store().index().CountLive(range_);
    phase_ = Phase::kDelete;
    if (reply != nullptr) {
      const bool changes = doomed_ > 0 || txn->changes() > 0;
      const Revision after = changes && txn->changes() == 0 ? txn->view() + 1 : txn->view();
      AppendHeader(identity, after, reply->out());
      AppendUint64(reply->out(), 2, doomed_);
      if (request_.prev_kv) phase_ = Phase::kPrevious;
    }
  }
  if (phase_ == Phase::kPrevious) {
    if (!AppendPrevious(*txn, work, reply)) return false;
    from_.clear();
    phase_ = Phase::kDelete;
  }
  if (!txn->DeleteSome(range_, work, &from_, &deleted_)) return false;
  CHECK_EQ(deleted_, doomed_);
  return true;
}

bool DeleteRun::AppendPrevious(const WriteTxn& txn, Work* work, Reply* reply) {
  const Store& store = txn.store();
  auto c = store.index().LowerBound(from_.empty() ? range_.begin : absl::string_view(from_));
  for (; c.valid() && range_.EndsAfter(c.key()); c.Next()) {
    if (work->spent()) {
      from_ = std::string(c.key());
      return false;
    }
    work->SpendLook();
    const std::optional<Location> location = store.Visible(c.entry(), txn.view());
    if (!location.has_value()) continue;
    const absl::string_view record = store.log().Get(*location).bytes;
    AppendLen(reply->out(), 3, record);
    work->SpendBytes(record.size());
    reply->Roll();
  }
  return true;
}

absl::Status ApplyDeleteRange(Store* store, const DeleteRangeRequest& request,
                              const Identity& identity, BytesBuilder* out) {
  Work work = Work::Unlimited();
  Reply reply;
  WriteTxn txn(store);
  CHECK(DeleteRun(request).Step(&txn, identity, &work, out == nullptr ? nullptr : &reply));
  txn.Commit();
  if (out != nullptr) out->Append(reply.Finish().Joined());
  return absl::OkStatus();
}

// ---- transactions ----

TxnRun::TxnRun(Store* store, const TxnRequest& request, const Identity& identity, bool respond)
    : store_(store),
      identity_(identity),
      respond_(respond),
      compacted_(store->compact_revision()),
      txn_(store),
      reply_(respond ? 256 : 16) {
  levels_.push_back({&request, 0, 0, std::nullopt});
}

bool TxnRun::Step(Work* work) {
  if (phase_ == Phase::kDecide) {
    if (!Decide(work)) return false;
    phase_ = Phase::kCheck;
  }
  if (phase_ == Phase::kCheck) {
    if (!CheckAll(work)) return false;
    phase_ = status_.ok() ? Phase::kPerform : Phase::kOver;
    next_ = 0;
    if (phase_ == Phase::kPerform && respond_) {
      // The header comes first but tells what is known last.
      AppendHeader(identity_, txn_.view(), reply_.out());
      header_size_ = reply_.out()->size();
    }
  }
  if (phase_ == Phase::kPerform) {
    if (!Perform(work)) return false;
    if (respond_) FinishHeader();
    txn_.Commit();
    if (respond_) body_ = reply_.Finish();
    phase_ = Phase::kOver;
  }
  return true;
}

// A transaction that writes looks things up in one of its own first.
OperationCounts TxnRun::counts() const {
  OperationCounts all = decided_;
  const bool writes = performed_.puts + performed_.deletes > 0;
  if (writes) all.CountTxn();
  OperationCounts performed = performed_;
  if (writes) performed.CountTxn();
  all.Add(performed);
  if (!writes) all.CountTxn();
  return all;
}

void TxnRun::FinishHeader() {
  if (txn_.changes() == 0) return;
  BytesBuilder header(64);
  AppendHeader(identity_, txn_.view(), &header);
  reply_.Replace(Reply::Mark(), header_size_, header.view());
}

// Which list of each transaction is performed.
bool TxnRun::Decide(Work* work) {
  while (!levels_.empty()) {
    if (!levels_.back().succeeded.has_value() && !DecideLevel(work)) return false;
    Level& level = levels_.back();
    const std::vector<RequestOp>& ops = Chosen(*level.txn, *level.succeeded);
    const TxnRequest* nested = nullptr;
    while (nested == nullptr && level.op < ops.size()) {
      if (work->spent()) return false;
      work->SpendLook();
      const RequestOp& op = ops[level.op++];
      if (const auto* txn = std::get_if<std::unique_ptr<TxnRequest>>(&op)) {
        nested = txn->get();
      } else {
        actions_.push_back({Action::Kind::kOp, false, &op});
      }
    }
    if (nested != nullptr) {
      levels_.push_back({nested, 0, 0, std::nullopt});
    } else {
      actions_.push_back({Action::Kind::kEnd, false, nullptr});
      levels_.pop_back();
    }
  }
  return true;
}

bool TxnRun::DecideLevel(Work* work) {
  Level& level = levels_.back();
  bool succeeded = true;
  for (; succeeded && level.compare < level.txn->compare.size(); ++level.compare) {
    if (!Evaluate(level.txn->compare[level.compare], work, &succeeded)) return false;
    compare_from_.reset();
    compare_any_ = false;
    ++decided_.ranges;
  }
  level.succeeded = succeeded;
  actions_.push_back({Action::Kind::kBegin, succeeded, nullptr});
  return true;
}

// False if the work was spent before *holds is known.
bool TxnRun::Evaluate(const Compare& compare, Work* work, bool* holds) {
  const Store& store = *store_;
  const KeyRange range = compare.range();
  const Revision at = txn_.view();
  auto c = store.index().LowerBound(compare_from_.has_value() ? *compare_from_ : range.begin);
  for (; c.valid() && range.EndsAfter(c.key()); c.Next()) {
    if (work->spent()) {
      compare_from_ = std::string(c.key());
      return false;
    }
    work->SpendLook();
    const std::optional<Location> location = store.Visible(c.entry(), at);
    if (!location.has_value()) continue;
    compare_any_ = true;
    *holds = Holds(compare, Decode(store.log().Get(*location).bytes));
    if (!*holds) return true;
  }
  // Where there is no key, its numbers are zero; but it has no value to compare.
  if (!compare_any_) *holds = compare.target != Compare::kValue && Holds(compare, KeyValue{});
  return true;
}

bool TxnRun::CheckAll(Work* work) {
  for (; next_ < actions_.size() && status_.ok(); ++next_) {
    if (actions_[next_].kind != Action::Kind::kOp) continue;
    if (work->spent()) return false;
    work->SpendFind();
    const RequestOp& op = *actions_[next_].op;
    if (const auto* put = std::get_if<PutRequest>(&op)) decided_.ranges += Counts(*put).ranges;
    status_ = CheckOp(op);
  }
  return true;
}

absl::Status TxnRun::CheckOp(const RequestOp& op) const {
  if (const auto* range = std::get_if<RangeRequest>(&op)) {
    // Only one that was asked for can be wrong; a negative one is, unlike outside.
    if (range->revision == Revision(0)) return absl::OkStatus();
    if (range->revision > txn_.view()) return FutureRevisionError();
    return range->revision < compacted_ ? CompactedError() : absl::OkStatus();
  }
  const auto* put = std::get_if<PutRequest>(&op);
  return put == nullptr ? absl::OkStatus() : CheckPut(*put, *store_);
}

// Each answer is ResponseOp{response_...}, field 3 of the TxnResponse.
void TxnRun::BeginResponse(uint32_t field) {
  if (!respond_) return;
  Open open;
  open.response_op = reply_.Begin(3);
  open.response = reply_.Begin(field);
  open_.push_back(open);
}

void TxnRun::EndResponse() {
  if (!respond_) return;
  reply_.End(open_.back().response);
  reply_.End(open_.back().response_op);
  open_.pop_back();
}

bool TxnRun::Perform(Work* work) {
  for (; next_ < actions_.size(); ++next_) {
    const Action& action = actions_[next_];
    const bool outermost = next_ == 0 || next_ + 1 == actions_.size();
    if (work->spent()) return false;
    switch (action.kind) {
      case Action::Kind::kBegin:
        if (!outermost) {
          BeginResponse(kTxn);
          if (respond_) AppendHeader(Identity(), Revision(0), reply_.out());
        }
        if (respond_) AppendBool(reply_.out(), 2, action.succeeded);
        break;
      case Action::Kind::kEnd:
        if (!outermost) EndResponse();
        break;
      case Action::Kind::kOp:
        if (!PerformOp(*action.op, work)) return false;
        break;
    }
    work->SpendLook();
    if (respond_) reply_.Roll();
  }
  return true;
}

// False if the work was spent before it is done; then it goes on where it stopped.
bool TxnRun::PerformOp(const RequestOp& op, Work* work) {
  if (const auto* range = std::get_if<RangeRequest>(&op)) return PerformRange(*range, work);
  if (const auto* del = std::get_if<DeleteRangeRequest>(&op)) return PerformDelete(*del, work);
  if (const auto* put = std::get_if<PutRequest>(&op)) {
    work->SpendChange(put->key.size() + put->value.size());
    BeginResponse(kPut);
    Put(&txn_, *put, Identity(), respond_ ? reply_.out() : nullptr);
    performed_.Add(Counts(*put));
    EndResponse();
  } else if (respond_) {
    AppendLen(reply_.out(), 3, absl::string_view());
  }
  return true;
}

bool TxnRun::PerformRange(const RangeRequest& range, Work* work) {
  if (!range_.has_value()) ++performed_.ranges;
  if (!respond_) return true;
  if (!range_.has_value()) {
    BeginResponse(kRange);
    range_.emplace(*store_, txn_.view(), range, Identity());
  }
  if (!range_->Step(work, &reply_)) return false;
  EndResponse();
  range_.reset();
  return true;
}

bool TxnRun::PerformDelete(const DeleteRangeRequest& del, Work* work) {
  if (!delete_.has_value()) {
    BeginResponse(kDelete);
    delete_.emplace(del);
    performed_.Add(Counts(del));
  }
  if (!delete_->Step(&txn_, Identity(), work, respond_ ? &reply_ : nullptr)) return false;
  EndResponse();
  delete_.reset();
  return true;
}

absl::Status ApplyTxn(Store* store, const TxnRequest& request, const Identity& identity,
                      BytesBuilder* out) {
  Work work = Work::Unlimited();
  TxnRun run(store, request, identity, out != nullptr);
  CHECK(run.Step(&work));
  if (run.status().ok() && out != nullptr) out->Append(run.TakeBody().Joined());
  return run.status();
}

}  // namespace quorate::mvcc
