#include "tests/clients/comparison/kv_source.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace quorate::differential {
namespace {

using etcdserverpb::RangeRequest;

constexpr size_t kMiB = size_t{1} << 20;
constexpr int kMaxDepth = 3;

std::string Repeat(char c, size_t n) { return std::string(n, c); }

// etcd does not see that a delete of every key from one on overlaps with a put; if the
// put then wants to keep the value that is gone, every etcd member dies of it.
bool DeletesOpenRange(const etcdserverpb::TxnRequest& request) {
  for (const auto* ops : {&request.success(), &request.failure()}) {
    for (const etcdserverpb::RequestOp& op : *ops) {
      if (op.has_request_txn() && DeletesOpenRange(op.request_txn())) return true;
      if (op.request_delete_range().range_end() == std::string(1, '\0')) return true;
    }
  }
  return false;
}

void KeepNothing(etcdserverpb::TxnRequest* request) {
  for (auto* ops : {request->mutable_success(), request->mutable_failure()}) {
    for (etcdserverpb::RequestOp& op : *ops) {
      if (op.has_request_txn()) KeepNothing(op.mutable_request_txn());
      if (!op.has_request_put()) continue;
      op.mutable_request_put()->clear_ignore_value();
      op.mutable_request_put()->clear_ignore_lease();
    }
  }
}

}  // namespace

std::string KvSource::Key() {
  const uint64_t n = draw_.Below(100);
  if (n < 40) return std::string(1, static_cast<char>('a' + draw_.Below(8)));
  if (n < 70) return absl::StrCat("k/", draw_.Below(12));
  switch (n) {
    case 85:
      return std::string(1, '\0');
    case 86:
      return std::string("\0\1", 2);
    case 87:
      return std::string("b\0", 2);
    case 88:
      return "\xff";
    case 89:
      return "\xff\xff";
    case 90:
      return Repeat('l', 300);
    case 91:
      return "";
    default:
      return absl::StrCat("r/", draw_.Below(rare_keys_));
  }
}

std::string KvSource::RangeEnd(const std::string& key) {
  const uint64_t n = draw_.Below(100);
  if (n < 45) return "";
  if (n < 55) return std::string(1, '\0');
  if (n < 75) {  // the range of a prefix
    std::string end = key.empty() ? "a" : key;
    end.back() = static_cast<char>(end.back() + 1);
    return end;
  }
  if (n < 80) return key;                            // empty
  if (n < 85) return key.substr(0, key.size() / 2);  // empty, inverted
  const std::string end = Key();
  return n < 97 ? std::max(end, key) : end;
}

std::string KvSource::Value() {
  const uint64_t n = draw_.Below(400);
  if (n < 250) return absl::StrCat(draw_.Below(10));
  if (n < 270) return "";
  if (n < 380) return absl::StrCat("value-", draw_.Below(1000000));
  if (n < 398) return draw_.Bytes(draw_.Below(2000));
  return draw_.Bytes(draw_.Below(200000));
}

int64_t KvSource::Lease() {
  const uint64_t n = draw_.Below(200);
  if (n == 0) return draw_.Of<int64_t>({-1, kMinInt64, kMaxInt64, 999});
  const auto end = known_.leases().lower_bound(kFirstLeaseName);
  if (n > 50 || known_.leases().begin() == end) return 0;
  return draw_.Member(std::set<int64_t>(known_.leases().begin(), end));
}

int64_t KvSource::ReadRevision() {
  const uint64_t n = draw_.Below(100);
  const int64_t now = known_.revision();
  if (n < 55) return 0;
  if (n < 80) return draw_.Between(std::min(known_.compacted(), now), now);
  if (n < 85) return now;
  if (n < 90) return known_.compacted();
  if (n < 93) return known_.compacted() - 1;
  if (n < 95) return now + 1;
  if (n < 96) return 1;
  return draw_.Of<int64_t>({-1, kMinInt64, kMaxInt64, now + 2});
}

int64_t KvSource::Bound() {
  if (draw_.Percent(88)) return 0;
  if (draw_.Percent(10)) return draw_.Of<int64_t>({-1, kMinInt64, kMaxInt64, 1});
  return draw_.Between(std::max<int64_t>(known_.revision() - 60, 1), known_.revision());
}

