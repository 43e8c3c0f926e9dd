// One member's part in the Raft protocol: a state machine without clock, disk, network
// or threads (Ongaro, Ousterhout: "In Search of an Understandable Consensus Algorithm",
// extended version; Ongaro's thesis for pre-vote, reads and leadership transfer).
//
//   raft::Raft raft(config, std::move(recovered), now);
//   raft.Step(message, now);                  // from a peer
//   raft.Propose(payloads, now);              // from a client
//   if (now >= raft.NextDeadline()) raft.Tick(now);
//   while (raft.HasReady()) {
//     raft.TakeReady(&ready);                 // reused from turn to turn
//     ...
//   }
//
// Time is continuous: the member keeps deadlines and tells the next one; a deadline
// falls due at now >= deadline. Inputs carry the present; it never goes back (an
// earlier one is taken as the latest seen).
//
// What a Ready asks for, and in which order, with asynchronous storage writes:
//   1. `messages` may leave at once: nothing in them depends on the own disk.
//   2. The unit {hard_state, snapshot, entries} goes to the disk, after the units of
//      earlier Readys. Once it and all before it are durable (only then: Raft paper,
//      section 5 "responds to RPCs after updating stable storage"), every message in
//      `responses` is delivered: those to other members to the network, those to this
//      member to StepLocal(). With !must_sync the unit only saves work at a restart:
//      it counts as durable as soon as the units before it are.
//   3. `committed_entries` go to the state machine, in order; AppliedTo() says how far
//      it has come. A configuration change in them goes to ApplyConfChange().
// (Requests for votes are among the responses, too: Config::vote_request_guard.)
// Without asynchronous writes (Config::async_storage_writes off) `messages` holds the
// responses too and everything waits for the disk; then Advance() ends the turn.
#ifndef QUORATE_ENGINE_RAFT_RAFT_H_
#define QUORATE_ENGINE_RAFT_RAFT_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/prng.h"
#include "base/strong_int.h"
#include "base/time.h"
#include "engine/raft/config.h"
#include "engine/raft/log.h"
#include "engine/raft/message.h"
#include "engine/raft/read_index.h"
#include "engine/raft/tracker.h"
#include "engine/raft/types.h"

namespace quorate::raft {

inline constexpr MemberId kNobody{0};
// Senders of storage acknowledgements (as in etcd's raft); never ids of members.
inline constexpr MemberId kLocalAppendThread{std::numeric_limits<uint64_t>::max()};
inline constexpr MemberId kLocalApplyThread{std::numeric_limits<uint64_t>::max() - 1};
// Terms and indexes above are taken for garbage: they leave no room to count on.
inline constexpr uint64_t kMaxTermOrIndex = uint64_t{1} << 62;
// Terms grow by one with each election, so nobody is this far ahead of a member that was ever in
// its cluster. Without this bound one damaged or forged message could end all elections for good:
// it would leave members, on their disks, in a term that has no successor.
inline constexpr uint64_t kMaxTermJump = uint64_t{1} << 32;
// Context of a vote request in a leadership transfer: stickiness does not refuse it.
inline constexpr absl::string_view kCampaignTransfer = "CampaignTransfer";

enum class Role : uint8_t { kFollower, kPreCandidate, kCandidate, kLeader };

// Known to this member only and lost in a crash.
struct SoftState {
  MemberId leader;  // 0 = unknown
  Role role = Role::kFollower;

  friend bool operator==(const SoftState&, const SoftState&) = default;
};

// A read that may be served from the state machine as soon as it has applied `index`.
struct ReadState {
  LogIndex index;
  Bytes context;  // as given to ReadIndex()
};

// One unit of work; see the top of this file.
struct Ready {
  std::optional<SoftState> soft_state;  // set when it changed
  std::vector<ReadState> read_states;
  std::vector<Message> messages;

  std::optional<HardState> hard_state;  // set when it changed
  // To be written over what the disk holds from its first index on. Valid until the
  // next call of a Raft method that changes it: copy (EntryRange::CopyTo) to keep.
  EntryRange entries;
  // To be installed before `entries`, replacing the log and the state machine.
  std::shared_ptr<const Snapshot> snapshot;
  bool must_sync = false;
  std::vector<Message> responses;

  // Valid until AppliedTo() covers them and Compact() drops them, or a snapshot
  // arrives (Step): to apply in slices, fetch each with Raft::log().
  EntryRange committed_entries;

