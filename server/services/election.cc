#include "server/services/election.h"

#include <string>
#include <utility>

#include "api/election.pb.h"
#include "api/messages.h"
#include "server/services/forward.h"
#include "server/services/recipe_call.h"

namespace quorate::services {
namespace {

using engine::RequestKind;

// Bytes that an observer may have unread.
constexpr size_t kMaxUnread = 16 * 1024 * 1024;

absl::Status NoLeaderField() { return absl::UnknownError("\"leader\" field must be provided"); }

// If the key is still the one that was created at that revision.
etcdserverpb::TxnRequest IfStillLeader(const v3electionpb::LeaderKey& leader) {
  etcdserverpb::TxnRequest request;
  etcdserverpb::Compare* const compare = request.add_compare();
  compare->set_target(etcdserverpb::Compare::CREATE);
  compare->set_key(leader.key());
  compare->set_create_revision(leader.rev());
  return request;
}

etcdserverpb::TxnRequest ProclaimTxn(const v3electionpb::LeaderKey& leader,
                                     const std::string& value) {
  etcdserverpb::TxnRequest request = IfStillLeader(leader);
  etcdserverpb::PutRequest* const put = request.add_success()->mutable_request_put();
  put->set_key(leader.key());
  put->set_value(value);
  put->set_lease(leader.lease());
  return request;
}

absl::Status NotLeader() { return absl::UnknownError("election: not leader"); }

// The key at the head of the queue.
etcdserverpb::RangeRequest FirstOf(const std::string& prefix, const std::string& end) {
  etcdserverpb::RangeRequest request;
  request.set_key(prefix);
  request.set_range_end(end);
  request.set_limit(1);
  request.set_sort_target(etcdserverpb::RangeRequest::CREATE);
  request.set_sort_order(etcdserverpb::RangeRequest::ASCEND);
  return request;
}

class CampaignCall final : public RecipeCall {
 public:
  using RecipeCall::RecipeCall;

  void Start(const v3electionpb::CampaignRequest& request) {
    leader_.set_name(request.name());
    prefix_ = request.name() + "/";
    value_ = request.value();
    WithLease(request.lease(), [this](int64_t lease) {
      leader_.set_lease(lease);
      Join(prefix_, lease, value_, [this](const Place& place) { OnJoined(place); });
    });
  }

  void OnCancelled() override {
    if (leader_.rev() != 0) DeleteLater(leader_.key(), leader_.rev());
  }

 private:
  void OnJoined(const Place& place) {
    leader_.set_key(place.key);
    leader_.set_rev(place.create_revision);
    header_ = place.header;
    if (!place.existed || place.value == value_) return Wait();
    Do<etcdserverpb::TxnResponse>(RequestKind::kTxn, ProclaimTxn(leader_, value_),
                                  [this](const etcdserverpb::TxnResponse& response) {
                                    if (response.succeeded()) return Wait();
                                    Stop();
                                    OnFailure(NotLeader());
                                  });
  }

  void Wait() {
    WaitForTurn(prefix_, leader_.rev() - 1, [this] {
      v3electionpb::CampaignResponse answer;
      *answer.mutable_header() = header_;
      *answer.mutable_leader() = leader_;
      Answer(answer);
    });
  }

  std::string prefix_;
  std::string value_;
  v3electionpb::LeaderKey leader_;
  etcdserverpb::ResponseHeader header_;
};

class ProclaimCall final : public RecipeCall {
 public:
  using RecipeCall::RecipeCall;

  void Start(const v3electionpb::ProclaimRequest& request) {
    if (!request.has_leader()) return OnFailure(NoLeaderField());
    Do<etcdserverpb::TxnResponse>(RequestKind::kTxn, ProclaimTxn(request.leader(), request.value()),
                                  [this](const etcdserverpb::TxnResponse& response) {
                                    if (!response.succeeded()) {
                                      Stop();
                                      return OnFailure(NotLeader());
                                    }
                                    v3electionpb::ProclaimResponse answer;
                                    *answer.mutable_header() = response.header();
                                    Answer(answer);
                                  });
  }
};

class ResignCall final : public RecipeCall {
 public:
  using RecipeCall::RecipeCall;

  // Without an error also for somebody who leads no more.
  void Start(const v3electionpb::ResignRequest& request) {
    if (!request.has_leader()) return OnFailure(NoLeaderField());
    etcdserverpb::TxnRequest txn = IfStillLeader(request.leader());
    txn.add_success()->mutable_request_delete_range()->set_key(request.leader().key());
    Do<etcdserverpb::TxnResponse>(RequestKind::kTxn, txn,
                                  [this](const etcdserverpb::TxnResponse& response) {
                                    v3electionpb::ResignResponse answer;
                                    *answer.mutable_header() = response.header();
                                    Answer(answer);
                                  });
  }
};

class LeaderCall final : public RecipeCall {
 public:
  using RecipeCall::RecipeCall;

