#include "server/services/forward.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/credentials/call_credentials.h"

namespace quorate::services {

void Forward(grpc::Server* server, node::Node* node, grpc::Call* call, engine::RequestKind kind,
             Bytes request) {
  // Both closures fit into a std::function without an allocation.
  const uint64_t id = call->id();
  const node::CallId pending = node->Call(
      kind, std::move(request), node->request_timeout(),
      [server, id](const absl::Status& status, Bytes reply) {
        if (grpc::Call* waiting = server->Find(id)) waiting->Finish(status, std::move(reply));
      },
      credentials::CredentialsOf(*call));
  call->set_on_cancel([node, pending](const absl::Status&) { node->Abandon(pending); });
}

void AddForward(grpc::Server* server, node::Node* node, absl::string_view path,
                engine::RequestKind kind) {
  server->AddUnary(path, [server, node, kind](grpc::Call* call, Bytes request) {
    Forward(server, node, call, kind, std::move(request));
  });
}

void AddUnimplemented(grpc::Server* server, absl::string_view path, grpc::MethodKind kind) {
  const std::string text =
      absl::StrCat("etcdserver: ", path.substr(path.rfind('/') + 1), " is not implemented yet");
  if (kind == grpc::MethodKind::kUnary) {
    server->AddUnary(path, [text](grpc::Call* call, const Bytes&) {
      call->Finish(absl::UnimplementedError(text));
    });
    return;
  }
  server->AddStreaming(path, kind, [text](grpc::Call* call) {
    call->Finish(absl::UnimplementedError(text));
    return nullptr;
  });
}

}  // namespace quorate::services
