// RequestVote and its answer (figure 2; thesis, section 9.6 for the pre-vote).
#include <utility>

#include "engine/raft/raft.h"

namespace quorate::raft {

bool Raft::LeaderIsHeard() const {
  if (now_ < loyal_until_) return true;
  if (!config_.check_quorum || leader_ == kNobody) return false;
  // A leader that had lost its quorum would have stepped down.
  if (role_ == Role::kLeader) return true;
  return now_ < election_start_ + config_.election_timeout;
}

// Learners vote too: one that is asked may have become a voter by a change that it has
// not learned of, and without its vote there may be no leader to teach it.
void Raft::OnVoteRequest(const Message& m) {
  const bool real = m.type == MessageType::kVote;
  const bool may_vote =
      vote_ == m.from || (vote_ == kNobody && leader_ == kNobody) || (!real && m.term > term_);
  const bool grant = may_vote && log_.IsUpToDate({m.log_term, m.index});
  if (may_vote && !grant) ++counters_.rare.votes_refused_for_log;
  // A refused pre-vote tells the term that the candidate missed. Before its first term
  // (restored, say, from a backup) this member has none to tell.
  if (!grant && term_ == Term(0)) return;
  Message answer;
  answer.type = real ? MessageType::kVoteResp : MessageType::kPreVoteResp;
  answer.to = m.from;
  // A grant repeats the request's term, which in a pre-vote is not ours: the candidate
  // drops what comes from a term behind its own.
  answer.term = grant ? m.term : term_;
  answer.reject = !grant;
  Send(std::move(answer));
  if (grant && real) {
    election_start_ = now_;
    vote_ = m.from;
  }
}

void Raft::OnVoteResponse(const Message& m) {
  tracker_.RecordVote(m.from, !m.reject);
  switch (tracker_.Tally()) {
    case VoteResult::kWon:
      if (role_ == Role::kPreCandidate) {
        StartCampaign(CampaignKind::kElection);
      } else {
        BecomeLeader();
        BroadcastAppend();
      }
      break;
    case VoteResult::kLost:
      // A pre-vote's answer may speak of a term to come: ours stays.
      BecomeFollower(term_, kNobody);
      break;
    case VoteResult::kPending:
      break;
  }
}

}  // namespace quorate::raft
