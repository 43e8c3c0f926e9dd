// Linearizable reads (section 8; thesis, section 6.4).
#include <utility>

#include "base/check.h"
#include "engine/raft/raft.h"

namespace quorate::raft {

absl::Status Raft::ReadIndex(Bytes context, Instant now) {
  SetNow(now);
  Message m;
  m.type = MessageType::kReadIndex;
  m.entries = TakeEntryList();
  m.entries.push_back(Entry{.data = std::move(context)});
  if (role_ == Role::kLeader || role_ == Role::kFollower) return OnReadIndex(std::move(m));
  return absl::UnavailableError("raft: no leader");
}

absl::Status Raft::OnReadIndex(Message m) {
  if (role_ == Role::kFollower) {
    if (leader_ == kNobody) return absl::UnavailableError("raft: no leader");
    m.to = leader_;
    Send(std::move(m));
    return absl::OkStatus();
  }
  CHECK(role_ == Role::kLeader);
  ReadRequest request{m.from, std::move(m.entries), log_.committed()};
  if (!HasCommittedInTerm()) {
    // Until then the commit index may be behind what earlier leaders (or, alone, this
    // very member before its restart) answered with.
    ++counters_.rare.reads_held;
    early_reads_.push_back(std::move(request));
  } else {
    AcceptRead(std::move(request));
  }
  return absl::OkStatus();
}

void Raft::AcceptRead(ReadRequest request) {
  request.index = log_.committed();
  // Alone: but a leader that was removed leads on without being that single voter.
  const bool alone = tracker_.IsSingleton() && tracker_.voters().Contains(config_.id);
  const bool leased = !alone && LeaseInForce();
  if (leased) ++counters_.rare.reads_by_lease;
  if (alone || leased) {
    AnswerRead(std::move(request), log_.committed());
    return;
  }
  reads_.Add(std::move(request));
  reads_.Acknowledge(config_.id, reads_.last_number());
  BroadcastHeartbeat();
}

bool Raft::LeaseInForce() const {
  // A member that was told to stand (section 3.10) is voted for in spite of a leader, at
  // any time from then on.
  if (config_.read_only != ReadOnlyMode::kLeaseBased || timeout_now_sent_) return false;
  const std::optional<Instant> heard =
      lease_.QuorumHeardAt(tracker_.rule(), tracker_.voters(), config_.id, now_);
  return heard.has_value() && now_ < *heard + (config_.election_timeout - config_.max_clock_drift);
}

void Raft::AnswerRead(ReadRequest request, LogIndex index) {
  if (request.from == kNobody || request.from == config_.id) {
    read_states_.push_back({index, std::move(request.entries[0].data)});
    Recycle(std::move(request.entries));
    return;
  }
  Message m;
  m.type = MessageType::kReadIndexResp;
  m.to = request.from;
  m.index = index;
  m.entries = std::move(request.entries);
  Send(std::move(m));
}

void Raft::AnswerConfirmedReads() {
  confirmed_reads_.clear();
  reads_.TakeConfirmed(tracker_.rule(), tracker_.voters(), &confirmed_reads_);
  for (ReadRequest& request : confirmed_reads_) {
    const LogIndex index = request.index;
    AnswerRead(std::move(request), index);
  }
  confirmed_reads_.clear();
}

void Raft::ReleasePendingReads() {
  if (early_reads_.empty() || !HasCommittedInTerm()) return;
  std::vector<ReadRequest> early;
  early.swap(early_reads_);
  for (ReadRequest& request : early) AcceptRead(std::move(request));
}

}  // namespace quorate::raft
