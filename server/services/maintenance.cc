#include "server/services/maintenance.h"

#include <string>

#include "api/rpc.pb.h"
#include "server/services/forward.h"

namespace quorate::services {
namespace {

// There are no alarms in this release: none can be raised, so asking for them and
// disarming them both find none.
void AnswerAlarm(node::Node* node, grpc::Call* call, const Bytes& request) {
  etcdserverpb::AlarmRequest alarm;
  if (!alarm.ParseFromArray(request.data(), static_cast<int>(request.size()))) {
    return call->Finish(absl::InternalError("grpc: error unmarshalling request"));
  }
  if (alarm.action() == etcdserverpb::AlarmRequest::ACTIVATE) {
    return call->Finish(
        absl::UnimplementedError("etcdserver: raising alarms is not implemented yet"));
  }
  const engine::ReplicaStatus status = node->status();
  etcdserverpb::AlarmResponse response;
  etcdserverpb::ResponseHeader* header = response.mutable_header();
  header->set_cluster_id(node->cluster_id().value());
  header->set_member_id(node->member_id().value());
  header->set_revision(status.revision.value());
  header->set_raft_term(status.term.value());
  call->Finish(absl::OkStatus(), Bytes::Copy(response.SerializeAsString()));
}

}  // namespace

void AddMaintenance(grpc::Server* server, node::Node* node) {
  using engine::RequestKind;
  AddForward(server, node, "/etcdserverpb.Maintenance/Status", RequestKind::kStatus);
  AddForward(server, node, "/etcdserverpb.Maintenance/HashKV", RequestKind::kHashKv);
  server->AddUnary(
      "/etcdserverpb.Maintenance/Alarm",
      [node](grpc::Call* call, const Bytes& request) { AnswerAlarm(node, call, request); });
  for (const char* method : {"Defragment", "Hash", "MoveLeader", "Downgrade"}) {
    AddUnimplemented(server, std::string("/etcdserverpb.Maintenance/") + method);
  }
  AddUnimplemented(server, "/etcdserverpb.Maintenance/Snapshot", grpc::MethodKind::kServerStream);
}

}  // namespace quorate::services
