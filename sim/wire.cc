#include "sim/wire.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "api/messages.h"
#include "api/raft_internal.pb.h"
#include "api/rpc.pb.h"
#include "base/check.h"
#include "base/status.h"

namespace quorate::sim {
namespace {

namespace pb = etcdserverpb;

template <typename Message>
absl::StatusOr<Message> Decode(absl::string_view bytes) {
  Message message;
  if (!ParseMessage(bytes, &message)) {
    return absl::DataLossError(absl::StrCat("not a ", message.GetTypeName()));
  }
  return message;
}

pb::RangeRequest ToRange(const Operation& operation, bool serializable) {
  pb::RangeRequest out;
  out.set_key(operation.key);
  out.set_range_end(operation.range_end);
  out.set_limit(operation.limit);
  out.set_revision(operation.revision);
  out.set_keys_only(operation.keys_only);
  out.set_count_only(operation.count_only);
  out.set_serializable(serializable);
  out.set_min_mod_revision(operation.min_mod_revision);
  out.set_max_mod_revision(operation.max_mod_revision);
  out.set_min_create_revision(operation.min_create_revision);
  out.set_max_create_revision(operation.max_create_revision);
  out.set_sort_order(static_cast<pb::RangeRequest::SortOrder>(operation.order));
  out.set_sort_target(static_cast<pb::RangeRequest::SortTarget>(operation.sort_by));
  return out;
}

pb::PutRequest ToPut(const Operation& operation) {
  pb::PutRequest out;
  out.set_key(operation.key);
  out.set_value(operation.value);
  out.set_prev_kv(operation.prev_kv);
  out.set_lease(operation.lease);
  out.set_ignore_lease(operation.ignore_lease);
  return out;
}

pb::DeleteRangeRequest ToDelete(const Operation& operation) {
  pb::DeleteRangeRequest out;
  out.set_key(operation.key);
  out.set_range_end(operation.range_end);
  out.set_prev_kv(operation.prev_kv);
  return out;
}

void ToTxn(const std::vector<Comparison>& compare, const std::vector<Operation>& success,
           const std::vector<Operation>& failure, pb::TxnRequest* out);

void ToOp(const Operation& operation, pb::RequestOp* out) {
  switch (operation.kind) {
    case Operation::Kind::kRange:
      *out->mutable_request_range() = ToRange(operation, false);
      return;
    case Operation::Kind::kPut:
      *out->mutable_request_put() = ToPut(operation);
      return;
    case Operation::Kind::kDelete:
      *out->mutable_request_delete_range() = ToDelete(operation);
      return;
    case Operation::Kind::kTxn:
      return ToTxn(operation.compare, operation.success, operation.failure,
                   out->mutable_request_txn());
  }
}

void ToCompare(const Comparison& comparison, pb::Compare* out) {
  out->set_key(comparison.key);
  out->set_range_end(comparison.range_end);
  out->set_result(static_cast<pb::Compare::CompareResult>(comparison.relation));
  out->set_target(static_cast<pb::Compare::CompareTarget>(comparison.target));
  switch (comparison.target) {
    case Comparison::Target::kVersion:
      return out->set_version(comparison.number);
    case Comparison::Target::kCreateRevision:
      return out->set_create_revision(comparison.number);
    case Comparison::Target::kModRevision:
      return out->set_mod_revision(comparison.number);
    case Comparison::Target::kValue:
      return out->set_value(comparison.value);
    case Comparison::Target::kLease:
      return out->set_lease(comparison.number);
  }
}

void ToTxn(const std::vector<Comparison>& compare, const std::vector<Operation>& success,
           const std::vector<Operation>& failure, pb::TxnRequest* out) {
  for (const Comparison& comparison : compare) ToCompare(comparison, out->add_compare());
  for (const Operation& operation : success) ToOp(operation, out->add_success());
  for (const Operation& operation : failure) ToOp(operation, out->add_failure());
}

Operation FromRange(const pb::RangeRequest& in) {
  Operation out;
  out.kind = Operation::Kind::kRange;
  out.key = in.key();
  out.range_end = in.range_end();
  out.limit = in.limit();
  out.revision = in.revision();
  out.keys_only = in.keys_only();
  out.count_only = in.count_only();
  out.min_mod_revision = in.min_mod_revision();
  out.max_mod_revision = in.max_mod_revision();
  out.min_create_revision = in.min_create_revision();
  out.max_create_revision = in.max_create_revision();
  out.order = static_cast<Operation::Order>(in.sort_order());
  out.sort_by = static_cast<Operation::SortBy>(in.sort_target());
  return out;
}

Operation FromPut(const pb::PutRequest& in) {
  Operation out;
  out.kind = Operation::Kind::kPut;
  out.key = in.key();
  out.value = in.value();
  out.prev_kv = in.prev_kv();
  out.lease = in.lease();
  out.ignore_lease = in.ignore_lease();
  return out;
}

Operation FromDelete(const pb::DeleteRangeRequest& in) {
  Operation out;
  out.kind = Operation::Kind::kDelete;
  out.key = in.key();
  out.range_end = in.range_end();
  out.prev_kv = in.prev_kv();
  return out;
}

// Of a Request or an Operation.
template <typename T>
absl::Status FromTxn(const pb::TxnRequest& in, T* out);

absl::StatusOr<Operation> FromOp(const pb::RequestOp& in) {
  if (in.has_request_range()) return FromRange(in.request_range());
  if (in.has_request_put()) return FromPut(in.request_put());
  if (in.has_request_delete_range()) return FromDelete(in.request_delete_range());
  if (in.has_request_txn()) {
    Operation out;
    out.kind = Operation::Kind::kTxn;
    RETURN_IF_ERROR(FromTxn(in.request_txn(), &out));
    return out;
  }
  return absl::DataLossError("an operation of a transaction that no client sent");
}

template <typename T>
absl::Status FromTxn(const pb::TxnRequest& in, T* out) {
  for (const pb::Compare& compare : in.compare()) {
    Comparison comparison;
    comparison.key = compare.key();
    comparison.range_end = compare.range_end();
    comparison.target = static_cast<Comparison::Target>(compare.target());
    comparison.relation = static_cast<Comparison::Relation>(compare.result());
    comparison.value = compare.value();
    comparison.number =
        compare.version() + compare.create_revision() + compare.mod_revision() + compare.lease();
    out->compare.push_back(std::move(comparison));
  }
  for (const pb::RequestOp& op : in.success()) {
    ASSIGN_OR_RETURN(Operation operation, FromOp(op));
    out->success.push_back(std::move(operation));
  }
  for (const pb::RequestOp& op : in.failure()) {
    ASSIGN_OR_RETURN(Operation operation, FromOp(op));
    out->failure.push_back(std::move(operation));
  }
  return absl::OkStatus();
}

Request Single(Request::Shape shape, Operation operation) {
  Request out;
  out.shape = shape;
  out.success.push_back(std::move(operation));
  return out;
}

KeyValue FromKv(const mvccpb::KeyValue& in) {
  return KeyValue{in.key(),          in.value(),   in.create_revision(),
                  in.mod_revision(), in.version(), in.lease()};
}

OperationResult FromRangeResponse(const pb::RangeResponse& in) {
  OperationResult out;
  for (const mvccpb::KeyValue& kv : in.kvs()) out.kvs.push_back(FromKv(kv));
  out.count = in.count();
  out.more = in.more();
  return out;
}

OperationResult FromPutResponse(const pb::PutResponse& in) {
  OperationResult out;
  if (in.has_prev_kv()) out.kvs.push_back(FromKv(in.prev_kv()));
  return out;
}

OperationResult FromDeleteResponse(const pb::DeleteRangeResponse& in) {
  OperationResult out;
  for (const mvccpb::KeyValue& kv : in.prev_kvs()) out.kvs.push_back(FromKv(kv));
  out.count = in.deleted();
  return out;
}

OperationResult FromResponseOp(const pb::ResponseOp& in) {
  if (in.has_response_txn()) {
    OperationResult out;
    out.succeeded = in.response_txn().succeeded();
    for (const pb::ResponseOp& op : in.response_txn().responses()) {
      out.operations.push_back(FromResponseOp(op));
    }
    return out;
  }
  if (in.has_response_put()) return FromPutResponse(in.response_put());
  if (in.has_response_delete_range()) return FromDeleteResponse(in.response_delete_range());
  return FromRangeResponse(in.response_range());
}

template <typename Response, typename Convert>
absl::StatusOr<Answer> DecodeSingle(absl::string_view bytes, Convert convert) {
  absl::StatusOr<Response> in = Decode<Response>(bytes);
  if (!in.ok()) return in.status();
  Answer out;
  out.result.revision = in->header().revision();
  out.result.operations.push_back(convert(*in));
  out.member_id = in->header().member_id();
  out.raft_term = in->header().raft_term();
  return out;
}

// What all answers about leases have: a header, and perhaps the lease's times.
template <typename Response>
absl::StatusOr<Answer> DecodeLease(absl::string_view bytes,
                                   void (*fill)(const Response&, Result*)) {
  absl::StatusOr<Response> in = Decode<Response>(bytes);
  if (!in.ok()) return in.status();
  Answer out;
  out.result.revision = in->header().revision();
  fill(*in, &out.result);
  out.member_id = in->header().member_id();
  out.raft_term = in->header().raft_term();
  return out;
}

absl::StatusOr<Answer> DecodeTxn(absl::string_view bytes) {
  absl::StatusOr<pb::TxnResponse> in = Decode<pb::TxnResponse>(bytes);
  if (!in.ok()) return in.status();
  Answer out;
  out.result.revision = in->header().revision();
  out.result.succeeded = in->succeeded();
  for (const pb::ResponseOp& op : in->responses()) {
    out.result.operations.push_back(FromResponseOp(op));
  }
  out.member_id = in->header().member_id();
  out.raft_term = in->header().raft_term();
  return out;
}

}  // namespace

engine::RequestKind KindOf(const Request& request) {
  switch (request.shape) {
    case Request::Shape::kRange:
      return engine::RequestKind::kRange;
    case Request::Shape::kPut:
      return engine::RequestKind::kPut;
    case Request::Shape::kDelete:
      return engine::RequestKind::kDeleteRange;
    case Request::Shape::kTxn:
      return engine::RequestKind::kTxn;
    case Request::Shape::kCompact:
      return engine::RequestKind::kCompact;
    case Request::Shape::kGrant:
      return engine::RequestKind::kLeaseGrant;
    case Request::Shape::kRevoke:
      return engine::RequestKind::kLeaseRevoke;
    case Request::Shape::kKeepAlive:
      return engine::RequestKind::kLeaseKeepAlive;
    case Request::Shape::kTimeToLive:
      return engine::RequestKind::kLeaseTimeToLive;
  }
  UNREACHABLE("every shape is handled");
}

absl::string_view MethodOf(const Request& request) {
  switch (request.shape) {
    case Request::Shape::kRange:
      return "/etcdserverpb.KV/Range";
    case Request::Shape::kPut:
      return "/etcdserverpb.KV/Put";
    case Request::Shape::kDelete:
      return "/etcdserverpb.KV/DeleteRange";
    case Request::Shape::kTxn:
      return "/etcdserverpb.KV/Txn";
    case Request::Shape::kCompact:
      return "/etcdserverpb.KV/Compact";
    case Request::Shape::kGrant:
      return "/etcdserverpb.Lease/LeaseGrant";
    case Request::Shape::kRevoke:
      return "/etcdserverpb.Lease/LeaseRevoke";
    case Request::Shape::kKeepAlive:
      return "/etcdserverpb.Lease/LeaseKeepAlive";
    case Request::Shape::kTimeToLive:
      return "/etcdserverpb.Lease/LeaseTimeToLive";
  }
  UNREACHABLE("every shape is handled");
}

Bytes EncodeRequest(const Request& request) {
  switch (request.shape) {
    case Request::Shape::kRange:
      return SerializeMessage(ToRange(request.success[0], request.serializable));
    case Request::Shape::kPut:
      return SerializeMessage(ToPut(request.success[0]));
    case Request::Shape::kDelete:
      return SerializeMessage(ToDelete(request.success[0]));
    case Request::Shape::kTxn: {
      pb::TxnRequest out;
      ToTxn(request.compare, request.success, request.failure, &out);
      return SerializeMessage(out);
    }
    case Request::Shape::kCompact: {
      pb::CompactionRequest out;
      out.set_revision(request.compact_revision);
      return SerializeMessage(out);
    }
    case Request::Shape::kGrant: {
      pb::LeaseGrantRequest out;
      out.set_id(request.lease);
      out.set_ttl(request.ttl);
      return SerializeMessage(out);
    }
    case Request::Shape::kRevoke:
    case Request::Shape::kKeepAlive:
    case Request::Shape::kTimeToLive: {
      pb::LeaseRevokeRequest out;  // all three: the id in field 1
      out.set_id(request.lease);
      return SerializeMessage(out);
    }
  }
  UNREACHABLE("every shape is handled");
}

absl::StatusOr<Answer> DecodeResponse(const Request& request, absl::string_view bytes) {
  switch (request.shape) {
    case Request::Shape::kRange:
      return DecodeSingle<pb::RangeResponse>(bytes, FromRangeResponse);
    case Request::Shape::kPut:
      return DecodeSingle<pb::PutResponse>(bytes, FromPutResponse);
    case Request::Shape::kDelete:
      return DecodeSingle<pb::DeleteRangeResponse>(bytes, FromDeleteResponse);
    case Request::Shape::kTxn:
      return DecodeTxn(bytes);
    case Request::Shape::kCompact: {
      absl::StatusOr<Answer> answer = DecodeSingle<pb::CompactionResponse>(
          bytes, [](const pb::CompactionResponse&) { return OperationResult(); });
      if (answer.ok()) answer->result.operations.clear();
      return answer;
    }
    case Request::Shape::kGrant:
      return DecodeLease<pb::LeaseGrantResponse>(bytes,
                                                 [](const pb::LeaseGrantResponse& in, Result* out) {
                                                   out->lease_found = true;
                                                   out->ttl = in.ttl();
                                                 });
    case Request::Shape::kRevoke:
      return DecodeLease<pb::LeaseRevokeResponse>(bytes,
                                                  [](const pb::LeaseRevokeResponse&, Result*) {});
    case Request::Shape::kKeepAlive:
      return DecodeLease<pb::LeaseKeepAliveResponse>(
          bytes, [](const pb::LeaseKeepAliveResponse& in, Result* out) {
            out->lease_found = in.ttl() > 0;
            out->ttl = in.ttl();
          });
    case Request::Shape::kTimeToLive:
      return DecodeLease<pb::LeaseTimeToLiveResponse>(
          bytes, [](const pb::LeaseTimeToLiveResponse& in, Result* out) {
            out->lease_found = in.grantedttl() > 0;
            out->ttl = in.ttl();
            out->granted_ttl = in.grantedttl();
          });
  }
  UNREACHABLE("every shape is handled");
}

absl::StatusOr<std::optional<Request>> DecodeCommand(absl::string_view data) {
  absl::StatusOr<pb::InternalRaftRequest> in = Decode<pb::InternalRaftRequest>(data);
  if (!in.ok()) return in.status();
  if (in->has_put()) return Single(Request::Shape::kPut, FromPut(in->put()));
  if (in->has_delete_range()) {
    return Single(Request::Shape::kDelete, FromDelete(in->delete_range()));
  }
  if (in->has_range()) return Single(Request::Shape::kRange, FromRange(in->range()));
  if (in->has_compaction()) {
    Request out;
    out.shape = Request::Shape::kCompact;
    out.compact_revision = in->compaction().revision();
    return out;
  }
  if (in->has_lease_grant()) {
    Request out;
    out.shape = Request::Shape::kGrant;
    out.lease = in->lease_grant().id();
    out.ttl = in->lease_grant().ttl();
    return out;
  }
  if (in->has_lease_revoke()) {
    Request out;
    out.shape = Request::Shape::kRevoke;
    out.lease = in->lease_revoke().id();
    return out;
  }
  if (in->has_txn()) {
    Request out;
    out.shape = Request::Shape::kTxn;
    RETURN_IF_ERROR(FromTxn(in->txn(), &out));
    return out;
  }
  return std::optional<Request>();
}

namespace {

bool Puts(const pb::TxnRequest& txn);

bool PutsOp(const pb::RequestOp& op) {
  return op.has_request_put() || (op.has_request_txn() && Puts(op.request_txn()));
}

// In some branch.
bool Puts(const pb::TxnRequest& txn) {
  return std::any_of(txn.success().begin(), txn.success().end(), PutsOp) ||
         std::any_of(txn.failure().begin(), txn.failure().end(), PutsOp);
}

}  // namespace

bool StandingAlarms::Refuses(absl::string_view data) {
  const absl::StatusOr<pb::InternalRaftRequest> in = Decode<pb::InternalRaftRequest>(data);
  if (!in.ok()) return false;
  if (in->has_alarm() && in->alarm().alarm() != pb::NONE) {
    absl::btree_set<uint64_t>& members = in->alarm().alarm() == pb::CORRUPT ? corrupt_ : no_space_;
    if (in->alarm().action() == pb::AlarmRequest::ACTIVATE) members.insert(in->alarm().memberid());
    if (in->alarm().action() == pb::AlarmRequest::DEACTIVATE) {
      members.erase(in->alarm().memberid());
    }
  }
  if (!corrupt_.empty()) {
    return in->has_put() || in->has_delete_range() || in->has_txn() || in->has_compaction() ||
           in->has_lease_grant() || in->has_lease_revoke();
  }
  if (no_space_.empty()) return false;
  if (in->has_put() || in->has_lease_grant()) return true;
  return in->has_txn() && Puts(in->txn());
}

Bytes EncodeWatchCreate(const WatchSpec& spec, int64_t start_revision, bool notify) {
  pb::WatchRequest out;
  pb::WatchCreateRequest* create = out.mutable_create_request();
  create->set_key(spec.key);
  create->set_range_end(spec.range_end);
  create->set_start_revision(start_revision);
  if (spec.no_put) create->add_filters(pb::WatchCreateRequest::NOPUT);
  if (spec.no_delete) create->add_filters(pb::WatchCreateRequest::NODELETE);
  create->set_prev_kv(spec.prev_kv);
  create->set_progress_notify(notify);
  return SerializeMessage(out);
}

Bytes EncodeWatchProgress() {
  pb::WatchRequest out;
  out.mutable_progress_request();
  return SerializeMessage(out);
}

absl::StatusOr<WatchAnswer> DecodeWatchResponse(absl::string_view head, absl::string_view events) {
  absl::StatusOr<pb::WatchResponse> in = Decode<pb::WatchResponse>(absl::StrCat(head, events));
  if (!in.ok()) return in.status();
  WatchAnswer out;
  out.revision = in->header().revision();
  out.created = in->created();
  out.canceled = in->canceled();
  out.fragment = in->fragment();
  out.compact_revision = in->compact_revision();
  out.cancel_reason = in->cancel_reason();
  for (const mvccpb::Event& event : in->events()) {
    Change change;
    change.deleted = event.type() == mvccpb::Event::DELETE;
    change.kv = FromKv(event.kv());
    if (event.has_prev_kv()) change.prev = FromKv(event.prev_kv());
    out.changes.push_back(std::move(change));
  }
  return out;
}

}  // namespace quorate::sim
