// The replica's insides. Step() dispatches (impl.cc); requests.cc takes what clients ask
// and answers reads; leases.cc and lease_reads.cc are about leases, membership.cc about members;
// turn.cc does the work of a TurnEnd: proposals, raft's Ready, the disk units, application;
// long_reads.cc and checkpoint.cc have what takes several of them.
#ifndef QUORATE_ENGINE_REPLICA_IMPL_H_
#define QUORATE_ENGINE_REPLICA_IMPL_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/time.h"
#include "engine/apply/applier.h"
#include "engine/apply/run.h"
#include "engine/apply/state_image.h"
#include "engine/auth/tokens.h"
#include "engine/lease/lessor.h"
#include "engine/mvcc/watch.h"
#include "engine/mvcc/work.h"
#include "engine/raft/raft.h"
#include "engine/replica/image_meta.h"
#include "engine/replica/inspector.h"
#include "engine/replica/lease_calls.h"
#include "engine/replica/member_changes.h"
#include "engine/replica/membership_change.h"
#include "engine/replica/proposals.h"
#include "engine/replica/reads.h"
#include "engine/replica/replica.h"
#include "engine/replica/request_queue.h"
#include "engine/replica/token_waits.h"

namespace quorate::engine {

// Above max_pending_proposals, and where more wait than Config allows.
inline absl::Status TooManyRequestsError() {
  return absl::ResourceExhaustedError("etcdserver: too many requests");
}

// For what only a leader may answer.
inline absl::Status NotLeaderError() {
  return absl::FailedPreconditionError("etcdserver: not leader");
}

inline constexpr int64_t kNanosPerSecond = 1'000'000'000;

// Something large that is given up: its memory comes back in pieces.
class Retired {
 public:
  virtual ~Retired() = default;
  // True once little is left of it.
  virtual bool Release(mvcc::Work* work) = 0;
};

class Replica::Impl final : public ReplicaInspector, private mvcc::WatchSink {
 public:
  Impl(const Config& config, Recovered recovered, Instant now);

  void Step(Input&& input, Output* out);

  ReplicaStatus status() const;
  std::vector<MemberInfo> members() const;
  uint64_t members_version() const { return members_version_; }
  bool IsRemoved(MemberId id) const { return applier_.membership().IsRemoved(id); }
  bool OutlivesTimeout(RequestToken token) const;
  LogIndex MatchOf(MemberId id) const;
  std::vector<alarm::Alarm> alarms() const;
  const LeaseTtls& lease_ttls() const { return lease_ttls_; }
  Statistics statistics() const;
  const DoneCounts& done() const { return done_; }
  const std::string& cluster_version() const { return applier_.membership().cluster_version(); }
  const std::string& downgrade_target() const { return applier_.membership().downgrade_target(); }
  absl::StatusOr<HashKvResult> HashKv(Revision revision) const;

  LogIndex first_index() const override { return raft_.log().first_index(); }
  LogIndex last_index() const override { return raft_.log().last_index(); }
  std::optional<Term> TermAt(LogIndex index) const override;
  std::optional<raft::Entry> EntryAt(LogIndex index) const override;
  raft::HardState hard_state() const override { return raft_.hard_state(); }
  raft::ConfState conf_state() const override { return raft_.conf_state(); }
  Role role() const override { return static_cast<Role>(raft_.role()); }
  MemberId leader() const override { return raft_.leader(); }
  LogIndex applied() const override { return applied_; }
  uint64_t applied_chain() const override { return applied_chain_; }
  uint64_t StateDigest() const override { return applier_.Digest(); }
  const raft::Counters* raft_counters() const override { return &raft_.counters(); }

 private:
  // A unit that the disk works on, and what may leave once it is durable.
  struct Unit {
    PersistTicket ticket;
    std::vector<raft::Message> responses;
    bool installs = false;  // the state in arriving_
  };

