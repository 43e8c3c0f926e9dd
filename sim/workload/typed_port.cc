// A client whose requests are messages that call the node: no bytes of HTTP/2, but the
// same requests, answers and watches. A watch is a numbered sequence of messages, put
// back into order here; when one stays missing nothing more is shown, until the client
// loses patience and resumes on another stream, as over a connection that broke.
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/auth_rpc.pb.h"
#include "api/messages.h"
#include "api/raft_internal.pb.h"
#include "sim/auth_wire.h"
#include "sim/wire.h"
#include "sim/workload/port.h"

namespace quorate::sim {
namespace {

// Types of datagrams beyond raft's, for filters.
constexpr DatagramType kRequestType = 40;
constexpr DatagramType kReplyType = 41;
constexpr DatagramType kWatchType = 42;
// What a message weighs besides its body.
constexpr size_t kOverheadBytes = 64;
// For so long, on average, a slow reader leaves an answer lying.
constexpr Duration kSlowReading = Milliseconds(400);

class TypedPort;

// The member's end of a watch stream; dies with the member's process or when the
// client closes it.
class MemberWatch final : public node::WatchSink {
 public:
  MemberWatch(TypedPort* port, size_t member, uint64_t stream)
      : port_(port), member_(member), stream_(stream) {}

  void OnWatchReply(Bytes head, Bytes events) override;
  void OnWatchEnd(const absl::Status& status) override;

  node::WatchStream node_stream;

 private:
  TypedPort* const port_;
  const size_t member_;
  const uint64_t stream_;
  uint64_t sent_ = 0;
};

class TypedPort final : public ClientPort {
 public:
  TypedPort(const Context& context, Host* host, Network* network, Cluster* cluster,
            uint32_t slow_percent)
      : context_(context),
        host_(host),
        network_(network),
        cluster_(cluster),
        slow_percent_(slow_percent),
        prng_(NamedDraw(context.seed, HashName("port"), HashName("slow"), host->id().value())) {}

  void Call(size_t member, const Request& request, Duration timeout,
            std::function<void(Reply)> done) override {
    Send(member, KindOf(request), EncodeRequest(request), timeout, std::move(done));
  }

  void LogIn(size_t member, const std::string& user, Duration timeout,
             std::function<void(Reply)> done) override {
    done_ = std::move(done);
    const uint64_t call = ++call_;
    network_->Send(host_->id(), cluster_->host_id(member), kRequestType,
                   user.size() + kOverheadBytes,
                   [this, member, call, user, timeout] { OnLogIn(member, call, user, timeout); });
  }

  void ChangeAuth(size_t member, const AuthChange& change, Duration timeout,
                  std::function<void(Reply)> done) override {
    Send(member, KindOf(change), EncodeAuthChange(change, /*hashed=*/true), timeout,
         std::move(done));
  }

  void GiveUp() override {
    done_ = nullptr;
    ++call_;
  }
  void Reconnect(size_t) override {}  // there are no connections

  void OpenWatch(size_t member, Bytes create, WatchListener* listener) override {
    CloseWatch();
    listener_ = listener;
    watched_ = member;
    received_ = 0;
    const uint64_t stream = ++stream_;
    const size_t size = create.size() + kOverheadBytes;
    network_->Send(host_->id(), cluster_->host_id(member), kWatchType, size,
                   [this, member, stream, create = std::move(create), who = Who()] {
                     OnWatchOpen(member, stream, create, who);
                   });
  }

  void SendWatch(Bytes request) override {
    if (listener_ == nullptr) return;
    const size_t size = request.size() + kOverheadBytes;
    network_->Send(host_->id(), cluster_->host_id(watched_), kWatchType, size,
                   [this, stream = stream_, request = std::move(request)] {
                     if (member_end_ != nullptr && member_end_stream_ == stream) {
                       member_end_->node_stream.Request(request);
                     }
                   });
  }

  // As when the member's connection takes no more, or does again.
  void ReadWatch(bool on) override {
    if (member_end_ == nullptr || !cluster_->running(watched_)) return;
    cluster_->host(watched_).Run([end = member_end_, on] { end->node_stream.SetWritable(on); });
  }

