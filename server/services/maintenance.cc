#include "server/services/maintenance.h"

#include <string>

#include "server/services/forward.h"

namespace quorate::services {

void AddMaintenance(grpc::Server* server, node::Node* node) {
  using engine::RequestKind;
  AddForward(server, node, "/etcdserverpb.Maintenance/Status", RequestKind::kStatus);
  AddForward(server, node, "/etcdserverpb.Maintenance/HashKV", RequestKind::kHashKv);
  AddForward(server, node, "/etcdserverpb.Maintenance/Alarm", RequestKind::kAlarm);
  AddForward(server, node, "/etcdserverpb.Maintenance/MoveLeader", RequestKind::kMoveLeader);
  for (const char* method : {"Defragment", "Hash", "Downgrade"}) {
    AddUnimplemented(server, std::string("/etcdserverpb.Maintenance/") + method);
  }
  AddUnimplemented(server, "/etcdserverpb.Maintenance/Snapshot", grpc::MethodKind::kServerStream);
}

}  // namespace quorate::services
