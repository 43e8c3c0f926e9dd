#include "server/services/forward.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/credentials/call_credentials.h"

namespace quorate::services {
namespace {

class LongAnswer final : public grpc::ResponseSource {
 public:
  explicit LongAnswer(const engine::Answer& answer) : reader_(answer.long_reply()) {}
  size_t size() const override { return reader_.size(); }
  size_t held_bytes() const override { return reader_.held_bytes(); }
  std::optional<Bytes> Next() override { return reader_.Next(); }

 private:
  engine::LongReply::Reader reader_;
};

}  // namespace

void Finish(grpc::Call* call, const absl::Status& status, engine::Answer answer) {
  if (!answer.is_long()) return call->Finish(status, std::move(answer));
  if (answer.long_reply()->refers()) return call->FinishFrom(std::make_unique<LongAnswer>(answer));
  std::vector<Bytes> pieces;
  for (engine::LongReply::Reader reader(answer.long_reply()); reader.left() > 0;) {
    pieces.push_back(*reader.Next());
  }
  call->FinishPieces(absl::MakeSpan(pieces));
}

void Forward(grpc::Server* server, node::Node* node, grpc::Call* call, engine::RequestKind kind,
             Bytes request) {
  // Both closures fit into a std::function without an allocation.
  const uint64_t id = call->id();
  const node::CallId pending = node->Call(
      kind, std::move(request), node->request_timeout(),
      [server, id](const absl::Status& status, engine::Answer answer) {
        if (grpc::Call* waiting = server->Find(id)) Finish(waiting, status, std::move(answer));
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
