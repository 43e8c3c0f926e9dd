// etcdserverpb's KV and watch requests, decoded. Byte fields point into the encoded
// request and live as long as it does. Field names are the contract's (api/rpc.proto).
//
// Decoding is protobuf's: unknown fields are skipped, a field given twice counts as
// last given (sub-messages merge), numbers are cut to their width.
#ifndef QUORATE_ENGINE_MVCC_REQUESTS_H_
#define QUORATE_ENGINE_MVCC_REQUESTS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/strong_int.h"
#include "engine/mvcc/key_range.h"

namespace quorate::mvcc {

struct RangeRequest {
  enum SortOrder : int32_t { kNone = 0, kAscend = 1, kDescend = 2 };
  enum SortTarget : int32_t { kKey = 0, kVersion = 1, kCreate = 2, kMod = 3, kValue = 4 };

  absl::string_view key;
  absl::string_view range_end;
  int64_t limit = 0;
  Revision revision;
  int32_t sort_order = kNone;
  int32_t sort_target = kKey;
  bool serializable = false;
  bool keys_only = false;
  bool count_only = false;
  Revision min_mod_revision;
  Revision max_mod_revision;
  Revision min_create_revision;
  Revision max_create_revision;

  KeyRange range() const { return KeyRange::FromRequest(key, range_end); }
  bool has_revision_filter() const {
    const Revision none;
    return min_mod_revision != none || max_mod_revision != none || min_create_revision != none ||
           max_create_revision != none;
  }
};

struct PutRequest {
  absl::string_view key;
  absl::string_view value;
  LeaseId lease;
  bool prev_kv = false;
  bool ignore_value = false;
  bool ignore_lease = false;
};

struct DeleteRangeRequest {
  absl::string_view key;
  absl::string_view range_end;
  bool prev_kv = false;

  KeyRange range() const { return KeyRange::FromRequest(key, range_end); }
};

struct Compare {
  enum Result : int32_t { kEqual = 0, kGreater = 1, kLess = 2, kNotEqual = 3 };
  enum Target : int32_t { kVersion = 0, kCreate = 1, kMod = 2, kValue = 3, kLease = 4 };

  int32_t result = kEqual;
  int32_t target = kVersion;
  absl::string_view key;
  absl::string_view range_end;
  // The oneof: the number or the value of the field that was set (0 = none).
  uint32_t given_field = 0;
  int64_t number = 0;
  absl::string_view value;

  KeyRange range() const { return KeyRange::FromRequest(key, range_end); }
};

struct TxnRequest;

// std::monostate: an operation with nothing in it.
using RequestOp = std::variant<std::monostate, RangeRequest, PutRequest, DeleteRangeRequest,
                               std::unique_ptr<TxnRequest>>;

struct TxnRequest {
  std::vector<Compare> compare;
  std::vector<RequestOp> success;
  std::vector<RequestOp> failure;

  // Whether every operation is a range (a nested transaction counts as a write, as in
  // etcd), and whether all of them are serializable ones.
  bool read_only() const;
  bool serializable() const;
};

struct CompactionRequest {
  Revision revision;
  bool physical = false;
};

struct WatchCreateRequest {
  absl::string_view key;
  absl::string_view range_end;
  Revision start_revision;
  bool progress_notify = false;
  bool no_put = false;
  bool no_delete = false;
  bool prev_kv = false;
  int64_t watch_id = 0;
  bool fragment = false;
};
struct WatchCancelRequest {
  int64_t watch_id = 0;
};
struct WatchProgressRequest {};
using WatchRequest =
    std::variant<std::monostate, WatchCreateRequest, WatchCancelRequest, WatchProgressRequest>;

// Transactions nested deeper than this are refused for too many operations, which is what
// they have in etcd unless its limit of 128 was raised.
inline constexpr int kMaxTxnDepth = 200;
// Operations and comparisons of one transaction in all; more are refused likewise. The first is
// of what is in the log; the second, unless `max_ops` in a list allows more, of what may come
// to be: all of them are looked at in one piece. (In etcd nested ones may come to any number.)
inline constexpr size_t kMaxDecodedTxnOps = size_t{1} << 20;
inline constexpr size_t kMaxProposedTxnOps = 8192;
inline size_t MaxProposedTxnOps(size_t max_ops) {
  return max_ops < kMaxProposedTxnOps / 4 ? kMaxProposedTxnOps : max_ops * 4;
}

// Each decodes `in` onto *out. Malformed bytes give
// Internal "grpc: error unmarshalling request: ..." as a gRPC server does; a transaction
// beyond the limits above InvalidArgument, as Validate() does.
absl::Status Decode(absl::string_view in, RangeRequest* out);
absl::Status Decode(absl::string_view in, PutRequest* out);
absl::Status Decode(absl::string_view in, DeleteRangeRequest* out);
absl::Status Decode(absl::string_view in, TxnRequest* out, size_t max_ops = kMaxDecodedTxnOps);
absl::Status Decode(absl::string_view in, CompactionRequest* out);
absl::Status Decode(absl::string_view in, WatchRequest* out);

// What etcd's servers refuse before proposing (its codes, texts and order of checks).
absl::Status Validate(const RangeRequest& request);
absl::Status Validate(const PutRequest& request);
absl::Status Validate(const DeleteRangeRequest& request);
// Also: at most `max_ops` operations in a list, nested ones within what is left of it;
// within one path no key put twice, and none put that is also deleted.
absl::Status Validate(const TxnRequest& request, size_t max_ops);

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_REQUESTS_H_
