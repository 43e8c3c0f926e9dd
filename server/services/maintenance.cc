#include "server/services/maintenance.h"

#include <functional>
#include <string>
#include <utility>

#include "api/messages.h"
#include "api/rpc.pb.h"
#include "server/credentials/call_credentials.h"
#include "server/services/downgrade.h"
#include "server/services/forward.h"

namespace quorate::services {
namespace {

using engine::RequestKind;

// Asks the node for `kind` as the call's client, and ends the call with what `answer` makes
// of the reply.
void AnswerFrom(grpc::Server* server, node::Node* node, grpc::Call* call, RequestKind kind,
                Bytes request, std::function<absl::StatusOr<Bytes>(const Bytes&)> answer) {
  const uint64_t id = call->id();
  const node::CallId pending = node->Call(
      kind, std::move(request), node->request_timeout(),
      [server, id, answer = std::move(answer)](const absl::Status& status, const Bytes& reply) {
        grpc::Call* const waiting = server->Find(id);
        if (waiting == nullptr) return;
        if (!status.ok()) return waiting->Finish(status);
        absl::StatusOr<Bytes> body = answer(reply);
        if (!body.ok()) return waiting->Finish(body.status());
        waiting->Finish(absl::OkStatus(), *std::move(body));
      },
      credentials::CredentialsOf(*call));
  call->set_on_cancel([node, pending](const absl::Status&) { node->Abandon(pending); });
}

// The hash of etcd's backend file has no counterpart here; what it is good for (equal
// members answer the same) the hash of all keys is good for too.
absl::StatusOr<Bytes> HashAnswer(const Bytes& reply) {
  etcdserverpb::HashKVResponse hash;
  if (!ParseMessage(reply, &hash)) return absl::InternalError("the hash cannot be read");
  etcdserverpb::HashResponse answer;
  *answer.mutable_header() = hash.header();
  answer.set_hash(hash.hash());
  return SerializeMessage(answer);
}

}  // namespace

void AddMaintenance(grpc::Server* server, node::Node* node) {
  const std::string service = "/etcdserverpb.Maintenance/";
  AddForwardUnread<etcdserverpb::StatusRequest>(server, node, service + "Status",
                                                RequestKind::kStatus);
  AddForward(server, node, service + "HashKV", RequestKind::kHashKv);
  AddForward(server, node, service + "Alarm", RequestKind::kAlarm);
  AddForward(server, node, service + "MoveLeader", RequestKind::kMoveLeader);
  // Space comes back by itself: there is nothing to wait for.
  server->AddUnary(service + "Defragment", [server, node](grpc::Call* call, const Bytes& bytes) {
    etcdserverpb::DefragmentRequest request;
    if (!ParseRequest(call, bytes, &request)) return;
    AnswerFrom(server, node, call, RequestKind::kAdminStatus, Bytes(),
               [](const Bytes&) { return Bytes(); });
  });
  server->AddUnary(service + "Hash", [server, node](grpc::Call* call, const Bytes& bytes) {
    etcdserverpb::HashRequest request;
    if (!ParseRequest(call, bytes, &request)) return;
    AnswerFrom(server, node, call, RequestKind::kHashKv, Bytes(), HashAnswer);
  });
  AddDowngrade(server, node, service + "Downgrade");
  AddUnimplemented(server, service + "Snapshot", grpc::MethodKind::kServerStream);
}

}  // namespace quorate::services
