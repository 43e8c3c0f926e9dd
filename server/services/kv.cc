#include "server/services/kv.h"

#include <algorithm>
#include <string>
#include <utility>

#include "api/messages.h"
#include "api/rpc.pb.h"
#include "server/credentials/call_credentials.h"
#include "server/services/forward.h"
#include "server/services/range_stream.h"

namespace quorate::services {
namespace {

using engine::RequestKind;

// What a command may be longer than the request in it: its id, its user's name.
constexpr size_t kCommandOverheadBytes = 4096;
// Of a key in the log.
constexpr size_t kShownKeyBytes = 256;

std::string FirstKeyOf(const etcdserverpb::RequestOp& op) {
  switch (op.request_case()) {
    case etcdserverpb::RequestOp::kRequestRange:
      return op.request_range().key();
    case etcdserverpb::RequestOp::kRequestPut:
      return op.request_put().key();
    case etcdserverpb::RequestOp::kRequestDeleteRange:
      return op.request_delete_range().key();
    default:
      return "";
  }
}

std::string FirstKeyOf(const etcdserverpb::TxnRequest& txn) {
  if (txn.compare_size() > 0) return txn.compare(0).key();
  if (txn.success_size() > 0) return FirstKeyOf(txn.success(0));
  return txn.failure_size() > 0 ? FirstKeyOf(txn.failure(0)) : "";
}

std::string FirstKeyOf(RequestKind kind, const Bytes& request) {
  std::string key;
  if (kind == RequestKind::kPut) {
    etcdserverpb::PutRequest put;
    if (ParseMessage(request, &put)) key = put.key();
  } else if (kind == RequestKind::kDeleteRange) {
    etcdserverpb::DeleteRangeRequest remove;
    if (ParseMessage(request, &remove)) key = remove.key();
  } else {
    etcdserverpb::TxnRequest txn;
    if (ParseMessage(request, &txn)) key = FirstKeyOf(txn);
  }
  key.resize(std::min(key.size(), kShownKeyBytes));
  return key;
}

// As Forward, for a request that may be too large: the node decides, the log tells whose it was.
void ForwardLarge(grpc::Server* server, node::Node* node, log::Logger* log, size_t limit,
                  grpc::Call* call, RequestKind kind, const Bytes& request) {
  const node::CallId pending = node->Call(
      kind, request, node->request_timeout(),
      [=, id = call->id()](const absl::Status& status, engine::Answer answer) {
        grpc::Call* const waiting = server->Find(id);
        if (waiting == nullptr) return;
        if (status.message() == "etcdserver: request is too large") {
          LOG_WARN(log, "request is too large", {"remote", waiting->peer()},
                   {"method", waiting->method().path}, {"first-key", FirstKeyOf(kind, request)},
                   {"request-bytes", request.size()}, {"limit-bytes", limit});
        }
        Finish(waiting, status, std::move(answer));
      },
      credentials::CredentialsOf(*call));
  call->set_on_cancel([node, pending](const absl::Status&) { node->Abandon(pending); });
}

}  // namespace

void AddKv(grpc::Server* server, node::Node* node, log::Logger* log, size_t max_request_bytes) {
  const auto add_change = [=](absl::string_view path, RequestKind kind) {
    server->AddUnary(path, [=](grpc::Call* call, Bytes request) {
      if (request.size() + kCommandOverheadBytes > max_request_bytes) {
        return ForwardLarge(server, node, log, max_request_bytes, call, kind, request);
      }
      Forward(server, node, call, kind, std::move(request));
    });
  };
  AddForward(server, node, "/etcdserverpb.KV/Range", RequestKind::kRange);
  add_change("/etcdserverpb.KV/Put", RequestKind::kPut);
  add_change("/etcdserverpb.KV/DeleteRange", RequestKind::kDeleteRange);
  add_change("/etcdserverpb.KV/Txn", RequestKind::kTxn);
  AddForward(server, node, "/etcdserverpb.KV/Compact", RequestKind::kCompact);
  AddRangeStream(server, node);
}

}  // namespace quorate::services