  // ---- impl.cc: inputs ----
  void On(const TimePassed&) {}
  void On(const TurnEnd&);
  void On(ClientRequest& request);
  void On(const AbandonRequest& request);
  void On(WatchOpen& event);
  void On(WatchRequestBytes& event);
  void On(const WatchWritable& event);
  void On(const WatchClose& event);
  void On(PeerMessage& event);
  void On(const PeerConnected& event);
  void On(const PeerUnreachable& event);
  void On(const SnapshotSent& event);
  void On(SnapshotReceived& event);
  void On(const Checkpointed& event);
  void On(const Persisted& event);
  void On(const Forwarded& event);
  void On(const TransferLeadership& event) { raft_.TransferLeader(event.target, now_); }
  bool AcceptsFromPeer(const raft::Message& message, std::vector<LeaseId>* grants) const;
  void DeliverDurable(std::vector<raft::Message> responses);
  void NoticeLeader();
  void FinishStep();
  bool HasShortWork() const;
  // Whether nothing holds up this stage.
  bool IsFree(Stage stage) const { return now_ >= held_until_[static_cast<size_t>(stage)]; }
  // Entries may be applied.
  bool CanApply() const { return applied_ < handed_out_ && IsFree(Stage::kApply); }
  void AskHindrance();
  bool HasAwaitedLongWork() const;
  bool HasBackgroundWork() const;

  // ---- requests.cc: clients ----
  // Read: answered from the state; whether a quorum is asked first is in `linearizable`.
  // Lease: by the leader, see leases.cc. Membership: see membership.cc. Repair: see repair.cc.
  struct Plan {
    enum class Kind : uint8_t { kRead, kPropose, kLease, kMembership, kRepair } kind = Kind::kRead;
    bool linearizable = false;
    apply::Operation operation = apply::Operation::kNone;
    int64_t cost = 0;  // against the quota
  };
  void Serve(ClientRequest& request);
  absl::StatusOr<Plan> MakePlan(const ClientRequest& request) const;
  void Propose(const ClientRequest& request, const Plan& plan);
  absl::StatusOr<Bytes> Read(const ClientRequest& request);
  absl::StatusOr<Bytes> Status() const;
  void Answer(RequestToken token, absl::Status status, engine::Answer body = {}, bool read = false);
  void AnswerRead(RequestToken token, absl::StatusOr<engine::Answer> body);
  mvcc::Identity identity() const { return {config_.cluster_id, config_.member_id, raft_.term()}; }

  // ---- leases.cc ----
  bool LeaseKeysAreUncertain() const;
  // What the leader knows of a lease.
  struct LeaseTime {
    bool found = false;
    int64_t ttl = 0;  // seconds
    int64_t granted_ttl = 0;
    Bytes keys;  // encoded, as LeaseTimeToLiveResponse has them
  };
  absl::StatusOr<Bytes> CompleteGrant(const Bytes& body, uint64_t request_id, LeaseId* id) const;
  void NoteGrantsProposed(const std::vector<LeaseId>& ids);
  void OnLeaseCall(const ClientRequest& request);
  void Dispatch(RequestToken token, LeaseCall* call);
  void DispatchUnsettledCalls();
  void RetryLeaseCalls();
  void AnswerLeaseCall(RequestToken token, LeaseCall* call);
  void ClearCheckpoint(RequestToken token, LeaseCall* call);
  void FinishLeaseCall(RequestToken token, const LeaseTime& time);
  bool RefuseChangedAuth(RequestToken token, const LeaseCall& call);
  void AppendLeaseTime(const LeaseCall& call, const LeaseTime& time, BytesBuilder* out) const;

  // ---- lease_reads.cc: answers that may name very many leases or keys ----
  class LeaseListRead;
  class LeaseKeysRead;
  std::unique_ptr<apply::ReadRun> StartLeaseList(const auth::Subject& subject) const;
  std::unique_ptr<apply::ReadRun> StartLeaseKeys(const LeaseCall& call);
  void AnswerLeaseKeys(RequestToken token, LeaseCall* call, mvcc::Work* work);
  void FinishLeaseKeys(RequestToken token, absl::StatusOr<engine::Answer> body);
  void NoteTtl(int64_t ttl);
  void NoteLeases(apply::Operation operation, const apply::Outcome& outcome);
  void NoticeLeadTerm();
  Instant LeaseWorkDue() const;
  void WorkOnLeases();
  void OnExpiryConfirmed();
  void RevokeExpired();
  void ProposeCheckpoints();

