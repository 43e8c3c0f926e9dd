#include "server/services/lease.h"

#include <deque>
#include <memory>
#include <utility>

#include "api/rpc.pb.h"
#include "server/credentials/call_credentials.h"
#include "server/services/forward.h"

namespace quorate::services {
namespace {

// Renewals of one stream that may be under way at once; more wait unread.
constexpr size_t kMaxRenewals = 256;

// Renewals go to the node as they come, so that many of them share a round among the
// members; their answers go back in the order of the requests. The first error ends the
// stream, as in etcd.
class KeepAliveCall final : public grpc::StreamHandler {
 public:
  KeepAliveCall(grpc::Server* server, grpc::Call* call, node::Node* node, LeaderMonitor* leaders)
      : server_(server),
        call_id_(call->id()),
        node_(node),
        leaders_(leaders),
        credentials_(credentials::CredentialsOf(*call)) {
    leaders_->AddStream(*call);
  }
  ~KeepAliveCall() override {
    leaders_->RemoveStream(call_id_);
    AbandonAll();
  }

  void OnMessage(Bytes message) override {
    const uint64_t number = first_ + renewals_.size();
    renewals_.emplace_back();
    renewals_.back().call = node_->Call(
        node::RequestKind::kLeaseKeepAlive, std::move(message), node_->request_timeout(),
        [this, number](absl::Status status, Bytes reply) {
          OnReply(number, std::move(status), std::move(reply));
        },
        credentials_);
    UpdateReading();
  }

  void OnHalfClose() override {
    half_closed_ = true;
    SendAnswered();
  }

  void OnCancel(const absl::Status&) override { AbandonAll(); }

  void OnWritable() override { UpdateReading(); }

 private:
  struct Renewal {
    node::CallId call;
    bool answered = false;
    absl::Status status;
    Bytes reply;
  };

  void OnReply(uint64_t number, absl::Status status, Bytes reply) {
    Renewal& renewal = renewals_[number - first_];
    renewal.answered = true;
    renewal.status = std::move(status);
    renewal.reply = std::move(reply);
    SendAnswered();
  }

  void SendAnswered() {
    // The leader monitor may have finished the call.
    grpc::Call* const call = server_->Find(call_id_);
    if (call == nullptr) return AbandonAll();
    while (!renewals_.empty() && renewals_.front().answered) {
      const Renewal renewal = std::move(renewals_.front());
      renewals_.pop_front();
      ++first_;
      if (!renewal.status.ok()) {
        AbandonAll();
        return call->Finish(renewal.status);
      }
      call->Send(renewal.reply);
    }
    if (half_closed_ && renewals_.empty()) return call->Finish(absl::OkStatus());
    UpdateReading();
  }

  void UpdateReading() {
    grpc::Call* const call = server_->Find(call_id_);
    if (call == nullptr || half_closed_) return;
    const bool full = renewals_.size() >= kMaxRenewals || !call->writable();
    if (full == paused_) return;
    paused_ = full;
    if (full) {
      call->PauseReading();
    } else {
      call->ResumeReading();
    }
  }

  void AbandonAll() {
    for (const Renewal& renewal : renewals_) {
      if (!renewal.answered) node_->Abandon(renewal.call);
    }
    first_ += renewals_.size();
    renewals_.clear();
  }

  grpc::Server* const server_;
  const uint64_t call_id_;
  node::Node* const node_;
  LeaderMonitor* const leaders_;
  const engine::Credentials credentials_;
  std::deque<Renewal> renewals_;
  uint64_t first_ = 0;  // number of renewals_.front()
  bool half_closed_ = false;
  bool paused_ = false;
};

}  // namespace

void AddLease(grpc::Server* server, node::Node* node, LeaderMonitor* leaders) {
  using engine::RequestKind;
  AddForward(server, node, "/etcdserverpb.Lease/LeaseGrant", RequestKind::kLeaseGrant);
  AddForward(server, node, "/etcdserverpb.Lease/LeaseRevoke", RequestKind::kLeaseRevoke);
  AddForward(server, node, "/etcdserverpb.Lease/LeaseTimeToLive", RequestKind::kLeaseTimeToLive);
  AddForwardUnread<etcdserverpb::LeaseLeasesRequest>(
      server, node, "/etcdserverpb.Lease/LeaseLeases", RequestKind::kLeaseList);
  server->AddStreaming("/etcdserverpb.Lease/LeaseKeepAlive", grpc::MethodKind::kBidiStream,
                       [server, node, leaders](grpc::Call* call) {
                         return std::make_unique<KeepAliveCall>(server, call, node, leaders);
                       });
}

}  // namespace quorate::services