  // Whether there is anything for the disk, or waiting for it.
  bool HasUnit() const {
    return hard_state.has_value() || !entries.empty() || snapshot != nullptr || !responses.empty();
  }
  // Empties it, keeping memory for the next turn.
  void Clear();
};

// Branches that only rare histories take, and that safety hangs on. Members count them for the
// simulator, whose campaigns must reach each ("sometimes" properties).
struct RareEvents {
  uint64_t votes_refused_for_log = 0;   // a candidate's log was behind
  uint64_t tails_replaced = 0;          // an append contradicted what stood behind it
  uint64_t appends_rejected = 0;        // the logs did not meet there
  uint64_t commits_withheld = 0;        // a quorum holds an entry, but of an earlier term
  uint64_t reads_held = 0;              // until the leader's first commit
  uint64_t reads_by_lease = 0;          // without a round of heartbeats
  uint64_t stale_acknowledgements = 0;  // the disk's, of an earlier term
  uint64_t snapshots_needless = 0;      // the log held what it covers
};

// Counters of what was refused or happened, for metrics and traces.
struct Counters {
  uint64_t unknown_member = 0;     // responses from strangers
  uint64_t local_refused = 0;      // local message types from the network
  uint64_t stale_term = 0;         // messages of an earlier term
  uint64_t malformed = 0;          // messages that no correct peer sends
  uint64_t contradictory = 0;      // messages that deny what is committed or known
  uint64_t sticky_votes = 0;       // candidates ignored while a leader is heard
  uint64_t proposals_dropped = 0;  // refused with "raft proposal dropped"
  uint64_t conf_changes_refused = 0;
  uint64_t campaigns = 0;  // elections that this member began (pre-votes not counted)
  uint64_t elections_won = 0;
  uint64_t quorum_lost = 0;  // stepped down by check_quorum
  uint64_t snapshots_sent = 0;
  uint64_t snapshots_restored = 0;
  RareEvents rare;
};

// A copy of what health checks and operators look at.
struct Status {
  MemberId id;
  SoftState soft_state;
  HardState hard_state;
  LogIndex applied;
  LogIndex last_index;
  MemberId transferee;  // 0 = no leadership transfer under way
  ConfState config;
  std::vector<Member> members;  // only on a leader
};

class Raft {
 public:
  // `config` is valid (Validate). What is recovered comes from an earlier run of this
  // member: CHECKed for consistency with CheckRecovered's rules.
  Raft(const Config& config, DurableLog recovered, Instant now);
  Raft& operator=(const Raft&) = delete;
  // A second member in the same state, for tools that try more than one future.
  std::unique_ptr<Raft> Clone() const;

  // Whether a log read from disk can be started from: DataLoss says what is wrong.
  static absl::Status CheckRecovered(const Config& config, const DurableLog& recovered);

  // ---- inputs ----

  // A message from another member. A message that the protocol ignores is OK; refused
  // are: local types and messages in our own name (InvalidArgument), responses of
  // strangers (NotFound), malformed ones (InvalidArgument), proposals (below).
  absl::Status Step(Message message, Instant now);
  // A message from Ready::responses that is addressed to this member. NotFound, and no
  // harm, if it has been removed since.
  absl::Status StepLocal(Message message, Instant now);

  // Does what has fallen due: an election, heartbeats, the check for a quorum.
  void Tick(Instant now);
  // When Tick() has something to do; infinite if only an input can change anything.
  Instant NextDeadline() const;

  // Appends the payloads, one entry each and in order, or passes them to the leader.
  // Unavailable "raft proposal dropped" if there is no leader, a transfer is under way,
  // or too much is uncommitted; all or none. OK promises nothing: the entries can
  // still be lost with a leader.
  absl::Status Propose(absl::Span<const Bytes> payloads, Instant now);
  // FailedPrecondition, saying why, when this leader knows that the change is not
  // possible now. A follower passes it on; the leader may then turn it into an
  // empty entry.
  absl::Status ProposeConfChange(const ConfChange& change, Instant now);
  absl::Status ProposeConfChange(const ConfChangeV2& change, Instant now);

  // Asks for a read index; a ReadState with this context follows, or nothing (no
  // leader, lost messages, a new term): ask again after a while. `context` is unique.
  absl::Status ReadIndex(Bytes context, Instant now);