  void Start(const v3electionpb::LeaderRequest& request) {
    const std::string prefix = request.name() + "/";
    Do<etcdserverpb::RangeResponse>(RequestKind::kRange, FirstOf(prefix, EndOf(prefix)),
                                    [this](const etcdserverpb::RangeResponse& response) {
                                      if (response.kvs_size() == 0) {
                                        Stop();
                                        return OnFailure(absl::UnknownError("election: no leader"));
                                      }
                                      v3electionpb::LeaderResponse answer;
                                      *answer.mutable_header() = response.header();
                                      *answer.mutable_kv() = response.kvs(0);
                                      Answer(answer);
                                    });
  }
};

// The leader, then every value that it proclaims, then the next leader, for ever.
class Observation final : public Recipe {
 public:
  using Send = std::function<void(const v3electionpb::LeaderResponse&)>;
  using End = std::function<void(const absl::Status&)>;
  Observation(io::Loop* loop, node::Node* node, engine::Credentials credentials, Send send, End end)
      : Recipe(loop, node, std::move(credentials)), send_(std::move(send)), end_(std::move(end)) {}

  void Start(const std::string& name) {
    prefix_ = name + "/";
    Look();
  }

 private:
  void Look() {
    Do<etcdserverpb::RangeResponse>(RequestKind::kRange, FirstOf(prefix_, EndOf(prefix_)),
                                    [this](const etcdserverpb::RangeResponse& response) {
                                      const int64_t next = response.header().revision() + 1;
                                      if (response.kvs_size() == 0) return WaitForOne(next);
                                      Show(response.header(), response.kvs(0));
                                      Follow(response.kvs(0).key(), next);
                                    });
  }

  void WaitForOne(int64_t revision) {
    Watch(
        prefix_, EndOf(prefix_), revision,
        [this](const etcdserverpb::WatchResponse& response) {
          for (const mvccpb::Event& event : response.events()) {
            if (event.type() != mvccpb::Event::PUT) continue;
            Look();
            return false;
          }
          return true;
        },
        [this] { Look(); });
  }

  void Follow(const std::string& key, int64_t revision) {
    Watch(
        key, "", revision,
        [this](const etcdserverpb::WatchResponse& response) {
          for (const mvccpb::Event& event : response.events()) {
            if (event.type() == mvccpb::Event::DELETE) {
              Look();
              return false;
            }
            Show(response.header(), event.kv());
          }
          return true;
        },
        [this] { Look(); });
  }

  void Show(const etcdserverpb::ResponseHeader& header, const mvccpb::KeyValue& kv) {
    v3electionpb::LeaderResponse response;
    *response.mutable_header() = header;
    *response.mutable_kv() = kv;
    send_(response);
  }

  void OnFailure(const absl::Status& status) override { end_(status); }

  const Send send_;
  const End end_;
  std::string prefix_;
};

class ObserveCall final : public grpc::StreamHandler {
 public:
  ObserveCall(grpc::Server* server, io::Loop* loop, node::Node* node, grpc::Call* call)
      : server_(server), call_id_(call->id()) {
    observation_ = std::make_shared<Observation>(
        loop, node, credentials::CredentialsOf(*call),
        [this](const v3electionpb::LeaderResponse& response) {
          grpc::Call* const open = server_->Find(call_id_);
          if (open == nullptr) return;
          // Somebody who reads nothing for so long is not observing.
          if (open->queued_bytes() > kMaxUnread) {
            observation_->Stop();
            return open->Finish(absl::ResourceExhaustedError("etcdserver: too many requests"));
          }
          open->Send(SerializeMessage(response));
        },
        [this](const absl::Status& status) {
          if (grpc::Call* const open = server_->Find(call_id_)) open->Finish(status);
        });
  }
  ~ObserveCall() override { observation_->Stop(); }

  void OnMessage(Bytes message) override {
    v3electionpb::LeaderRequest request;
    if (!ParseRequest(server_->Find(call_id_), message, &request)) return;
    observation_->Start(request.name());
  }
  void OnHalfClose() override {}
  void OnCancel(const absl::Status&) override { observation_->Stop(); }

 private:
  grpc::Server* const server_;
  const uint64_t call_id_;
  std::shared_ptr<Observation> observation_;
};

}  // namespace

void AddElection(grpc::Server* server, io::Loop* loop, node::Node* node) {
  const std::string service = "/v3electionpb.Election/";
  AddRecipe<CampaignCall, v3electionpb::CampaignRequest>(server, loop, node, service + "Campaign");
  AddRecipe<ProclaimCall, v3electionpb::ProclaimRequest>(server, loop, node, service + "Proclaim");
  AddRecipe<LeaderCall, v3electionpb::LeaderRequest>(server, loop, node, service + "Leader");
  AddRecipe<ResignCall, v3electionpb::ResignRequest>(server, loop, node, service + "Resign");
  server->AddStreaming(service + "Observe", grpc::MethodKind::kServerStream,
                       [server, loop, node](grpc::Call* call) {
                         return std::make_unique<ObserveCall>(server, loop, node, call);
                       });
}

}  // namespace quorate::services
