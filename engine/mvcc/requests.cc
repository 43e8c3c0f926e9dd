#include "engine/mvcc/requests.h"

#include <algorithm>
#include <utility>

#include "api/malformed.h"
#include "base/coding.h"
#include "base/wire.h"
#include "engine/mvcc/errors.h"

namespace quorate::mvcc {
namespace {

bool Parse(absl::string_view bytes, RangeRequest* out) {
  WireReader in(bytes);
  while (in.Next()) {
    switch (in.tag()) {
      case LenTag(1):
        out->key = in.bytes();
        break;
      case LenTag(2):
        out->range_end = in.bytes();
        break;
      case VarintTag(3):
        out->limit = in.int64();
        break;
      case VarintTag(4):
        out->revision = Revision(in.int64());
        break;
      case VarintTag(5):
        out->sort_order = in.int32();
        break;
      case VarintTag(6):
        out->sort_target = in.int32();
        break;
      case VarintTag(7):
        out->serializable = in.boolean();
        break;
      case VarintTag(8):
        out->keys_only = in.boolean();
        break;
      case VarintTag(9):
        out->count_only = in.boolean();
        break;
      case VarintTag(10):
        out->min_mod_revision = Revision(in.int64());
        break;
      case VarintTag(11):
        out->max_mod_revision = Revision(in.int64());
        break;
      case VarintTag(12):
        out->min_create_revision = Revision(in.int64());
        break;
      case VarintTag(13):
        out->max_create_revision = Revision(in.int64());
        break;
      default:
        break;
    }
  }
  return in.ok();
}

bool Parse(absl::string_view bytes, PutRequest* out) {
  WireReader in(bytes);
  while (in.Next()) {
    switch (in.tag()) {
      case LenTag(1):
        out->key = in.bytes();
        break;
      case LenTag(2):
        out->value = in.bytes();
        break;
      case VarintTag(3):
        out->lease = LeaseId(in.int64());
        break;
      case VarintTag(4):
        out->prev_kv = in.boolean();
        break;
      case VarintTag(5):
        out->ignore_value = in.boolean();
        break;
      case VarintTag(6):
        out->ignore_lease = in.boolean();
        break;
      default:
        break;
    }
  }
  return in.ok();
}

bool Parse(absl::string_view bytes, DeleteRangeRequest* out) {
  WireReader in(bytes);
  while (in.Next()) {
    switch (in.tag()) {
      case LenTag(1):
        out->key = in.bytes();
        break;
      case LenTag(2):
        out->range_end = in.bytes();
        break;
      case VarintTag(3):
        out->prev_kv = in.boolean();
        break;
      default:
        break;
    }
  }
  return in.ok();
}

bool Parse(absl::string_view bytes, Compare* out) {
  WireReader in(bytes);
  while (in.Next()) {
    switch (in.tag()) {
      case VarintTag(1):
        out->result = in.int32();
        break;
      case VarintTag(2):
        out->target = in.int32();
        break;
      case LenTag(3):
        out->key = in.bytes();
        break;
      case VarintTag(4):
      case VarintTag(5):
      case VarintTag(6):
      case VarintTag(8):
        out->given_field = in.tag() >> 3;
        out->number = in.int64();
        break;
      case LenTag(7):
        out->given_field = 7;
        out->value = in.bytes();
        break;
      case LenTag(64):
        out->range_end = in.bytes();
        break;
      default:
        break;
    }
  }
  return in.ok();
}

// Counts down what one transaction may hold while it is decoded.
struct TxnBudget {
  size_t ops = kMaxDecodedTxnOps;
  int depth = kMaxTxnDepth;
  bool exceeded = false;