  // Stands for election at once. Ignored on a leader, on a member that cannot be
  // elected, and while a committed configuration change is not yet applied. With
  // lease-based reads it is the caller's duty not to ask a member that may still be
  // bound by a leader's lease: its own vote would break that.
  void Campaign(Instant now);
  // Hands leadership to `target` (thesis, section 3.10); gives up after an election
  // timeout. A follower passes the request to the leader.
  void TransferLeader(MemberId target, Instant now);
  // Whether this member may stand for election; it may at first. One that may not, because
  // its disk does not answer, still votes and follows.
  void AllowCampaigns(bool allowed) { may_campaign_ = allowed; }
  // A follower forgets its leader without waiting for the timeout, so that it may vote
  // (with check_quorum) for another. FailedPrecondition with lease-based reads.
  absl::Status ForgetLeader(Instant now);

  // The transport lost something on the way to this member.
  void ReportUnreachable(MemberId id, Instant now);
  // A snapshot to this member has arrived, or not.
  void ReportSnapshot(MemberId id, bool ok, Instant now);
  // Has this member, which a snapshot has arrived at, installed it? Its first word may have
  // been lost. If not it refuses, which changes nothing.
  void AskInstalled(MemberId id, Instant now);

  // ---- output ----

  bool HasReady() const;
  // Fills *ready, whose memory is reused. With synchronous storage every TakeReady is
  // followed by an Advance() before the next.
  void TakeReady(Ready* ready);
  // Synchronous storage only: the last Ready's unit is durable and its committed
  // entries are applied.
  void Advance(Instant now);
  // Asynchronous storage: the state machine has applied up to `index`, which was
  // handed out.
  void AppliedTo(LogIndex index, Instant now);
  // Gives the entry list of a message that was sent back, for the next one. Optional.
  void Recycle(std::vector<Entry> entries);

  // ---- configuration and log ----

  // A committed configuration change, when it is applied; every member does this at
  // the same entry. The new configuration, to be kept with the application's state.
  // FailedPrecondition: the change is impossible; nothing changed (all members agree).
  absl::StatusOr<ConfState> ApplyConfChange(const ConfChangeV2& change, Instant now);

  // The application's latest snapshot, sent to followers whose entries are compacted.
  // Not older than the last one given.
  void SetSnapshot(std::shared_ptr<const Snapshot> snapshot);
  // Drops the log up to and including `index`. OutOfRange unless it is applied and
  // durable; an index that is already compacted is fine.
  absl::Status Compact(LogIndex index);

  // ---- what it knows ----

  MemberId id() const { return config_.id; }
  const Config& config() const { return config_; }
  Role role() const { return role_; }
  Term term() const { return term_; }
  MemberId vote() const { return vote_; }
  MemberId leader() const { return leader_; }
  MemberId transferee() const { return transferee_; }
  HardState hard_state() const { return {term_, vote_, log_.committed()}; }
  SoftState soft_state() const { return {leader_, role_}; }
  const Log& log() const { return log_; }
  const Tracker& tracker() const { return tracker_; }
  const ConfState& conf_state() const { return tracker_.config(); }
  const Counters& counters() const { return counters_; }
  bool is_learner() const;
  // A voter, and not waiting for a snapshot to be installed.
  bool IsPromotable() const;
  // As a leader: an entry of this term is committed, so reads can be answered.
  bool HasCommittedInTerm() const;
  Status status() const;

  // For tests and studies: the wait drawn for the current election.
  Duration randomized_election_timeout() const { return randomized_election_timeout_; }
  void SetRandomizedElectionTimeout(Duration timeout) { randomized_election_timeout_ = timeout; }

 private:
  friend class CanonicalState;

  Raft(const Raft&) = default;  // see Clone

  enum class CampaignKind : uint8_t { kPreVote, kElection, kTransfer };

  // raft.cc: terms, roles, dispatch
  void SetNow(Instant now);
  absl::Status CheckForm(const Message& message);
  absl::Status CheckResponder(const Message& message);
  absl::Status StepAnyTerm(Message message);
  bool AdmitTerm(const Message& message);
  void AdmitHigherTerm(const Message& message);
  void AnswerLowerTerm(const Message& message);
  absl::Status StepLeader(Message message);
  absl::Status StepCandidate(Message message);
  absl::Status StepFollower(Message message);
  bool IsFromLeader(const Message& message);
  bool FollowLeader(const Message& message);
  void Reset(Term term);
  void BecomeFollower(Term term, MemberId leader);
  void BecomePreCandidate();
  void BecomeCandidate();
  void BecomeLeader();
  bool WaitsForDisk(MessageType type) const;
  void Send(Message message);

  // election.cc
  void TickElection();
  void TickLeader();
  void CheckQuorum();
  void Hup(CampaignKind kind);
  void StartCampaign(CampaignKind kind);
  bool HasUnappliedConfChange() const;
  void DrawElectionTimeout();

