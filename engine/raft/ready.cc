// Work handed out, and its completion: the disk's and the state machine's.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "engine/raft/raft.h"

namespace quorate::raft {

void Ready::Clear() {
  soft_state.reset();
  read_states.clear();
  messages.clear();
  hard_state.reset();
  entries = EntryRange();
  snapshot = nullptr;
  must_sync = false;
  responses.clear();
  committed_entries = EntryRange();
}

bool Raft::HasReady() const {
  return !messages_.empty() || !responses_.empty() || !log_.NextUnstable().empty() ||
         log_.HasNextCommitted(!config_.async_storage_writes) || hard_state() != last_hard_state_ ||
         soft_state() != last_soft_state_ || !read_states_.empty() || log_.HasNextSnapshot();
}

void Raft::ReclaimLists(Ready* ready) {
  for (Message& m : ready->messages) Recycle(std::move(m.entries));
  ready->Clear();
}

void Raft::TakeReady(Ready* ready) {
  CHECK_MSG(!advancing_, "a Ready was taken and not ended by Advance()");
  const bool async = config_.async_storage_writes;
  ReclaimLists(ready);
  ready->entries = log_.NextUnstable();
  ready->committed_entries = log_.NextCommitted(/*allow_unstable=*/!async);
  ready->messages.swap(messages_);
  ready->read_states.swap(read_states_);
  if (const SoftState now = soft_state(); now != last_soft_state_) {
    ready->soft_state = last_soft_state_ = now;
  }
  const HardState state = hard_state();
  if (log_.HasNextSnapshot()) ready->snapshot = log_.pending_snapshot();
  // Figure 2, "persistent state": a commit index alone need not be durable.
  ready->must_sync = !ready->entries.empty() || ready->snapshot != nullptr ||
                     state.term != last_hard_state_.term || state.vote != last_hard_state_.vote;
  if (state != last_hard_state_) ready->hard_state = last_hard_state_ = state;

  ready->responses.swap(responses_);
  if (!async || ready->HasUnit()) AddStorageResponse(*ready, &ready->responses);
  if (!async) {
    advancing_ = true;
    for (Message& m : ready->responses) {
      std::vector<Message>& list = m.to == config_.id ? steps_on_advance_ : ready->messages;
      list.push_back(std::move(m));
    }
    ready->responses.clear();
    advance_applied_ =
        ready->committed_entries.empty() ? LogIndex(0) : ready->committed_entries.last_index();
  }
  log_.AcceptUnstable();
  log_.AcceptApplying(ready->committed_entries, !async);
}

// The disk's acknowledgement of this unit, to ourselves.
//
// Units are written while others follow, so that an acknowledgement may be of entries
// that were replaced since, and replaced again by the same ones (A, B, A): the last are
// not durable when the first are. The acknowledgement carries the term in which it was
// made out and counts only in that term, since within one term nothing is replaced
// twice. As the one for some entries may be ignored for that reason, each later unit
// repeats it for everything not yet acknowledged; a change of term always makes a unit.
void Raft::AddStorageResponse(const Ready& ready, std::vector<Message>* responses) {
  const bool unstable = log_.HasUnstableOrInProgress();
  if (!unstable && ready.snapshot == nullptr) return;
  Message m;
  m.type = MessageType::kStorageAppendResp;
  m.to = config_.id;
  m.from = kLocalAppendThread;
  m.term = term_;
  if (unstable) {
    const EntryId last = log_.last_id();
    m.index = last.index;
    m.log_term = last.term;
  }
  m.snapshot = ready.snapshot;
  responses->push_back(std::move(m));
}

void Raft::Advance(Instant now) {
  SetNow(now);
  CHECK(!config_.async_storage_writes);
  CHECK_MSG(advancing_, "no Ready was taken");
  advancing_ = false;
  // Steps may change what is due next, but take nothing from this list.
  for (Message& m : steps_on_advance_) StepAnyTerm(std::move(m)).IgnoreError();
  steps_on_advance_.clear();
  if (advance_applied_ > LogIndex(0)) OnApplied(advance_applied_);
  advance_applied_ = LogIndex(0);
}

void Raft::OnStorageAppendResponse(const Message& m) {
  if (m.index != LogIndex(0)) log_.StableTo({m.log_term, m.index});
  if (m.snapshot != nullptr) OnSnapshotInstalled(m.snapshot->meta.index);
}

void Raft::OnSnapshotInstalled(LogIndex index) {
  log_.StableSnapshotTo(index);
  OnApplied(index);
}

void Raft::AppliedTo(LogIndex index, Instant now) {
  SetNow(now);
  CHECK_LE(index, log_.applying());
  OnApplied(index);
}

void Raft::OnApplied(LogIndex index) {
  const LogIndex applied = std::max(index, log_.applied());
  const uint64_t payload = log_.AppliedTo(applied);
  uncommitted_bytes_ -= std::min(uncommitted_bytes_, payload);
  const bool leave =
      tracker_.config().auto_leave && role_ == Role::kLeader && applied >= pending_conf_index_;
  if (!leave) return;
  // Section 6: the second half of a joint change follows by itself. A transfer under
  // way drops this; the next applied entry, or the next leader, tries again.
  Entry change{.type = EntryType::kConfChangeV2};
  AppendProposal(absl::MakeSpan(&change, 1)).IgnoreError();
}

}  // namespace quorate::raft
