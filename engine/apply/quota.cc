#include "engine/apply/quota.h"

#include <algorithm>
#include <memory>
#include <variant>
#include <vector>

namespace quorate::apply {
namespace {

constexpr int64_t kKeyCost = 256;

int64_t BranchCost(const std::vector<mvcc::RequestOp>& ops) {
  int64_t cost = 0;
  for (const mvcc::RequestOp& op : ops) {
    if (const auto* put = std::get_if<mvcc::PutRequest>(&op)) cost += Cost(*put);
    const auto* txn = std::get_if<std::unique_ptr<mvcc::TxnRequest>>(&op);
    if (txn != nullptr) cost += Cost(**txn);
  }
  return cost;
}

}  // namespace

int64_t Cost(const mvcc::PutRequest& put) {
  return kKeyCost + static_cast<int64_t>(put.key.size() + put.value.size());
}

int64_t Cost(const mvcc::TxnRequest& txn) {
  return std::max(BranchCost(txn.success), BranchCost(txn.failure));
}

}  // namespace quorate::apply