  // The member's end is told at once: a connection that is gone is noticed in the end,
  // and nothing that it sends is listened to any more.
  void CloseWatch() override {
    listener_ = nullptr;
    early_.clear();
    ++stream_;
    DropMemberEnd();
  }

 private:
  friend class MemberWatch;

  engine::Credentials Who() const {
    if (token().empty()) return {};
    return {engine::Credentials::Kind::kToken, token(), 0};
  }

  void Send(size_t member, engine::RequestKind kind, Bytes body, Duration timeout,
            std::function<void(Reply)> done) {
    done_ = std::move(done);
    const uint64_t call = ++call_;
    const size_t size = body.size() + kOverheadBytes;
    network_->Send(host_->id(), cluster_->host_id(member), kRequestType, size,
                   [this, member, call, kind, timeout, body = std::move(body), who = Who()] {
                     OnRequest(member, call, kind, body, timeout, who);
                   });
  }

  // On the member's loop. The node, if it serves; else says so.
  node::Node* NodeFor(size_t member, uint64_t call) {
    node::Node* const node = cluster_->node(member);
    if (node != nullptr && cluster_->ready(member)) return node;
    SendReply(member, call, absl::UnavailableError("connection refused"), Bytes(), true);
    return nullptr;
  }

  void OnRequest(size_t member, uint64_t call, engine::RequestKind kind, const Bytes& body,
                 Duration timeout, const engine::Credentials& who) {
    node::Node* const node = NodeFor(member, call);
    if (node == nullptr) return;
    node->Call(
        kind, body, timeout,
        [this, member, call](absl::Status status, engine::Answer reply) {
          if (reply.is_long() && reply.long_reply()->refers()) {
            return ReadLong(member, call, reply);
          }
          SendReply(member, call, std::move(status), std::move(reply), false);
        },
        who);
  }

  // The member keeps what the answer refers to, until its reader, who may be slow, has read it.
  void ReadLong(size_t member, uint64_t call, const engine::Answer& answer) {
    auto reader = std::make_shared<engine::LongReply::Reader>(answer.long_reply());
    const bool slow = slow_percent_ > 0 && prng_.Chance(slow_percent_, 100);
    const Duration pause = slow ? prng_.Exponential(kSlowReading) : Duration();
    if (slow) context_.Inject(Fault::kSlowReader, host_->id());
    const MemberId leader = cluster_->node(member)->status().leader;
    context_.scheduler->After(pause, [=, this, incarnation = cluster_->incarnation(member)] {
      if (!cluster_->running(member) || cluster_->incarnation(member) != incarnation) return;
      cluster_->host(member).Run([=, this] { SendLong(member, call, leader, reader.get()); });
    });
  }

  void SendLong(size_t member, uint64_t call, MemberId leader, engine::LongReply::Reader* reader) {
    BytesBuilder all(reader->size());
    while (reader->left() > 0) {
      const std::optional<Bytes> piece = reader->Next();
      if (!piece.has_value()) {
        return SendReply(member, call, absl::UnavailableError("read too slowly"), Bytes(), false);
      }
      all.Append(*piece);
    }
    if (cluster_->node(member)->status().leader != leader) {
      cluster_->AddSometimes(kLeaderChangedInAnswer);
    }
    SendReply(member, call, absl::OkStatus(), std::move(all).Finish(), false);
  }

  // What the Auth service does (server/services/auth): the hash at some revision, the
  // comparison, a token; once more if the revision has changed meanwhile.
  void OnLogIn(size_t member, uint64_t call, const std::string& user, Duration timeout) {
    node::Node* const node = NodeFor(member, call);
    if (node == nullptr) return;
    node->Call(engine::RequestKind::kAuthPassword, Bytes::Copy(user), timeout,
               [=, this](const absl::Status& status, const Bytes& reply) {
                 if (!status.ok()) return SendReply(member, call, status, Bytes(), false);
                 const auto hash = engine::PasswordHash::Decode(reply);
                 if (!Matches(PasswordOf(user), hash.hash)) {
                   return SendReply(member, call, absl::InvalidArgumentError("wrong password"),
                                    Bytes(), false);
                 }
                 GiveToken(node, member, call, user, timeout, hash.auth_revision);
               });
  }

