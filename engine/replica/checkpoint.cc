// Images of the state: taken for the own disk, sent to followers that are behind the log,
// received from a leader.
//
// An image pins the segments of the revision log as they stand at one applied entry and
// copies the rest, which is small; nobody waits for what happens to it then. A received
// one is loaded beside the state that is served, a bounded piece each turn; it replaces
// that state once raft has accepted it and it is durable.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "engine/replica/impl.h"

namespace quorate::engine {
namespace {

// Records of an arriving state that are looked at in a turn: about half a millisecond.
constexpr size_t kLoadRecords = 500;
// Entries of the log, and about how many bytes of them, that are given back in a turn.
constexpr size_t kCutEntries = 1000;
constexpr size_t kCutBytes = 4 * limits::kMiB;
// How long a follower that has got a snapshot may take to install it, in election timeouts.
constexpr int64_t kInstallTimeouts = 30;
// After a checkpoint that failed: a full disk is not asked more often.
constexpr Duration kCheckpointRetryInterval = Seconds(5);

}  // namespace

Replica::Impl::Start Replica::Impl::MakeStart(const Config& config, Recovered recovered) {
  Start start;
  start.raft = config.raft;
  start.raft.id = config.member_id;
  start.raft.async_storage_writes = true;
  start.raft.applied = LogIndex(0);
  // One that was removed answers nobody any more: the others need not wait for its silence.
  start.raft.step_down_on_removal = true;
  if (recovered.checkpoint.has_value()) {
    absl::StatusOr<ImageMeta> meta = DecodeImageMeta(*recovered.checkpoint);
    if (!meta.ok()) {
      // Nothing is begun with it: the first step says why.
      start.status = meta.status();
      return start;
    }
    start.meta = *std::move(meta);
    start.raft.applied = start.meta.snapshot.index;
    start.log.snapshot = {recovered.base, recovered.base_term, start.meta.snapshot.conf_state};
    start.image = std::move(recovered.checkpoint);
  }
  start.log.hard_state = recovered.hard_state;
  start.log.entries = std::move(recovered.entries);
  return start;
}

void Replica::Impl::BeginImage() {
  StateImage image;
  image.index = applied_;
  image.term = *raft_.log().TermAt(applied_);
  imaging_ = std::make_unique<apply::ImageRun>(applier_, std::move(image));
  EncodeImageMeta({{applied_, *raft_.log().TermAt(applied_), raft_.conf_state()}, applied_chain_},
                  imaging_->BeginSection(Section::kRaft));
}

// One image serves all that wait for one.
void Replica::Impl::TakeImages(mvcc::Work* work) {
  const bool began = imaging_ == nullptr;
  if (began) {
    if (!WantsImage() || applying_.has_value()) return;
    if (now_ >= next_checkpoint()) {
      checkpointing_ = image_is_checkpoint_ = true;
      // What is found damaged from now on waits for the one after this.
      wanted_is_under_way_ = std::exchange(checkpoint_wanted_, false);
      checkpointed_at_ = now_;
      bytes_since_checkpoint_ = 0;
    }
    BeginImage();
  }
  if (work->spent() || !imaging_->Step(work)) {
    if (began) ++pieces_.images;
    return;
  }
  FinishImage(std::move(*std::exchange(imaging_, nullptr)).Take());
}

void Replica::Impl::FinishImage(StateImage image) {
  // What raft knows of is the newest checkpoint; the state as it is now saves the follower
  // the entries since.
  for (raft::Message& message : std::exchange(snapshots_to_send_, {})) {
    auto snapshot = std::make_shared<raft::Snapshot>();
    snapshot->meta = {image.index, image.term, raft_.conf_state()};
    message.snapshot = std::move(snapshot);
    out_->snapshots.push_back({std::move(message), image});
  }
  if (std::exchange(image_is_checkpoint_, false)) out_->checkpoint = std::move(image);
}

// ---- checkpoints ----

// When a checkpoint is due; infinite: not unless more is applied.
Instant Replica::Impl::next_checkpoint() const {
  if (checkpointing_ || arriving_.has_value()) return Instant::Infinite();
  if (checkpoint_wanted_ && applied_ > LogIndex(0)) return checkpoint_not_before_;
  if (applied_ <= checkpoint_) return Instant::Infinite();
  if (applied_ - checkpoint_ >= config_.checkpoint_entries ||
      bytes_since_checkpoint_ >= config_.checkpoint_bytes) {
    return checkpoint_not_before_;
  }
  if (config_.checkpoint_interval == Duration()) return Instant::Infinite();
  return std::max(checkpointed_at_ + config_.checkpoint_interval, checkpoint_not_before_);
}

void Replica::Impl::On(const Checkpointed& event) {
  checkpointing_ = false;
  if (!event.ok) {
    checkpoint_wanted_ |= wanted_is_under_way_;
    checkpoint_not_before_ = now_ + kCheckpointRetryInterval;
    return;
  }
  // A state that was installed meanwhile, or is about to be, is newer; the log does not go back
  // to this one then.
  const bool overtaken = arriving_.has_value() && arriving_->accepted;
  if (event.index > checkpoint_ && !overtaken) NoteCheckpointed(event.index);
  CutLog();
}

// The state up to `index` is durable without the log.
void Replica::Impl::NoteCheckpointed(LogIndex index) {
  checkpoint_ = index;
  auto snapshot = std::make_shared<raft::Snapshot>();
  snapshot->meta = {index, *raft_.log().TermAt(index), raft_.conf_state()};
  raft_.SetSnapshot(std::move(snapshot));
}

// Keeps what slow followers may need.
void Replica::Impl::CutLog() {
  const raft::Log& log = raft_.log();
  LogIndex keep_from = checkpoint_ + 1;  // the first entry that is kept
  uint64_t bytes = 0;
  for (uint64_t n = 0; n < config_.catchup_entries && keep_from > log.first_index(); ++n) {
    bytes += log.EntryAt(keep_from - 1).data.size();
    if (bytes > config_.catchup_bytes) break;
    --keep_from;
  }
  if (keep_from <= log.first_index()) return;
  cut_to_ = keep_from - 1;
  CutSome();
}

// One that is being sent the state must find the log going on from there: the cut waits for it.
bool Replica::Impl::MayCut() const {
  return cut_to_ != LogIndex(0) && snapshots_under_way_.empty();
}

// A piece of that: entries may be very many, or large. The disk hears of the end of it.
void Replica::Impl::CutSome() {
  if (!MayCut()) return;
  LogIndex to = raft_.log().first_index() - 1;
  // A state that was installed meanwhile: that has replaced the log on disk as well.
  if (to >= cut_to_) {
    cut_to_ = LogIndex(0);
    return;
  }
  size_t bytes = 0;
  for (size_t n = 0; n < kCutEntries && bytes < kCutBytes && to < cut_to_; ++n) {
    bytes += raft_.log().EntryAt(++to).data.size();
  }
  const absl::Status status = raft_.Compact(to);
  CHECK_MSG(status.ok(), status.ToString());
  if (to < cut_to_) return;
  out_->log_cut = std::exchange(cut_to_, LogIndex(0));
}

// ---- snapshots to followers ----

void Replica::Impl::SendSnapshot(raft::Message message) {
  // It was for a follower of a leader that has since become one itself, and far behind.
  if (arriving_.has_value() && arriving_->accepted) return On(SnapshotSent{message.to, false});
  snapshots_under_way_[message.to] = SnapshotUnderWay();
  snapshots_to_send_.push_back(std::move(message));
}

// Raft is not told that one has arrived: it would go on probing a follower that has yet
// to load it. The follower's own word, once it is installed, ends the wait; as that may be
// lost, it is asked for it now and then.
void Replica::Impl::On(const SnapshotSent& event) {
  const auto under_way = snapshots_under_way_.find(event.peer);
  if (under_way == snapshots_under_way_.end()) return;
  if (event.ok) {
    under_way->second = {now_ + config_.raft.election_timeout * kInstallTimeouts,
                         now_ + config_.raft.election_timeout};
    return;
  }
  snapshots_under_way_.erase(under_way);
  raft_.ReportSnapshot(event.peer, false, now_);
}

void Replica::Impl::WatchOverSnapshots() {
  for (auto it = snapshots_under_way_.begin(); it != snapshots_under_way_.end();) {
    const raft::Progress* progress =
        raft_.role() == raft::Role::kLeader ? raft_.tracker().Find(it->first) : nullptr;
    const bool over = progress == nullptr || progress->state != raft::ProgressState::kSnapshot;
    if (!over && now_ < it->second.give_up) {
      if (now_ >= it->second.ask) {
        raft_.AskInstalled(it->first, now_);
        it->second.ask = now_ + config_.raft.election_timeout;
      }
      ++it;
      continue;
    }
    if (!over) raft_.ReportSnapshot(it->first, false, now_);
    it = snapshots_under_way_.erase(it);
  }
}

Instant Replica::Impl::next_snapshot_deadline() const {
  Instant next = Instant::Infinite();
  for (const auto& [peer, under_way] : snapshots_under_way_) {
    next = std::min({next, under_way.give_up, under_way.ask});
  }
  return next;
}

// ---- a snapshot from the leader ----

void Replica::Impl::On(SnapshotReceived& event) {
  absl::StatusOr<ImageMeta> meta = DecodeImageMeta(event.image);
  const bool usable = meta.ok() && event.message.type == raft::MessageType::kSnap &&
                      event.message.to == config_.member_id && meta->snapshot.index > applied_;
  // One at a time: the leader asks again.
  if (!usable || arriving_.has_value()) {
    ++peer_messages_refused_;
    return;
  }
  Arriving& arriving = arriving_.emplace();
  arriving.meta = *std::move(meta);
  arriving.message = std::move(event.message);
  auto snapshot = std::make_shared<raft::Snapshot>();
  snapshot->meta = arriving.meta.snapshot;
  arriving.message.snapshot = std::move(snapshot);
  arriving.applier = std::make_unique<apply::Applier>();
  arriving.loader =
      std::make_unique<apply::ImageLoader>(std::move(event.image), arriving.applier.get());
}

void Replica::Impl::LoadArriving() {
  if (!arriving_.has_value() || arriving_->accepted) return;
  if (!arriving_->loader->Step(kLoadRecords)) return;
  const LogIndex index = arriving_->meta.snapshot.index;
  const bool stepped =
      arriving_->loader->status().ok() && raft_.Step(std::move(arriving_->message), now_).ok();
  const std::shared_ptr<const raft::Snapshot>& pending = raft_.log().pending_snapshot();
  if (stepped && pending != nullptr && pending->meta.index == index) {
    arriving_->accepted = true;
    // The log no longer goes with the state that is served. What is written from now on comes
    // behind the arrived state on disk and must not take its place there.
    AbandonImage();
    return;
  }
  // Malformed, or raft had no use for it (any more).
  if (!stepped) ++peer_messages_refused_;
  EndArriving();
}

// The loader, and the state that it leaves behind, may be large.
void Replica::Impl::EndArriving() {
  Retire(std::move(arriving_->loader));
  Retire(std::move(arriving_->applier));
  arriving_.reset();
}

// The state that it would show is to be replaced; who waits for it is no leader's follower now.
void Replica::Impl::AbandonImage() {
  imaging_.reset();
  if (std::exchange(image_is_checkpoint_, false)) {
    checkpointing_ = false;
    checkpoint_wanted_ |= wanted_is_under_way_;
  }
  for (const raft::Message& message : std::exchange(snapshots_to_send_, {})) {
    On(SnapshotSent{message.to, false});
  }
}

// The arrived state is durable: from now on it is ours.
void Replica::Impl::Install() {
  CHECK(arriving_.has_value());
  CHECK(arriving_->accepted);
  AbandonApplying();
  // They look at the state that goes: they begin anew.
  for (LongReads* const reads : {&long_reads_, &long_hashes_}) {
    if (!reads->running.has_value()) continue;
    reads->waiting.PushFront(std::move(reads->running->request));
    Retire(std::move(reads->running->run));
    reads->running.reset();
  }
  applier_.TakeOver(arriving_->applier.get());
  watches_.Rebase();
  // Which of them the entries that were skipped took back is not known.
  tokens_.Apply({auth::TokenChange::Kind::kForgetAll}, now_);
  applied_ = handed_out_ = arriving_->meta.snapshot.index;
  applied_chain_ = arriving_->meta.applied_chain;
  applied_term_ = arriving_->meta.snapshot.term;
  ++members_version_;
  AnswerOvertaken();
  bytes_since_checkpoint_ = 0;
  checkpointed_at_ = now_;
  NoteCheckpointed(applied_);
  ++snapshots_installed_;
  EndArriving();  // its applier has what was here before
}

}  // namespace quorate::engine
