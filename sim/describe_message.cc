#include "sim/describe_message.h"

#include "absl/strings/str_cat.h"

namespace quorate::sim {

absl::string_view NameOf(raft::MessageType type) {
  switch (type) {
    case raft::MessageType::kApp:
      return "append";
    case raft::MessageType::kAppResp:
      return "append answer";
    case raft::MessageType::kVote:
      return "vote request";
    case raft::MessageType::kVoteResp:
      return "vote";
    case raft::MessageType::kPreVote:
      return "pre-vote request";
    case raft::MessageType::kPreVoteResp:
      return "pre-vote";
    case raft::MessageType::kSnap:
      return "snapshot";
    case raft::MessageType::kHeartbeat:
      return "heartbeat";
    case raft::MessageType::kHeartbeatResp:
      return "heartbeat answer";
    case raft::MessageType::kProp:
      return "proposal";
    case raft::MessageType::kReadIndex:
      return "read index";
    case raft::MessageType::kReadIndexResp:
      return "read index answer";
    case raft::MessageType::kTimeoutNow:
      return "timeout now";
    default:
      return "other";
  }
}

std::string Describe(const raft::Message& m) {
  std::string out = absl::StrCat("term ", m.term.value(), " index ", m.index.value(), " log term ",
                                 m.log_term.value(), " commit ", m.commit.value());
  if (!m.entries.empty()) {
    absl::StrAppend(&out, " entries ", m.entries.front().index.value(), "..",
                    m.entries.back().index.value(), " of terms ", m.entries.front().term.value(),
                    "..", m.entries.back().term.value());
  }
  if (m.reject) absl::StrAppend(&out, " REJECTED, hint ", m.reject_hint.value());
  return out;
}

}  // namespace quorate::sim
