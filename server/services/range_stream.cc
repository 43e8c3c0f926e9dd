#include "server/services/range_stream.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "api/messages.h"
#include "api/rpc.pb.h"
#include "server/credentials/call_credentials.h"
#include "server/services/forward.h"

namespace quorate::services {
namespace {

using engine::RequestKind;
using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;

// Bytes that a piece should have, and keys of the first one and of any.
constexpr size_t kPieceBytes = 512 * 1024;
constexpr int64_t kFirstKeys = 10;
constexpr int64_t kMostKeys = 10'000;

// What is wrong with a request otherwise, the engine says.
absl::Status Check(const RangeRequest& request) {
  if (request.key().empty() || !RangeRequest::SortOrder_IsValid(request.sort_order()) ||
      !RangeRequest::SortTarget_IsValid(request.sort_target())) {
    return absl::OkStatus();
  }
  const bool by_key =
      request.sort_order() == RangeRequest::NONE ||
      (request.sort_order() == RangeRequest::ASCEND && request.sort_target() == RangeRequest::KEY);
  if (!by_key) {
    return absl::UnimplementedError("RangeStream does not support custom sort orders");
  }
  if (request.min_mod_revision() != 0 || request.max_mod_revision() != 0 ||
      request.min_create_revision() != 0 || request.max_create_revision() != 0) {
    return absl::UnimplementedError("RangeStream does not support revision filters");
  }
  return absl::OkStatus();
}

// Pages through the range by its keys; what has to be sorted otherwise, or filtered, is refused, as
// etcd does. Keys of a piece come without header and count, which the last has.
class RangeStreamCall final : public grpc::StreamHandler {
 public:
  RangeStreamCall(grpc::Server* server, node::Node* node, grpc::Call* call)
      : server_(server),
        call_id_(call->id()),
        node_(node),
        credentials_(credentials::CredentialsOf(*call)) {}
  ~RangeStreamCall() override { Abandon(); }

  void OnMessage(Bytes message) override {
    if (!ParseRequest(server_->Find(call_id_), message, &request_)) return;
    const absl::Status refusal = Check(request_);
    if (!refusal.ok()) return server_->Find(call_id_)->Finish(refusal);
    limit_ = request_.limit();
    // A target without an order is none here, if it is one at all.
    if (request_.sort_order() == RangeRequest::NONE &&
        RangeRequest::SortTarget_IsValid(request_.sort_target())) {
      request_.set_sort_target(RangeRequest::KEY);
    }
    paged_ = !request_.range_end().empty() && !request_.count_only();
    Ask();
  }
  void OnHalfClose() override {}
  void OnCancel(const absl::Status&) override { Abandon(); }
  void OnWritable() override {
    if (std::exchange(waiting_, false)) Ask();
  }

 private:
  void Ask() {
    if (paged_) {
      request_.set_limit(limit_ > 0 ? std::min(limit_ - sent_, page_keys_) : page_keys_);
    }
    asking_ = true;
    pending_ = node_->Call(
        RequestKind::kRange, SerializeMessage(request_), node_->request_timeout(),
        [this](const absl::Status& status, const Bytes& reply) { OnReply(status, reply); },
        credentials_);
  }

  void OnReply(const absl::Status& status, const Bytes& reply) {
    asking_ = false;
    grpc::Call* const call = server_->Find(call_id_);
    if (call == nullptr) return;
    if (!status.ok()) return call->Finish(status);
    etcdserverpb::RangeStreamResponse out;
    RangeResponse* const page = out.mutable_range_response();
    if (!ParseMessage(reply, page)) {
      return call->Finish(absl::InternalError("a range cannot be read"));
    }
    if (!paged_) return SendLast(call, &out);
    if (sent_ == 0) NoteFirst(*page);
    sent_ += page->kvs_size();
    const bool cut_off = limit_ > 0 && sent_ >= limit_;
    const bool last = !page->more() || cut_off || page->kvs_size() == 0;
    if (last) {
      *page->mutable_header() = header_;
      page->set_count(count_);
      page->set_more(page->more() && cut_off);
      return SendLast(call, &out);
    }
    // The next one begins right after this one's last key, at the same revision.
    request_.set_key(page->kvs(page->kvs_size() - 1).key() + std::string(1, '\0'));
    const size_t average =
        std::max<size_t>(1, reply.size() / static_cast<size_t>(page->kvs_size()));
    // At most twice as many: small values say little about those that follow.
    const int64_t most = std::min(kMostKeys, 2 * page_keys_);
    page_keys_ = std::clamp<int64_t>(static_cast<int64_t>(kPieceBytes / average), 1, most);
    page->clear_header();
    page->clear_count();
    page->clear_more();
    call->Send(SerializeMessage(out));
    waiting_ = !call->writable();
    if (!waiting_) Ask();
  }

  void NoteFirst(const RangeResponse& page) {
    header_ = page.header();
    count_ = page.count();
    if (request_.revision() <= 0) request_.set_revision(header_.revision());
    request_.set_serializable(true);  // that revision is here
  }

  static void SendLast(grpc::Call* call, etcdserverpb::RangeStreamResponse* out) {
    call->Send(SerializeMessage(*out));
    call->Finish(absl::OkStatus());
  }

  void Abandon() {
    if (std::exchange(asking_, false)) node_->Abandon(pending_);
  }

  grpc::Server* const server_;
  const uint64_t call_id_;
  node::Node* const node_;
  const engine::Credentials credentials_;
  RangeRequest request_;
  bool paged_ = false;
  int64_t limit_ = 0;
  int64_t sent_ = 0;
  int64_t page_keys_ = kFirstKeys;
  etcdserverpb::ResponseHeader header_;
  int64_t count_ = 0;
  bool waiting_ = false;
  bool asking_ = false;
  node::CallId pending_;
};

}  // namespace

void AddRangeStream(grpc::Server* server, node::Node* node) {
  server->AddStreaming("/etcdserverpb.KV/RangeStream", grpc::MethodKind::kServerStream,
                       [server, node](grpc::Call* call) {
                         return std::make_unique<RangeStreamCall>(server, node, call);
                       });
}

}  // namespace quorate::services