  // ---- membership.cc ----
  struct Voters {
    size_t all = 0;
    size_t started = 0;
  };
  Voters CountVoters(MemberId except) const;
  size_t CountLearners() const;
  size_t ConnectedVoters() const;
  absl::Status MayAdd(bool learner) const;
  absl::Status MayRemove(MemberId id) const;
  absl::Status MayPromote(MemberId id) const;
  absl::StatusOr<membership::Change> PlanMemberChange(const ClientRequest& request) const;
  void OnMembershipRequest(const ClientRequest& request);
  void AddMemberChange(const ClientRequest& request);
  bool CanProposeMemberChange() const;
  void ProposeMemberChanges();
  absl::Status ApplyConfChange(const raft::Entry& entry);
  template <typename Response>
  void FillMembers(Response* response) const;
  absl::StatusOr<Bytes> MemberList() const;
  Bytes MemberChangeResponse(RequestKind kind, MemberId id) const;
  void DispatchPromotion(RequestToken token);
  void OnPromotionForwarded(const Forwarded& event, Promotion* promotion);
  void RetryPromotions(Instant due);
  void OnMoveLeader(const ClientRequest& request);
  void AnswerMoves(MemberId leader);

  // ---- disk_state.cc ----
  void On(const DiskState& event);
  void On(const CheckpointWanted& event);
  void HandOver();
  MemberId MostAdvancedVoter() const;

  // ---- repair.cc ----
  void OnRepairRequest(const ClientRequest& request);
  void OnBarrier(RequestToken token, MemberId member, LogIndex barrier);

  // ---- quota.cc ----
  int64_t bytes_in_use() const;
  absl::Status CheckQuota(int64_t cost);
  void CheckQuotaApplied();
  void RaiseNoSpace();
  bool OwnNoSpaceStands() const {
    return applier_.alarms().IsActive({alarm::kNoSpace, config_.member_id});
  }
  void NoteCauseOfAlarm(uint64_t id, bool awaited);
  void PutOutNoSpace();
  void PutOutNoSpaceOfRemoved();
  void ProposeNoSpace(bool activate, MemberId member);

  // ---- auth_requests.cc: who asks, and the Auth service ----
  // Whom the credentials name; nobody while authentication is disabled. Points into
  // the credentials or into tokens_ until these change.
  absl::StatusOr<auth::Subject> Identify(const Credentials& credentials);
  // That, if it may make requests of the kind at all; keys are looked at later.
  absl::StatusOr<auth::Subject> Admit(const ClientRequest& request);
  // In whose name this member proposes by itself what a client could ask for, too.
  auth::Subject OwnSubject() const;
  // The index that must be applied before the credentials can be judged.
  LogIndex AwaitedIndex(const Credentials& credentials) const;
  Instant TokenWaitEnd() const;
  bool HasReleasedTokens() const;
  void ReleaseTokenWaits();
  void ForgetWatchCredentials(StreamToken stream);
  absl::StatusOr<Bytes> ReadPasswordHash(absl::string_view user) const;
  // The operation that a request of the Auth service is, kNone if it is another's.
  static apply::Operation AuthOperation(RequestKind kind);

  // ---- long_reads.cc: reads that take more than a piece of a turn ----
  using ReadRunOr = absl::StatusOr<std::unique_ptr<apply::ReadRun>>;
  // A read in pieces; null if the request is none that could be long.
  ReadRunOr StartRead(const ClientRequest& request, const auth::Subject& subject);
  // Answers, or lets the read wait for its turn among the long ones.
  void AnswerRead(ClientRequest request, mvcc::Work* work);
  void CountRead(RequestKind kind, apply::ReadRun* run, Instant begun);
  struct LongRead {
    ClientRequest request;
    std::unique_ptr<apply::ReadRun> run;
    uint64_t spent = 0;
    Instant begun;
  };
  struct LongReads {
    RequestQueue waiting;
    std::optional<LongRead> running;
    bool empty() const { return waiting.empty() && !running.has_value(); }
  };
  LongReads& LongReadsOf(RequestKind kind) {
    return kind == RequestKind::kHashKv ? long_hashes_ : long_reads_;
  }
  void WorkOnLongReads(mvcc::Work* work);
  void WorkOn(LongReads* reads, mvcc::Work* work);
  bool MayBegin(const LongReads& reads) const;
  void BeginLongRead(LongReads* reads);
  void EndLongRead(LongReads* reads);
  bool AbandonRead(RequestToken token);
  size_t PendingReads() const;
  bool HasLongReads() const { return !long_reads_.empty() || !long_hashes_.empty(); }
  bool MayCompact() const;