  // on_vote.cc
  bool LeaderIsHeard() const;
  void OnVoteRequest(const Message& message);
  void OnVoteResponse(const Message& message);

  // on_append.cc
  void OnAppend(Message message);
  void RejectAppend(const Message& message);
  // on_append_response.cc
  void OnAppendResponse(const Message& message, Progress* progress);
  void OnAppendRejected(const Message& message, Progress* progress);
  void OnAppendAccepted(const Message& message, Progress* progress);

  // on_heartbeat.cc
  void OnHeartbeat(Message message);
  void OnHeartbeatResponse(const Message& message, Progress* progress);
  void OnHeartbeatTag(const Message& message);

  // on_propose.cc
  absl::Status OnPropose(Message message);
  absl::Status AppendProposal(absl::Span<Entry> entries);
  absl::Status CheckConfChange(const ConfChangeV2& change) const;
  absl::Status ProposeConfChangeEntry(Entry entry, const ConfChangeV2& change);
  absl::Status DropProposal();
  bool AppendEntries(absl::Span<Entry> entries);

  // on_read_index.cc
  absl::Status OnReadIndex(Message message);
  void AcceptRead(ReadRequest request);
  bool LeaseInForce() const;
  void AnswerRead(ReadRequest request, LogIndex index);
  void AnswerConfirmedReads();
  void ReleasePendingReads();

  // on_snapshot.cc
  void OnSnapshot(const Message& message);
  bool Restore(const std::shared_ptr<const Snapshot>& snapshot);

  // on_transfer.cc
  void OnTransferLeader(const Message& message, const Progress& progress);
  void SendTimeoutNow(MemberId to);
  void AbortTransfer() { transferee_ = kNobody; }

  // replication.cc
  void SendAppend(MemberId to, Progress* progress) { MaybeSendAppend(to, progress, true); }
  bool MaybeSendAppend(MemberId to, Progress* progress, bool send_if_empty);
  bool MaybeSendSnapshot(MemberId to, Progress* progress);
  void BroadcastAppend();
  void BroadcastHeartbeat();
  bool MaybeCommit();
  std::vector<Entry> TakeEntryList();

  // ready.cc
  void AddStorageResponse(const Ready& ready, std::vector<Message>* responses);
  void ReclaimLists(Ready* ready);
  void OnStorageAppendResponse(const Message& message);
  void OnSnapshotInstalled(LogIndex index);
  void OnApplied(LogIndex index);

  // apply_conf_change.cc
  absl::StatusOr<ChangedConfig> TryChange(const ConfChangeV2& change) const;
  void SwitchConfig(ChangedConfig changed);

  Config config_;
  Prng prng_;
  Instant now_;

  Term term_;
  MemberId vote_;
  Role role_ = Role::kFollower;
  MemberId leader_;
  MemberId transferee_;
  Log log_;
  Tracker tracker_;
  std::shared_ptr<const Snapshot> snapshot_;  // the application's latest

  // Followers and candidates: when the wait for an election began. Leaders: when the
  // last check for a quorum was.
  Instant election_start_;
  Instant heartbeat_start_;
  Duration randomized_election_timeout_;

  // Index of the last configuration change in the log, or higher: while it is not
  // applied, no other is proposed (thesis, section 4.1).
  LogIndex pending_conf_index_;
  uint64_t uncommitted_bytes_ = 0;

  ReadQueue reads_;
  Lease lease_;
  bool timeout_now_sent_ = false;  // in this term
  // Until then this member keeps what it may have promised before its restart: with a
  // lease, not to hear candidates.
  Instant loyal_until_;
  std::vector<ReadRequest> early_reads_;      // before the first commit of this term
  std::vector<ReadRequest> confirmed_reads_;  // scratch
  std::vector<ReadState> read_states_;

  std::vector<Message> messages_;
  std::vector<Message> responses_;  // wait for the own disk (see Send)
  bool may_campaign_ = true;
  std::vector<Message> steps_on_advance_;  // synchronous storage only
  LogIndex advance_applied_;               // synchronous storage only; 0 = none
  bool advancing_ = false;
  SoftState last_soft_state_;
  HardState last_hard_state_;
  std::vector<std::vector<Entry>> spare_lists_;
  std::vector<Entry> proposal_;  // scratch
  Counters counters_;
};

}  // namespace quorate::raft

#endif  // QUORATE_ENGINE_RAFT_RAFT_H_
