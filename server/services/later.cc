#include "server/services/later.h"

#include "absl/strings/str_cat.h"
#include "server/services/forward.h"

namespace quorate::services {

void AddLaterServices(grpc::Server* server) {
  for (const char* method : {"Lock", "Unlock"}) {
    AddUnimplemented(server, absl::StrCat("/v3lockpb.Lock/", method));
  }
  for (const char* method : {"Campaign", "Proclaim", "Leader", "Resign"}) {
    AddUnimplemented(server, absl::StrCat("/v3electionpb.Election/", method));
  }
  AddUnimplemented(server, "/v3electionpb.Election/Observe", grpc::MethodKind::kServerStream);
}

}  // namespace quorate::services
