// Keys that tie in a sort by something else than the key.
//
// etcd sorts them by Go's sort.Sort, which is not stable: where more than a dozen are
// sorted, those that tie come in an order that only Go's implementation decides, and
// where a limit cuts through them it decides which ones come. Neither is to be compared.
#ifndef QUORATE_TESTS_CLIENTS_COMPARISON_TIES_H_
#define QUORATE_TESTS_CLIENTS_COMPARISON_TIES_H_

#include "api/rpc.pb.h"

namespace quorate::differential {

// Puts keys that tie into the order of their keys; of those at a limit only the number
// and what they were sorted by stays.
void SettleTies(const etcdserverpb::RangeRequest& request, etcdserverpb::RangeResponse* response);
// The same for all ranges of a transaction.
void SettleTies(const etcdserverpb::TxnRequest& request, etcdserverpb::TxnResponse* response);

}  // namespace quorate::differential

#endif  // QUORATE_TESTS_CLIENTS_COMPARISON_TIES_H_
