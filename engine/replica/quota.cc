// The quota: a bound on what the store holds in use, and the space that the disk has left. It
// decides nothing by itself, since members' memories differ: it acts before a request is proposed,
// and by the NOSPACE alarm, which every member obeys when it applies. Members that each refused by
// themselves what is in the log already would come to hold different data.
#include <utility>

#include "api/rpc.pb.h"
#include "engine/replica/impl.h"

namespace quorate::engine {
namespace {

// Before an alarm is raised again that has not come to stand.
constexpr Duration kAlarmRetryInterval = Seconds(1);

}  // namespace

int64_t Replica::Impl::bytes_in_use() const {
  const mvcc::Store& store = applier_.store();
  return static_cast<int64_t>(store.log().live_bytes() + store.index().allocated_bytes() +
                              applier_.leases().allocated_bytes());
}

// Whether the quota has room for `cost` more; raises the alarm if not.
absl::Status Replica::Impl::CheckQuota(int64_t cost) {
  if (disk_.low_space && cost > 0) return alarm::NoSpaceError();
  if (config_.quota_bytes < 0 || cost == 0) return absl::OkStatus();
  if (bytes_in_use() + cost < config_.quota_bytes) return absl::OkStatus();
  RaiseNoSpace();
  return alarm::NoSpaceError();
}

// What was proposed before anybody knew better may have gone beyond it.
void Replica::Impl::CheckQuotaApplied() {
  if (!std::exchange(applied_additions_, false)) return;
  // Not for what is only being replayed.
  if (applied_ < raft_.log().committed() || raft_.leader() == raft::kNobody) return;
  if (config_.quota_bytes >= 0 && bytes_in_use() >= config_.quota_bytes) RaiseNoSpace();
}

void Replica::Impl::RaiseNoSpace() {
  if (OwnNoSpaceStands() || now_ < alarm_again_) return;
  alarm_cause_ = disk_.low_space ? AlarmCause::kDisk : AlarmCause::kOther;
  ProposeNoSpace(/*activate=*/true, config_.member_id);
}

// Its alarm has come to stand, by the proposal `id`, which somebody waits for here or not. What was
// on its way when this member was restarted is as one from before the start.
void Replica::Impl::NoteCauseOfAlarm(uint64_t id, bool awaited) {
  if (awaited || !proposals_.IsOfThisMember(id)) {
    alarm_cause_ = AlarmCause::kOther;
  } else if (!proposals_.IsOfThisRun(id)) {
    alarm_cause_ = AlarmCause::kUnknown;
  }
}

// Of one that was raised for the disk. That of the quota, and one that somebody else raised,
// is the operator's to put out, as in etcd. One from before this start counts as the quota's
// if a request could have raised it for that; and one for the disk stands until there is as much
// space as would have been waited for without the restart.
void Replica::Impl::PutOutNoSpace() {
  if (!OwnNoSpaceStands() || alarm_cause_ == AlarmCause::kOther) return;
  if (alarm_cause_ == AlarmCause::kUnknown && disk_.scarce) return;
  if (now_ < alarm_again_ || applied_ < raft_.log().committed()) return;
  if (config_.quota_bytes >= 0) {
    const bool unknown = alarm_cause_ == AlarmCause::kUnknown;
    const auto request = static_cast<int64_t>(unknown ? config_.max_request_bytes : 0);
    if (bytes_in_use() + request >= config_.quota_bytes) return;
  }
  ProposeNoSpace(/*activate=*/false, config_.member_id);
}

// A member that was removed with a full disk cannot put out its alarm any more, and nobody
// lacks its space.
void Replica::Impl::PutOutNoSpaceOfRemoved() {
  if (raft_.role() != raft::Role::kLeader || now_ < alarm_again_) return;
  if (applied_ < raft_.log().committed()) return;
  for (const alarm::Alarm& alarm : applier_.alarms().all()) {
    if (alarm.type != alarm::kNoSpace || !IsRemoved(alarm.member)) continue;
    return ProposeNoSpace(/*activate=*/false, alarm.member);
  }
}

void Replica::Impl::ProposeNoSpace(bool activate, MemberId member) {
  if (raft_.leader() == raft::kNobody) return;  // they would pile up
  alarm_again_ = now_ + kAlarmRetryInterval;
  etcdserverpb::AlarmRequest request;
  request.set_action(activate ? etcdserverpb::AlarmRequest::ACTIVATE
                              : etcdserverpb::AlarmRequest::DEACTIVATE);
  request.set_memberid(member.value());
  request.set_alarm(etcdserverpb::NOSPACE);
  proposals_.AddUnawaited(apply::EncodeCommand(apply::Operation::kAlarm,
                                               request.SerializeAsString(), proposals_.next_id()));
}

}  // namespace quorate::engine