  // Always false, for a parser to return.
  bool Exceed() {
    exceeded = true;
    return false;
  }
};

bool Parse(absl::string_view bytes, TxnRequest* out, TxnBudget* budget);

// A member of a oneof: a repeated one merges, another one replaces it.
template <typename Member>
Member* Choose(RequestOp* op) {
  if (!std::holds_alternative<Member>(*op)) op->emplace<Member>();
  return &std::get<Member>(*op);
}

bool Parse(absl::string_view bytes, RequestOp* out, TxnBudget* budget) {
  WireReader in(bytes);
  bool ok = true;
  while (ok && in.Next()) {
    switch (in.tag()) {
      case LenTag(1):
        ok = Parse(in.bytes(), Choose<RangeRequest>(out));
        break;
      case LenTag(2):
        ok = Parse(in.bytes(), Choose<PutRequest>(out));
        break;
      case LenTag(3):
        ok = Parse(in.bytes(), Choose<DeleteRangeRequest>(out));
        break;
      case LenTag(4): {
        auto* txn = Choose<std::unique_ptr<TxnRequest>>(out);
        if (*txn == nullptr) *txn = std::make_unique<TxnRequest>();
        ok = Parse(in.bytes(), txn->get(), budget);
        break;
      }
      default:
        break;
    }
  }
  return ok && in.ok();
}

// For all operations of a transaction, of which there may be thousands, so that none is moved. Not
// for what is merged into it: that may come bit by bit.
void MakeRoom(absl::string_view bytes, size_t max_ops, TxnRequest* out) {
  size_t compares = 0;
  size_t success = 0;
  size_t failure = 0;
  for (WireReader in(bytes); compares + success + failure < max_ops && in.Next();) {
    compares += in.tag() == LenTag(1);
    success += in.tag() == LenTag(2);
    failure += in.tag() == LenTag(3);
  }
  if (out->compare.empty()) out->compare.reserve(compares);
  if (out->success.empty()) out->success.reserve(success);
  if (out->failure.empty()) out->failure.reserve(failure);
}

bool Parse(absl::string_view bytes, TxnRequest* out, TxnBudget* budget) {
  if (budget->depth == 0) return budget->Exceed();
  --budget->depth;
  MakeRoom(bytes, budget->ops, out);
  WireReader in(bytes);
  bool ok = true;
  while (ok && in.Next()) {
    const uint32_t tag = in.tag();
    if (tag != LenTag(1) && tag != LenTag(2) && tag != LenTag(3)) continue;
    if (budget->ops == 0) return budget->Exceed();
    --budget->ops;
    if (tag == LenTag(1)) {
      ok = Parse(in.bytes(), &out->compare.emplace_back());
    } else {
      std::vector<RequestOp>& ops = tag == LenTag(2) ? out->success : out->failure;
      ok = Parse(in.bytes(), &ops.emplace_back(), budget);
    }
  }
  ++budget->depth;
  return ok && in.ok();
}

bool Parse(absl::string_view bytes, CompactionRequest* out) {
  WireReader in(bytes);
  while (in.Next()) {
    switch (in.tag()) {
      case VarintTag(1):
        out->revision = Revision(in.int64());
        break;
      case VarintTag(2):
        out->physical = in.boolean();
        break;
      default:
        break;
    }
  }
  return in.ok();
}

void AddFilter(int32_t filter, WatchCreateRequest* out) {
  if (filter == 0) out->no_put = true;
  if (filter == 1) out->no_delete = true;
}

bool ParsePackedFilters(absl::string_view packed, WatchCreateRequest* out) {
  uint64_t filter = 0;
  while (!packed.empty()) {
    if (!GetVarint(&packed, &filter)) return false;
    AddFilter(static_cast<int32_t>(filter), out);
  }
  return true;
}

bool Parse(absl::string_view bytes, WatchCreateRequest* out) {
  WireReader in(bytes);
  bool ok = true;
  while (ok && in.Next()) {
    switch (in.tag()) {
      case LenTag(1):
        out->key = in.bytes();
        break;
      case LenTag(2):
        out->range_end = in.bytes();
        break;
      case VarintTag(3):
        out->start_revision = Revision(in.int64());
        break;
      case VarintTag(4):
        out->progress_notify = in.boolean();
        break;
      case VarintTag(5):
        AddFilter(in.int32(), out);
        break;
      case LenTag(5):
        ok = ParsePackedFilters(in.bytes(), out);
        break;
      case VarintTag(6):
        out->prev_kv = in.boolean();
        break;
      case VarintTag(7):
        out->watch_id = in.int64();
        break;
      case VarintTag(8):
        out->fragment = in.boolean();
        break;
      default:
        break;
    }
  }
  return ok && in.ok();
}

bool Parse(absl::string_view bytes, WatchCancelRequest* out) {
  WireReader in(bytes);
  while (in.Next()) {
    if (in.tag() == VarintTag(1)) out->watch_id = in.int64();
  }
  return in.ok();
}

bool Parse(absl::string_view bytes, WatchProgressRequest*) {
  WireReader in(bytes);
  while (in.Next()) {
  }
  return in.ok();
}

template <typename Member>
bool ParseMember(absl::string_view bytes, WatchRequest* out) {
  if (!std::holds_alternative<Member>(*out)) out->emplace<Member>();
  return Parse(bytes, &std::get<Member>(*out));
}

bool Parse(absl::string_view bytes, WatchRequest* out) {
  WireReader in(bytes);
  bool ok = true;
  while (ok && in.Next()) {
    switch (in.tag()) {
      case LenTag(1):
        ok = ParseMember<WatchCreateRequest>(in.bytes(), out);
        break;
      case LenTag(2):
        ok = ParseMember<WatchCancelRequest>(in.bytes(), out);
        break;
      case LenTag(3):
        ok = ParseMember<WatchProgressRequest>(in.bytes(), out);
        break;
      default:
        break;
    }
  }
  return ok && in.ok();
}

template <typename Request>
absl::Status DecodeAs(absl::string_view in, Request* out) {
  return Parse(in, out) ? absl::OkStatus() : MalformedRequestError();
}

}  // namespace

absl::Status Decode(absl::string_view in, RangeRequest* out) { return DecodeAs(in, out); }
absl::Status Decode(absl::string_view in, PutRequest* out) { return DecodeAs(in, out); }
absl::Status Decode(absl::string_view in, DeleteRangeRequest* out) { return DecodeAs(in, out); }
absl::Status Decode(absl::string_view in, TxnRequest* out, size_t max_ops) {
  TxnBudget budget;
  budget.ops = max_ops;
  if (Parse(in, out, &budget)) return absl::OkStatus();
  return budget.exceeded ? TooManyOpsError() : MalformedRequestError();
}
absl::Status Decode(absl::string_view in, CompactionRequest* out) { return DecodeAs(in, out); }
absl::Status Decode(absl::string_view in, WatchRequest* out) { return DecodeAs(in, out); }

namespace {

bool AllRanges(const std::vector<RequestOp>& ops, bool serializable) {
  return std::all_of(ops.begin(), ops.end(), [serializable](const RequestOp& op) {
    const auto* range = std::get_if<RangeRequest>(&op);
    return range != nullptr && (!serializable || range->serializable);
  });
}

}  // namespace

bool TxnRequest::read_only() const {
  return AllRanges(success, false) && AllRanges(failure, false);
}

bool TxnRequest::serializable() const {
  return AllRanges(success, true) && AllRanges(failure, true);
}

}  // namespace quorate::mvcc
