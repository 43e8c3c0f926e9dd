// What a request is reckoned to add to the store before it is proposed, as etcd reckons
// it: keys, values and a fixed sum for each; of a transaction's branches the dearer one.
// Zero for what cannot add anything.
#ifndef QUORATE_ENGINE_APPLY_QUOTA_H_
#define QUORATE_ENGINE_APPLY_QUOTA_H_

#include <cstdint>

#include "engine/mvcc/requests.h"

namespace quorate::apply {

// Bytes of a lease.
inline constexpr int64_t kLeaseCost = 64;

// Bytes.
int64_t Cost(const mvcc::PutRequest& put);
int64_t Cost(const mvcc::TxnRequest& txn);

}  // namespace quorate::apply

#endif  // QUORATE_ENGINE_APPLY_QUOTA_H_
