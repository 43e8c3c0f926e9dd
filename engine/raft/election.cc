// Timers, campaigns and the leader's check that it still has a quorum (sections 5.2 and
// 6; thesis, sections 6.2 and 9.6).
#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "engine/raft/raft.h"

namespace quorate::raft {

void Raft::Tick(Instant now) {
  SetNow(now);
  if (role_ == Role::kLeader) {
    TickLeader();
  } else {
    TickElection();
  }
}

Instant Raft::NextDeadline() const {
  if (role_ != Role::kLeader) {
    return IsPromotable() ? election_start_ + randomized_election_timeout_ : Instant::Infinite();
  }
  const bool alone = tracker_.members().size() <= 1 && tracker_.Find(config_.id) != nullptr;
  Instant next = Instant::Infinite();
  if (!alone) next = heartbeat_start_ + config_.heartbeat_interval;
  if ((config_.check_quorum && !alone) || transferee_ != kNobody) {
    next = std::min(next, election_start_ + config_.election_timeout);
  }
  return next;
}

void Raft::TickElection() {
  if (!IsPromotable() || now_ < election_start_ + randomized_election_timeout_) return;
  election_start_ = now_;
  Hup(config_.pre_vote ? CampaignKind::kPreVote : CampaignKind::kElection);
}

void Raft::TickLeader() {
  if (now_ >= election_start_ + config_.election_timeout) {
    election_start_ = now_;
    if (config_.check_quorum) CheckQuorum();
    // A transfer that took this long has failed: take proposals again.
    if (role_ == Role::kLeader) AbortTransfer();
  }
  if (role_ != Role::kLeader) return;
  if (now_ >= heartbeat_start_ + config_.heartbeat_interval) {
    heartbeat_start_ = now_;
    BroadcastHeartbeat();
  }
}

void Raft::CheckQuorum() {
  // A leader that was removed is not among the members and does not count itself.
  if (!tracker_.QuorumActive()) {
    ++counters_.quorum_lost;
    BecomeFollower(term_, kNobody);
  }
  for (Member& member : tracker_.members()) {
    if (member.id != config_.id) member.progress.recent_active = false;
  }
}

void Raft::Campaign(Instant now) {
  SetNow(now);
  Hup(config_.pre_vote ? CampaignKind::kPreVote : CampaignKind::kElection);
}

void Raft::Hup(CampaignKind kind) {
  if (role_ == Role::kLeader || !IsPromotable() || !may_campaign_) return;
  // A committed change that is not applied could mean that we count in the wrong
  // configuration.
  if (HasUnappliedConfChange()) return;
  StartCampaign(kind);
}

bool Raft::HasUnappliedConfChange() const {
  for (const Entry& entry : log_.Range(log_.applied() + 1, log_.committed())) {
    if (entry.type != EntryType::kNormal) return true;
  }
  return false;
}

void Raft::StartCampaign(CampaignKind kind) {
  const bool pre_vote = kind == CampaignKind::kPreVote;
  if (pre_vote) {
    BecomePreCandidate();
  } else {
    BecomeCandidate();
  }
  // A pre-vote asks about the term that would follow.
  const Term term = pre_vote ? term_ + 1 : term_;
  const EntryId last = log_.last_id();
  for (const Member& member : tracker_.members()) {
    if (!tracker_.voters().Contains(member.id)) continue;
    Message m;
    m.to = member.id;
    m.term = term;
    if (member.id == config_.id) {
      // The own vote counts once it is durable, like anybody's.
      m.type = pre_vote ? MessageType::kPreVoteResp : MessageType::kVoteResp;
    } else {
      m.type = pre_vote ? MessageType::kPreVote : MessageType::kVote;
      m.index = last.index;
      m.log_term = last.term;
      if (kind == CampaignKind::kTransfer) m.context = Bytes::Static(kCampaignTransfer);
    }
    Send(std::move(m));
  }
}

void Raft::DrawElectionTimeout() {
  const int64_t timeout = config_.election_timeout.nanos();
  randomized_election_timeout_ =
      config_.election_timeout + config_.election_delay +
      Nanoseconds(static_cast<int64_t>(prng_.Below(static_cast<uint64_t>(timeout))));
}

}  // namespace quorate::raft
