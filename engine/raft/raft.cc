// Terms, roles and the way of a message to what handles it. What a message means is in
// the on_*.cc files.
#include "engine/raft/raft.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"

namespace quorate::raft {

namespace {

uint64_t ApplyingLimit(const Config& config) {
  const uint64_t limit = config.max_committed_bytes_per_ready != 0
                             ? config.max_committed_bytes_per_ready
                             : config.max_append_bytes;
  return std::max<uint64_t>(limit, 1);
}

// Types that a member only gives to itself.
bool IsLocalType(MessageType type) {
  switch (type) {
    case MessageType::kHup:
    case MessageType::kBeat:
    case MessageType::kUnreachable:
    case MessageType::kSnapStatus:
    case MessageType::kCheckQuorum:
    case MessageType::kStorageAppend:
    case MessageType::kStorageAppendResp:
    case MessageType::kStorageApply:
    case MessageType::kStorageApplyResp:
    case MessageType::kForgetLeader:
      return true;
    default:
      return false;
  }
}

bool IsResponseType(MessageType type) {
  switch (type) {
    case MessageType::kAppResp:
    case MessageType::kVoteResp:
    case MessageType::kPreVoteResp:
    case MessageType::kHeartbeatResp:
    case MessageType::kReadIndexResp:
      return true;
    default:
      return false;
  }
}

// Passed on by followers in whatever term the leader has.
bool HasNoTerm(MessageType type) {
  return type == MessageType::kProp || type == MessageType::kReadIndex;
}

bool InRange(const Message& m) {
  return m.term.value() <= kMaxTermOrIndex && m.log_term.value() <= kMaxTermOrIndex &&
         m.index.value() <= kMaxTermOrIndex && m.commit.value() <= kMaxTermOrIndex &&
         m.reject_hint.value() <= kMaxTermOrIndex;
}

// Entries of an append follow the one before, in terms that never fall, none without a
// term or of one later than the leader's.
bool IsLogSlice(const Message& m) {
  EntryId last{m.log_term, m.index};
  for (const Entry& entry : m.entries) {
    if (entry.index != last.index + 1 || entry.term < last.term) return false;
    if (entry.term == Term(0)) return false;
    last = {entry.term, entry.index};
  }
  return m.term >= last.term && last.index.value() <= kMaxTermOrIndex;
}

bool IsUsableSnapshot(const Message& m) {
  return m.snapshot != nullptr && !m.snapshot->empty() &&
         m.snapshot->meta.index.value() <= kMaxTermOrIndex && m.snapshot->meta.term > Term(0) &&
         m.snapshot->meta.term <= m.term && ValidateConfig(m.snapshot->meta.conf_state).ok();
}

bool HasContent(const Message& m) {
  switch (m.type) {
    case MessageType::kApp:
      return IsLogSlice(m);
    case MessageType::kProp:
    case MessageType::kReadIndex:
      return !m.entries.empty();
    case MessageType::kReadIndexResp:
      return m.entries.size() == 1;
    case MessageType::kSnap:
      return IsUsableSnapshot(m);
    default:
      return true;
  }
}

}  // namespace

absl::Status Raft::CheckRecovered(const Config& config, const DurableLog& recovered) {
  const auto lost = [](const auto&... parts) {
    return absl::DataLossError(absl::StrCat("raft: ", parts...));
  };
  EntryId last{recovered.snapshot.term, recovered.snapshot.index};
  for (const Entry& entry : recovered.entries) {
    if (entry.index != last.index + 1) {
      return lost("entry ", ToString(entry.index), " follows entry ", ToString(last.index));
    }
    if (entry.term < last.term) {
      return lost("entry ", ToString(entry.index), " is of an earlier term than the one before");
    }
    last = {entry.term, entry.index};
  }
  const HardState& state = recovered.hard_state;
  const LogIndex commit = state.empty() ? recovered.snapshot.index : state.commit;
  if (!state.empty() && state.term < last.term) {
    return lost("term ", ToString(state.term), " is behind the log's ", ToString(last.term));
  }
  if (commit < recovered.snapshot.index || commit > last.index) {
    return lost("commit index ", ToString(commit), " is out of the log [",
                ToString(recovered.snapshot.index), ", ", ToString(last.index), "]");
  }
  if (config.applied > commit) {
    return lost("applied index ", ToString(config.applied), " is beyond the commit index ",
                ToString(commit));
  }
  RETURN_IF_ERROR(ValidateConfig(recovered.snapshot.conf_state));
  return config.quorum.Validate(JointVoters{recovered.snapshot.conf_state.voters,
                                            recovered.snapshot.conf_state.voters_outgoing});
}

Raft::Raft(const Config& config, DurableLog recovered, Instant now)
    : config_((CHECK_MSG(CheckRecovered(config, recovered).ok(), "see CheckRecovered"), config)),
      prng_(config.seed),
      now_(now),
      log_(recovered.snapshot, std::move(recovered.entries), ApplyingLimit(config)),
      tracker_(config.quorum, config.max_inflight_messages, config.max_inflight_bytes) {
  CHECK_MSG(config.Validate().ok(), config.Validate().ToString());
  tracker_.SetConfig({std::move(recovered.snapshot.conf_state), {}}, log_.last_index());
  if (!recovered.hard_state.empty()) {
    log_.CommitTo(recovered.hard_state.commit);
    term_ = recovered.hard_state.term;
    vote_ = recovered.hard_state.vote;
    if (config.read_only == ReadOnlyMode::kLeaseBased) {
      loyal_until_ = now + config.election_timeout;
    }
  }
  if (config.applied > log_.applied()) log_.AppliedTo(config.applied);
  BecomeFollower(term_, kNobody);
  last_soft_state_ = soft_state();
  last_hard_state_ = hard_state();
}

std::unique_ptr<Raft> Raft::Clone() const {
  std::unique_ptr<Raft> copy(new Raft(*this));
  copy->spare_lists_.clear();  // their memory was not copied
  return copy;
}

void Raft::SetNow(Instant now) { now_ = std::max(now_, now); }

absl::Status Raft::CheckForm(const Message& m) {
  if (IsLocalType(m.type)) {
    ++counters_.local_refused;
    return absl::InvalidArgumentError("raft: cannot step raft local message");
  }
  // What followers pass on comes in the name of whoever asked first, or of the target of
  // a transfer: that may be us.
  const bool own_name =
      m.from == config_.id && !HasNoTerm(m.type) && m.type != MessageType::kTransferLeader;
  const bool no_sender =
      m.from == kNobody || m.from == kLocalAppendThread || m.from == kLocalApplyThread;
  const bool term_fits =
      (m.term == Term(0)) == HasNoTerm(m.type) && m.term.value() <= term_.value() + kMaxTermJump;
  if (own_name || no_sender || !term_fits || !InRange(m) || !HasContent(m)) {
    ++counters_.malformed;
    return absl::InvalidArgumentError(absl::StrCat("raft: malformed message of type ",
                                                   static_cast<int>(m.type), " from member ",
                                                   absl::Hex(m.from.value())));
  }
  return IsResponseType(m.type) ? CheckResponder(m) : absl::OkStatus();
}

absl::Status Raft::CheckResponder(const Message& m) {
  if (tracker_.Find(m.from) != nullptr) return absl::OkStatus();
  ++counters_.unknown_member;
  return absl::NotFoundError("raft: cannot step as peer not found");
}

absl::Status Raft::Step(Message message, Instant now) {
  SetNow(now);
  RETURN_IF_ERROR(CheckForm(message));
  return StepAnyTerm(std::move(message));
}

absl::Status Raft::StepLocal(Message message, Instant now) {
  SetNow(now);
  switch (message.type) {
    case MessageType::kAppResp:
    case MessageType::kVoteResp:
    case MessageType::kPreVoteResp:
      RETURN_IF_ERROR(CheckResponder(message));
      return StepAnyTerm(std::move(message));
    case MessageType::kStorageAppendResp:
    case MessageType::kStorageApplyResp:
      return StepAnyTerm(std::move(message));
    default:
      return absl::InvalidArgumentError("raft: not a message of this member to itself");
  }
}

absl::Status Raft::StepAnyTerm(Message m) {
  if (!AdmitTerm(m)) return absl::OkStatus();
  switch (m.type) {
    case MessageType::kStorageAppendResp:
      OnStorageAppendResponse(m);
      return absl::OkStatus();
    case MessageType::kStorageApplyResp:
      if (!m.entries.empty()) OnApplied(m.entries.back().index);
      return absl::OkStatus();
    case MessageType::kVote:
    case MessageType::kPreVote:
      OnVoteRequest(m);
      return absl::OkStatus();
    default:
      break;
  }
  switch (role_) {
    case Role::kLeader:
      return StepLeader(std::move(m));
    case Role::kCandidate:
    case Role::kPreCandidate:
      return StepCandidate(std::move(m));
    case Role::kFollower:
      return StepFollower(std::move(m));
  }
  UNREACHABLE("role");
}

// Section 5.1: a member that sees a later term adopts it; what comes from an earlier
// one is refused. False if the message has had its effect.
bool Raft::AdmitTerm(const Message& m) {
  if (m.term == Term(0) || m.term == term_) return true;
  if (m.term < term_) {
    AnswerLowerTerm(m);
    return false;
  }
  const bool vote = m.type == MessageType::kVote || m.type == MessageType::kPreVote;
  if (vote && m.context.view() != kCampaignTransfer && LeaderIsHeard()) {
    // Section 6, last paragraphs: neither a vote nor the new term, so that members
    // that were removed or cut off cannot disturb the cluster.
    ++counters_.sticky_votes;
    return false;
  }
  AdmitHigherTerm(m);
  return true;
}

void Raft::AdmitHigherTerm(const Message& m) {
  switch (m.type) {
    case MessageType::kPreVote:
      return;  // asks about a term that nobody is in yet
    case MessageType::kPreVoteResp:
      if (!m.reject) return;  // a grant repeats the term that we asked about
      break;
    case MessageType::kApp:
    case MessageType::kHeartbeat:
    case MessageType::kSnap:
      BecomeFollower(m.term, m.from);
      return;
    default:
      break;
  }
  BecomeFollower(m.term, kNobody);
}

void Raft::AnswerLowerTerm(const Message& m) {
  ++counters_.stale_term;
  Message answer;
  answer.to = m.from;
  switch (m.type) {
    case MessageType::kHeartbeat:
    case MessageType::kApp:
      // With either of these a member does not raise others' terms by asking for
      // votes; so a leader of an earlier term must learn of ours here, or this member
      // could never follow it again.
      if (!config_.check_quorum && !config_.pre_vote) return;
      answer.type = MessageType::kAppResp;
      Send(std::move(answer));
      return;
    case MessageType::kPreVote:
      // A candidate with a longer log and a lower term must learn of ours to be elected.
      answer.type = MessageType::kPreVoteResp;
      answer.term = term_;
      answer.reject = true;
      Send(std::move(answer));
      return;
    case MessageType::kStorageAppendResp:
      ++counters_.rare.stale_acknowledgements;
      // The entries may have been replaced since, by a write that is still under way
      // (ready.cc); a snapshot is committed state and stays right.
      if (m.snapshot != nullptr) OnSnapshotInstalled(m.snapshot->meta.index);
      return;
    default:
      return;
  }
}

absl::Status Raft::StepLeader(Message m) {
  if (m.type == MessageType::kProp) return OnPropose(std::move(m));
  if (m.type == MessageType::kReadIndex) return OnReadIndex(std::move(m));
  Progress* progress = tracker_.Find(m.from);
  if (progress == nullptr) {
    ++counters_.unknown_member;
    return absl::OkStatus();
  }
  switch (m.type) {
    case MessageType::kAppResp:
      OnAppendResponse(m, progress);
      break;
    case MessageType::kHeartbeatResp:
      OnHeartbeatResponse(m, progress);
      break;
    case MessageType::kTransferLeader:
      OnTransferLeader(m, *progress);
      break;
    case MessageType::kApp:
    case MessageType::kHeartbeat:
    case MessageType::kSnap:
      ++counters_.contradictory;  // a second leader of this term
      break;
    default:
      break;  // late votes and the like
  }
  return absl::OkStatus();
}

absl::Status Raft::StepCandidate(Message m) {
  switch (m.type) {
    case MessageType::kProp:
      return DropProposal();
    case MessageType::kApp:
    case MessageType::kHeartbeat:
    case MessageType::kSnap:
      // Section 5.2: somebody else has won this term.
      BecomeFollower(m.term, m.from);
      return StepFollower(std::move(m));
    case MessageType::kPreVoteResp:
      if (role_ == Role::kPreCandidate) OnVoteResponse(m);
      break;
    case MessageType::kVoteResp:
      if (role_ == Role::kCandidate) OnVoteResponse(m);
      break;
    default:
      break;
  }
  return absl::OkStatus();
}

absl::Status Raft::StepFollower(Message m) {
  switch (m.type) {
    case MessageType::kProp:
      return OnPropose(std::move(m));
    case MessageType::kReadIndex:
      return OnReadIndex(std::move(m));
    case MessageType::kApp:
      if (FollowLeader(m)) OnAppend(std::move(m));
      break;
    case MessageType::kHeartbeat:
      if (FollowLeader(m)) OnHeartbeat(std::move(m));
      break;
    case MessageType::kSnap:
      if (FollowLeader(m)) OnSnapshot(m);
      break;
    case MessageType::kTransferLeader:
      if (leader_ == kNobody) break;
      m.to = leader_;
      m.term = Term(0);
      Send(std::move(m));
      break;
    case MessageType::kTimeoutNow:
      // No pre-vote: the leader itself wants this election (thesis, section 3.10).
      if (IsFromLeader(m)) Hup(CampaignKind::kTransfer);
      break;
    case MessageType::kReadIndexResp:
      read_states_.push_back({m.index, std::move(m.entries[0].data)});
      break;
    default:
      break;
  }
  return absl::OkStatus();
}

// A term has one leader (section 5.2): who else speaks as one is mistaken.
bool Raft::IsFromLeader(const Message& m) {
  if (leader_ == kNobody || leader_ == m.from) return true;
  ++counters_.contradictory;
  return false;
}

bool Raft::FollowLeader(const Message& m) {
  if (!IsFromLeader(m)) return false;
  election_start_ = now_;
  leader_ = m.from;
  return true;
}

void Raft::Reset(Term term) {
  if (term_ != term) {
    CHECK_GT(term, term_);
    term_ = term;
    vote_ = kNobody;
  }
  leader_ = kNobody;
  election_start_ = now_;
  heartbeat_start_ = now_;
  DrawElectionTimeout();
  AbortTransfer();
  tracker_.ResetVotes();
  tracker_.ResetProgress(config_.id, log_.last_index());
  pending_conf_index_ = LogIndex(0);
  uncommitted_bytes_ = 0;
  reads_.Clear();
  lease_.Clear();
  timeout_now_sent_ = false;
  early_reads_.clear();
}

void Raft::BecomeFollower(Term term, MemberId leader) {
  Reset(term);
  leader_ = leader;
  role_ = Role::kFollower;
}

void Raft::BecomePreCandidate() {
  CHECK(role_ != Role::kLeader);
  // Neither term nor vote changes: nothing is lost if nobody agrees.
  tracker_.ResetVotes();
  leader_ = kNobody;
  role_ = Role::kPreCandidate;
}

void Raft::BecomeCandidate() {
  CHECK(role_ != Role::kLeader);
  Reset(term_ + 1);
  vote_ = config_.id;
  role_ = Role::kCandidate;
  ++counters_.campaigns;
}

void Raft::BecomeLeader() {
  CHECK(role_ == Role::kCandidate);
  Reset(term_);
  leader_ = config_.id;
  role_ = Role::kLeader;
  ++counters_.elections_won;
  Progress* self = tracker_.Find(config_.id);
  CHECK_MSG(self != nullptr, "candidates are members (IsPromotable)");
  self->BecomeReplicate();
  self->recent_active = true;
  // There may be a change in the log that is not applied: none is proposed before
  // everything that is in the log now.
  pending_conf_index_ = log_.last_index();
  // Section 8: an entry of the own term, so that earlier ones get committed with it.
  Entry empty;
  CHECK(AppendEntries(absl::MakeSpan(&empty, 1)));
}

// Votes and acknowledgements speak of what must first be durable. So do refusals: they
// may rest on a vote or on entries that are still on their way to the disk. Pre-votes
// ask about nothing that could be lost; requests for votes do (VoteRequestGuard).
bool Raft::WaitsForDisk(MessageType type) const {
  switch (type) {
    case MessageType::kAppResp:
    case MessageType::kVoteResp:
    case MessageType::kPreVoteResp:
      return true;
    case MessageType::kVote:
      return config_.async_storage_writes && config_.vote_request_guard == VoteRequestGuard::kRaft;
    default:
      return false;
  }
}

void Raft::Send(Message m) {
  if (m.from == kNobody) m.from = config_.id;
  const bool vote = m.type == MessageType::kVote || m.type == MessageType::kVoteResp ||
                    m.type == MessageType::kPreVote || m.type == MessageType::kPreVoteResp;
  if (vote) {
    CHECK_GT(m.term, Term(0));  // a campaign's term is not always the current one
  } else {
    CHECK_EQ(m.term, Term(0));
    if (!HasNoTerm(m.type)) m.term = term_;
  }
  if (WaitsForDisk(m.type)) {
    responses_.push_back(std::move(m));
    return;
  }
  CHECK(m.to != config_.id);
  messages_.push_back(std::move(m));
}

bool Raft::is_learner() const { return IsLearner(tracker_.config(), config_.id); }

bool Raft::IsPromotable() const {
  const Progress* self = tracker_.Find(config_.id);
  return self != nullptr && !self->is_learner && log_.pending_snapshot() == nullptr;
}

bool Raft::HasCommittedInTerm() const { return log_.TermAt(log_.committed()) == term_; }

Status Raft::status() const {
  Status status;
  status.id = config_.id;
  status.soft_state = soft_state();
  status.hard_state = hard_state();
  status.applied = log_.applied();
  status.last_index = log_.last_index();
  status.transferee = transferee_;
  status.config = tracker_.config();
  if (role_ == Role::kLeader) status.members = tracker_.members();
  return status;
}

}  // namespace quorate::raft
