#include "engine/replica/impl.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"
#include "engine/raft/codec.h"

namespace quorate::engine {
namespace {

// How long after the end of an answer, of which nobody is told, what only it kept may lie about.
constexpr Duration kPinsInterval = Seconds(1);

mvcc::WatchOptions WatchOptions(const Config& config) {
  mvcc::WatchOptions options;
  options.fragment_bytes = config.watch_fragment_bytes > 0
                               ? config.watch_fragment_bytes
                               : config.max_request_bytes + limits::kGrpcOverheadBytes;
  options.progress_interval = config.watch_progress_interval;
  options.seed = config.raft.seed;
  return options;
}

lease::LessorOptions LessorOptions(const Config& config) {
  lease::LessorOptions options;
  options.min_ttl = config.min_lease_ttl;
  options.extend = config.raft.election_timeout;
  options.checkpoint_interval = config.lease_checkpoint_interval;
  return options;
}

LogIndex LastIndex(const raft::DurableLog& log) {
  return log.entries.empty() ? log.snapshot.index : log.entries.back().index;
}

// Read-index contexts: unique among members and their runs, like request ids.
uint64_t FirstReadContext(const Config& config) {
  return config.member_id.value() << 48 | (config.run_id & 0xffffffffff) << 8 | 1;
}

}  // namespace

Replica::Impl::Impl(const Config& config, Recovered recovered, Instant now)
    : Impl(config, MakeStart(config, std::move(recovered)), now) {}

Replica::Impl::Impl(const Config& config, Start start, Instant now)
    : config_(config),
      recovered_index_(LastIndex(start.log)),
      raft_(start.raft, std::move(start.log), now),
      applier_(config.store_segment_bytes),
      watches_(&applier_.store(), WatchOptions(config), this),
      proposals_(config.member_id, config.run_id),
      reads_(FirstReadContext(config)),
      lessor_(&applier_.leases(), LessorOptions(config)),
      tokens_(config.auth_token_ttl),
      token_waits_(config.token_wait, config.max_token_waits),
      now_(now),
      fatal_(std::move(start.status)),
      checkpointed_at_(now) {
  applier_.store().log().pins()->SetBounds(config.copied_answer_bytes,
                                           config.max_dead_answer_bytes);
  if (!start.image.has_value() || !fatal_.ok()) return;
  apply::ImageLoader loader(*std::move(start.image), &applier_);
  loader.Step(std::numeric_limits<size_t>::max());
  if (!loader.status().ok()) {
    fatal_ = loader.status();
    return;
  }
  watches_.Rebase();
  applied_ = handed_out_ = start.meta.snapshot.index;
  applied_chain_ = start.meta.applied_chain;
  NoteCheckpointed(applied_);
}

void Replica::Impl::Step(Input&& input, Output* out) {
  now_ = std::max(now_, input.now);
  wall_now_ = input.wall;
  out_ = out;
  if (fatal_.ok()) {
    if (now_ >= raft_.NextDeadline()) raft_.Tick(now_);
    std::visit([this](auto& event) { On(event); }, input.event);
    NoticeLeadTerm();
    NoticeLeader();
    if (now_ >= lease_calls_.next_retry()) RetryLeaseCalls();
    if (now_ >= member_changes_.next_promotion()) RetryPromotions(now_);
    if (!snapshots_under_way_.empty()) WatchOverSnapshots();
    if (now_ >= watches_.next_tick()) watches_.Tick(now_);
    ReleaseTokenWaits();
  }
  FinishStep();
  out_ = nullptr;
}

void Replica::Impl::FinishStep() {
  out_->fatal = fatal_;
  if (!fatal_.ok()) {
    out_->turn_end_wanted = false;
    out_->next_wake = Instant::Infinite();
    return;
  }
  out_->only_long_work = !HasShortWork();
  const bool background = HasBackgroundWork();
  out_->turn_end_wanted =
      !out_->only_long_work || HasAwaitedLongWork() || (background && now_ >= next_background_);
  Instant wake = std::min(raft_.NextDeadline(), watches_.next_tick());
  if (background) wake = std::min(wake, next_background_);
  wake = std::min(wake, reads_.next_retry());
  wake = std::min({wake, lease_calls_.next_retry(), LeaseWorkDue()});
  wake = std::min(wake, token_waits_.next_deadline());
  if (!proposals_.queued().empty()) wake = std::min(wake, propose_again_);
  // Without a leader in reach they wait for a sign of one, not for a moment.
  if (member_changes_.HasUnproposed() && raft_.leader() != raft::kNobody && !leader_unreachable_) {
    wake = std::min(wake, std::max(propose_again_, change_again_));
  }
  wake = std::min(wake, member_changes_.next_promotion());
  wake = std::min({wake, next_checkpoint(), next_snapshot_deadline()});
  if (applier_.store().log().pins()->holding()) wake = std::min(wake, now_ + kPinsInterval);
  for (const Instant held : held_until_) {
    if (held > now_) wake = std::min(wake, held);
  }
  out_->next_wake = wake;
}

// What takes a turn and is done then, mostly.
bool Replica::Impl::HasShortWork() const {
  const bool can_propose = !proposals_.queued().empty() && now_ >= propose_again_;
  return can_propose || CanProposeMemberChange() || reads_.CanStartRound() ||
         now_ >= reads_.next_retry() || raft_.HasReady() ||
         (CanApply() && !applying_.has_value() && imaging_ == nullptr) ||
         (HasReadyReads() && IsFree(Stage::kReads)) || HasReleasedTokens() ||
         (!held_requests_.empty() && !applying_.has_value());
}

// What clients or peers wait for, or entries that are to be applied.
bool Replica::Impl::HasAwaitedLongWork() const {
  return CanApply() || (watches_.HasWork() && IsFree(Stage::kWatches)) || HasLongReads() ||
         imaging_ != nullptr || (WantsImage() && !applying_.has_value()) ||
         now_ >= LeaseWorkDue() || (arriving_.has_value() && !arriving_->accepted);
}

bool Replica::Impl::HasBackgroundWork() const {
  return MayCompact() || !retired_.empty() || applier_.auth().has_deleted() ||
         applier_.store().log().pins()->releasing() || MayCut();
}

// A new leader, or none: what waited for the old one is tried again.
void Replica::Impl::NoticeLeader() {
  const MemberId leader = raft_.leader();
  if (leader == seen_leader_) return;
  seen_leader_ = leader;
  leader_unreachable_ = false;
  if (leader == MemberId(0)) return;
  ++leader_changes_;
  propose_again_ = now_;
  reads_.RetryAll(now_);
  DispatchUnsettledCalls();
  RetryPromotions(Instant::Infinite());
  AnswerMoves(leader);
}

// ---- inputs ----

void Replica::Impl::On(const AbandonRequest& request) {
  lease_calls_.Erase(request.token);
  repairs_.erase(request.token);
  if (proposals_.Abandon(request.token)) {
    ++proposals_failed_;
    return;
  }
  if (applying_.has_value() && applying_->token == request.token) {
    applying_->token.reset();
    ++proposals_failed_;
    return;
  }
  if (member_changes_.Abandon(request.token) || moves_.erase(request.token) > 0) return;
  if (AbandonRead(request.token) || token_waits_.Abandon(request.token)) return;
  awaiting_compaction_.erase(request.token);
}

void Replica::Impl::On(const WatchWritable& event) {
  watches_.SetWritable(event.stream.value(), event.writable);
}

// Whether a message may reach raft. Proposals that a peer passes on would stop every
// member once they are committed, were they not understood: they are looked at first.
// Leases that they would grant are added to *grants.
bool Replica::Impl::AcceptsFromPeer(const raft::Message& message,
                                    std::vector<LeaseId>* grants) const {
  if (message.to != config_.member_id) return false;
  // A snapshot comes with its state (SnapshotReceived), or is of no use.
  if (message.type == raft::MessageType::kSnap) return false;
  if (message.type != raft::MessageType::kProp) return true;
  const auto acceptable = [grants](const raft::Entry& entry) {
    if (entry.type != raft::EntryType::kNormal) {
      if (entry.type != raft::EntryType::kConfChange) return false;
      const absl::StatusOr<raft::ConfChange> change = raft::DecodeConfChange(entry.data);
      return change.ok() && MembershipChange(*change).ok();
    }
    const absl::StatusOr<apply::Command> command = apply::DecodeCommand(entry.data);
    if (!command.ok() || !apply::Applier::Check(*command).ok()) return false;
    if (command->operation == apply::Operation::kLeaseGrant) {
      grants->push_back(apply::LeaseOf(*command));
    }
    return true;
  };
  return std::all_of(message.entries.begin(), message.entries.end(), acceptable);
}

// Proposals passed on to a leader that cannot be reached would be lost, and their clients
// would wait for nothing: they wait here for its next sign of life, or for the next leader.
void Replica::Impl::On(const PeerUnreachable& event) {
  raft_.ReportUnreachable(event.peer, now_);
  if (event.peer == raft_.leader() && event.peer != config_.member_id) leader_unreachable_ = true;
}

void Replica::Impl::On(PeerMessage& event) {
  busy_turns_ = kBusyTurns;
  if (leader_unreachable_ && event.message.from == raft_.leader()) {
    leader_unreachable_ = false;
    propose_again_ = now_;
  }
  std::vector<LeaseId> grants;
  if (!AcceptsFromPeer(event.message, &grants) ||
      !raft_.Step(std::move(event.message), now_).ok()) {
    ++peer_messages_refused_;
    return;
  }
  NoteGrantsProposed(grants);
}

void Replica::Impl::On(const Persisted& event) {
  while (!units_.empty() && units_.front().ticket <= event.ticket) {
    std::vector<raft::Message> responses = std::move(units_.front().responses);
    const bool installs = units_.front().installs;
    units_.pop_front();
    if (installs) Install();
    DeliverDurable(std::move(responses));
  }
}

// What waited for the disk: to other members, or back to our own raft.
void Replica::Impl::DeliverDurable(std::vector<raft::Message> responses) {
  for (raft::Message& message : responses) {
    if (message.to == config_.member_id) {
      const absl::Status status = raft_.StepLocal(std::move(message), now_);
      CHECK_MSG(status.ok() || absl::IsNotFound(status),
                "raft refused its own storage acknowledgement");
    } else {
      out_->messages.push_back(std::move(message));
    }
  }
}

void Replica::Impl::OnWatchReply(uint64_t stream, Bytes head, Bytes events) {
  out_->watch_replies.push_back({StreamToken(stream), std::move(head), std::move(events)});
}

// ---- views ----

std::optional<Term> Replica::Impl::TermAt(LogIndex index) const {
  return raft_.log().TermAt(index);
}

std::optional<raft::Entry> Replica::Impl::EntryAt(LogIndex index) const {
  if (index < first_index() || index > last_index()) return std::nullopt;
  return raft_.log().EntryAt(index);
}

ReplicaStatus Replica::Impl::status() const {
  const mvcc::Store& store = applier_.store();
  ReplicaStatus s;
  s.role = role();
  s.term = raft_.term();
  s.leader = raft_.leader();
  s.commit = raft_.log().committed();
  s.applied = applied_;
  s.first_index = first_index();
  s.last_index = last_index();
  s.checkpoint = checkpoint_;
  s.snapshots_sent = raft_.counters().snapshots_sent;
  s.snapshots_installed = snapshots_installed_;
  s.revision = store.revision();
  s.compact_revision = store.compact_revision();
  s.is_learner = raft_.is_learner();
  s.proposals_pending = proposals_.pending();
  s.proposals_committed = proposals_committed_;
  s.proposals_failed = proposals_failed_;
  s.leader_changes = leader_changes_;
  s.keys = store.index().live_keys();
  s.db_bytes_in_use = static_cast<uint64_t>(bytes_in_use());
  s.db_bytes = s.db_bytes_in_use + store.log().allocated_bytes() - store.log().live_bytes();
  s.watchers = watches_.watchers();
  s.watch_streams = watches_.streams();
  s.slow_watchers = watches_.slow_watchers();
  s.peer_messages_refused = peer_messages_refused_;
  s.leases = applier_.leases().all().size();
  s.leases_granted = leases_granted_;
  s.leases_revoked = leases_revoked_;
  s.leases_renewed = leases_renewed_;
  s.leases_expired = leases_expired_;
  s.pieces = pieces_;
  const mvcc::SegmentPins& pins = *applier_.store().log().pins();
  s.answers_revoked = pins.revoked();
  s.answers_outlived = pins.outlived();
  s.auth_enabled = applier_.auth().enabled();
  s.auth_revision = applier_.auth().revision();
  return s;
}

Statistics Replica::Impl::statistics() const {
  Statistics s = statistics_;
  s.operations = operations_;
  s.watch_events_sent = watches_.events_sent();
  s.compacted_records = applier_.compactor().dropped_records();
  s.slow_read_indexes = reads_.slow();
  s.failed_read_indexes = reads_.failed();
  s.installing = arriving_.has_value();
  return s;
}

LogIndex Replica::Impl::MatchOf(MemberId id) const {
  const raft::Progress* const progress =
      role() == Role::kLeader ? raft_.tracker().Find(id) : nullptr;
  return progress == nullptr ? LogIndex(0) : progress->match;
}

std::vector<alarm::Alarm> Replica::Impl::alarms() const {
  const auto& all = applier_.alarms().all();
  return std::vector<alarm::Alarm>(all.begin(), all.end());
}

std::vector<MemberInfo> Replica::Impl::members() const {
  std::vector<MemberInfo> members;
  for (const auto& [id, member] : applier_.membership().members()) {
    members.push_back({id, member.name, member.peer_urls, member.client_urls, member.is_learner});
  }
  return members;
}

absl::StatusOr<Replica::HashKvResult> Replica::Impl::HashKv(Revision revision) const {
  const absl::StatusOr<mvcc::KvHash> hash = applier_.compactor().HashKv(revision);
  if (!hash.ok()) return hash.status();
  return HashKvResult{hash->hash, hash->compact_revision, hash->hash_revision,
                      applier_.store().revision()};
}

}  // namespace quorate::engine
