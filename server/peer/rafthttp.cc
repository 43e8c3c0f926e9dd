#include "server/peer/rafthttp.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "api/lease.pb.h"
#include "api/messages.h"
#include "api/rpc.pb.h"
#include "base/check.h"
#include "engine/membership/member_json.h"
#include "server/config/ids.h"
#include "server/config/url.h"
#include "server/config/version.h"
#include "server/peer/hash_json.h"

namespace quorate::peer {
namespace {

constexpr char kRejection[] = "rejected connection on peer endpoint";
constexpr char kStreamPrefix[] = "/raft/stream/message/";
// A lease's id and a flag.
constexpr size_t kMaxLeaseRequestBytes = 64 * limits::kKiB;
constexpr size_t kMaxRepairRequestBytes = 64;
// One number, in JSON.
constexpr size_t kMaxHashRequestBytes = 4 * limits::kKiB;

membership::Member MemberOf(const engine::MemberInfo& info) {
  return {info.id, info.name, info.peer_urls, info.client_urls, info.is_learner};
}

http1::Response MembersResponse(const std::vector<membership::Member>& members) {
  return http1::Response::Json(200, membership::EncodeMembersJson(members) + "\n");
}

// What a refused promotion is to etcd's members.
http1::Response PromotionRefused(const absl::Status& status) {
  const int code = absl::IsNotFound(status)                                 ? 404
                   : status.code() == absl::StatusCode::kFailedPrecondition ? 412
                                                                            : 500;
  return http1::Response::Text(code, absl::StrCat(status.message(), "\n"));
}

http1::Response WithFields(http1::Response response, const http1::Fields& fields) {
  for (const auto& [name, value] : fields) response.fields.Add(name, value);
  return response;
}

}  // namespace

RaftHttp::RaftHttp(const io::Env& env, log::Logger* log, Identity self, const Options& options)
    : hash_desk_(&context_),
      refusals_(env.loop, log, kRejection),
      self_(std::make_shared<RaftHttp*>(this)) {
  context_.env = env;
  context_.log = log;
  context_.self = std::move(self);
  context_.options = options;
  heartbeat_timer_ = env.loop->NewTimer([this] { OnHeartbeatTimer(); });
}

RaftHttp::~RaftHttp() = default;

void RaftHttp::Start(node::PeerSink* sink) {
  CHECK(context_.sink == nullptr);
  context_.sink = sink;
  OnHeartbeatTimer();
}

std::unique_ptr<Peer> RaftHttp::NewPeer(const PeerAddresses& addresses) {
  auto peer = std::make_unique<Peer>(
      &context_, addresses.id, addresses.addresses, [this](MemberId id) { ReportLater(id); },
      [this](MemberId id, bool ok) { context_.sink->ReportSnapshotSent(id, ok); },
      [this](MemberId id, bool up) { context_.sink->OnPeerConnected(id, up); });
  peer->StartDialing();
  return peer;
}

void RaftHttp::SetPeers(const std::vector<PeerAddresses>& peers) {
  CHECK(context_.sink != nullptr);
  absl::btree_map<MemberId, std::unique_ptr<Peer>> old = std::exchange(peers_, {});
  for (const PeerAddresses& wanted : peers) {
    CHECK(wanted.id != context_.self.member);
    remotes_.erase(wanted.id);
    const auto at = old.find(wanted.id);
    if (at != old.end() && at->second->addresses() == wanted.addresses) {
      peers_[wanted.id] = std::move(at->second);
    } else {
      peers_[wanted.id] = NewPeer(wanted);
    }
  }
  for (auto at = remotes_.begin(); at != remotes_.end();) {
    if (IsRemoved(*at)) {
      at = remotes_.erase(at);
    } else {
      peers_[*at] = std::move(old[*at]);
      ++at;
    }
  }
  for (const auto& [id, peer] : old) {
    if (peer == nullptr) continue;
    if (peer->sending_snapshot()) ReportSnapshotLost(id);
    if (peer->receiving()) context_.sink->OnPeerConnected(id, false);
  }
}

bool RaftHttp::IsRemoved(MemberId id) const {
  return information_.is_removed != nullptr && information_.is_removed(id);
}

// A member that is behind may be the last to learn who the others are by now: one of them
// that calls is answered, and dialled in its turn.
void RaftHttp::NoteRemote(MemberId id, absl::string_view peer_urls) {
  if (context_.sink == nullptr || id == MemberId(0) || id == context_.self.member) return;
  if (FindPeer(id) != nullptr || remotes_.size() >= context_.options.max_remotes) return;
  const absl::StatusOr<std::vector<config::Url>> urls = config::ParseUrls(peer_urls);
  if (!urls.ok()) return;
  PeerAddresses addresses{id, {}};
  for (const config::Url& url : *urls) {
    if (url.secure() && context_.secure_network == nullptr) continue;
    addresses.addresses.push_back(url.PeerAddress());
  }
  if (addresses.addresses.empty()) return;
  remotes_.insert(id);
  peers_[id] = NewPeer(addresses);
}

void RaftHttp::AddRoutes(http1::Server* server, Information information) {
  information_ = std::move(information);
  server->RoutePrefix({"GET"}, kStreamPrefix,
                      [this](const http1::ExchangePtr& e) { OnStreamRequest(e); });
  http1::RouteOptions post;
  post.max_body_bytes = context_.options.max_post_bytes;
  server->Route({"POST"}, "/raft", post, [this](const http1::ExchangePtr& e) { OnPost(e); });
  http1::RouteOptions lease;
  lease.max_body_bytes = kMaxLeaseRequestBytes;
  server->Route({"POST"}, kLeasePath, lease,
                [this](const http1::ExchangePtr& e) { OnLeasePost(e); });
  server->Route({"POST"}, kLeaseInternalPath, lease,
                [this](const http1::ExchangePtr& e) { OnLeaseInternalPost(e); });
  http1::RouteOptions chunk;
  chunk.max_body_bytes = kMaxSnapshotChunkBytes;
  server->Route({"POST"}, kSnapshotPath, chunk,
                [this](const http1::ExchangePtr& e) { OnSnapshotChunk(e); });
  server->Route({"GET"}, "/raft/probing", [this](const http1::ExchangePtr& e) {
    std::string json = "{\"OK\":true,\"Now\":\"";
    log::AppendTimestamp(context_.env.loop->WallNow(), &json);
    json += "\"}";
    e->Respond(http1::Response::Json(200, json));
  });
  server->Route({"GET"}, "/version", [this](const http1::ExchangePtr& e) {
    e->Respond(http1::Response::Json(200, config::VersionJson(information_.cluster_version())));
  });
  // etcd's members ask before they agree on the cluster's version.
  server->Route({"GET"}, "/downgrade/enabled", [this](const http1::ExchangePtr& e) {
    const char* const answer = information_.downgrading() ? "true" : "false";
    e->Respond(WithFields(http1::Response::Text(200, answer), ResponseFields(context_.self)));
  });
  server->Route({"GET"}, "/members", [this](const http1::ExchangePtr& e) { AnswerMembers(e); });
  http1::RouteOptions hash;
  hash.max_body_bytes = kMaxHashRequestBytes;
  hash.leaves_at_end = true;
  server->Route({"GET"}, kHashPath, hash, [this](const http1::ExchangePtr& e) { OnHash(e); });
  http1::RouteOptions repair;
  repair.max_body_bytes = kMaxRepairRequestBytes;
  server->Route({"POST"}, kRepairPath, repair,
                [this](const http1::ExchangePtr& e) { OnRepair(e); });
  server->RoutePrefix({"POST"}, kPromotePrefix,
                      [this](const http1::ExchangePtr& e) { OnPromote(e); });
}

void RaftHttp::Send(absl::Span<raft::Message> messages) {
  for (const raft::Message& message : messages) {
    Peer* peer = FindPeer(message.to);
    if (peer != nullptr) peer->Add(message);  // else not a member of ours (any more)
  }
  for (const auto& [id, peer] : peers_) peer->Flush();
}

void RaftHttp::Forward(MemberId to, engine::RequestKind kind, const Bytes& body,
                       node::ForwardCallback done) {
  Peer* peer = FindPeer(to);
  if (peer != nullptr) peer->forwarder()->Send(kind, body, std::move(done));
}

void RaftHttp::SendSnapshot(raft::Message message, engine::StateImage image) {
  Peer* peer = FindPeer(message.to);
  if (peer == nullptr) return ReportSnapshotLost(message.to);
  peer->SendSnapshot(std::move(message), std::move(image));
}

std::string RaftHttp::PeerVersion(MemberId peer) const {
  const Peer* found = FindPeer(peer);
  return found == nullptr ? "" : found->version();
}

size_t RaftHttp::sending_streams() const {
  return static_cast<size_t>(std::count_if(peers_.begin(), peers_.end(),
                                           [](const auto& p) { return p.second->sending(); }));
}

size_t RaftHttp::receiving_streams() const {
  return static_cast<size_t>(std::count_if(peers_.begin(), peers_.end(),
                                           [](const auto& p) { return p.second->receiving(); }));
}

Peer* RaftHttp::FindPeer(MemberId id) const {
  const auto at = peers_.find(id);
  return at == peers_.end() ? nullptr : at->second.get();
}

void RaftHttp::Refuse(const http1::ExchangePtr& exchange, int status, absl::string_view text) {
  if (refusals_.Admits(exchange->request().peer, text)) {
    LOG_WARN(context_.log, kRejection, {"remote-addr", exchange->request().peer},
             {"path", exchange->request().path},
             {"remote-peer-id", exchange->request().fields.Get("X-Server-From")},
             {"status", status}, {"error", text});
  }
  exchange->Respond(WithFields(http1::Response::Text(status, absl::StrCat(text, "\n")),
                               ResponseFields(context_.self)));
}

bool RaftHttp::Admit(const http1::ExchangePtr& exchange) {
  const auto refusal = CheckCompatible(context_.self, exchange->request().fields);
  if (!refusal.has_value()) return true;
  Refuse(exchange, 412, *refusal);
  return false;
}

void RaftHttp::OnStreamRequest(const http1::ExchangePtr& exchange) {
  if (!Admit(exchange)) return;
  const http1::Request& request = exchange->request();
  absl::string_view hex = request.path;
  uint64_t id = 0;
  if (!absl::ConsumePrefix(&hex, kStreamPrefix) || !config::ParseHexId(hex, &id)) {
    return Refuse(exchange, 404, "invalid path");
  }
  if (IsRemoved(MemberId(id))) return Refuse(exchange, 410, "removed member");
  Peer* peer = FindPeer(MemberId(id));
  if (peer == nullptr) {
    NoteRemote(MemberId(id), request.fields.Get("X-PeerURLs"));
    return Refuse(exchange, 404, "error sender not found");
  }
  if (request.fields.Get("X-Raft-To") != config::HexId(context_.self.member)) {
    return Refuse(exchange, 412, "to field mismatch");
  }
  peer->set_announced_version(std::string(request.fields.Get("X-Server-Version")));
  exchange->StartStream(200, ResponseFields(context_.self));
  if (exchange->closed()) return;
  peer->Attach(exchange);
}

void RaftHttp::OnPost(const http1::ExchangePtr& exchange) {
  if (!Admit(exchange)) return;
  const http1::Request& request = exchange->request();
  const MemberId sender = SenderOf(request.fields);
  if (IsRemoved(sender)) {
    constexpr char kRemoved[] = "rejected Raft message from removed member";
    if (refusals_.Admits(request.peer, kRemoved)) {
      LOG_WARN(context_.log, kRemoved, {"local-member-id", config::HexId(context_.self.member)},
               {"removed-member-id", config::HexId(sender)});
    }
    return exchange->Respond(WithFields(
        http1::Response::Json(403, "{\"message\":\"cannot process message from removed member\"}"),
        ResponseFields(context_.self)));
  }
  NoteRemote(sender, request.fields.Get("X-PeerURLs"));
  Peer* peer = FindPeer(sender);
  PeerStats* stats = peer == nullptr ? &unknown_peers_ : peer->mutable_stats();
  stats->received_bytes += request.body.size();
  if (peer != nullptr) {
    peer->set_announced_version(std::string(request.fields.Get("X-Server-Version")));
  }
  const absl::Status status = Deliver(context_, sender, request.body, stats);
  if (!status.ok()) {
    ++stats->received_failures;
    return Refuse(exchange, 400, absl::StrCat("error reading raft message: ", status.message()));
  }
  http1::Response response;
  response.status = 204;
  exchange->Respond(WithFields(std::move(response), ResponseFields(context_.self)));
}

// etcd's members send no headers of their own with these; ours do.
void RaftHttp::OnLeasePost(const http1::ExchangePtr& exchange) {
  AnswerLease(exchange, engine::RequestKind::kPeerLeaseKeepAlive, exchange->request().body);
}

void RaftHttp::OnLeaseInternalPost(const http1::ExchangePtr& exchange) {
  const Bytes& body = exchange->request().body;
  leasepb::LeaseInternalRequest request;
  if (!ParseMessage(body, &request)) {
    return Refuse(exchange, 400, "error unmarshalling request");
  }
  AnswerLease(exchange, engine::RequestKind::kPeerLeaseTimeToLive,
              SerializeMessage(request.leasetimetoliverequest()));
}

void RaftHttp::AnswerLease(const http1::ExchangePtr& exchange, engine::RequestKind kind,
                           Bytes body) {
  const std::optional<absl::string_view> cluster =
      exchange->request().fields.Find("X-Etcd-Cluster-ID");
  if (cluster.has_value() && *cluster != config::HexId(context_.self.cluster)) {
    return Refuse(exchange, 412, "cluster ID mismatch");
  }
  if (context_.sink == nullptr) return Refuse(exchange, 503, "not ready");
  const auto answer = [exchange, kind](const absl::Status& status, const Bytes& reply) {
    if (!status.ok()) {
      const int code = absl::IsNotFound(status) ? 404 : absl::IsUnavailable(status) ? 408 : 400;
      return exchange->Respond(http1::Response::Text(code, absl::StrCat(status.message(), "\n")));
    }
    http1::Response response;
    response.fields.Add("Content-Type", "application/protobuf");
    if (kind == engine::RequestKind::kPeerLeaseKeepAlive) {
      response.body = {reply};
    } else {
      leasepb::LeaseInternalResponse wrapped;
      etcdserverpb::LeaseTimeToLiveResponse* out = wrapped.mutable_leasetimetoliveresponse();
      const bool parsed = ParseMessage(reply, out);
      CHECK_MSG(parsed, "the replica answered with a malformed message");
      out->mutable_header();
      response.body = {SerializeMessage(wrapped)};
    }
    exchange->Respond(std::move(response));
  };
  context_.sink->OnForwarded(kind, std::move(body), context_.options.forward_timeout, answer);
}

void RaftHttp::OnSnapshotChunk(const http1::ExchangePtr& exchange) {
  if (!Admit(exchange)) return;
  const http1::Request& request = exchange->request();
  const MemberId sender = SenderOf(request.fields);
  Peer* peer = FindPeer(sender);
  if (peer == nullptr) return Refuse(exchange, 404, "error sender not found");
  PeerStats* const stats = peer->mutable_stats();
  stats->received_bytes += request.body.size();
  std::optional<SnapshotAssembler::Arrived> arrived;
  const absl::Status status = peer->assembler()->Add(request.body, &arrived);
  if (!status.ok()) {
    ++stats->received_failures;
    ++stats->snapshots_not_received;
    // What was damaged on its way may be sent again.
    return Refuse(exchange, absl::IsDataLoss(status) ? 500 : 409,
                  absl::StrCat("error reading a snapshot: ", status.message()));
  }
  const Instant now = context_.env.loop->Now();
  const Instant begun = peer->NoteChunk(now);
  if (arrived.has_value()) {
    if (arrived->message.from != sender || arrived->message.to != context_.self.member) {
      ++stats->snapshots_not_received;
      return Refuse(exchange, 409, "the snapshot is from or for another member");
    }
    ++stats->received_messages;
    ++stats->snapshots_received;
    stats->snapshot_receive_times.Add(now - begun);
    LOG_INFO(context_.log, "received a snapshot", {"remote-peer-id", config::HexId(sender)},
             {"index", arrived->image.index.value()}, {"bytes", arrived->image.bytes()});
    if (context_.sink != nullptr) {
      context_.sink->OnSnapshot(std::move(arrived->message), std::move(arrived->image));
    }
  }
  http1::Response response;
  response.status = 204;
  exchange->Respond(WithFields(std::move(response), ResponseFields(context_.self)));
}

void RaftHttp::AnswerMembers(const http1::ExchangePtr& exchange) {
  std::vector<membership::Member> members;
  for (const engine::MemberInfo& info : information_.members()) members.push_back(MemberOf(info));
  exchange->Respond(WithFields(MembersResponse(members), ResponseFields(context_.self)));
}

void RaftHttp::OnPromote(const http1::ExchangePtr& exchange) {
  absl::string_view text = exchange->request().path;
  uint64_t id = 0;
  if (!absl::ConsumePrefix(&text, kPromotePrefix) || !absl::SimpleAtoi(text, &id)) {
    return Refuse(exchange, 404, absl::StrCat("member ", text, " not found in cluster"));
  }
  if (context_.sink == nullptr) return Refuse(exchange, 503, "not ready");
  etcdserverpb::MemberPromoteRequest request;
  request.set_id(id);
  const auto answer = [this, exchange, id](const absl::Status& status, const Bytes& body) {
    if (!status.ok()) {
      LOG_WARN(context_.log, "failed to promote a member", {"member-id", config::HexId(id)},
               {status});
      return exchange->Respond(WithFields(PromotionRefused(status), ResponseFields(context_.self)));
    }
    etcdserverpb::MemberPromoteResponse response;
    const bool parsed = ParseMessage(body, &response);
    CHECK_MSG(parsed, "the replica answered with a malformed message");
    std::vector<membership::Member> members;
    for (const etcdserverpb::Member& m : response.members()) {
      members.push_back({MemberId(m.id()),
                         m.name(),
                         {m.peerurls().begin(), m.peerurls().end()},
                         {m.clienturls().begin(), m.clienturls().end()},
                         m.islearner()});
    }
    exchange->Respond(WithFields(MembersResponse(members), ResponseFields(context_.self)));
  };
  context_.sink->OnForwarded(engine::RequestKind::kPeerMemberPromote, SerializeMessage(request),
                             context_.options.promote_timeout, answer);
}

// etcd's members tell their cluster here, and nothing else; who tells none is answered, too.
void RaftHttp::OnHash(const http1::ExchangePtr& exchange) {
  const absl::string_view cluster = exchange->request().fields.Get("X-Etcd-Cluster-ID");
  if (!cluster.empty() && cluster != config::HexId(context_.self.cluster)) {
    return Refuse(exchange, 412, "cluster ID mismatch");
  }
  if (context_.sink == nullptr) return Refuse(exchange, 503, "not ready");
  absl::StatusOr<Bytes> question = ParseHashQuestion(exchange->request().body);
  if (!question.ok()) return Refuse(exchange, 400, question.status().message());
  if (!hash_desk_.Add(exchange, *std::move(question))) {
    Refuse(exchange, 503, "too many questions for the hash wait");
  }
}

void RaftHttp::OnRepair(const http1::ExchangePtr& exchange) {
  if (!Admit(exchange)) return;
  if (context_.sink == nullptr) return Refuse(exchange, 503, "not ready");
  const auto answer = [this, exchange](const absl::Status& status, const Bytes& body) {
    if (!status.ok()) {
      const int code = status.code() == absl::StatusCode::kFailedPrecondition ? 410
                       : absl::IsNotFound(status)                             ? 404
                                                                              : 503;
      return Refuse(exchange, code, status.message());
    }
    http1::Response response;
    response.body = {body};
    exchange->Respond(WithFields(std::move(response), ResponseFields(context_.self)));
  };
  context_.sink->OnForwarded(engine::RequestKind::kPeerRepair, exchange->request().body,
                             context_.options.promote_timeout, answer);
}

void RaftHttp::ReportLater(MemberId peer) {
  if (unreachable_.empty() && lost_snapshots_.empty()) ScheduleReports();
  unreachable_.insert(peer);
}

void RaftHttp::ReportSnapshotLost(MemberId peer) {
  if (unreachable_.empty() && lost_snapshots_.empty()) ScheduleReports();
  lost_snapshots_.insert(peer);
}

void RaftHttp::ScheduleReports() {
  context_.env.loop->Defer([weak = std::weak_ptr<RaftHttp*>(self_)] {
    if (const std::shared_ptr<RaftHttp*> self = weak.lock()) (*self)->ReportNow();
  });
}

void RaftHttp::ReportNow() {
  const absl::btree_set<MemberId> peers = std::exchange(unreachable_, {});
  const absl::btree_set<MemberId> lost = std::exchange(lost_snapshots_, {});
  if (context_.sink == nullptr) return;
  for (const MemberId peer : lost) context_.sink->ReportSnapshotSent(peer, false);
  for (const MemberId peer : peers) context_.sink->ReportUnreachable(peer);
}

void RaftHttp::OnHeartbeatTimer() {
  for (const auto& [id, peer] : peers_) peer->SendLinkHeartbeat();
  heartbeat_timer_->Set(context_.env.loop->Now() + context_.options.link_heartbeat_interval);
}

}  // namespace quorate::peer
