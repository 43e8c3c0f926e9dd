// What the store was asked for, as etcd's metrics count it (server/storage/mvcc).
#ifndef QUORATE_ENGINE_MVCC_OPERATION_COUNTS_H_
#define QUORATE_ENGINE_MVCC_OPERATION_COUNTS_H_

#include <cstdint>

namespace quorate::mvcc {

struct OperationCounts {
  uint64_t ranges = 0;  // comparisons and looks at values before a change, too
  uint64_t puts = 0;
  uint64_t put_bytes = 0;  // of keys and values
  uint64_t deletes = 0;    // requests, or keys of a revoked lease
  uint64_t txns = 0;

  // Whatever took several operations is a transaction.
  void CountTxn() {
    if (ranges + puts + deletes > 1) ++txns;
  }
  void Add(const OperationCounts& other) {
    ranges += other.ranges;
    puts += other.puts;
    put_bytes += other.put_bytes;
    deletes += other.deletes;
    txns += other.txns;
  }
};

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_OPERATION_COUNTS_H_
