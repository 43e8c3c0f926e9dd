#include "engine/raft/invariants.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace quorate::raft {

namespace {

absl::Status Broken(const Raft& raft, absl::string_view rule) {
  return absl::InternalError(
      absl::StrCat("member ", absl::Hex(raft.id().value()), ": broken invariant: ", rule));
}

absl::Status CheckLog(const Raft& raft) {
  const Log& log = raft.log();
  if (log.prev_index() > log.applied() && log.pending_snapshot() == nullptr) {
    return Broken(raft, "what is compacted is applied");
  }
  if (log.applied() > log.applying()) return Broken(raft, "applied <= applying");
  if (log.applying() > log.committed()) return Broken(raft, "applying <= committed");
  if (log.committed() > log.last_index()) return Broken(raft, "committed <= last index");
  if (log.stable() > log.last_index()) return Broken(raft, "stable <= last index");
  if (log.stable() < log.prev_index()) return Broken(raft, "what is compacted is stable");
  const EntryRange unstable = log.NextUnstable();
  if (!unstable.empty() && unstable.first_index() <= log.stable()) {
    return Broken(raft, "stable entries are not handed out again");
  }
  if (log.pending_snapshot() != nullptr && log.pending_snapshot()->meta.index != log.prev_index()) {
    return Broken(raft, "the log continues from the pending snapshot");
  }
  // The last entries only: a walk over the whole log after each step would be quadratic.
  Term term = log.last_id().term;
  if (raft.term() != Term(0) && term > raft.term()) {
    return Broken(raft, "no entry is of a later term than the current one");
  }
  constexpr uint64_t kTail = 16;
  for (LogIndex at = log.last_index(); at > log.prev_index(); --at) {
    if (log.last_index() - at == kTail) break;
    const Entry& entry = log.EntryAt(at);
    if (entry.index != at) return Broken(raft, "an entry stands at its index");
    if (entry.term > term) return Broken(raft, "terms rise along the log");
    term = entry.term;
  }
  return absl::OkStatus();
}

absl::Status CheckRole(const Raft& raft) {
  switch (raft.role()) {
    case Role::kLeader:
      if (raft.leader() != raft.id()) return Broken(raft, "a leader knows itself as the leader");
      if (raft.term() == Term(0)) return Broken(raft, "a leader has a term");
      if (raft.vote() != raft.id()) return Broken(raft, "a leader voted for itself");
      break;
    case Role::kCandidate:
      if (raft.vote() != raft.id()) return Broken(raft, "a candidate voted for itself");
      [[fallthrough]];
    case Role::kPreCandidate:
      if (raft.leader() != kNobody) return Broken(raft, "a candidate has no leader");
      break;
    case Role::kFollower:
      if (raft.leader() == raft.id()) return Broken(raft, "a follower does not lead");
      break;
  }
  if (raft.transferee() != kNobody && raft.role() != Role::kLeader) {
    return Broken(raft, "only a leader hands over");
  }
  return absl::OkStatus();
}

absl::Status CheckProgress(const Raft& raft) {
  const LogIndex last = raft.log().last_index();
  for (const Member& member : raft.tracker().members()) {
    const Progress& progress = member.progress;
    if (progress.match >= progress.next) return Broken(raft, "match < next");
    if (raft.role() == Role::kLeader && progress.match > last) {
      return Broken(raft, "nobody matches beyond the leader's log");
    }
    if (raft.role() == Role::kLeader && progress.state == ProgressState::kReplicate &&
        progress.next > last + 1) {
      return Broken(raft, "nothing is sent beyond the leader's log");
    }
    if (progress.state == ProgressState::kSnapshot &&
        progress.next != std::max(progress.pending_snapshot, progress.match) + 1) {
      return Broken(raft, "appends continue behind the snapshot");
    }
    if (progress.state != ProgressState::kReplicate && progress.inflights.count() != 0) {
      return Broken(raft, "only replication is pipelined");
    }
    if (progress.is_learner != IsLearner(raft.conf_state(), member.id)) {
      return Broken(raft, "progress knows who is a learner");
    }
  }
  return absl::OkStatus();
}

}  // namespace

StateView ViewOf(const Raft& raft) {
  const Log& log = raft.log();
  return {.role = raft.role(),
          .hard_state = raft.hard_state(),
          .first_index = log.first_index(),
          .last_index = log.last_index(),
          .last_id = log.last_id(),
          .applied = log.applied(),
          .stable = log.stable()};
}

absl::Status CheckState(const Raft& raft) {
  RETURN_IF_ERROR(CheckLog(raft));
  RETURN_IF_ERROR(CheckRole(raft));
  RETURN_IF_ERROR(CheckProgress(raft));
  RETURN_IF_ERROR(ValidateConfig(raft.conf_state()));
  if (MembersOf(raft.conf_state()).size() != raft.tracker().members().size()) {
    return Broken(raft, "every member and nobody else is tracked");
  }
  return absl::OkStatus();
}

absl::Status CheckTransition(const StateView& before, const Raft& after) {
  const Log& log = after.log();
  const HardState now = after.hard_state();
  if (now.term < before.hard_state.term) return Broken(after, "terms never go back");
  if (now.commit < before.hard_state.commit) return Broken(after, "commit never goes back");
  if (log.applied() < before.applied) return Broken(after, "applied never goes back");
  const bool same_term = now.term == before.hard_state.term;
  if (same_term && before.hard_state.vote != kNobody && now.vote != before.hard_state.vote) {
    return Broken(after, "one vote a term");
  }
  if (log.last_index() < before.hard_state.commit) {
    return Broken(after, "committed entries stay");
  }
  if (same_term && after.role() == Role::kCandidate && before.role != Role::kCandidate) {
    return Broken(after, "a candidacy begins a term");
  }
  const bool was_leader = before.role == Role::kLeader;
  if (was_leader && same_term) {
    // Figure 3, Leader Append-Only; and it leads to the end of its term or steps down.
    if (log.last_index() < before.last_index ||
        (before.last_index >= log.prev_index() &&
         log.TermAt(before.last_index) != before.last_id.term)) {
      return Broken(after, "a leader never changes its own log");
    }
    if (after.role() != Role::kLeader && after.role() != Role::kFollower) {
      return Broken(after, "a leader does not campaign");
    }
  }
  if (after.role() == Role::kLeader && !was_leader && before.role == Role::kFollower) {
    // Through candidacy within one step only if its own vote decides.
    if (same_term) return Broken(after, "a follower does not lead without an election");
  }
  return absl::OkStatus();
}

}  // namespace quorate::raft
