// Leases: what clients ask of the leader about them, and what the leader proposes when
// they end.
//
// A lease lives by the leader's clock, so three things keep a leader that was deposed, or
// stood still for a while, from ending leases that its successor has renewed:
//   - it proposes to revoke only what was due before a read-index round began that a quorum
//     has confirmed in its term;
//   - the proposal goes into its own log of that term or nowhere: it is never forwarded. A
//     successor that inherits it applies it before it renews anything;
//   - what is renewed, or granted anew, before the proposal is in the log is not revoked by
//     it.
// Keep-alives are answered after a round that began after they arrived: whoever leads
// later was elected later still, and gives the lease all of its time from then on.
#include <algorithm>
#include <limits>
#include <utility>

#include "api/malformed.h"
#include "api/messages.h"
#include "api/rpc.pb.h"
#include "base/check.h"
#include "base/coding.h"
#include "base/status.h"
#include "base/wire.h"
#include "engine/auth/errors.h"
#include "engine/mvcc/errors.h"
#include "engine/replica/impl.h"

namespace quorate::engine {
namespace {

using apply::Operation;

// Before an unanswered or refused forward is tried again.
constexpr Duration kForwardPatience = Milliseconds(500);
constexpr Duration kForwardRetryInterval = Milliseconds(50);
// Before the leader tries again what raft has dropped, or what an unapplied grant forbids.
constexpr Duration kLeaseRetryInterval = Milliseconds(20);
// Of one turn: leases that get their deadlines after a change of leader, that are
// revoked, and that are checkpointed.
constexpr size_t kWalkLeases = 1000;
constexpr size_t kRevokeLeases = 250;
constexpr size_t kCheckpointLeases = 1000;

Bytes CheckpointBody(const std::vector<lease::Lessor::Checkpoint>& checkpoints) {
  etcdserverpb::LeaseCheckpointRequest request;
  for (const lease::Lessor::Checkpoint& checkpoint : checkpoints) {
    etcdserverpb::LeaseCheckpoint* out = request.add_checkpoints();
    out->set_id(checkpoint.id.value());
    out->set_remaining_ttl(checkpoint.remaining);
  }
  return SerializeMessage(request);
}

// A LeaseTimeToLiveResponse of the leader: its keys are not looked at, since there may be very
// many; they come last and are passed on as they are.
bool ReadLeaseTime(const Bytes& body, LeaseId* id, int64_t* ttl, int64_t* granted_ttl,
                   Bytes* keys) {
  WireReader in(body);
  while (in.Next()) {
    if (in.tag() == VarintTag(2)) *id = LeaseId(in.int64());
    if (in.tag() == VarintTag(3)) *ttl = in.int64();
    if (in.tag() == VarintTag(4)) *granted_ttl = in.int64();
    if (in.tag() != LenTag(5)) continue;
    char length[kMaxVarint64Bytes];
    const auto head = 1 + StoreVarint(length, in.bytes().size()) - length;
    const char* const begin = in.bytes().data() - head;
    if (begin < body.data() || static_cast<uint8_t>(*begin) != LenTag(5)) return false;
    const auto offset = static_cast<size_t>(begin - body.data());
    *keys = body.Slice(offset, body.size() - offset);
    return true;
  }
  return in.ok();
}

Bytes RevokeBody(LeaseId id) {
  etcdserverpb::LeaseRevokeRequest request;
  request.set_id(id.value());
  return SerializeMessage(request);
}

}  // namespace

// ---- grants ----

// The grant as it goes into the log: every member must find the same id and time in it. A time that
// is too long is refused where the entry is applied, since an alarm refuses it first.
absl::StatusOr<Bytes> Replica::Impl::CompleteGrant(const Bytes& body, uint64_t request_id,
                                                   LeaseId* id) const {
  etcdserverpb::LeaseGrantRequest request;
  if (!ParseMessage(body, &request))
    return absl::InvalidArgumentError("malformed LeaseGrantRequest");
  // As unique as the request's own id, and positive.
  const int64_t chosen = static_cast<int64_t>(request_id & std::numeric_limits<int64_t>::max());
  if (request.id() == 0) request.set_id(std::max<int64_t>(chosen, 1));
  request.set_ttl(std::max(request.ttl(), config_.min_lease_ttl));
  *id = LeaseId(request.id());
  return SerializeMessage(request);
}

// Grants that are in this leader's log now, up to its end.
void Replica::Impl::NoteGrantsProposed(const std::vector<LeaseId>& ids) {
  if (raft_.role() != raft::Role::kLeader) return;
  for (const LeaseId id : ids) lessor_.OnGrantProposed(id, last_index());
}

// ---- keep-alive and time-to-live ----

// Who may ask for a lease depends on its keys, of which the entry under way may have changed
// some. Keep-alives are judged all the same: waiting for the end of a long command could cost
// them their leases, and they tell nothing of the keys.
bool Replica::Impl::LeaseKeysAreUncertain() const {
  return applying_.has_value() && applier_.auth().enabled();
}

// Whether the client may have it is asked here, where it came in, and not again of the
// leader.
void Replica::Impl::OnLeaseCall(const ClientRequest& request) {
  const absl::StatusOr<auth::Subject> subject = Admit(request);
  if (!subject.ok()) return Answer(request.token, subject.status());
  LeaseCall call;
  call.kind = request.kind;
  call.body = request.body;
  call.revision = applier_.store().revision();
  // Both requests have the id in field 1.
  etcdserverpb::LeaseTimeToLiveRequest parsed;
  if (!ParseMessage(request.body, &parsed)) {
    const bool streamed = request.kind == RequestKind::kLeaseKeepAlive;
    return Answer(request.token, streamed ? MalformedMessageError() : MalformedRequestError());
  }
  if (lease_calls_.size() + held_requests_.size() >= config_.max_pending_lease_calls) {
    return Answer(request.token, TooManyRequestsError());
  }
  call.lease = LeaseId(parsed.id());
  call.keys = !call.keep_alive() && parsed.keys();
  call.auth_revision = applier_.auth().revision();
  if (call.keys && !call.from_peer() && LeaseKeysAreUncertain()) {
    return held_requests_.Push(request);
  }
  if (!call.from_peer() && (call.keep_alive() || call.keys)) {
    const auth::Access access = call.keys ? auth::Access::kRead : auth::Access::kWrite;
    const absl::Status permitted = applier_.Authorize(*subject).CheckLease(access, call.lease);
    if (!permitted.ok()) return Answer(request.token, permitted);
  }
  Dispatch(request.token, &lease_calls_.Add(request.token, std::move(call)));
}

// Sends a call on its way from the beginning: to the leader, whoever that is now.
void Replica::Impl::Dispatch(RequestToken token, LeaseCall* call) {
  if (call->state == LeaseCall::State::kClearing) proposals_.Abandon(token);
  lease_calls_.Reset(token, call);
  if (raft_.role() == raft::Role::kLeader) {
    call->state = LeaseCall::State::kConfirming;
    call->term = raft_.term();
    return reads_.Add({token, call->kind, Bytes()});
  }
  if (call->from_peer()) {
    Answer(token, NotLeaderError());
    lease_calls_.Erase(token);
    return;
  }
  const MemberId leader = raft_.leader();
  if (leader == raft::kNobody) return;  // until NoticeLeader()
  call->state = LeaseCall::State::kForwarded;
  ++call->attempt;
  out_->forwards.push_back({token, call->attempt, leader, call->kind, call->body});
  lease_calls_.RetryAt(token, call, now_ + kForwardPatience);
}

void Replica::Impl::DispatchUnsettledCalls() {
  for (const RequestToken token : lease_calls_.Unsettled()) {
    Dispatch(token, lease_calls_.Find(token));
  }
}

void Replica::Impl::RetryLeaseCalls() {
  for (const RequestToken token : lease_calls_.TakeDue(now_)) {
    Dispatch(token, lease_calls_.Find(token));
  }
}

// What the leader says counts whenever it was asked; that it could not be asked, only if
// nobody else was asked since.
void Replica::Impl::On(const Forwarded& event) {
  if (Promotion* const promotion = member_changes_.FindPromotion(event.token)) {
    return OnPromotionForwarded(event, promotion);
  }
  LeaseCall* const call = lease_calls_.Find(event.token);
  if (call == nullptr || call->state != LeaseCall::State::kForwarded) return;
  if (absl::IsNotFound(event.status)) return FinishLeaseCall(event.token, LeaseTime{});
  LeaseTime time;
  if (event.status.ok() && call->keep_alive()) {
    etcdserverpb::LeaseKeepAliveResponse response;
    time.found = ParseMessage(event.body, &response) && LeaseId(response.id()) == call->lease;
    time.ttl = response.ttl();
  } else if (event.status.ok()) {
    LeaseId id;
    time.found = ReadLeaseTime(event.body, &id, &time.ttl, &time.granted_ttl, &time.keys) &&
                 id == call->lease;
  }
  if (time.found) return FinishLeaseCall(event.token, time);
  if (event.attempt != call->attempt) return;
  call->state = LeaseCall::State::kWaiting;
  lease_calls_.RetryAt(event.token, call, now_ + kForwardRetryInterval);
}

// A round that began after the call's arrival is confirmed, and what was committed
// before it is applied.
void Replica::Impl::AnswerLeaseCall(RequestToken token, LeaseCall* call) {
  if (!lessor_.primary() || call->term != lessor_.term()) return Dispatch(token, call);
  const LeaseId id = call->lease;
  if (!applier_.leases().Exists(id)) return FinishLeaseCall(token, LeaseTime{});
  LeaseTime time;
  time.found = true;
  if (!call->keep_alive()) {
    time.ttl = lessor_.Remaining(id, now_).nanos() / kNanosPerSecond;
    time.granted_ttl = lessor_.GrantedTtl(id);
    return FinishLeaseCall(token, time);
  }
  if (lessor_.Revoking(id)) return lease_calls_.AwaitRevocation(token, call);
  if (lessor_.NeedsClear(id)) return ClearCheckpoint(token, call);
  lessor_.Renew(id, now_);
  ++leases_renewed_;
  time.ttl = lessor_.GrantedTtl(id);
  FinishLeaseCall(token, time);
}

// A later leader must not count from what was left at the last checkpoint.
void Replica::Impl::ClearCheckpoint(RequestToken token, LeaseCall* call) {
  call->state = LeaseCall::State::kClearing;
  proposals_.Add(
      token, apply::EncodeCommand(Operation::kLeaseCheckpoint, CheckpointBody({{call->lease, 0}}),
                                  proposals_.next_id()));
}

// Who was permitted to read the keys may be no more. The call is answered then.
bool Replica::Impl::RefuseChangedAuth(RequestToken token, const LeaseCall& call) {
  const auth::Auth& auth = applier_.auth();
  const bool changed = auth.enabled() && auth.revision() != call.auth_revision;
  if (!call.keys || call.from_peer() || !changed) return false;
  Answer(token, auth::AuthOldRevisionError());
  lease_calls_.Erase(token);
  return true;
}

// The answer, but for the keys.
void Replica::Impl::AppendLeaseTime(const LeaseCall& call, const LeaseTime& time,
                                    BytesBuilder* out) const {
  if (!call.from_peer()) {
    const Revision now = applier_.store().revision();
    mvcc::AppendHeader(identity(), call.keep_alive() ? call.revision : now, out);
  }
  AppendInt64(out, 2, call.lease.value());
  if (call.keep_alive()) {
    AppendInt64(out, 3, time.ttl);
  } else {
    AppendInt64(out, 3, time.found ? time.ttl : -1);
    AppendInt64(out, 4, time.granted_ttl);
  }
}

void Replica::Impl::FinishLeaseCall(RequestToken token, const LeaseTime& time) {
  const LeaseCall& call = *lease_calls_.Find(token);
  if (RefuseChangedAuth(token, call)) return;
  if (!time.found && call.from_peer()) {
    Answer(token, mvcc::LeaseNotFoundError());
  } else {
    BytesBuilder out(96 + time.keys.size());
    AppendLeaseTime(call, time, &out);
    out.Append(time.keys);
    Answer(token, absl::OkStatus(), std::move(out).Finish());
  }
  lease_calls_.Erase(token);
}

// ---- what was applied ----

void Replica::Impl::NoteTtl(int64_t ttl) {
  ++leases_granted_;
  size_t bound = 0;
  while (bound < LeaseTtls::kBounds && ttl > int64_t{1} << bound) ++bound;
  ++lease_ttls_.counts[bound];
  lease_ttls_.seconds += static_cast<uint64_t>(std::max<int64_t>(ttl, 0));
}

void Replica::Impl::NoteLeases(Operation operation, const apply::Outcome& outcome) {
  for (const LeaseId id : outcome.leases) {
    switch (operation) {
      case Operation::kLeaseGrant:
        NoteTtl(applier_.leases().Find(id)->ttl);
        lessor_.OnGranted(id, now_);
        break;
      case Operation::kLeaseRevoke:
        if (outcome.status.ok()) ++leases_revoked_;
        if (outcome.status.ok() && lessor_.Revoking(id)) ++leases_expired_;
        if (applier_.leases().Exists(id)) {
          lessor_.OnRevokeRefused(id, now_);
        } else {
          lessor_.OnRevoked(id);
        }
        for (const RequestToken token : lease_calls_.TakeAwaiting(id)) {
          AnswerLeaseCall(token, lease_calls_.Find(token));
        }
        break;
      default:
        lessor_.OnCheckpointed(id);
        break;
    }
  }
}

// ---- the leader's work ----

// Called after whatever may have changed the role.
void Replica::Impl::NoticeLeadTerm() {
  const Term term = raft_.role() == raft::Role::kLeader ? raft_.term() : Term();
  if (term == lead_term_) return;
  lead_term_ = term;
  lessor_.Demote();
  revoke_until_ = Instant();
  lease_again_ = Instant();
}

// When WorkOnLeases() has something to do.
Instant Replica::Impl::LeaseWorkDue() const {
  if (lessor_.walking()) return now_;
  if (!lessor_.primary()) return Instant::Infinite();
  Instant due = lessor_.next_checkpoint();
  const Instant deadline = lessor_.next_deadline();
  const bool confirmed = deadline <= revoke_until_;
  const bool can_revoke = lessor_.revoking() < config_.max_expiring_leases;
  if (confirmed ? can_revoke : !expiry_round_.has_value()) due = std::min(due, deadline);
  return std::max(due, lease_again_);
}

void Replica::Impl::WorkOnLeases() {
  if (LeaseWorkDue() > now_) return;
  lessor_.Walk(kWalkLeases);
  if (!lessor_.primary() || now_ < lease_again_) return;
  RevokeExpired();
  if (now_ >= lessor_.next_checkpoint()) ProposeCheckpoints();
  const Instant deadline = lessor_.next_deadline();
  if (deadline > now_ || deadline <= revoke_until_ || expiry_round_.has_value()) return;
  expiry_round_ = ExpiryRound{now_, lessor_.term()};
  reads_.Add({RequestToken(), RequestKind::kLeaseTimeToLive, Bytes()});
}

// The round that RequestToken(0) stands for is confirmed.
void Replica::Impl::OnExpiryConfirmed() {
  CHECK(expiry_round_.has_value());
  const ExpiryRound round = *std::exchange(expiry_round_, std::nullopt);
  if (!lessor_.primary() || round.term != lessor_.term()) return;
  revoke_until_ = round.begun;
  RevokeExpired();
}

void Replica::Impl::RevokeExpired() {
  const size_t under_way = lessor_.revoking();
  if (lessor_.next_deadline() > revoke_until_ || under_way >= config_.max_expiring_leases) return;
  const std::vector<LeaseId> expired = lessor_.Expired(
      revoke_until_, std::min(kRevokeLeases, config_.max_expiring_leases - under_way));
  std::vector<Bytes> payloads;
  for (const LeaseId id : expired) {
    payloads.push_back(apply::EncodeCommand(Operation::kLeaseRevoke, RevokeBody(id),
                                            proposals_.TakeId(), OwnSubject()));
  }
  if (payloads.empty() || !raft_.Propose(payloads, now_).ok()) {
    lease_again_ = now_ + kLeaseRetryInterval;
    return;
  }
  for (const LeaseId id : expired) lessor_.OnRevokeProposed(id);
}

void Replica::Impl::ProposeCheckpoints() {
  const std::vector<lease::Lessor::Checkpoint> due =
      lessor_.TakeCheckpoints(now_, kCheckpointLeases);
  if (due.empty()) return;
  const Bytes payload =
      apply::EncodeCommand(Operation::kLeaseCheckpoint, CheckpointBody(due), proposals_.TakeId());
  if (raft_.Propose({&payload, 1}, now_).ok()) return;
  // There is another an interval later.
  for (const lease::Lessor::Checkpoint& checkpoint : due) lessor_.OnCheckpointed(checkpoint.id);
}

}  // namespace quorate::engine
