#include "tests/clients/comparison/ties.h"

#include <algorithm>
#include <string>
#include <utility>

namespace quorate::differential {
namespace {

using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;

// Up to so many keys Go's sort keeps the order of ties.
constexpr int64_t kStable = 12;

// What a key is sorted by.
std::pair<int64_t, std::string> SortedBy(const RangeRequest& request, const mvccpb::KeyValue& kv) {
  switch (request.sort_target()) {
    case RangeRequest::VERSION:
      return {kv.version(), ""};
    case RangeRequest::CREATE:
      return {kv.create_revision(), ""};
    case RangeRequest::MOD:
      return {kv.mod_revision(), ""};
    default:
      return {0, kv.value()};
  }
}

}  // namespace

void SettleTies(const RangeRequest& request, RangeResponse* response) {
  if (request.sort_target() == RangeRequest::KEY || response->count() <= kStable) return;
  // Without their values nobody can tell which of them tie.
  const bool hidden = request.sort_target() == RangeRequest::VALUE && request.keys_only();
  auto* kvs = response->mutable_kvs();
  for (auto begin = kvs->begin(); begin != kvs->end();) {
    const auto by = SortedBy(request, *begin);
    auto end = begin;
    while (end != kvs->end() && (hidden || SortedBy(request, *end) == by)) ++end;
    std::sort(begin, end, [](const auto& a, const auto& b) { return a.key() < b.key(); });
    if (end == kvs->end() && response->more()) {
      for (auto it = begin; it != end; ++it) {
        mvccpb::KeyValue kept;
        kept.set_version(by.first);
        kept.set_value(by.second);
        *it = kept;
      }
    }
    begin = end;
  }
}

void SettleTies(const etcdserverpb::TxnRequest& request, etcdserverpb::TxnResponse* response) {
  const auto& ops = response->succeeded() ? request.success() : request.failure();
  const int count = std::min(ops.size(), response->responses_size());
  for (int i = 0; i < count; ++i) {
    etcdserverpb::ResponseOp* op = response->mutable_responses(i);
    if (op->has_response_range()) {
      SettleTies(ops.Get(i).request_range(), op->mutable_response_range());
    } else if (op->has_response_txn()) {
      SettleTies(ops.Get(i).request_txn(), op->mutable_response_txn());
    }
  }
}

}  // namespace quorate::differential
