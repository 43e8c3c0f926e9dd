// Another member's disk has lost what that member had acknowledged, and it asks for the state
// (server/repair.h). Raft cannot bring it back: a leader never sends again what a follower has once
// acknowledged. So it gets an image, as of an entry that was proposed after it asked: the barrier.
//
// Why that is enough. Before its loss the member may have acknowledged entries to the leader of a
// term t, and voted in a term v. It takes part in nothing while it asks, so the quorum that made
// the barrier durable, in a term T, is one without it.
//   - The quorum that elected the leader of t has a member in common with that one, and it is
//     another than the one that asks: T >= t. The leader of T has everything that was committed
//     in earlier terms, and what was acknowledged in T itself it has had before the barrier. So a
//     state as of the barrier holds whatever the member's acknowledgements committed, or ever
//     will.
//   - The member takes over a term >= T, without a vote left in it: in no v <= T it votes again. In
//     a later v it may vote for another than it has forgotten. But that candidate was a candidate
//     before the barrier was proposed, so it has not accepted it, and will not be elected: any
//     quorum has a member in common with the barrier's that is another than the one that asks,
//     and whose log is ahead of the candidate's.
#include "api/malformed.h"
#include "api/rpc.pb.h"
#include "base/coding.h"
#include "engine/apply/command.h"
#include "engine/replica/impl.h"

namespace quorate::engine {
namespace {

Bytes EncodeNumber(uint64_t number) {
  BytesBuilder out(sizeof number);
  StoreLe64(out.Grow(sizeof number), number);
  return std::move(out).Finish();
}

std::optional<uint64_t> DecodeNumber(absl::string_view bytes) {
  if (bytes.size() != sizeof(uint64_t)) return std::nullopt;
  return LoadLe64(bytes.data());
}

}  // namespace

Bytes RepairRequest::Encode() const { return EncodeNumber(member.value()); }

std::optional<RepairRequest> RepairRequest::Decode(absl::string_view bytes) {
  const std::optional<uint64_t> member = DecodeNumber(bytes);
  if (!member.has_value()) return std::nullopt;
  return RepairRequest{MemberId(*member)};
}

Bytes RepairAnswer::Encode() const { return EncodeNumber(barrier.value()); }

std::optional<RepairAnswer> RepairAnswer::Decode(absl::string_view bytes) {
  const std::optional<uint64_t> barrier = DecodeNumber(bytes);
  if (!barrier.has_value()) return std::nullopt;
  return RepairAnswer{LogIndex(*barrier)};
}

// The barrier is a question for alarms, which changes nothing, whoever applies it.
void Replica::Impl::OnRepairRequest(const ClientRequest& request) {
  const std::optional<RepairRequest> repair = RepairRequest::Decode(request.body);
  if (!repair.has_value()) return Answer(request.token, MalformedRequestError());
  const MemberId member = repair->member;
  if (IsRemoved(member)) {
    return Answer(request.token,
                  absl::FailedPreconditionError("the member has been permanently removed"));
  }
  if (member == config_.member_id || !applier_.membership().members().contains(member)) {
    return Answer(request.token, absl::NotFoundError("etcdserver: member not found"));
  }
  if (proposals_.pending() >= config_.max_pending_proposals) {
    return Answer(request.token, TooManyRequestsError());
  }
  etcdserverpb::AlarmRequest barrier;
  barrier.set_action(etcdserverpb::AlarmRequest::GET);
  barrier.set_memberid(member.value());
  repairs_[request.token] = member;
  proposals_.Add(request.token,
                 apply::EncodeCommand(apply::Operation::kAlarm, barrier.SerializeAsString(),
                                      proposals_.next_id()));
}

// It is about to be applied; the image is taken after that.
void Replica::Impl::OnBarrier(RequestToken token, MemberId member, LogIndex barrier) {
  Answer(token, absl::OkStatus(), RepairAnswer{barrier}.Encode());
  raft::Message message;
  message.type = raft::MessageType::kSnap;
  message.from = config_.member_id;
  message.to = member;
  message.term = raft_.term();
  SendSnapshot(std::move(message));
}

}  // namespace quorate::engine
