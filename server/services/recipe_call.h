// A recipe that answers one unary call. Private to this room.
#ifndef QUORATE_SERVER_SERVICES_RECIPE_CALL_H_
#define QUORATE_SERVER_SERVICES_RECIPE_CALL_H_

#include <memory>

#include "absl/status/status.h"
#include "api/messages.h"
#include "base/bytes.h"
#include "io/loop.h"
#include "server/credentials/call_credentials.h"
#include "server/grpc/server.h"
#include "server/node/node.h"
#include "server/services/forward.h"
#include "server/services/recipe.h"

namespace quorate::services {

// Lives as long as its call.
class RecipeCall : public Recipe {
 public:
  RecipeCall(grpc::Server* server, io::Loop* loop, node::Node* node, grpc::Call* call)
      : Recipe(loop, node, credentials::CredentialsOf(*call)),
        server_(server),
        call_id_(call->id()) {}

  // What is to be undone when the call ends without an answer.
  virtual void OnCancelled() {}

 protected:
  template <typename Message>
  void Answer(const Message& message) {
    Stop();
    grpc::Call* const call = server_->Find(call_id_);
    if (call != nullptr) {
      call->Finish(absl::OkStatus(), SerializeMessage(message));
    }
  }
  void OnFailure(const absl::Status& status) override {
    OnCancelled();
    if (grpc::Call* const call = server_->Find(call_id_)) call->Finish(status);
  }

 private:
  grpc::Server* const server_;
  const uint64_t call_id_;
};

// Serves unary `path` by recipes of type T, each of which runs its Start(request).
template <typename T, typename Request>
void AddRecipe(grpc::Server* server, io::Loop* loop, node::Node* node, absl::string_view path) {
  server->AddUnary(path, [server, loop, node](grpc::Call* call, const Bytes& bytes) {
    Request request;
    if (!ParseRequest(call, bytes, &request)) return;
    const auto recipe = std::make_shared<T>(server, loop, node, call);
    // This closure is what keeps the recipe alive.
    call->set_on_cancel([recipe](const absl::Status&) {
      recipe->Stop();
      recipe->OnCancelled();
    });
    recipe->Start(request);
  });
}

}  // namespace quorate::services

#endif  // QUORATE_SERVER_SERVICES_RECIPE_CALL_H_
