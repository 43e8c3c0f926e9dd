#include "server/services/health.h"

#include <memory>
#include <vector>

#include "api/health.pb.h"
#include "api/messages.h"
#include "server/services/forward.h"

namespace quorate::services {

using ::grpc::health::v1::HealthCheckRequest;
using ::grpc::health::v1::HealthCheckResponse;

// Tells the status of one service, now and at every change, until the client goes.
class Health::WatchCall final : public quorate::grpc::StreamHandler {
 public:
  WatchCall(Health* health, uint64_t call_id) : health_(health), call_id_(call_id) {}
  ~WatchCall() override { health_->Remove(call_id_); }

  void OnMessage(Bytes message) override {
    quorate::grpc::Call* call = health_->server_->Find(call_id_);
    if (call == nullptr) return;
    HealthCheckRequest request;
    if (!ParseRequest(call, message, &request)) return;
    health_->watches_[call_id_] = request.service();
    call->Send(health_->Reply(request.service()));
  }
  void OnHalfClose() override {}
  void OnCancel(const absl::Status&) override {}

 private:
  Health* const health_;
  const uint64_t call_id_;
};

Health::Health(quorate::grpc::Server* server) : server_(server) {
  server->AddUnary(
      "/grpc.health.v1.Health/Check",
      [this](quorate::grpc::Call* call, const Bytes& request) { Check(call, request); });
  server->AddUnary("/grpc.health.v1.Health/List", [this](quorate::grpc::Call* call, const Bytes&) {
    ::grpc::health::v1::HealthListResponse response;
    (*response.mutable_statuses())[""].set_status(serving_ ? HealthCheckResponse::SERVING
                                                           : HealthCheckResponse::NOT_SERVING);
    call->Finish(absl::OkStatus(), SerializeMessage(response));
  });
  server->AddStreaming(
      "/grpc.health.v1.Health/Watch", quorate::grpc::MethodKind::kServerStream,
      [this](quorate::grpc::Call* call) { return std::make_unique<WatchCall>(this, call->id()); });
}

void Health::SetServing(bool serving) {
  if (serving == serving_) return;
  serving_ = serving;
  for (const auto& [call_id, service] : watches_) {
    if (!Knows(service)) continue;
    if (quorate::grpc::Call* call = server_->Find(call_id)) call->Send(Reply(service));
  }
}

void Health::Check(quorate::grpc::Call* call, const Bytes& request) const {
  HealthCheckRequest check;
  if (!ParseRequest(call, request, &check)) return;
  if (!Knows(check.service())) return call->Finish(absl::NotFoundError("unknown service"));
  call->Finish(absl::OkStatus(), Reply(check.service()));
}

Bytes Health::Reply(absl::string_view service) const {
  HealthCheckResponse response;
  if (!Knows(service)) {
    response.set_status(HealthCheckResponse::SERVICE_UNKNOWN);
  } else {
    response.set_status(serving_ ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING);
  }
  return SerializeMessage(response);
}

}  // namespace quorate::services
