// Who is in the cluster, as clients ask for it: changes of the membership with etcd's strict
// checks, the list of members, and the move of leadership.
//
// A change is one entry of the log: raft's configuration and the list of members follow from
// the same entry. Whether it is possible is decided where it is applied, alike on all
// members; the strict checks come before it is proposed and rest on what this member knows:
// who has started (the list), and to whom it is connected (the transport).
#include <algorithm>
#include <string>
#include <utility>

#include "api/malformed.h"
#include "api/messages.h"
#include "api/rpc.pb.h"
#include "base/check.h"
#include "base/status.h"
#include "engine/membership/member_json.h"
#include "engine/mvcc/errors.h"
#include "engine/raft/codec.h"
#include "engine/raft/conf_change.h"
#include "engine/replica/impl.h"

namespace quorate::engine {
namespace {

// Before what raft has refused is offered again: it lets one change in at a time.
constexpr Duration kChangeRetryInterval = Milliseconds(20);
// Before a promotion that the leader could not be asked about is passed on again.
constexpr Duration kPromotionRetryInterval = Milliseconds(50);

// A learner is in sync from nine tenths of the leader's log on.
constexpr uint64_t kReadyNumerator = 9;
constexpr uint64_t kReadyDenominator = 10;

// With etcd's code, which is no code: clients go by the text.
absl::Status NotEnoughStarted() {
  return absl::UnknownError(
      "etcdserver: re-configuration failed due to not enough started members");
}
absl::Status Unhealthy() { return absl::UnavailableError("etcdserver: unhealthy cluster"); }
absl::Status NoSuchMember() { return absl::NotFoundError("etcdserver: member not found"); }
absl::Status TooManyLearners() {
  return absl::FailedPreconditionError("etcdserver: too many learner members in cluster");
}
absl::Status NotReady() {
  return absl::FailedPreconditionError(
      "etcdserver: can only promote a learner member which is in sync with leader");
}

template <typename Proto>
absl::StatusOr<Proto> Parse(const Bytes& body) {
  Proto proto;
  if (ParseMessage(body, &proto)) return proto;
  return MalformedRequestError();
}

void FillMember(const membership::Member& member, etcdserverpb::Member* out) {
  out->set_id(member.id.value());
  out->set_name(member.name);
  for (const std::string& url : member.peer_urls) out->add_peerurls(url);
  for (const std::string& url : member.client_urls) out->add_clienturls(url);
  out->set_islearner(member.is_learner);
}

raft::ConfChange ChangeOf(const membership::Change& change) {
  using Kind = membership::Change::Kind;
  raft::ConfChange out;
  out.node_id = change.member.id;
  switch (change.kind) {
    case Kind::kAdd:
    case Kind::kPromote:
      out.type = raft::ConfChangeType::kAddNode;
      break;
    case Kind::kAddLearner:
      out.type = raft::ConfChangeType::kAddLearnerNode;
      break;
    case Kind::kUpdate:
      out.type = raft::ConfChangeType::kUpdateNode;
      break;
    case Kind::kRemove:
      out.type = raft::ConfChangeType::kRemoveNode;
      return out;  // without a context
  }
  out.context =
      Bytes::Copy(change.kind == Kind::kPromote ? membership::EncodePromotionJson(change.member.id)
                                                : membership::EncodeMemberJson(change.member));
  return out;
}

}  // namespace

absl::StatusOr<membership::Change> MembershipChange(const raft::ConfChange& change) {
  membership::Change out;
  if (change.type == raft::ConfChangeType::kRemoveNode) {
    out.kind = membership::Change::Kind::kRemove;
    out.member.id = change.node_id;
    return out;
  }
  ASSIGN_OR_RETURN(const membership::MemberContext context,
                   membership::ParseMemberJson(change.context));
  out.member = context.member;
  out.member.id = change.node_id;
  switch (change.type) {
    case raft::ConfChangeType::kAddNode:
      out.kind =
          context.is_promote ? membership::Change::Kind::kPromote : membership::Change::Kind::kAdd;
      break;
    case raft::ConfChangeType::kAddLearnerNode:
      out.kind = membership::Change::Kind::kAddLearner;
      break;
    default:
      out.kind = membership::Change::Kind::kUpdate;
      break;
  }
  return out;
}

// ---- the strict checks ----

void Replica::Impl::On(const PeerConnected& event) {
  if (!event.up) {
    connected_since_.erase(event.peer);
  } else {
    connected_since_.emplace(event.peer, now_);
  }
}

// Voters that have announced themselves, and all voters; `except` left out.
Replica::Impl::Voters Replica::Impl::CountVoters(MemberId except) const {
  Voters voters;
  for (const auto& [id, member] : applier_.membership().members()) {
    if (member.is_learner || id == except) continue;
    ++voters.all;
    if (!member.name.empty()) ++voters.started;
  }
  return voters;
}

size_t Replica::Impl::CountLearners() const {
  const auto& members = applier_.membership().members();
  return static_cast<size_t>(std::count_if(members.begin(), members.end(),
                                           [](const auto& m) { return m.second.is_learner; }));
}

// Voters that this member has been connected with for a while, itself among them.
size_t Replica::Impl::ConnectedVoters() const {
  size_t connected = 0;
  for (const auto& [id, member] : applier_.membership().members()) {
    if (member.is_learner) continue;
    const auto since = connected_since_.find(id);
    const bool up =
        since != connected_since_.end() && now_ - since->second >= config_.reconfig_health_window;
    if (up || id == config_.member_id) ++connected;
  }
  return connected;
}

// The new member counts as one that is down until it has shown otherwise.
absl::Status Replica::Impl::MayAdd(bool learner) const {
  if (!config_.strict_reconfig_check) return absl::OkStatus();
  const Voters voters = CountVoters(MemberId(0));
  const size_t quorum = (voters.all + 1) / 2 + 1;
  const bool first_of_one = voters.started == 1 && voters.all == 1;
  if (!learner && !first_of_one && voters.started < quorum) return NotEnoughStarted();
  if (voters.all == 1 || ConnectedVoters() >= quorum) return absl::OkStatus();
  return Unhealthy();
}

absl::Status Replica::Impl::MayRemove(MemberId id) const {
  if (!config_.strict_reconfig_check) return absl::OkStatus();
  const auto& members = applier_.membership().members();
  const auto member = members.find(id);
  if (member != members.end() && member->second.is_learner) return absl::OkStatus();
  const Voters rest = CountVoters(id);
  if (rest.started < rest.all / 2 + 1) return NotEnoughStarted();
  // One that is down is no part of the quorum that works.
  if (id != config_.member_id && !connected_since_.contains(id)) return absl::OkStatus();
  const size_t all = CountVoters(MemberId(0)).all;
  if (ConnectedVoters() < 2 + (all - 1) / 2) return Unhealthy();
  return absl::OkStatus();
}

// At the leader, who knows how far the learner is.
absl::Status Replica::Impl::MayPromote(MemberId id) const {
  const raft::Progress* const learner = raft_.tracker().Find(id);
  const raft::Progress* const self = raft_.tracker().Find(config_.member_id);
  if (learner == nullptr || self == nullptr) return NoSuchMember();
  if (learner->match.value() * kReadyDenominator < self->match.value() * kReadyNumerator) {
    return NotReady();
  }
  if (!config_.strict_reconfig_check) return absl::OkStatus();
  const Voters voters = CountVoters(MemberId(0));
  if (voters.started + 1 < (voters.all + 1) / 2 + 1) return NotEnoughStarted();
  return absl::OkStatus();
}

// ---- changes ----

// What is asked for, if it may be proposed.
absl::StatusOr<membership::Change> Replica::Impl::PlanMemberChange(
    const ClientRequest& request) const {
  using Kind = membership::Change::Kind;
  membership::Change change;
  membership::Member& member = change.member;
  switch (request.kind) {
    case RequestKind::kMemberAdd: {
      ASSIGN_OR_RETURN(const auto asked, Parse<etcdserverpb::Member>(request.body));
      change.kind = asked.islearner() ? Kind::kAddLearner : Kind::kAdd;
      member.id = MemberId(asked.id());
      member.peer_urls.assign(asked.peerurls().begin(), asked.peerurls().end());
      member.is_learner = asked.islearner();
      RETURN_IF_ERROR(MayAdd(asked.islearner()));
      if (asked.islearner() && CountLearners() >= config_.max_learners) {
        // Whoever asks a second time for the same hears that first.
        RETURN_IF_ERROR(applier_.membership().Check(change));
        return TooManyLearners();
      }
      break;
    }
    case RequestKind::kMemberRemove: {
      ASSIGN_OR_RETURN(const auto asked, Parse<etcdserverpb::MemberRemoveRequest>(request.body));
      change.kind = Kind::kRemove;
      member.id = MemberId(asked.id());
      RETURN_IF_ERROR(MayRemove(member.id));
      break;
    }
    case RequestKind::kMemberUpdate: {
      ASSIGN_OR_RETURN(const auto asked, Parse<etcdserverpb::MemberUpdateRequest>(request.body));
      change.kind = Kind::kUpdate;
      member.id = MemberId(asked.id());
      member.peer_urls.assign(asked.peerurls().begin(), asked.peerurls().end());
      break;
    }
    default: {
      ASSIGN_OR_RETURN(const auto asked, Parse<etcdserverpb::MemberPromoteRequest>(request.body));
      change.kind = Kind::kPromote;
      member.id = MemberId(asked.id());
      RETURN_IF_ERROR(MayPromote(member.id));
      break;
    }
  }
  // Raft takes the id 0 for nobody.
  if (member.id == raft::kNobody) return NoSuchMember();
  return change;
}

void Replica::Impl::OnMembershipRequest(const ClientRequest& request) {
  const absl::StatusOr<auth::Subject> subject = Admit(request);
  if (!subject.ok()) return Answer(request.token, subject.status());
  if (member_changes_.size() + moves_.size() >= config_.max_pending_proposals) {
    return Answer(request.token, TooManyRequestsError());
  }
  const bool leads = raft_.role() == raft::Role::kLeader;
  if (request.kind == RequestKind::kMoveLeader) return OnMoveLeader(request);
  if (request.kind == RequestKind::kPeerMemberPromote && !leads) {
    return Answer(request.token, NotLeaderError());
  }
  if (request.kind == RequestKind::kMemberPromote && !leads) {
    member_changes_.AddPromotion(request.token, request.body);
    return DispatchPromotion(request.token);
  }
  AddMemberChange(request);
}

void Replica::Impl::AddMemberChange(const ClientRequest& request) {
  const absl::StatusOr<membership::Change> planned = PlanMemberChange(request);
  if (!planned.ok()) return Answer(request.token, planned.status());
  raft::ConfChange change = ChangeOf(*planned);
  change.id = proposals_.TakeId();
  if (change.context.size() > config_.max_request_bytes) {
    return Answer(request.token, mvcc::RequestTooLargeError());
  }
  member_changes_.Add({request.token, request.kind, std::move(change), Term()});
}

bool Replica::Impl::CanProposeMemberChange() const {
  return now_ >= change_again_ && now_ >= propose_again_ && raft_.leader() != raft::kNobody &&
         !leader_unreachable_ && member_changes_.HasUnproposed();
}

void Replica::Impl::ProposeMemberChanges() {
  while (CanProposeMemberChange()) {
    MemberChange* const next = member_changes_.FirstUnproposed();
    const absl::Status status = raft_.ProposeConfChange(next->change, now_);
    if (status.ok()) {
      next->proposed = raft_.term();
      continue;
    }
    const absl::Status possible =
        raft::ApplyChange(raft_.conf_state(), raft::ToV2(next->change)).status();
    if (possible.ok()) {  // not now: another one is under way
      change_again_ = now_ + kChangeRetryInterval;
      return;
    }
    Answer(next->token, possible);
    member_changes_.Take(next->change.id);
  }
}

absl::Status Replica::Impl::ApplyConfChange(const raft::Entry& entry) {
  ASSIGN_OR_RETURN(raft::ConfChange change, raft::DecodeConfChange(entry.data));
  ASSIGN_OR_RETURN(const membership::Change member_change, MembershipChange(change));
  absl::Status status = applier_.membership().Check(member_change);
  // The list of members and raft's configuration change together or not at all.
  if (status.ok()) status = raft::ApplyChange(raft_.conf_state(), raft::ToV2(change)).status();
  const MemberId id = change.node_id;
  if (status.ok()) {
    apply::Outcome outcome;
    applier_.ApplyMembershipChange(member_change, &outcome);
    CHECK(outcome.status.ok());
    ++members_version_;
    if (member_change.kind == membership::Change::Kind::kRemove) connected_since_.erase(id);
  } else {
    change.node_id = raft::kNobody;
  }
  const auto config = raft_.ApplyConfChange(raft::ToV2(change), now_);
  CHECK_MSG(config.ok(), config.status().ToString());
  change_again_ = now_;
  if (const std::optional<MemberChange> ours = member_changes_.Take(change.id)) {
    if (!status.ok()) {
      ++proposals_failed_;
      Answer(ours->token, status);
    } else {
      ++proposals_committed_;
      Answer(ours->token, absl::OkStatus(), MemberChangeResponse(ours->kind, id));
    }
  }
  return absl::OkStatus();
}

// ---- answers ----

template <typename Response>
void Replica::Impl::FillMembers(Response* response) const {
  response->mutable_header()->set_cluster_id(config_.cluster_id.value());
  response->mutable_header()->set_member_id(config_.member_id.value());
  response->mutable_header()->set_raft_term(raft_.term().value());
  for (const auto& [id, member] : applier_.membership().members()) {
    FillMember(member, response->add_members());
  }
}

absl::StatusOr<Bytes> Replica::Impl::MemberList() const {
  etcdserverpb::MemberListResponse response;
  FillMembers(&response);
  return SerializeMessage(response);
}

Bytes Replica::Impl::MemberChangeResponse(RequestKind kind, MemberId id) const {
  if (kind == RequestKind::kMemberAdd) {
    etcdserverpb::MemberAddResponse response;
    FillMembers(&response);
    FillMember(applier_.membership().members().at(id), response.mutable_member());
    return SerializeMessage(response);
  }
  // The responses of the other changes have the same fields.
  etcdserverpb::MemberRemoveResponse response;
  FillMembers(&response);
  return SerializeMessage(response);
}

// ---- promotions on their way to the leader ----

void Replica::Impl::DispatchPromotion(RequestToken token) {
  Promotion* const promotion = member_changes_.FindPromotion(token);
  CHECK(promotion != nullptr);
  promotion->retry_at = Instant::Infinite();
  const MemberId leader = raft_.leader();
  if (leader == raft::kNobody) return;  // until NoticeLeader()
  if (leader == config_.member_id) {
    const ClientRequest request{token, RequestKind::kMemberPromote, promotion->body, {}};
    member_changes_.ErasePromotion(token);
    return AddMemberChange(request);
  }
  promotion->forwarded = true;
  ++promotion->attempt;
  out_->forwards.push_back(
      {token, promotion->attempt, leader, RequestKind::kMemberPromote, promotion->body});
}

// Whatever the leader said about the learner is the answer; what keeps it from saying
// anything is tried again until the client has waited long enough.
void Replica::Impl::OnPromotionForwarded(const Forwarded& event, Promotion* promotion) {
  if (!promotion->forwarded || event.attempt != promotion->attempt) return;
  absl::StatusOr<etcdserverpb::MemberPromoteResponse> response =
      event.status.ok() ? Parse<etcdserverpb::MemberPromoteResponse>(event.body)
                        : absl::StatusOr<etcdserverpb::MemberPromoteResponse>(event.status);
  if (response.ok()) {
    etcdserverpb::ResponseHeader* const header = response->mutable_header();
    header->set_cluster_id(config_.cluster_id.value());
    header->set_member_id(config_.member_id.value());
    header->set_raft_term(raft_.term().value());
    Answer(event.token, absl::OkStatus(), SerializeMessage(*response));
    return member_changes_.ErasePromotion(event.token);
  }
  const absl::Status& status = response.status();
  if (absl::IsNotFound(status) ||
      (absl::IsFailedPrecondition(status) && status != NotLeaderError())) {
    Answer(event.token, status);
    return member_changes_.ErasePromotion(event.token);
  }
  promotion->forwarded = false;
  promotion->retry_at = now_ + kPromotionRetryInterval;
}

void Replica::Impl::RetryPromotions(Instant due) {
  for (const RequestToken token : member_changes_.PromotionsToDispatch(due)) {
    DispatchPromotion(token);
  }
}

// ---- leadership ----

void Replica::Impl::OnMoveLeader(const ClientRequest& request) {
  const auto asked = Parse<etcdserverpb::MoveLeaderRequest>(request.body);
  if (!asked.ok()) return Answer(request.token, asked.status());
  if (raft_.role() != raft::Role::kLeader) return Answer(request.token, NotLeaderError());
  const MemberId target(asked->targetid());
  const auto& members = applier_.membership().members();
  const auto member = members.find(target);
  if (member == members.end() || member->second.is_learner) {
    return Answer(request.token,
                  absl::FailedPreconditionError("etcdserver: bad leader transferee"));
  }
  if (target == config_.member_id) return Answer(request.token, absl::OkStatus());
  raft_.TransferLeader(target, now_);
  moves_[request.token] = target;
}

void Replica::Impl::AnswerMoves(MemberId leader) {
  for (auto at = moves_.begin(); at != moves_.end();) {
    if (at->second != leader) {
      ++at;
      continue;
    }
    Answer(at->first, absl::OkStatus());
    at = moves_.erase(at);
  }
}

}  // namespace quorate::engine
