// Proposals: from a client to the leader's log (section 5.3), and configuration changes
// on their way there (section 6).
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "engine/raft/codec.h"
#include "engine/raft/raft.h"

namespace quorate::raft {

absl::Status Raft::DropProposal() {
  ++counters_.proposals_dropped;
  return absl::UnavailableError("raft proposal dropped");
}

absl::Status Raft::Propose(absl::Span<const Bytes> payloads, Instant now) {
  SetNow(now);
  if (payloads.empty()) return absl::OkStatus();
  if (role_ == Role::kLeader) {
    proposal_.clear();
    for (const Bytes& payload : payloads) proposal_.push_back(Entry{.data = payload});
    return AppendProposal(absl::MakeSpan(proposal_));
  }
  Message m;
  m.type = MessageType::kProp;
  m.entries = TakeEntryList();
  for (const Bytes& payload : payloads) m.entries.push_back(Entry{.data = payload});
  return StepAnyTerm(std::move(m));
}

absl::Status Raft::ProposeConfChange(const ConfChange& change, Instant now) {
  SetNow(now);
  return ProposeConfChangeEntry({.type = EntryType::kConfChange, .data = EncodeToBytes(change)},
                                ToV2(change));
}

absl::Status Raft::ProposeConfChange(const ConfChangeV2& change, Instant now) {
  SetNow(now);
  return ProposeConfChangeEntry({.type = EntryType::kConfChangeV2, .data = EncodeToBytes(change)},
                                change);
}

absl::Status Raft::ProposeConfChangeEntry(Entry entry, const ConfChangeV2& change) {
  if (role_ == Role::kLeader && !config_.disable_conf_change_validation) {
    absl::Status allowed = CheckConfChange(change);
    // Only here, where the caller is told: a change that cannot be applied is kept out.
    if (allowed.ok()) allowed = TryChange(change).status();
    if (!allowed.ok()) {
      ++counters_.conf_changes_refused;
      return allowed;
    }
  }
  Message m;
  m.type = MessageType::kProp;
  m.entries.push_back(std::move(entry));
  return StepAnyTerm(std::move(m));
}

absl::Status Raft::CheckConfChange(const ConfChangeV2& change) const {
  if (pending_conf_index_ > log_.applied()) {
    return absl::FailedPreconditionError(
        absl::StrCat("possible unapplied conf change at index ", ToString(pending_conf_index_),
                     " (applied to ", ToString(log_.applied()), ")"));
  }
  const bool joint = IsJoint(tracker_.config());
  const bool leaves = change.changes.empty();
  if (joint && !leaves) {
    return absl::FailedPreconditionError("must transition out of joint config first");
  }
  if (!joint && leaves) {
    return absl::FailedPreconditionError("not in joint state; refusing empty conf change");
  }
  return absl::OkStatus();
}

absl::Status Raft::OnPropose(Message m) {
  if (role_ == Role::kLeader) {
    RETURN_IF_ERROR(AppendProposal(absl::MakeSpan(m.entries)));
    Recycle(std::move(m.entries));
    return absl::OkStatus();
  }
  if (leader_ == kNobody || config_.disable_proposal_forwarding) return DropProposal();
  m.to = leader_;
  Send(std::move(m));
  return absl::OkStatus();
}

absl::Status Raft::AppendProposal(absl::Span<Entry> entries) {
  // A leader that was removed leads on until somebody else does, but adds nothing;
  // one that hands over must let the other's log catch up.
  if (tracker_.Find(config_.id) == nullptr || transferee_ != kNobody) return DropProposal();
  const LogIndex before = pending_conf_index_;
  LogIndex index = log_.last_index();
  for (Entry& entry : entries) {
    ++index;
    if (entry.type == EntryType::kNormal) continue;
    const absl::StatusOr<ConfChangeV2> change = DecodeChange(entry);
    if (!change.ok()) {
      ++counters_.malformed;
      pending_conf_index_ = before;
      return change.status();
    }
    if (!config_.disable_conf_change_validation && !CheckConfChange(*change).ok()) {
      // Proposed elsewhere, by somebody who could not know: an empty entry takes its
      // place, and nobody waits for ever.
      ++counters_.conf_changes_refused;
      entry = Entry();
    } else {
      pending_conf_index_ = index;
    }
  }
  if (!AppendEntries(entries)) {
    pending_conf_index_ = before;
    return DropProposal();
  }
  BroadcastAppend();
  return absl::OkStatus();
}

bool Raft::AppendEntries(absl::Span<Entry> entries) {
  uint64_t bytes = 0;
  for (const Entry& entry : entries) bytes += entry.data.size();
  // Anything fits when nothing is pending, and what has no payload always: a new
  // leader's first entry, and the end of a joint configuration.
  const uint64_t limit = config_.max_uncommitted_bytes;
  if (limit != 0 && uncommitted_bytes_ > 0 && bytes > 0 && uncommitted_bytes_ + bytes > limit) {
    return false;
  }
  uncommitted_bytes_ += bytes;
  LogIndex index = log_.last_index();
  for (Entry& entry : entries) {
    entry.term = term_;
    entry.index = ++index;
  }
  log_.Append(entries);
  // Our own acknowledgement, which counts once the own disk holds them.
  Message m;
  m.type = MessageType::kAppResp;
  m.to = config_.id;
  m.index = log_.last_index();
  Send(std::move(m));
  return true;
}

}  // namespace quorate::raft