RangeRequest KvSource::Range() {
  RangeRequest request;
  request.set_key(Key());
  request.set_range_end(RangeEnd(request.key()));
  if (draw_.Percent(40)) {
    request.set_limit(draw_.Of<int64_t>({1, 1, 2, 3, 5, 10, 100, -1, kMaxInt64, kMinInt64}));
  }
  request.set_revision(ReadRevision());
  if (draw_.Percent(40)) {
    request.set_sort_order(static_cast<RangeRequest::SortOrder>(draw_.Below(3)));
  }
  if (draw_.Percent(40)) {
    request.set_sort_target(static_cast<RangeRequest::SortTarget>(draw_.Below(5)));
  }
  request.set_serializable(draw_.Percent(30));
  request.set_keys_only(draw_.Percent(15));
  request.set_count_only(draw_.Percent(10));
  request.set_min_mod_revision(Bound());
  request.set_max_mod_revision(Bound());
  request.set_min_create_revision(Bound());
  request.set_max_create_revision(Bound());
  const int unknown = draw_.Of<int>({5, -1, 1 << 30});
  const uint64_t odd = draw_.Below(100);
  if (odd == 0 && !release_.takes_any_sort_option) {
    request.set_sort_order(static_cast<RangeRequest::SortOrder>(unknown));
  } else if (odd == 1 && !release_.takes_any_sort_option) {
    request.set_sort_target(static_cast<RangeRequest::SortTarget>(unknown));
  }
  if (draw_.OneIn(3000)) request.set_key(Repeat('x', draw_.Of<size_t>({kMiB, 10 * kMiB})));
  return request;
}

RangeRequest KvSource::RangeStream() {
  RangeRequest request = Range();
  if (draw_.Percent(85)) {
    if (draw_.Percent(95)) request.set_sort_order(RangeRequest::NONE);
    request.clear_min_mod_revision();
    request.clear_max_mod_revision();
    request.clear_min_create_revision();
    request.clear_max_create_revision();
  }
  // By a target without an order etcd sorts each piece by itself, and goes on behind the key that
  // comes last then: keys are missing, or come twice.
  if (request.sort_order() == RangeRequest::NONE &&
      RangeRequest::SortTarget_IsValid(request.sort_target())) {
    request.clear_sort_target();
  }
  return request;
}

etcdserverpb::PutRequest KvSource::Put() {
  etcdserverpb::PutRequest request;
  request.set_key(Key());
  request.set_value(Value());
  request.set_lease(Lease());
  request.set_prev_kv(draw_.Percent(30));
  if (draw_.Percent(8)) {
    request.set_ignore_value(true);
    if (draw_.Percent(80)) request.clear_value();
  }
  if (draw_.Percent(8)) {
    request.set_ignore_lease(true);
    if (draw_.Percent(80)) request.clear_lease();
  }
  if (draw_.OneIn(1500)) {
    // Below the limit of a request, over it, over the limit of a message.
    request.set_key(Repeat('x', draw_.Of<size_t>({kMiB, 3 * kMiB / 2, 5 * kMiB / 3, 10 * kMiB})));
  }
  return request;
}

etcdserverpb::DeleteRangeRequest KvSource::DeleteRange() {
  etcdserverpb::DeleteRangeRequest request;
  request.set_key(Key());
  if (draw_.Percent(25)) request.set_range_end(RangeEnd(request.key()));
  request.set_prev_kv(draw_.Percent(40));
  return request;
}

etcdserverpb::CompactionRequest KvSource::Compact() {
  etcdserverpb::CompactionRequest request;
  const int64_t now = known_.revision();
  const uint64_t n = draw_.Below(100);
  if (n < 60 && known_.compacted() < now) {
    // Rather not all of the history at once.
    const int64_t one = draw_.Between(known_.compacted() + 1, now);
    request.set_revision(std::min(one, draw_.Between(known_.compacted() + 1, now)));
  } else if (n < 75) {
    request.set_revision(now);
  } else if (n < 85) {
    request.set_revision(draw_.Between(0, known_.compacted()));
  } else {
    request.set_revision(
        draw_.Of<int64_t>({0, -1, now + 1, kMinInt64, kMaxInt64, known_.compacted()}));
  }
  // At such a revision every etcd member loses keys, and dies of the next range that finds them.
  while (known_.reborn().contains(request.revision())) request.set_revision(request.revision() - 1);
  request.set_physical(draw_.Percent(50));
  return request;
}

etcdserverpb::HashKVRequest KvSource::HashKv() {
  etcdserverpb::HashKVRequest request;
  request.set_revision(ReadRevision());
  return request;
}

// ---- transactions ----

// Mostly what the key has, so that many comparisons hold.
void KvSource::SetExpected(const mvccpb::KeyValue& kv, etcdserverpb::Compare* compare) {
  const bool right = draw_.Percent(70);
  const auto number = [&](int64_t n) {
    return right ? n : draw_.Of<int64_t>({n - 1, n + 1, kMaxInt64, kMinInt64});
  };
  switch (static_cast<int>(compare->target())) {
    case etcdserverpb::Compare::VERSION:
      return compare->set_version(number(kv.version()));
    case etcdserverpb::Compare::CREATE:
      return compare->set_create_revision(number(kv.create_revision()));
    case etcdserverpb::Compare::MOD:
      return compare->set_mod_revision(number(kv.mod_revision()));
    case etcdserverpb::Compare::LEASE:
      return compare->set_lease(number(kv.lease()));
    default:
      return compare->set_value(right ? kv.value() : Value());
  }
}