  // ---- turn.cc: the work of a turn ----
  void ProposeGathered();
  void AskReadIndexes();
  void HandleReady();
  void HandOutUnit();
  void ApplyCommitted(mvcc::Work* work);
  void PrefetchCommitted() const;
  bool ContinueApplying(mvcc::Work* work);
  void AbandonApplying();
  absl::Status ApplyEntry(const raft::Entry& entry, mvcc::Work* work);
  absl::Status ApplyNormal(const raft::Entry& entry, mvcc::Work* work);
  void FinishCommand(apply::Operation operation, std::optional<RequestToken> token,
                     apply::Outcome outcome);
  void NoteApplied(const raft::Entry& entry);
  void AnswerOvertaken();
  void StandIfAlone();
  bool HasReadyReads() const { return !ready_reads_.empty() || reads_.HasReady(applied_); }
  void AnswerReadyReads(mvcc::Work* work);
  void ReleaseHeldRequests(mvcc::Work* work);
  void CompactSome(mvcc::Work* work);
  uint64_t ShareBeside(uint64_t foreground, uint64_t full) const;
  uint64_t BackgroundPiece(uint64_t foreground);

  // ---- retired.cc: giving back what is not needed any more ----
  void Retire(std::unique_ptr<apply::ReadRun> run);
  void Retire(std::unique_ptr<apply::CommandRun> run);
  void Retire(std::unique_ptr<apply::Applier> state);
  void Retire(std::unique_ptr<apply::ImageLoader> loader);
  void ReleaseRetired(mvcc::Work* work);
  void NoteCompacted(Duration time, uint64_t jobs);

  // ---- checkpoint.cc: images of the state, taken, sent and received ----
  // What the constructor begins with.
  struct Start {
    absl::Status status;
    raft::Config raft;
    raft::DurableLog log;
    std::optional<StateImage> image;
    ImageMeta meta;
  };
  static Start MakeStart(const Config& config, Recovered recovered);
  Impl(const Config& config, Start start, Instant now);
  bool WantsImage() const { return now_ >= next_checkpoint() || !snapshots_to_send_.empty(); }
  void TakeImages(mvcc::Work* work);
  void BeginImage();
  void FinishImage(StateImage image);
  void AbandonImage();
  void NoteCheckpointed(LogIndex index);
  Instant next_checkpoint() const;
  void CutLog();
  bool MayCut() const;
  void CutSome();
  void SendSnapshot(raft::Message message);
  void WatchOverSnapshots();
  Instant next_snapshot_deadline() const;
  void LoadArriving();
  void EndArriving();
  void Install();

  // mvcc::WatchSink
  void OnWatchReply(uint64_t stream, Bytes head, Bytes events) override;
  void OnWatchEnd(uint64_t stream, absl::Status status) override;
  mvcc::Identity WatchIdentity() const override { return identity(); }
  std::string WatchRefusal(uint64_t stream, const mvcc::KeyRange& range) override;

  Config config_;
  // Entries up to here were in the log at the start: the tokens that they gave out went
  // with the earlier run.
  LogIndex recovered_index_;
  raft::Raft raft_;
  apply::Applier applier_;
  mvcc::WatchHub watches_;
  Proposals proposals_;
  Reads reads_;
  lease::Lessor lessor_;
  LeaseCalls lease_calls_;
  MemberChanges member_changes_;
  auth::Tokens tokens_;
  TokenWaits token_waits_;
  absl::btree_map<StreamToken, Credentials> watch_credentials_;

  // While it counts down, requests come in and long work has smaller pieces.
  static constexpr uint32_t kBusyTurns = 64;
  uint32_t busy_turns_ = 0;
  // The next piece of work that nobody waits for (BackgroundPiece).
  Instant next_background_;
  std::array<Instant, kStages> held_until_ = {};
  std::deque<std::unique_ptr<Retired>> retired_;

  // Of the step under way.
  Instant now_;
  WallTime wall_now_;
  Output* out_ = nullptr;

  raft::Ready ready_;
  std::deque<Unit> units_;
  PersistTicket last_ticket_;

  // The entry behind applied_, while it takes more than one turn to apply. Nobody sees
  // anything of it, and nothing else is applied.
  struct Applying {
    raft::Entry entry;
    apply::Operation operation = apply::Operation::kNone;
    std::optional<RequestToken> token;
    apply::Outcome outcome;
  };
  std::optional<Applying> applying_;

  LogIndex applied_;
  Term applied_term_;    // of the entry at applied_, if this run applied it
  LogIndex handed_out_;  // committed entries up to here are ours to apply
  uint64_t applied_chain_ = 0;
  absl::Status fatal_;

