#include "engine/apply/applier.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/membership.pb.h"
#include "api/messages.h"
#include "api/rpc.pb.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/limits.h"
#include "base/prng.h"
#include "base/status.h"
#include "base/wire.h"
#include "engine/apply/auth_commands.h"
#include "engine/apply/quota.h"
#include "engine/mvcc/errors.h"
#include "engine/mvcc/key_value.h"
#include "engine/mvcc/txn.h"

namespace quorate::apply {
namespace {

// Smaller stores are in the caches as it is.
constexpr size_t kPrefetchFrom = 32 * limits::kMiB;

template <typename Proto>
absl::Status ParseProto(absl::string_view body, Proto* out) {
  if (ParseMessage(body, out)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("malformed ", out->GetTypeName()));
}

// Decodes and forgets: whether the body would be accepted.
template <typename Request>
absl::Status CheckBody(absl::string_view body) {
  Request request;
  return mvcc::Decode(body, &request);
}

template <typename Proto>
absl::Status CheckProto(absl::string_view body) {
  Proto request;
  return ParseProto(body, &request);
}

absl::Status Unknown(Operation operation) {
  return absl::UnimplementedError(absl::StrCat("operation ", static_cast<uint32_t>(operation),
                                               " of InternalRaftRequest is not known to this "
                                               "version"));
}

// Room for a response without a page of results.
constexpr size_t kSmallResponse = 96;

// Runs `apply(out)` with or without a place for the response.
template <typename Fn>
void Respond(bool respond, Outcome* outcome, Fn&& apply) {
  if (!respond) {
    outcome->status = apply(nullptr);
    return;
  }
  BytesBuilder out(kSmallResponse);
  outcome->status = apply(&out);
  if (outcome->status.ok()) outcome->body = std::move(out).Finish();
}

}  // namespace

absl::Status Applier::Check(const Command& command) {
  switch (command.operation) {
    case Operation::kPut:
      return CheckBody<mvcc::PutRequest>(command.body);
    case Operation::kDeleteRange:
      return CheckBody<mvcc::DeleteRangeRequest>(command.body);
    case Operation::kTxn:
      return CheckBody<mvcc::TxnRequest>(command.body);
    case Operation::kCompaction:
      return CheckBody<mvcc::CompactionRequest>(command.body);
    case Operation::kLeaseGrant:
      return CheckProto<etcdserverpb::LeaseGrantRequest>(command.body);
    case Operation::kLeaseRevoke:
      return CheckProto<etcdserverpb::LeaseRevokeRequest>(command.body);
    case Operation::kAlarm:
      return CheckProto<etcdserverpb::AlarmRequest>(command.body);
    case Operation::kLeaseCheckpoint:
      return CheckProto<etcdserverpb::LeaseCheckpointRequest>(command.body);
    case Operation::kClusterVersionSet: {
      membershippb::ClusterVersionSetRequest request;
      RETURN_IF_ERROR(ParseProto(command.body, &request));
      return membership::Membership().SetClusterVersion(request.ver());
    }
    case Operation::kClusterMemberAttrSet:
      return CheckProto<membershippb::ClusterMemberAttrSetRequest>(command.body);
    case Operation::kDowngradeInfoSet:
      return CheckProto<membershippb::DowngradeInfoSetRequest>(command.body);
    case Operation::kRange:
    case Operation::kAuthStatus:
    case Operation::kAuthUserGet:
    case Operation::kAuthUserList:
    case Operation::kAuthRoleList:
    case Operation::kAuthRoleGet:
      return absl::OkStatus();  // reads: nothing to apply
    case Operation::kNone:
      break;
    default:
      if (IsAuthCommand(command.operation)) return CheckAuthCommand(command);
      break;
  }
  return Unknown(command.operation);
}

bool Applier::AlarmsAllow(bool adds, Outcome* outcome) const {
  outcome->status = alarms_.Check(adds);
  return outcome->status.ok();
}

template <typename Request>
bool Applier::Permits(const Command& command, const Request& request, Outcome* outcome) const {
  if (!auth_.enabled()) return true;
  outcome->status = Authorize(command.subject).Check(request);
  return outcome->status.ok();
}

absl::Status Applier::Apply(const Command& command, const mvcc::Identity& identity, bool respond,
                            Outcome* outcome) {
  mvcc::Work work = mvcc::Work::Unlimited();
  return Apply(command, identity, respond, &work, outcome);
}

void Applier::Begin(std::unique_ptr<CommandRun> run, mvcc::Work* work, Outcome* outcome) {
  running_ = std::move(run);
  Continue(work, outcome);
}

void Applier::Continue(mvcc::Work* work, Outcome* outcome) {
  CHECK(running_ != nullptr);
  outcome->unfinished = work->spent() || !running_->Step(work, &outcome->status, &outcome->body);
  if (outcome->unfinished) return;
  outcome->counts = running_->counts();
  running_.reset();
}

std::unique_ptr<CommandRun> Applier::Abandon() {
  if (running_ != nullptr) running_->Abandon();
  return std::move(running_);
}

absl::Status Applier::Apply(const Command& command, const mvcc::Identity& identity, bool respond,
                            mvcc::Work* work, Outcome* outcome) {
  CHECK_MSG(running_ == nullptr, "an unfinished command must be finished first");
  *outcome = Outcome();
  work->SpendChange(command.body.size());
  switch (command.operation) {
    case Operation::kPut: {
      mvcc::PutRequest request;
      RETURN_IF_ERROR(mvcc::Decode(command.body, &request));
      if (!AlarmsAllow(/*adds=*/true, outcome)) return absl::OkStatus();
      if (!Permits(command, request, outcome)) return absl::OkStatus();
      if (request.lease != LeaseId()) work->Spend(kAttachCost);
      Respond(respond, outcome,
              [&](BytesBuilder* out) { return mvcc::ApplyPut(&store_, request, identity, out); });
      if (outcome->status.ok()) outcome->counts = mvcc::Counts(request);
      if (outcome->status == mvcc::KeyNotFoundError()) outcome->counts.ranges = 1;
      outcome->counts.CountTxn();
      return absl::OkStatus();
    }
    case Operation::kDeleteRange: {
      mvcc::DeleteRangeRequest request;
      RETURN_IF_ERROR(mvcc::Decode(command.body, &request));
      if (!AlarmsAllow(/*adds=*/false, outcome)) return absl::OkStatus();
      if (!Permits(command, request, outcome)) return absl::OkStatus();
      Begin(RunDelete(&store_, request, identity, respond), work, outcome);
      return absl::OkStatus();
    }
    case Operation::kTxn: {
      mvcc::TxnRequest request;
      RETURN_IF_ERROR(mvcc::Decode(command.body, &request));
      if (!AlarmsAllow(/*adds=*/Cost(request) > 0, outcome)) return absl::OkStatus();
      if (!Permits(command, request, outcome)) return absl::OkStatus();
      Begin(RunTxn(&store_, std::move(request), identity, respond), work, outcome);
      return absl::OkStatus();
    }
    case Operation::kCompaction:
      return ApplyCompaction(command.body, identity, respond, outcome);
    case Operation::kLeaseGrant:
      return ApplyLeaseGrant(command.body, identity, respond, outcome);
    case Operation::kLeaseRevoke:
      return ApplyLeaseRevoke(command, identity, respond, work, outcome);
    case Operation::kAlarm:
      return ApplyAlarm(command.body, identity, respond, outcome);
    case Operation::kLeaseCheckpoint:
      return ApplyLeaseCheckpoint(command.body, identity, respond, outcome);
    case Operation::kClusterVersionSet:
      return ApplyClusterVersion(command.body);
    case Operation::kClusterMemberAttrSet:
      return ApplyMemberAttributes(command.body);
    case Operation::kDowngradeInfoSet:
      return ApplyDowngrade(command.body);
    default:
      if (!IsAuthCommand(command.operation)) return Check(command);
      return ApplyAuthCommand(command, &auth_, store_.revision(), identity, respond, outcome);
  }
}

void Applier::Prefetch(std::span<const absl::string_view> data) const {
  if (store_.log().allocated_bytes() < kPrefetchFrom) return;
  std::vector<absl::string_view> keys;
  for (const absl::string_view entry : data) {
    const absl::StatusOr<Command> command = DecodeCommand(entry);
    mvcc::PutRequest put;
    if (!command.ok() || command->operation != Operation::kPut) continue;
    if (mvcc::Decode(command->body, &put).ok()) keys.push_back(put.key);
  }
  if (!keys.empty()) store_.index().Prefetch(keys);
}

absl::Status Applier::ApplyCompaction(absl::string_view body, const mvcc::Identity& identity,
                                      bool respond, Outcome* outcome) {
  mvcc::CompactionRequest request;
  RETURN_IF_ERROR(mvcc::Decode(body, &request));
  if (!AlarmsAllow(/*adds=*/false, outcome)) return absl::OkStatus();
  outcome->status = compactor_.Start(request.revision);
  if (!outcome->status.ok() || !respond) return absl::OkStatus();
  if (request.physical) {
    outcome->awaits_compaction = request.revision;
  } else {
    outcome->body = CompactionResponse(identity);
  }
  return absl::OkStatus();
}

// ---- leases ----

absl::Status Applier::ApplyLeaseGrant(absl::string_view body, const mvcc::Identity& identity,
                                      bool respond, Outcome* outcome) {
  etcdserverpb::LeaseGrantRequest request;
  RETURN_IF_ERROR(ParseProto(body, &request));
  const LeaseId id(request.id());
  if (!AlarmsAllow(/*adds=*/true, outcome)) return absl::OkStatus();
  Respond(respond, outcome, [&](BytesBuilder* out) {
    RETURN_IF_ERROR(leases_.Grant(id, request.ttl()));
    outcome->leases.push_back(id);
    if (out == nullptr) return absl::OkStatus();
    mvcc::AppendHeader(identity, store_.revision(), out);
    AppendInt64(out, 2, request.id());
    AppendInt64(out, 3, request.ttl());
    return absl::OkStatus();
  });
  return absl::OkStatus();
}

absl::Status Applier::ApplyLeaseRevoke(const Command& command, const mvcc::Identity& identity,
                                       bool respond, mvcc::Work* work, Outcome* outcome) {
  etcdserverpb::LeaseRevokeRequest request;
  RETURN_IF_ERROR(ParseProto(command.body, &request));
  const LeaseId id(request.id());
  outcome->leases.push_back(id);
  if (!AlarmsAllow(/*adds=*/false, outcome)) return absl::OkStatus();
  outcome->status = Authorize(command.subject).CheckLease(auth::Access::kWrite, id);
  if (outcome->status.ok() && !leases_.Exists(id)) outcome->status = mvcc::LeaseNotFoundError();
  if (!outcome->status.ok()) return absl::OkStatus();
  Begin(RunRevoke(&store_, &leases_, id, identity, respond), work, outcome);
  return absl::OkStatus();
}

absl::Status Applier::ApplyLeaseCheckpoint(absl::string_view body, const mvcc::Identity& identity,
                                           bool respond, Outcome* outcome) {
  etcdserverpb::LeaseCheckpointRequest request;
  RETURN_IF_ERROR(ParseProto(body, &request));
  Respond(respond, outcome, [&](BytesBuilder* out) {
    for (const etcdserverpb::LeaseCheckpoint& checkpoint : request.checkpoints()) {
      const LeaseId id(checkpoint.id());
      leases_.Checkpoint(id, checkpoint.remaining_ttl());
      if (checkpoint.remaining_ttl() > 0) outcome->leases.push_back(id);
    }
    if (out != nullptr) mvcc::AppendHeader(identity, store_.revision(), out);
    return absl::OkStatus();
  });
  return absl::OkStatus();
}

// ---- alarms ----

namespace {

void AppendAlarm(const alarm::Alarm& alarm, BytesBuilder* out) {
  const size_t member = BeginMessage(out, 2);
  AppendUint64(out, 1, alarm.member.value());
  AppendInt64(out, 2, alarm.type);
  EndMessage(out, member);
}

}  // namespace

// Tells the alarm if it stands, or stood, because of the request; a list for GET. Other
// actions do nothing.
absl::Status Applier::ApplyAlarm(absl::string_view body, const mvcc::Identity& identity,
                                 bool respond, Outcome* outcome) {
  etcdserverpb::AlarmRequest request;
  RETURN_IF_ERROR(ParseProto(body, &request));
  const alarm::Alarm alarm{request.alarm(), MemberId(request.memberid())};
  bool tell = false;
  if (request.action() == etcdserverpb::AlarmRequest::ACTIVATE) {
    alarms_.Activate(alarm);
    tell = alarms_.IsActive(alarm);
  } else if (request.action() == etcdserverpb::AlarmRequest::DEACTIVATE) {
    tell = alarms_.Deactivate(alarm);
  } else if (request.action() == etcdserverpb::AlarmRequest::GET) {
    if (respond) outcome->body = AlarmList(request.alarm(), identity);
    return absl::OkStatus();
  }
  if (!respond) return absl::OkStatus();
  BytesBuilder out(kSmallResponse);
  mvcc::AppendHeader(identity, store_.revision(), &out);
  if (tell) AppendAlarm(alarm, &out);
  outcome->body = std::move(out).Finish();
  return absl::OkStatus();
}

Bytes Applier::AlarmList(int32_t type, const mvcc::Identity& identity) const {
  BytesBuilder out(kSmallResponse);
  mvcc::AppendHeader(identity, store_.revision(), &out);
  for (const alarm::Alarm& alarm : alarms_.all()) {
    if (type == alarm::kNone || type == alarm.type) AppendAlarm(alarm, &out);
  }
  return std::move(out).Finish();
}

absl::Status Applier::ApplyClusterVersion(absl::string_view body) {
  membershippb::ClusterVersionSetRequest request;
  RETURN_IF_ERROR(ParseProto(body, &request));
  return membership_.SetClusterVersion(request.ver());
}

absl::Status Applier::ApplyDowngrade(absl::string_view body) {
  membershippb::DowngradeInfoSetRequest request;
  RETURN_IF_ERROR(ParseProto(body, &request));
  membership_.SetDowngrade(request.enabled() ? request.ver() : "");
  return absl::OkStatus();
}

absl::Status Applier::ApplyMemberAttributes(absl::string_view body) {
  membershippb::ClusterMemberAttrSetRequest request;
  RETURN_IF_ERROR(ParseProto(body, &request));
  const membershippb::Attributes& attributes = request.member_attributes();
  membership_.SetAttributes(
      MemberId(request.member_id()), attributes.name(),
      std::vector<std::string>(attributes.client_urls().begin(), attributes.client_urls().end()));
  return absl::OkStatus();
}

void Applier::ApplyMembershipChange(const membership::Change& change, Outcome* outcome) {
  *outcome = Outcome();
  outcome->status = membership_.Check(change);
  if (outcome->status.ok()) membership_.Apply(change);
}

Bytes Applier::CompactionResponse(const mvcc::Identity& identity) const {
  BytesBuilder out(kSmallResponse);
  mvcc::AppendHeader(identity, store_.revision(), &out);
  return std::move(out).Finish();
}

uint64_t Applier::Digest() const {
  const Revision compacted = store_.compact_revision();
  uint64_t digest = Mix64(static_cast<uint64_t>(store_.revision().value()));
  digest = Mix64(digest ^ static_cast<uint64_t>(compacted.value()));
  const mvcc::RevisionLog& log = store_.log();
  for (mvcc::LogCursor c = log.Begin(); log.Valid(&c); log.Next(&c)) {
    const mvcc::Record record = log.Get(c.location());
    // Whether or not cleaning came by.
    if (!store_.Keeps(record, c.location())) continue;
    const mvcc::RevisionKey key(record.revision, record.tombstone);
    digest = Mix64(digest ^ Crc32cExtend(Crc32c(key.view()), record.bytes));
  }
  digest = alarms_.Digest(leases_.Digest(membership_.Digest(digest)));
  return auth_.Digest(digest);
}

}  // namespace quorate::apply
