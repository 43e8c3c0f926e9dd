#include "server/services/later.h"

#include "absl/strings/str_cat.h"
#include "server/services/forward.h"

namespace quorate::services {
namespace {

void AddAuth(grpc::Server* server) {
  for (const char* method :
       {"AuthEnable", "AuthDisable", "AuthStatus", "Authenticate", "UserAdd", "UserGet", "UserList",
        "UserDelete", "UserChangePassword", "UserGrantRole", "UserRevokeRole", "RoleAdd", "RoleGet",
        "RoleList", "RoleDelete", "RoleGrantPermission", "RoleRevokePermission"}) {
    AddUnimplemented(server, absl::StrCat("/etcdserverpb.Auth/", method));
  }
}

}  // namespace

void AddLaterServices(grpc::Server* server) {
  AddAuth(server);
  for (const char* method : {"Lock", "Unlock"}) {
    AddUnimplemented(server, absl::StrCat("/v3lockpb.Lock/", method));
  }
  for (const char* method : {"Campaign", "Proclaim", "Leader", "Resign"}) {
    AddUnimplemented(server, absl::StrCat("/v3electionpb.Election/", method));
  }
  AddUnimplemented(server, "/v3electionpb.Election/Observe", grpc::MethodKind::kServerStream);
}

}  // namespace quorate::services
