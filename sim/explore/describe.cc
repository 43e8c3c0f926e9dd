// What happens in a counterexample, in words.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "sim/explore/model.h"

namespace quorate::sim::explore {

namespace {

absl::string_view TypeName(raft::MessageType type) {
  switch (type) {
    case raft::MessageType::kApp:
      return "Append";
    case raft::MessageType::kAppResp:
      return "AppendResponse";
    case raft::MessageType::kVote:
      return "Vote";
    case raft::MessageType::kVoteResp:
      return "VoteResponse";
    case raft::MessageType::kPreVote:
      return "PreVote";
    case raft::MessageType::kPreVoteResp:
      return "PreVoteResponse";
    case raft::MessageType::kHeartbeat:
      return "Heartbeat";
    case raft::MessageType::kHeartbeatResp:
      return "HeartbeatResponse";
    case raft::MessageType::kTimeoutNow:
      return "TimeoutNow";
    case raft::MessageType::kReadIndex:
      return "ReadIndex";
    case raft::MessageType::kReadIndexResp:
      return "ReadIndexResponse";
    default:
      return "message";
  }
}

absl::string_view RoleName(raft::Role role) {
  switch (role) {
    case raft::Role::kFollower:
      return "follower";
    case raft::Role::kPreCandidate:
      return "pre-candidate";
    case raft::Role::kCandidate:
      return "candidate";
    case raft::Role::kLeader:
      return "leader";
  }
  return "?";
}

std::string Describe(const raft::Message& m) {
  std::string out = absl::StrCat(TypeName(m.type), " ", m.from.value(), "->", m.to.value(),
                                 " term ", m.term.value());
  switch (m.type) {
    case raft::MessageType::kVote:
    case raft::MessageType::kPreVote:
      absl::StrAppend(&out, ", log ends at ", m.index.value(), " (term ", m.log_term.value(), ")");
      break;
    case raft::MessageType::kVoteResp:
    case raft::MessageType::kPreVoteResp:
      absl::StrAppend(&out, m.reject ? ", refused" : ", granted");
      break;
    case raft::MessageType::kApp:
      absl::StrAppend(&out, ", after ", m.index.value(), " (term ", m.log_term.value(), "), ",
                      m.entries.size(), " entries, commit ", m.commit.value());
      break;
    case raft::MessageType::kAppResp:
      absl::StrAppend(&out, m.reject ? ", rejects " : ", has ", m.index.value());
      if (m.reject) absl::StrAppend(&out, ", hint ", m.reject_hint.value());
      break;
    case raft::MessageType::kHeartbeat:
      absl::StrAppend(&out, ", commit ", m.commit.value());
      break;
    case raft::MessageType::kReadIndexResp:
      absl::StrAppend(&out, ", index ", m.index.value());
      break;
    default:
      break;
  }
  return out;
}

std::string TermsOf(const std::vector<Link>& log) {
  return absl::StrJoin(log, " ", [](std::string* out, const Link& link) {
    absl::StrAppend(out, link.term.value());
  });
}

}  // namespace

std::string Model::DescribeMember(uint32_t number) const {
  const MemberView& view = members_.view(number);
  std::string out = absl::StrCat("member ", view.id.value(), " ", RoleName(view.role), ", term ",
                                 view.term.value(), ", vote ", view.vote.value(), ", log [",
                                 TermsOf(view.log), "], commit ", view.commit.value());
  if (view.units > 0 || view.durable_term != view.term) {
    absl::StrAppend(&out, "; on disk term ", view.durable_term.value(), ", log [",
                    TermsOf(view.durable), "], ", view.units, " writes under way");
  }
  return out;
}

std::string Model::Describe(const Cluster& cluster) const {
  std::string out;
  for (size_t i = 0; i < bounds_.members; ++i) {
    absl::StrAppend(&out, "  ", DescribeMember(cluster.members[i]), "\n");
  }
  return out;
}

std::string Model::Describe(const Choice& choice) const {
  const std::string member = absl::StrCat("member ", choice.member + 1);
  const uint32_t argument = choice.input.argument;
  switch (choice.input.kind) {
    case InputKind::kDeliver:
    case InputKind::kDeliverLate:
      return absl::StrCat(choice.drop ? "lost: " : "delivered: ",
                          quorate::sim::explore::Describe(messages_.message(argument)),
                          choice.keep ? " (and still in flight)" : "",
                          choice.input.kind == InputKind::kDeliverLate
                              ? ", an election timeout after the leader was heard"
                              : "");
    case InputKind::kElectionTimer:
      return absl::StrCat(member, "'s election timer fires");
    case InputKind::kHeartbeatTimer:
      return absl::StrCat(member, "'s heartbeat timer fires");
    case InputKind::kPropose:
      return absl::StrCat("proposal ", argument, " to ", member);
    case InputKind::kRead:
      return absl::StrCat("read ", argument, " asked of ", member);
    case InputKind::kTransfer:
      return absl::StrCat(member, " is asked to hand leadership to member ", argument);
    case InputKind::kCompleteUnit:
      return absl::StrCat(member, "'s oldest write is durable");
    case InputKind::kCrash:
      return absl::StrCat(member, " crashes and restarts; ", argument / 2,
                          " of its writes under way had reached the disk",
                          argument % 2 != 0 ? ", and its commit index" : "");
  }
  return "?";
}

std::string Model::Describe(const Cluster& before, const Choice& choice) {
  std::string out = Describe(choice);
  if (choice.drop) return out;
  const Reaction& reaction = members_.React(before.members[choice.member], choice.input);
  absl::StrAppend(&out, "\n     ", DescribeMember(reaction.next));
  for (const uint32_t message : reaction.sent) {
    absl::StrAppend(&out, "\n     sends ",
                    quorate::sim::explore::Describe(messages_.message(message)));
  }
  for (const ReadAnswer& answer : reaction.reads) {
    absl::StrAppend(&out, "\n     may serve read ", answer.read, " from index ",
                    answer.index.value());
  }
  return out;
}

}  // namespace quorate::sim::explore
