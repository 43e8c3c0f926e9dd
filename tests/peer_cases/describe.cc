#include "tests/peer_cases/describe.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/raft/conf_change.h"

namespace quorate::peer_cases {

using raft::Entry;
using raft::EntryType;
using raft::Message;
using raft::MessageType;

namespace {

std::string Quote(absl::string_view data) {
  static constexpr std::pair<char, absl::string_view> kEscapes[] = {
      {'"', "\\\""}, {'\\', "\\\\"}, {'\a', "\\a"}, {'\b', "\\b"}, {'\f', "\\f"},
      {'\n', "\\n"}, {'\r', "\\r"},  {'\t', "\\t"}, {'\v', "\\v"},
  };
  std::string quoted = "\"";
  for (const char c : data) {
    const auto byte = static_cast<unsigned char>(c);
    const auto* const escape = std::find_if(std::begin(kEscapes), std::end(kEscapes),
                                            [&](const auto& known) { return known.first == c; });
    if (escape != std::end(kEscapes)) {
      absl::StrAppend(&quoted, escape->second);
    } else if (byte < 0x20 || byte >= 0x7f) {
      absl::StrAppendFormat(&quoted, "\\x%02x", byte);
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

std::string DescribeChanges(const raft::ConfChangeV2& change) {
  std::string text;
  for (const raft::ConfChangeSingle& single : change.changes) {
    const char* kind = "unknown";
    switch (single.type) {
      case raft::ConfChangeType::kAddNode:
        kind = "v";
        break;
      case raft::ConfChangeType::kAddLearnerNode:
        kind = "l";
        break;
      case raft::ConfChangeType::kRemoveNode:
        kind = "r";
        break;
      case raft::ConfChangeType::kUpdateNode:
        kind = "u";
        break;
    }
    absl::StrAppend(&text, text.empty() ? "" : " ", kind, single.node_id.value());
  }
  return text;
}

std::string DescribeTarget(MemberId id) {
  if (id == raft::kNobody) return "None";
  if (id == raft::kLocalAppendThread) return "AppendThread";
  if (id == raft::kLocalApplyThread) return "ApplyThread";
  return absl::StrCat(absl::Hex(id.value()));
}

std::string DescribeIds(const std::vector<MemberId>& ids) {
  std::string text = "[";
  for (const MemberId id : ids) absl::StrAppend(&text, text.size() > 1 ? " " : "", id.value());
  return text + "]";
}

std::string DescribeSnapshot(const raft::Snapshot& snapshot) {
  const raft::ConfState& config = snapshot.meta.conf_state;
  return absl::StrCat("Index:", snapshot.meta.index.value(), " Term:", snapshot.meta.term.value(),
                      " ConfState:Voters:", DescribeIds(config.voters),
                      " VotersOutgoing:", DescribeIds(config.voters_outgoing),
                      " Learners:", DescribeIds(config.learners),
                      " LearnersNext:", DescribeIds(config.learners_next),
                      " AutoLeave:", config.auto_leave ? "true" : "false");
}

std::string DescribeHardState(const raft::HardState& state) {
  std::string text = absl::StrCat("Term:", state.term.value());
  if (state.vote != raft::kNobody) absl::StrAppend(&text, " Vote:", state.vote.value());
  return absl::StrCat(text, " Commit:", state.commit.value());
}

std::string DescribeReadStates(const std::vector<raft::ReadState>& states) {
  std::string text = "[";
  for (const raft::ReadState& state : states) {
    absl::StrAppend(&text, text.size() > 1 ? " " : "", "{", state.index.value(), " [");
    const absl::string_view context = state.context.view();
    for (size_t i = 0; i < context.size(); ++i) {
      absl::StrAppend(&text, i > 0 ? " " : "", static_cast<unsigned char>(context[i]));
    }
    text += "]}";
  }
  return text + "]";
}

std::string DescribeEntryList(const std::vector<Entry>& entries, absl::string_view indent) {
  if (entries.empty()) return "";
  if (entries.size() == 1) return absl::StrCat(" Entries:[", DescribeEntry(entries[0]), "]");
  std::string text = " Entries:[";
  for (const Entry& entry : entries) {
    absl::StrAppend(&text, "\n", indent, "  ", DescribeEntry(entry));
  }
  return absl::StrCat(text, "\n", indent, "]");
}

std::string DescribeRange(const raft::EntryRange& entries) {
  std::string text;
  for (const Entry& entry : entries) absl::StrAppend(&text, DescribeEntry(entry), "\n");
  return text;
}

}  // namespace

std::string DescribeType(MessageType type) {
  static constexpr absl::string_view kNames[] = {"MsgHup",
                                                 "MsgBeat",
                                                 "MsgProp",
                                                 "MsgApp",
                                                 "MsgAppResp",
                                                 "MsgVote",
                                                 "MsgVoteResp",
                                                 "MsgSnap",
                                                 "MsgHeartbeat",
                                                 "MsgHeartbeatResp",
                                                 "MsgUnreachable",
                                                 "MsgSnapStatus",
                                                 "MsgCheckQuorum",
                                                 "MsgTransferLeader",
                                                 "MsgTimeoutNow",
                                                 "MsgReadIndex",
                                                 "MsgReadIndexResp",
                                                 "MsgPreVote",
                                                 "MsgPreVoteResp",
                                                 "MsgStorageAppend",
                                                 "MsgStorageAppendResp",
                                                 "MsgStorageApply",
                                                 "MsgStorageApplyResp",
                                                 "MsgForgetLeader"};
  return std::string(kNames[static_cast<size_t>(type)]);
}

std::string DescribeRole(raft::Role role) {
  switch (role) {
    case raft::Role::kFollower:
      return "StateFollower";
    case raft::Role::kPreCandidate:
      return "StatePreCandidate";
    case raft::Role::kCandidate:
      return "StateCandidate";
    case raft::Role::kLeader:
      return "StateLeader";
  }
  return "unknown";
}

std::string DescribeEntry(const Entry& entry) {
  std::string text = absl::StrCat(entry.term.value(), "/", entry.index.value());
  if (entry.type == EntryType::kNormal) {
    return absl::StrCat(text, " EntryNormal ", Quote(entry.data.view()));
  }
  absl::StrAppend(&text,
                  entry.type == EntryType::kConfChange ? " EntryConfChange" : " EntryConfChangeV2");
  const absl::StatusOr<raft::ConfChangeV2> change = raft::DecodeChange(entry);
  const std::string detail =
      change.ok() ? DescribeChanges(*change) : std::string(change.status().message());
  return detail.empty() ? text : absl::StrCat(text, " ", detail);
}

std::string DescribeMessage(const Message& m, absl::string_view indent) {
  std::string text = absl::StrCat(indent, DescribeTarget(m.from), "->", DescribeTarget(m.to), " ",
                                  DescribeType(m.type), " Term:", m.term.value(),
                                  " Log:", m.log_term.value(), "/", m.index.value());
  if (m.reject) absl::StrAppend(&text, " Rejected (Hint: ", m.reject_hint.value(), ")");
  if (m.commit != LogIndex(0)) absl::StrAppend(&text, " Commit:", m.commit.value());
  if (m.vote != raft::kNobody) absl::StrAppend(&text, " Vote:", m.vote.value());
  absl::StrAppend(&text, DescribeEntryList(m.entries, indent));
  if (m.snapshot != nullptr && !m.snapshot->empty()) {
    absl::StrAppend(&text, "\n", indent, "  Snapshot: ", DescribeSnapshot(*m.snapshot));
  }
  if (!m.responses.empty()) {
    absl::StrAppend(&text, " Responses:[");
    for (const Message& response : m.responses) {
      absl::StrAppend(&text, "\n", DescribeMessage(response, absl::StrCat(indent, "  ")));
    }
    absl::StrAppend(&text, "\n", indent, "]");
  }
  return text;
}

std::string DescribeReady(const raft::Ready& ready, bool must_sync,
                          const std::vector<Message>& messages) {
  std::string text;
  if (ready.soft_state.has_value()) {
    absl::StrAppend(&text, "Lead:", ready.soft_state->leader.value(),
                    " State:", DescribeRole(ready.soft_state->role), "\n");
  }
  if (ready.hard_state.has_value() && !ready.hard_state->empty()) {
    absl::StrAppend(&text, "HardState ", DescribeHardState(*ready.hard_state), "\n");
  }
  if (!ready.read_states.empty()) {
    absl::StrAppend(&text, "ReadStates ", DescribeReadStates(ready.read_states), "\n");
  }
  if (!ready.entries.empty()) {
    absl::StrAppend(&text, "Entries:\n", DescribeRange(ready.entries));
  }
  if (ready.snapshot != nullptr) {
    absl::StrAppend(&text, "Snapshot ", DescribeSnapshot(*ready.snapshot), "\n");
  }
  if (!ready.committed_entries.empty()) {
    absl::StrAppend(&text, "CommittedEntries:\n", DescribeRange(ready.committed_entries));
  }
  if (!messages.empty()) {
    absl::StrAppend(&text, "Messages:\n");
    for (const Message& m : messages) absl::StrAppend(&text, DescribeMessage(m), "\n");
  }
  if (text.empty()) return "<empty Ready>";
  return absl::StrCat("Ready MustSync=", must_sync ? "true" : "false", ":\n", text);
}

std::string DescribeProgress(const raft::Progress& progress) {
  std::string text;
  switch (progress.state) {
    case raft::ProgressState::kProbe:
      text = "StateProbe";
      break;
    case raft::ProgressState::kReplicate:
      text = "StateReplicate";
      break;
    case raft::ProgressState::kSnapshot:
      text = "StateSnapshot";
      break;
  }
  absl::StrAppend(&text, " match=", progress.match.value(), " next=", progress.next.value());
  if (progress.is_learner) absl::StrAppend(&text, " learner");
  if (progress.IsPaused()) absl::StrAppend(&text, " paused");
  if (progress.pending_snapshot > LogIndex(0)) {
    absl::StrAppend(&text, " pendingSnap=", progress.pending_snapshot.value());
  }
  if (!progress.recent_active) absl::StrAppend(&text, " inactive");
  if (progress.inflights.count() > 0) {
    absl::StrAppend(&text, " inflight=", progress.inflights.count());
    if (progress.inflights.full()) absl::StrAppend(&text, "[full]");
  }
  return text;
}

std::string DescribeMembers(const std::vector<raft::Member>& members) {
  std::string text;
  for (const raft::Member& member : members) {
    absl::StrAppend(&text, member.id.value(), ": ", DescribeProgress(member.progress), "\n");
  }
  return text;
}

}  // namespace quorate::peer_cases