  void GiveToken(node::Node* node, size_t member, uint64_t call, const std::string& user,
                 Duration timeout, uint64_t revision) {
    etcdserverpb::InternalAuthenticateRequest request;
    request.set_name(user);
    request.set_simple_token(absl::StrCat("h", host_->id().value(), "n", call));
    node->Call(engine::RequestKind::kAuthenticate, SerializeMessage(request), timeout,
               [=, this](const absl::Status& status, const Bytes& reply) {
                 if (status.ok() && node->status().auth_revision != revision) {
                   return OnLogIn(member, call, user, timeout);
                 }
                 etcdserverpb::AuthenticateResponse response;
                 const bool parsed = status.ok() && ParseMessage(reply, &response);
                 SendReply(member, call, status, parsed ? Bytes::Copy(response.token()) : Bytes(),
                           false);
               });
  }

  void SendReply(size_t member, uint64_t call, absl::Status status, Bytes body, bool unprocessed) {
    const size_t size = body.size() + kOverheadBytes;
    network_->Send(cluster_->host_id(member), host_->id(), kReplyType, size,
                   [this, call, status = std::move(status), body = std::move(body), unprocessed] {
                     if (call != call_ || done_ == nullptr) return;
                     std::exchange(done_, nullptr)(Reply{status, body, unprocessed});
                   });
  }

  void OnWatchOpen(size_t member, uint64_t stream, const Bytes& create,
                   const engine::Credentials& who) {
    node::Node* const node = cluster_->node(member);
    if (stream != stream_ || node == nullptr || !cluster_->ready(member)) return;
    DropMemberEnd();
    member_end_ = std::make_shared<MemberWatch>(this, member, stream);
    member_end_stream_ = stream;
    member_end_->node_stream = node->OpenWatch(member_end_.get(), who);
    member_end_->node_stream.Request(create);
  }

  void SendToClient(size_t member, uint64_t stream, uint64_t number, Bytes head, Bytes events) {
    const size_t size = head.size() + events.size() + kOverheadBytes;
    network_->Send(cluster_->host_id(member), host_->id(), kWatchType, size,
                   [this, stream, number, head = std::move(head), events = std::move(events)] {
                     OnWatchMessage(stream, number, head, events);
                   });
  }

  // On the client's loop.
  void OnWatchMessage(uint64_t stream, uint64_t number, const Bytes& head, const Bytes& events) {
    if (stream != stream_) return;
    early_.emplace(number, std::make_pair(head, events));
    // The listener may close this stream, or open another, from inside its call.
    while (stream == stream_ && listener_ != nullptr) {
      const auto next = early_.find(received_ + 1);
      if (next == early_.end()) return;
      const auto [next_head, next_events] = std::move(next->second);
      early_.erase(next);
      ++received_;
      listener_->OnWatchAnswer(next_head, next_events);
    }
  }

  // Closes the member's end in a turn of the member's own.
  void DropMemberEnd() {
    std::shared_ptr<MemberWatch> end = std::exchange(member_end_, nullptr);
    if (end == nullptr || !cluster_->running(watched_)) return;
    cluster_->host(watched_).Run([end = std::move(end)] { end->node_stream.Close(); });
  }

  const Context context_;
  Host* const host_;
  Network* const network_;
  Cluster* const cluster_;
  const uint32_t slow_percent_;
  Prng prng_;

  uint64_t call_ = 0;
  std::function<void(Reply)> done_;

  WatchListener* listener_ = nullptr;
  size_t watched_ = 0;
  uint64_t stream_ = 0;
  uint64_t received_ = 0;
  std::map<uint64_t, std::pair<Bytes, Bytes>> early_;
  std::shared_ptr<MemberWatch> member_end_;
  uint64_t member_end_stream_ = 0;
};

void MemberWatch::OnWatchReply(Bytes head, Bytes events) {
  port_->SendToClient(member_, stream_, ++sent_, std::move(head), std::move(events));
}

// The client notices by itself that nothing comes any more.
void MemberWatch::OnWatchEnd(const absl::Status&) {}

}  // namespace

std::unique_ptr<ClientPort> NewTypedPort(const Context& context, Host* host, Network* network,
                                         Cluster* cluster, uint32_t slow_percent) {
  return std::make_unique<TypedPort>(context, host, network, cluster, slow_percent);
}

}  // namespace quorate::sim
