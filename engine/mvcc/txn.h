// Puts, deletes and transactions against the store, with their encoded responses.
#ifndef QUORATE_ENGINE_MVCC_TXN_H_
#define QUORATE_ENGINE_MVCC_TXN_H_

#include "absl/status/status.h"
#include "base/bytes.h"
#include "engine/mvcc/range.h"
#include "engine/mvcc/requests.h"
#include "engine/mvcc/store.h"

namespace quorate::mvcc {

// Each performs one decoded command in a revision of its own and, unless `out` is null,
// appends the encoded response. What fails leaves store and *out unchanged.
absl::Status ApplyPut(Store* store, const PutRequest& request, const Identity& identity,
                      BytesBuilder* out);
absl::Status ApplyDeleteRange(Store* store, const DeleteRangeRequest& request,
                              const Identity& identity, BytesBuilder* out);

// Comparisons, those of nested transactions included, look at the state before the
// transaction and so fix beforehand which lists are performed. Then every operation
// that could fail is checked (revisions of ranges against that same state, leases, keys
// that must exist); only if all may go on is anything performed. Ranges see what the
// operations before them have written.
absl::Status ApplyTxn(Store* store, const TxnRequest& request, const Identity& identity,
                      BytesBuilder* out);

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_TXN_H_
