// What clients ask: checks before anything is proposed, and answers to reads.
#include "engine/mvcc/requests.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/malformed.h"
#include "api/messages.h"
#include "api/rpc.pb.h"
#include "base/check.h"
#include "base/status.h"
#include "engine/apply/auth_commands.h"
#include "engine/apply/quota.h"
#include "engine/mvcc/errors.h"
#include "engine/replica/impl.h"

namespace quorate::engine {
namespace {

using apply::Operation;

absl::Status NotForLearner() {
  return absl::FailedPreconditionError("etcdserver: rpc not supported for learner");
}

template <typename Request>
absl::StatusOr<Request> DecodeValid(const Bytes& body) {
  Request request;
  RETURN_IF_ERROR(mvcc::Decode(body, &request));
  RETURN_IF_ERROR(mvcc::Validate(request));
  return request;
}

template <typename Proto>
absl::StatusOr<Proto> Parse(const Bytes& body) {
  Proto proto;
  if (ParseMessage(body, &proto)) return proto;
  return MalformedRequestError();
}

}  // namespace

void Replica::Impl::Answer(RequestToken token, absl::Status status, engine::Answer body,
                           bool read) {
  out_->responses.push_back({token, std::move(status), std::move(body), read});
}

void Replica::Impl::AnswerRead(RequestToken token, absl::StatusOr<engine::Answer> body) {
  if (!body.ok()) return Answer(token, body.status(), Bytes(), true);
  Answer(token, absl::OkStatus(), *std::move(body), true);
}

void Replica::Impl::On(ClientRequest& request) {
  busy_turns_ = kBusyTurns;
  const LogIndex awaited = AwaitedIndex(request.credentials);
  if (awaited <= applied_) return Serve(request);
  if (token_waits_.full()) return Answer(request.token, TooManyRequestsError());
  token_waits_.Add(std::move(request), awaited, now_);
}

void Replica::Impl::Serve(ClientRequest& request) {
  const absl::StatusOr<Plan> plan = MakePlan(request);
  if (!plan.ok()) {
    Answer(request.token, plan.status());
  } else if (plan->kind == Plan::Kind::kPropose) {
    Propose(request, *plan);
  } else if (plan->kind == Plan::Kind::kLease) {
    OnLeaseCall(request);
  } else if (plan->kind == Plan::Kind::kMembership) {
    OnMembershipRequest(request);
  } else if (plan->kind == Plan::Kind::kRepair) {
    OnRepairRequest(request);
  } else if (PendingReads() >= kMaxPendingReads) {
    Answer(request.token, TooManyRequestsError());
  } else if (plan->linearizable) {
    reads_.Add(std::move(request));
  } else if (request.kind == RequestKind::kLeaseList && LeaseKeysAreUncertain()) {
    held_requests_.Push(std::move(request));
  } else {
    mvcc::Work work(config_.max_turn_work / 4 + 1);
    AnswerRead(std::move(request), &work);
  }
}

// Whether the request is sound, and how it is to be served.
absl::StatusOr<Replica::Impl::Plan> Replica::Impl::MakePlan(const ClientRequest& request) const {
  const auto propose = [](Operation operation, int64_t cost = 0) {
    return Plan{Plan::Kind::kPropose, false, operation, cost};
  };
  const bool learner = raft_.is_learner();
  switch (request.kind) {
    case RequestKind::kRange: {
      ASSIGN_OR_RETURN(const auto range, DecodeValid<mvcc::RangeRequest>(request.body));
      // What the server asks by itself (probes) is no client's.
      const bool own = request.credentials.kind == Credentials::Kind::kName &&
                       request.credentials.text == OwnCredentials().text;
      if (learner && !range.serializable && !own) return NotForLearner();
      return Plan{Plan::Kind::kRead, !range.serializable, Operation::kNone};
    }
    case RequestKind::kStatus:
      return Plan{};
    case RequestKind::kPeerLeaseKeepAlive:
    case RequestKind::kPeerLeaseTimeToLive:
      return Plan{Plan::Kind::kLease};
    case RequestKind::kPeerMemberPromote:
      return Plan{Plan::Kind::kMembership};
    case RequestKind::kPeerRepair:
      return Plan{Plan::Kind::kRepair};
    case RequestKind::kMemberAttributes:
      return propose(Operation::kClusterMemberAttrSet);
    case RequestKind::kClusterVersion:
      return propose(Operation::kClusterVersionSet);
    default:
      break;
  }
  if (learner) return NotForLearner();
  switch (request.kind) {
    case RequestKind::kPut: {
      ASSIGN_OR_RETURN(const auto put, DecodeValid<mvcc::PutRequest>(request.body));
      return propose(Operation::kPut, apply::Cost(put));
    }
    case RequestKind::kDeleteRange:
      RETURN_IF_ERROR(DecodeValid<mvcc::DeleteRangeRequest>(request.body).status());
      return propose(Operation::kDeleteRange);
    case RequestKind::kTxn: {
      mvcc::TxnRequest txn;
      const size_t most = mvcc::MaxProposedTxnOps(config_.max_txn_ops);
      RETURN_IF_ERROR(mvcc::Decode(request.body, &txn, most));
      RETURN_IF_ERROR(mvcc::Validate(txn, config_.max_txn_ops));
      if (!txn.read_only()) return propose(Operation::kTxn, apply::Cost(txn));
      // Comparisons alone name no range that could be a serializable one: ask a quorum.
      const bool empty = txn.success.empty() && txn.failure.empty();
      return Plan{Plan::Kind::kRead, empty || !txn.serializable(), Operation::kNone};
    }
    case RequestKind::kCompact: {
      mvcc::CompactionRequest compaction;
      RETURN_IF_ERROR(mvcc::Decode(request.body, &compaction));
      return propose(Operation::kCompaction);
    }
    case RequestKind::kLeaseGrant:
      RETURN_IF_ERROR(Parse<etcdserverpb::LeaseGrantRequest>(request.body).status());
      return propose(Operation::kLeaseGrant, apply::kLeaseCost);
    case RequestKind::kLeaseRevoke:
      RETURN_IF_ERROR(Parse<etcdserverpb::LeaseRevokeRequest>(request.body).status());
      return propose(Operation::kLeaseRevoke);
    case RequestKind::kLeaseKeepAlive:
    case RequestKind::kLeaseTimeToLive:
      return Plan{Plan::Kind::kLease};
    case RequestKind::kAlarm: {
      ASSIGN_OR_RETURN(const auto alarm, Parse<etcdserverpb::AlarmRequest>(request.body));
      if (alarm.action() != etcdserverpb::AlarmRequest::GET) return propose(Operation::kAlarm);
      return Plan{Plan::Kind::kRead, true, Operation::kNone};
    }
    case RequestKind::kMemberList: {
      ASSIGN_OR_RETURN(const auto list, Parse<etcdserverpb::MemberListRequest>(request.body));
      return Plan{Plan::Kind::kRead, list.linearizable(), Operation::kNone};
    }
    case RequestKind::kMemberAdd:
    case RequestKind::kMemberRemove:
    case RequestKind::kMemberUpdate:
    case RequestKind::kMemberPromote:
    case RequestKind::kMoveLeader:
      return Plan{Plan::Kind::kMembership};
    case RequestKind::kAuthPassword:
    case RequestKind::kClusterStatus:
      return Plan{Plan::Kind::kRead, true, Operation::kNone};
    case RequestKind::kDowngradeInfo:
      return propose(Operation::kDowngradeInfoSet);
    default:
      break;
  }
  const Operation operation = AuthOperation(request.kind);
  if (apply::IsAuthCommand(operation)) return propose(operation);
  return Plan{Plan::Kind::kRead, operation != Operation::kNone, Operation::kNone};
}

void Replica::Impl::Propose(const ClientRequest& request, const Plan& plan) {
  const Operation operation = plan.operation;
  if (proposals_.pending() >= config_.max_pending_proposals) {
    return Answer(request.token, TooManyRequestsError());
  }
  const absl::StatusOr<auth::Subject> subject = Admit(request);
  if (!subject.ok()) return Answer(request.token, subject.status());
  absl::Status refusal = CheckQuota(plan.cost);
  if (operation == Operation::kAlarm) refusal = applier_.auth().CheckAdmin(*subject);
  if (!refusal.ok()) return Answer(request.token, refusal);
  const uint64_t id = proposals_.next_id();
  if (apply::EncodedCommandSize(operation, request.body.size(), id, *subject) >
      config_.max_request_bytes) {
    return Answer(request.token, mvcc::RequestTooLargeError());
  }
  // Checked here, since nobody validated them before.
  if (operation == Operation::kClusterMemberAttrSet || operation == Operation::kClusterVersionSet ||
      operation == Operation::kDowngradeInfoSet || apply::IsAuthCommand(operation)) {
    const absl::Status status = apply::Applier::Check({id, operation, request.body});
    if (!status.ok()) return Answer(request.token, status);
  }
  Bytes body = request.body;
  if (operation == Operation::kLeaseGrant) {
    LeaseId granted;
    absl::StatusOr<Bytes> grant = CompleteGrant(body, id, &granted);
    if (!grant.ok()) return Answer(request.token, grant.status());
    body = *std::move(grant);
    queued_grants_.push_back(granted);
  }
  proposals_.Add(request.token, apply::EncodeCommand(operation, body, id, *subject));
}

// Of reads that are never long.
absl::StatusOr<Bytes> Replica::Impl::Read(const ClientRequest& request) {
  switch (request.kind) {
    case RequestKind::kMemberList:
      return MemberList();
    case RequestKind::kStatus:
    case RequestKind::kAdminStatus:
    case RequestKind::kClusterStatus:
      return Status();
    case RequestKind::kAlarm: {
      ASSIGN_OR_RETURN(const auto alarm, Parse<etcdserverpb::AlarmRequest>(request.body));
      return applier_.AlarmList(alarm.alarm(), identity());
    }
    case RequestKind::kAuthPassword:
      return ReadPasswordHash(request.body);
    default:
      UNREACHABLE("a read that goes in pieces, or none");
  }
}

absl::StatusOr<Bytes> Replica::Impl::Status() const {
  const ReplicaStatus s = status();
  etcdserverpb::StatusResponse response;
  etcdserverpb::ResponseHeader* header = response.mutable_header();
  header->set_cluster_id(config_.cluster_id.value());
  header->set_member_id(config_.member_id.value());
  header->set_revision(s.revision.value());
  header->set_raft_term(s.term.value());
  response.set_version(config_.server_version);
  response.set_dbsize(static_cast<int64_t>(s.db_bytes));
  response.set_dbsizeinuse(static_cast<int64_t>(s.db_bytes_in_use));
  response.set_leader(s.leader.value());
  response.set_raftindex(s.commit.value());
  response.set_raftterm(s.term.value());
  response.set_raftappliedindex(s.applied.value());
  response.set_islearner(s.is_learner);
  response.set_storageversion(cluster_version());
  const std::string& target = applier_.membership().downgrade_target();
  response.mutable_downgradeinfo()->set_enabled(!target.empty());
  response.mutable_downgradeinfo()->set_targetversion(target);
  response.set_dbsizequota(config_.quota_bytes);
  if (s.leader == MemberId(0)) response.add_errors("etcdserver: no leader");
  for (const alarm::Alarm& alarm : applier_.alarms().all()) {
    response.add_errors(absl::StrCat("memberID:", alarm.member.value(),
                                     " alarm:", alarm::TypeName(alarm.type), " "));
  }
  return SerializeMessage(response);
}

}  // namespace quorate::engine