  // After raft dropped proposals: when to offer them again.
  Instant propose_again_ = Instant();
  MemberId seen_leader_;
  // The transport could not reach the leader, and nothing was heard from it since.
  bool leader_unreachable_ = false;
  bool stood_alone_ = false;
  // In which this member leads; 0 if it does not.
  Term lead_term_;
  // Leases granted by proposals_.queued().
  std::vector<LeaseId> queued_grants_;
  // A read-index round that is to confirm, for leases that were due when it began, that
  // this member still leads.
  struct ExpiryRound {
    Instant begun;
    Term term;
  };
  std::optional<ExpiryRound> expiry_round_;
  // Leases that were due by then may be revoked: it is confirmed.
  Instant revoke_until_;
  // No proposal about leases before this.
  Instant lease_again_;
  // No change of the membership is offered to raft before this.
  Instant change_again_ = Instant();
  // Since when the transport is connected with each peer.
  absl::btree_map<MemberId, Instant> connected_since_;
  // Who is to lead before the request is answered.
  absl::btree_map<RequestToken, MemberId> moves_;
  uint64_t members_version_ = 0;
  // Something that may have added to the store was applied since the quota was looked at.
  bool applied_additions_ = false;
  DiskState disk_;
  bool checkpoint_wanted_ = false;    // though nothing may be new
  bool wanted_is_under_way_ = false;  // one that was
  // Why this member's NOSPACE alarm was raised last; unknown: before this start.
  enum class AlarmCause { kUnknown, kDisk, kOther };
  AlarmCause alarm_cause_ = AlarmCause::kUnknown;
  // No alarm is raised, or put out, before this.
  Instant alarm_again_;
  // Members that have lost their data, whose barriers are on their way.
  absl::btree_map<RequestToken, MemberId> repairs_;
  // Physical compactions that somebody waits for.
  absl::btree_map<RequestToken, Revision> awaiting_compaction_;

  // Of the newest durable checkpoint, and what was applied since.
  LogIndex checkpoint_;
  LogIndex cut_to_;  // the log is to be cut up to there; 0 = it is
  Instant checkpointed_at_;
  uint64_t bytes_since_checkpoint_ = 0;
  bool checkpointing_ = false;                 // one is under way
  Instant checkpoint_not_before_ = Instant();  // after a failure
  // Followers that a snapshot is on its way to, or being installed by: the log is not cut
  // meanwhile.
  struct SnapshotUnderWay {
    Instant give_up = Instant::Infinite();
    Instant ask = Instant::Infinite();  // whether it is installed
  };
  absl::btree_map<MemberId, SnapshotUnderWay> snapshots_under_way_;
  // A leader's state while it is loaded, and until it is durable and replaces ours.
  struct Arriving {
    // Clang would not take it for constructible inside this class without.
    Arriving() {}
    raft::Message message;
    ImageMeta meta;
    std::unique_ptr<apply::Applier> applier;
    std::unique_ptr<apply::ImageLoader> loader;
    bool accepted = false;  // by raft
  };
  std::optional<Arriving> arriving_;

  uint64_t snapshots_installed_ = 0;
  uint64_t proposals_committed_ = 0;
  uint64_t proposals_failed_ = 0;
  uint64_t leader_changes_ = 0;
  uint64_t peer_messages_refused_ = 0;
  uint64_t leases_granted_ = 0;
  uint64_t leases_revoked_ = 0;
  uint64_t leases_renewed_ = 0;
  uint64_t leases_expired_ = 0;
  LeaseTtls lease_ttls_;
  DoneCounts done_;
  mvcc::OperationCounts operations_;
  Statistics statistics_;  // those of it that nobody else keeps
  std::optional<Instant> compaction_begun_;
  // Questions for leases that were held, and are confirmed.
  RequestQueue ready_reads_;
  // About the keys of leases: they would see those of an entry that is half applied, and wait for
  // its end.
  RequestQueue held_requests_;
  // Reads that take more than a piece of a turn, in the order of their coming: one at a time.
  LongReads long_reads_;
  LongReads long_hashes_;  // of HashKV, over the whole store: the others do not wait for them
  // Work that the compactor is owed for having stood still meanwhile.
  uint64_t compaction_debt_ = 0;

  // An image being taken; nothing is applied meanwhile.
  std::unique_ptr<apply::ImageRun> imaging_;
  bool image_is_checkpoint_ = false;
  PieceCounts pieces_;
  // Raft's kSnap messages that wait for one.
  std::vector<raft::Message> snapshots_to_send_;
};

}  // namespace quorate::engine

#endif  // QUORATE_ENGINE_REPLICA_IMPL_H_
