#include "server/services/lock.h"

#include <string>

#include "api/lock.pb.h"
#include "server/services/recipe_call.h"

namespace quorate::services {
namespace {

using engine::RequestKind;

class LockCall final : public RecipeCall {
 public:
  using RecipeCall::RecipeCall;

  void Start(const v3lockpb::LockRequest& request) {
    prefix_ = request.name() + "/";
    WithLease(request.lease(), [this](int64_t lease) {
      Join(prefix_, lease, "", [this](const Place& place) {
        place_ = place;
        WaitForTurn(prefix_, place.create_revision - 1, [this] { CheckHeld(); });
      });
    });
  }

  void OnCancelled() override {
    if (place_.create_revision != 0 && !place_.existed) {
      DeleteLater(place_.key, place_.create_revision);
    }
  }

 private:
  // The lease may have run out while we waited.
  void CheckHeld() {
    etcdserverpb::RangeRequest request;
    request.set_key(place_.key);
    Do<etcdserverpb::RangeResponse>(
        RequestKind::kRange, request, [this](const etcdserverpb::RangeResponse& response) {
          if (response.kvs_size() == 0 ||
              response.kvs(0).create_revision() != place_.create_revision) {
            Stop();
            return OnFailure(absl::UnknownError("mutex: session is expired"));
          }
          v3lockpb::LockResponse answer;
          *answer.mutable_header() = response.header();
          answer.set_key(place_.key);
          Answer(answer);
        });
  }

  std::string prefix_;
  Place place_;
};

class UnlockCall final : public RecipeCall {
 public:
  using RecipeCall::RecipeCall;

  void Start(const v3lockpb::UnlockRequest& request) {
    etcdserverpb::DeleteRangeRequest remove;
    remove.set_key(request.key());
    Do<etcdserverpb::DeleteRangeResponse>(RequestKind::kDeleteRange, remove,
                                          [this](const etcdserverpb::DeleteRangeResponse& done) {
                                            v3lockpb::UnlockResponse answer;
                                            *answer.mutable_header() = done.header();
                                            Answer(answer);
                                          });
  }
};

}  // namespace

void AddLock(grpc::Server* server, io::Loop* loop, node::Node* node) {
  AddRecipe<LockCall, v3lockpb::LockRequest>(server, loop, node, "/v3lockpb.Lock/Lock");
  AddRecipe<UnlockCall, v3lockpb::UnlockRequest>(server, loop, node, "/v3lockpb.Lock/Unlock");
}

}  // namespace quorate::services
