// Draws KV requests over a small space of keys, so that they meet; and odd ones: empty
// and inverted ranges, numbers from the ends of their types, unknown enum values, nested
// transactions up to the limits, keys that are too large.
#ifndef QUORATE_TESTS_CLIENTS_COMPARISON_KV_SOURCE_H_
#define QUORATE_TESTS_CLIENTS_COMPARISON_KV_SOURCE_H_

#include <cstdint>
#include <string>

#include "api/rpc.pb.h"
#include "tests/clients/comparison/draw.h"
#include "tests/clients/comparison/known.h"
#include "tests/clients/comparison/release.h"

namespace quorate::differential {

class KvSource {
 public:
  // `draw` and `known` are borrowed.
  KvSource(Draw* draw, const Known* known, const Release& release)
      : draw_(*draw),
        known_(*known),
        release_(release),
        rare_keys_(draw->Of<uint64_t>({10, 40, 300, 2000})) {}

  etcdserverpb::RangeRequest Range();
  // Mostly without what cannot be had in pieces.
  etcdserverpb::RangeRequest RangeStream();
  etcdserverpb::PutRequest Put();
  etcdserverpb::DeleteRangeRequest DeleteRange();
  etcdserverpb::TxnRequest Txn();
  // A few values of almost the size of a request, always the same keys: a watcher that
  // sees them with the values before gets them in fragments.
  static constexpr const char* kLargePrefix = "large/";
  etcdserverpb::TxnRequest LargeTxn();
  etcdserverpb::CompactionRequest Compact();
  etcdserverpb::HashKVRequest HashKv();

  std::string Key();
  // For `range_end` beside this key: mostly empty.
  std::string RangeEnd(const std::string& key);
  // A revision to read at: mostly 0.
  int64_t ReadRevision();

 private:
  std::string Value();
  int64_t Lease();
  etcdserverpb::Compare Compare();
  void SetExpected(const mvccpb::KeyValue& kv, etcdserverpb::Compare* compare);
  void AddOps(int depth, google::protobuf::RepeatedPtrField<etcdserverpb::RequestOp>* ops);
  etcdserverpb::TxnRequest Txn(int depth);
  etcdserverpb::TxnRequest OddTxn();
  int64_t Bound();

  Draw& draw_;
  const Known& known_;
  const Release release_;
  const uint64_t rare_keys_;  // beside a few that everything meets at
};

}  // namespace quorate::differential

#endif  // QUORATE_TESTS_CLIENTS_COMPARISON_KV_SOURCE_H_