etcdserverpb::Compare KvSource::Compare() {
  etcdserverpb::Compare compare;
  compare.set_key(Key());
  if (draw_.Percent(60) && !known_.keys().empty()) {
    compare.set_key(draw_.Member(known_.keys()).first);
  }
  compare.set_result(
      static_cast<etcdserverpb::Compare::CompareResult>(draw_.Percent(60) ? 0 : draw_.Below(4)));
  compare.set_target(static_cast<etcdserverpb::Compare::CompareTarget>(draw_.Below(5)));
  const auto found = known_.keys().find(compare.key());
  SetExpected(found == known_.keys().end() ? mvccpb::KeyValue() : found->second, &compare);
  if (draw_.Percent(15)) compare.set_range_end(RangeEnd(compare.key()));
  if (draw_.OneIn(60)) compare.clear_target_union();
  if (draw_.OneIn(60)) compare.set_mod_revision(known_.revision());  // maybe not the target's
  if (draw_.OneIn(150)) {
    compare.set_result(
        static_cast<etcdserverpb::Compare::CompareResult>(draw_.Of<int>({4, -1, 1 << 30})));
  }
  if (draw_.OneIn(150)) {
    compare.set_target(
        static_cast<etcdserverpb::Compare::CompareTarget>(draw_.Of<int>({5, -1, 1 << 30})));
  }
  return compare;
}

void KvSource::AddOps(int depth, google::protobuf::RepeatedPtrField<etcdserverpb::RequestOp>* ops) {
  const uint64_t count = draw_.Below(4);
  for (uint64_t i = 0; i < count; ++i) {
    etcdserverpb::RequestOp* op = ops->Add();
    const uint64_t n = draw_.Below(100);
    if (n < 35) {
      *op->mutable_request_put() = Put();
    } else if (n < 65) {
      *op->mutable_request_range() = Range();
    } else if (n < 82) {
      *op->mutable_request_delete_range() = DeleteRange();
    } else if (n < 99 && depth < kMaxDepth) {
      *op->mutable_request_txn() = Txn(depth + 1);
    } else if (draw_.Percent(80)) {
      *op->mutable_request_range() = Range();
    }  // else an empty operation
  }
}

etcdserverpb::TxnRequest KvSource::Txn(int depth) {
  etcdserverpb::TxnRequest request;
  const uint64_t compares = draw_.Below(depth == 0 ? 4 : 2);
  for (uint64_t i = 0; i < compares; ++i) *request.add_compare() = Compare();
  AddOps(depth, request.mutable_success());
  AddOps(depth, request.mutable_failure());
  return request;
}

// At the limits: many operations, deep nesting, many comparisons.
etcdserverpb::TxnRequest KvSource::OddTxn() {
  etcdserverpb::TxnRequest request;
  switch (draw_.Below(3)) {
    case 0: {  // many operations
      const int64_t count = draw_.Between(126, 131);
      for (int64_t i = 0; i < count; ++i) {
        request.add_success()->mutable_request_put()->set_key(absl::StrCat("m/", i));
      }
      break;
    }
    case 1: {  // a nest of transactions
      const int64_t depth =
          draw_.Of<int64_t>({4, 20, 126, 127, 128, 129, 199, 200, 201, 1000, 4000});
      etcdserverpb::TxnRequest* inner = &request;
      for (int64_t i = 1; i < depth; ++i) {
        inner = (draw_.Percent(90) ? inner->add_success() : inner->add_failure())
                    ->mutable_request_txn();
      }
      inner->add_success()->mutable_request_put()->set_key("nest");
      break;
    }
    default:  // many comparisons
      for (int i = 0; i < 128; ++i) *request.add_compare() = Compare();
      request.add_failure()->mutable_request_range()->set_key("a");
  }
  return request;
}

etcdserverpb::TxnRequest KvSource::LargeTxn() {
  etcdserverpb::TxnRequest request;
  for (int i = 0; i < 4; ++i) {
    etcdserverpb::PutRequest* put = request.add_success()->mutable_request_put();
    put->set_key(absl::StrCat(kLargePrefix, i));
    put->set_value(draw_.Bytes(300000));
  }
  return request;
}

etcdserverpb::TxnRequest KvSource::Txn() {
  if (draw_.OneIn(250)) return OddTxn();
  etcdserverpb::TxnRequest request = Txn(0);
  if (DeletesOpenRange(request)) KeepNothing(&request);
  return request;
}

}  // namespace quorate::differential
