#include "server/services/watch.h"

#include <array>
#include <memory>
#include <utility>

#include "absl/types/span.h"
#include "server/credentials/call_credentials.h"

namespace quorate::services {
namespace {

// Joins a gRPC call and a watch stream. Ends with whichever ends first. The call is asked
// for by its id each time: somebody else (the leader monitor) may have finished it.
class WatchCall final : public grpc::StreamHandler, public node::WatchSink {
 public:
  WatchCall(grpc::Server* server, grpc::Call* call, node::Node* node, LeaderMonitor* leaders)
      : server_(server),
        call_id_(call->id()),
        leaders_(leaders),
        stream_(node->OpenWatch(this, credentials::CredentialsOf(*call))) {
    leaders_->AddStream(*call);
  }
  ~WatchCall() override { leaders_->RemoveStream(call_id_); }

  void OnMessage(Bytes message) override { stream_.Request(std::move(message)); }

  // Watches go on until the client is gone.
  void OnHalfClose() override {}

  void OnCancel(const absl::Status&) override { stream_.Close(); }

  void OnWritable() override {
    if (writable_) return;
    writable_ = true;
    stream_.SetWritable(true);
    if (grpc::Call* call = server_->Find(call_id_)) call->ResumeReading();
  }

  void OnWatchReply(Bytes head, Bytes events) override {
    grpc::Call* call = server_->Find(call_id_);
    if (call == nullptr) return;
    std::array<Bytes, 2> pieces = {std::move(head), std::move(events)};
    call->SendPieces(absl::MakeSpan(pieces));
    // The replies of this turn are bounded by the engine; from the next turn on it keeps
    // this stream's position instead of bytes. Who does not read what he is answered asks for no
    // more, as in etcd: the answers would pile up.
    if (!writable_ || call->writable()) return;
    writable_ = false;
    call->PauseReading();
    stream_.SetWritable(false);
  }

  void OnWatchEnd(const absl::Status& status) override {
    if (grpc::Call* call = server_->Find(call_id_)) call->Finish(status);
  }

 private:
  grpc::Server* const server_;
  const uint64_t call_id_;
  LeaderMonitor* const leaders_;
  bool writable_ = true;
  node::WatchStream stream_;
};

}  // namespace

void AddWatch(grpc::Server* server, node::Node* node, LeaderMonitor* leaders) {
  server->AddStreaming("/etcdserverpb.Watch/Watch", grpc::MethodKind::kBidiStream,
                       [server, node, leaders](grpc::Call* call) {
                         return std::make_unique<WatchCall>(server, call, node, leaders);
                       });
}

}  // namespace quorate::services
