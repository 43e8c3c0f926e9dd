// The work of one TurnEnd, in this order: proposals, the leases' own ones among them, and
// read-index rounds into raft,
// raft's Ready out (messages, the unit for the disk, what is committed), application,
// reads, compaction, watches. Each part is bounded; what is left asks for another turn.
#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/prng.h"
#include "base/status.h"
#include "engine/mvcc/errors.h"
#include "engine/replica/impl.h"

namespace quorate::engine {
namespace {

// Before dropped proposals are offered to raft again, unless the leader changes first.
constexpr Duration kProposeRetryInterval = Milliseconds(20);
// Entries whose keys are looked for together; fewer than so many are not worth it.
constexpr size_t kPrefetched = 32;
constexpr uint64_t kWorthPrefetching = 8;

}  // namespace

void Replica::Impl::On(const TurnEnd&) {
  if (config_.hindrance != nullptr) AskHindrance();
  ProposeGathered();
  ProposeMemberChanges();
  WorkOnLeases();
  AskReadIndexes();
  LoadArriving();
  if (raft_.HasReady()) HandleReady();
  NoticeLeadTerm();
  if (busy_turns_ > 0) --busy_turns_;
  const uint64_t eighth = config_.max_turn_work / 8 + 1;
  // Nothing is applied while an image is taken, which then gets what applying does not use.
  const bool imaging = imaging_ != nullptr;
  mvcc::Work applying(eighth * 4);
  ApplyCommitted(&applying);
  if (!fatal_.ok()) return;
  StandIfAlone();
  mvcc::Work reading(eighth * 2);
  if (IsFree(Stage::kReads)) AnswerReadyReads(&reading);
  const uint64_t foreground = eighth * 6 - applying.left() - reading.left();
  mvcc::Work reading_long(ShareBeside(foreground, eighth * 2));
  WorkOnLongReads(&reading_long);
  mvcc::Work background(BackgroundPiece(foreground));
  TakeImages(imaging ? &applying : &background);
  ReleaseRetired(&background);  // before the compactor leaves more behind
  CompactSome(&background);
  CutSome();
  mvcc::Work watching(eighth * 2);
  if (watches_.HasWork() && IsFree(Stage::kWatches)) {
    watches_.Pump(config_.max_watch_reply_bytes, &watching);
  }
}

void Replica::Impl::AskHindrance() {
  for (size_t i = 0; i < kStages; ++i) {
    held_until_[i] = config_.hindrance->HeldUntil(static_cast<Stage>(i), now_);
  }
}

// Of a full piece of long work, how much there is of it in this turn. While requests come in
// each of them waits for several turns, so that a piece is to be short.
uint64_t Replica::Impl::ShareBeside(uint64_t foreground, uint64_t full) const {
  if (busy_turns_ == 0) return full;
  return std::clamp(foreground / 2, full / 8 + 1, full);
}

// Of work that nobody waits for, how much there is of it in this turn: a piece when the pause
// after the last one is over. Beside many requests more of it is done, half of what they cost
// themselves, or a busy member would never be done with its compactions.
uint64_t Replica::Impl::BackgroundPiece(uint64_t foreground) {
  const uint64_t quarter = config_.max_turn_work / 4 + 1;
  // Reads wait behind what the compactor could not do because of the last one.
  const bool awaited = compaction_debt_ > 0 && HasLongReads() && MayCompact();
  if (now_ < next_background_ && !awaited) return std::min(foreground / 2, quarter);
  next_background_ = now_ + config_.background_pause;
  return busy_turns_ == 0 ? quarter * 2 : quarter;
}

void Replica::Impl::ProposeGathered() {
  if (proposals_.queued().empty() || now_ < propose_again_) return;
  // Without a leader in reach they wait for one: nothing was promised for them yet.
  if (raft_.leader() == raft::kNobody || leader_unreachable_) {
    propose_again_ = Instant::Infinite();  // until NoticeLeader(), or a message from it
    return;
  }
  if (!raft_.Propose(proposals_.queued(), now_).ok()) {
    propose_again_ = now_ + kProposeRetryInterval;
    return;
  }
  proposals_.QueuedWereProposed(raft_.term());
  NoteGrantsProposed(queued_grants_);
  queued_grants_.clear();
}

// A refusal or a loss shows as silence: the round is asked again after a while.
void Replica::Impl::AskReadIndexes() {
  for (Bytes& context : reads_.TakeDue(now_)) {
    raft_.ReadIndex(std::move(context), now_).IgnoreError();
  }
  if (reads_.CanStartRound()) raft_.ReadIndex(reads_.StartRound(now_), now_).IgnoreError();
}

void Replica::Impl::HandleReady() {
  raft_.TakeReady(&ready_);
  for (raft::Message& message : ready_.messages) {
    if (message.type == raft::MessageType::kSnap) {
      SendSnapshot(std::move(message));
    } else {
      out_->messages.push_back(std::move(message));
    }
  }
  ready_.messages.clear();
  for (const raft::ReadState& state : ready_.read_states) {
    reads_.Confirm(state.context, state.index);
  }
  // The log up to the snapshot is gone, applied or not: the state brings its effect.
  if (ready_.snapshot != nullptr) handed_out_ = applied_;
  if (ready_.HasUnit()) HandOutUnit();
  if (!ready_.committed_entries.empty()) handed_out_ = ready_.committed_entries.last_index();
}

void Replica::Impl::HandOutUnit() {
  const bool installs = ready_.snapshot != nullptr;
  const bool writes = ready_.hard_state.has_value() || !ready_.entries.empty() || installs;
  if (!writes) {
    // Nothing to write: the responses wait only for what is already under way.
    if (units_.empty()) return DeliverDurable(std::move(ready_.responses));
    std::vector<raft::Message>& waiting = units_.back().responses;
    std::move(ready_.responses.begin(), ready_.responses.end(), std::back_inserter(waiting));
    ready_.responses.clear();
    return;
  }
  Persist persist;
  persist.ticket = ++last_ticket_;
  ready_.entries.CopyTo(&persist.entries);
  persist.hard_state = ready_.hard_state;
  persist.must_sync = ready_.must_sync;
  if (installs) persist.install = arriving_->loader->image();
  out_->persists.push_back(std::move(persist));
  units_.push_back({last_ticket_, std::move(ready_.responses), installs});
  ready_.responses.clear();
}

// ---- application ----

void Replica::Impl::ApplyCommitted(mvcc::Work* work) {
  // An image is of one applied index.
  if (imaging_ != nullptr || !CanApply()) return;
  const LogIndex before = applied_;
  bool go_on = true;
  if (applying_.has_value()) {
    // Behind a long command what waits for its end gets its turn.
    go_on = ContinueApplying(work) && !WantsImage() && !applier_.compactor().busy() &&
            held_requests_.empty();
  }
  size_t bytes = 0;
  for (size_t n = 0; go_on && applied_ < handed_out_ && n < config_.max_apply_entries; ++n) {
    if (work->spent()) break;
    if (n % kPrefetched == 0) PrefetchCommitted();
    // A copy: applying a configuration change works on raft itself.
    const raft::Entry entry = raft_.log().EntryAt(applied_ + 1);
    const absl::Status status = ApplyEntry(entry, work);
    if (!status.ok()) {
      fatal_ = absl::Status(
          status.code(),
          absl::StrCat("cannot apply the committed entry at index ", entry.index.value(), ", term ",
                       entry.term.value(), ": ",
                       absl::string_view(status.message().data(), status.message().size()),
                       " (this is version ", config_.server_version, ")"));
      return;
    }
    if (applying_.has_value()) break;
    NoteApplied(entry);
    bytes += entry.data.size();
    if (bytes >= config_.max_apply_bytes) break;
  }
  if (applied_ != before) raft_.AppliedTo(applied_, now_);
  CheckQuotaApplied();
}

// Of the next entries: they are applied as if each were alone, but for what they wait for memory.
void Replica::Impl::PrefetchCommitted() const {
  const uint64_t soon = std::min<uint64_t>(config_.max_apply_entries, kPrefetched);
  const uint64_t count = std::min<uint64_t>(handed_out_ - applied_, soon);
  if (count < kWorthPrefetching) return;
  std::vector<absl::string_view> data;
  for (uint64_t i = 1; i <= count; ++i) {
    const raft::Entry& entry = raft_.log().EntryAt(applied_ + i);
    if (entry.type == raft::EntryType::kNormal && !entry.data.empty()) data.push_back(entry.data);
  }
  applier_.Prefetch(data);
}

// True once the entry under way is applied.
bool Replica::Impl::ContinueApplying(mvcc::Work* work) {
  applier_.Continue(work, &applying_->outcome);
  if (applying_->outcome.unfinished) return false;
  Applying applied = *std::move(applying_);
  applying_.reset();
  FinishCommand(applied.operation, applied.token, std::move(applied.outcome));
  NoteApplied(applied.entry);
  return true;
}

// A later state takes the place of the one that the entry was being applied to.
void Replica::Impl::AbandonApplying() {
  if (!applying_.has_value()) return;
  Retire(applier_.Abandon());
  if (applying_->token.has_value()) {
    ++proposals_failed_;
    Answer(*applying_->token, absl::UnavailableError("etcdserver: leader changed"));
  }
  applying_.reset();
}

void Replica::Impl::NoteApplied(const raft::Entry& entry) {
  applied_ = entry.index;
  if (entry.term != applied_term_) {
    applied_term_ = entry.term;
    AnswerOvertaken();
  }
  lessor_.OnApplied(applied_);
  uint64_t chain = applied_chain_ ^ Mix64(entry.index.value());
  chain = Mix64(chain ^ entry.term.value());
  chain = Mix64(chain ^ static_cast<uint64_t>(entry.type));
  applied_chain_ = Mix64(chain ^ Crc32c(entry.data));
  bytes_since_checkpoint_ += entry.data.size();
}

// What an earlier leader got of ours and did not make last is lost with near certainty: its
// clients hear of it now instead of running into their time-outs.
void Replica::Impl::AnswerOvertaken() {
  for (const RequestToken token : proposals_.TakeOvertaken(applied_term_)) {
    ++proposals_failed_;
    if (LeaseCall* const call = lease_calls_.Find(token)) {
      Dispatch(token, call);
      continue;
    }
    repairs_.erase(token);
    Answer(token, absl::UnavailableError("etcdserver: leader changed"));
  }
  for (const RequestToken token : member_changes_.TakeOvertaken(applied_term_)) {
    ++proposals_failed_;
    Answer(token, absl::UnavailableError("etcdserver: leader changed"));
  }
}

// The only voter has nobody to wait for: it need not sit out an election timeout after its
// start. Once, since from then on it leads for as long as it is alone.
void Replica::Impl::StandIfAlone() {
  if (stood_alone_ || applied_ < raft_.log().committed()) return;
  stood_alone_ = true;
  const raft::ConfState conf = raft_.conf_state();
  if (conf.voters.size() != 1 || conf.voters.front() != config_.member_id) return;
  if (conf.voters_outgoing.empty()) raft_.Campaign(now_);
}

absl::Status Replica::Impl::ApplyEntry(const raft::Entry& entry, mvcc::Work* work) {
  switch (entry.type) {
    case raft::EntryType::kNormal:
      if (!entry.data.empty()) return ApplyNormal(entry, work);
      // A new leader's first entry: all that earlier ones committed is applied.
      if (entry.term == lead_term_ && !lessor_.primary()) lessor_.Promote(entry.term, now_);
      return absl::OkStatus();
    case raft::EntryType::kConfChange:
      return ApplyConfChange(entry);
    case raft::EntryType::kConfChangeV2:
      break;
  }
  return absl::UnimplementedError("configuration changes of the second form are not supported");
}

absl::Status Replica::Impl::ApplyNormal(const raft::Entry& entry, mvcc::Work* work) {
  ASSIGN_OR_RETURN(apply::Command command, apply::DecodeCommand(entry.data));
  command.index = entry.index;
  const std::optional<RequestToken> token = proposals_.Take(command.id);
  apply::Outcome outcome;
  const bool alarm_stood = OwnNoSpaceStands();
  RETURN_IF_ERROR(applier_.Apply(command, identity(), token.has_value(), work, &outcome));
  if (outcome.unfinished) {
    applying_ = Applying{entry, command.operation, token, std::move(outcome)};
    ++pieces_.applies;
    return absl::OkStatus();
  }
  if (command.operation == apply::Operation::kClusterMemberAttrSet) ++members_version_;
  if (!alarm_stood && OwnNoSpaceStands() && entry.index > recovered_index_) {
    NoteCauseOfAlarm(command.id, token.has_value());
  }
  if (outcome.tokens != nullptr && entry.index > recovered_index_) {
    tokens_.Apply(*outcome.tokens, now_);
  }
  FinishCommand(command.operation, token, std::move(outcome));
  return absl::OkStatus();
}

void Replica::Impl::FinishCommand(apply::Operation operation, std::optional<RequestToken> token,
                                  apply::Outcome outcome) {
  operations_.Add(outcome.counts);
  // As in etcd, what is compacted already is no failure.
  done_.CountCommand(static_cast<uint32_t>(operation),
                     outcome.status.ok() || outcome.status == mvcc::CompactedError());
  if (!outcome.leases.empty()) NoteLeases(operation, outcome);
  if (operation == apply::Operation::kPut || operation == apply::Operation::kTxn ||
      operation == apply::Operation::kLeaseGrant) {
    applied_additions_ = true;
  }
  if (!token.has_value()) return;
  ++proposals_committed_;
  if (LeaseCall* const call = lease_calls_.Find(*token)) {  // its checkpoint is cleared
    AnswerLeaseCall(*token, call);
  } else if (const auto repair = repairs_.extract(*token); !repair.empty()) {
    OnBarrier(*token, repair.mapped(), applied_ + 1);
  } else if (outcome.awaits_compaction.has_value()) {
    awaiting_compaction_[*token] = *outcome.awaits_compaction;
  } else {
    Answer(*token, std::move(outcome.status), std::move(outcome.body));
  }
}

// ---- what follows application ----

void Replica::Impl::AnswerReadyReads(mvcc::Work* work) {
  ReleaseHeldRequests(work);
  while (HasReadyReads() && !work->spent()) {
    ClientRequest read = ready_reads_.empty() ? reads_.TakeReady() : ready_reads_.Pop();
    LeaseCall* const call = lease_calls_.Find(read.token);
    if (read.token == RequestToken()) {
      OnExpiryConfirmed();
    } else if (call != nullptr && call->keys && applying_.has_value() && lessor_.primary()) {
      // It could see a lease that has lost half of its keys. Keep-alives do not look at them, and
      // must not be overtaken by a round that lets their leases end.
      work->SpendLook();
      held_requests_.Push(std::move(read));
    } else if (call != nullptr) {
      work->SpendFind();
      call->keys ? AnswerLeaseKeys(read.token, call, work) : AnswerLeaseCall(read.token, call);
    } else {
      AnswerRead(std::move(read), work);
    }
  }
}

// Nothing is half applied (any more).
void Replica::Impl::ReleaseHeldRequests(mvcc::Work* work) {
  while (!held_requests_.empty() && !applying_.has_value() && !work->spent()) {
    ClientRequest request = held_requests_.Pop();
    work->SpendFind();
    if (lease_calls_.Find(request.token) != nullptr) {  // its round is confirmed
      ready_reads_.Push(std::move(request));
    } else {
      Serve(request);
    }
  }
}

void Replica::Impl::NoteCompacted(Duration time, uint64_t jobs) {
  const mvcc::Compactor& compactor = applier_.compactor();
  done_.compactions += jobs;
  Statistics& s = statistics_;
  s.compactions.Add(time, jobs);
  s.last_compaction = wall_now_;
  s.last_compaction_time = time;
  s.compacted_to = compactor.finished();
  s.last_compacted_records = compactor.dropped_records() - s.compacted_records;
  s.compacted_records = compactor.dropped_records();
}

void Replica::Impl::CompactSome(mvcc::Work* work) {
  mvcc::Compactor& compactor = applier_.compactor();
  if (MayCompact() && !work->spent()) {
    const uint64_t allowed = work->left();
    const uint64_t finished = compactor.finished_jobs();
    if (!compaction_begun_.has_value()) compaction_begun_ = now_;
    compactor.Step(work);
    compaction_debt_ -= std::min(compaction_debt_, allowed);
    if (compactor.finished_jobs() != finished) {
      NoteCompacted(now_ - *compaction_begun_, compactor.finished_jobs() - finished);
      compaction_begun_.reset();
    }
  }
  if (!compactor.busy()) {
    compaction_debt_ = 0;
    compaction_begun_.reset();
  }
  for (auto it = awaiting_compaction_.begin(); it != awaiting_compaction_.end();) {
    if (compactor.finished() < it->second) {
      ++it;
      continue;
    }
    Answer(it->first, absl::OkStatus(), applier_.CompactionResponse(identity()));
    it = awaiting_compaction_.erase(it);
  }
}

}  // namespace quorate::engine
