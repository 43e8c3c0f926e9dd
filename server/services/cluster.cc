#include "server/services/cluster.h"

#include "server/services/forward.h"

namespace quorate::services {

void AddCluster(grpc::Server* server, node::Node* node) {
  AddForward(server, node, "/etcdserverpb.Cluster/MemberList", engine::RequestKind::kMemberList);
  AddUnimplemented(server, "/etcdserverpb.Cluster/MemberAdd");
  AddUnimplemented(server, "/etcdserverpb.Cluster/MemberRemove");
  AddUnimplemented(server, "/etcdserverpb.Cluster/MemberUpdate");
  AddUnimplemented(server, "/etcdserverpb.Cluster/MemberPromote");
}

}  // namespace quorate::services
