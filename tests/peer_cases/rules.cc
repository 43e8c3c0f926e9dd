#include "tests/peer_cases/rules.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "engine/raft/quorum.h"
#include "tests/peer_cases/describe.h"

namespace quorate::peer_cases {

using raft::JointVoters;
using raft::QuorumRule;

namespace {

raft::VoterSet Sorted(const std::vector<uint64_t>& numbers) {
  raft::VoterSet voters;
  for (const uint64_t number : std::set<uint64_t>(numbers.begin(), numbers.end())) {
    voters.push_back(MemberId(number));
  }
  return voters;
}

// Values are given to the members in the order in which they are first named.
std::map<MemberId, std::string> Assign(const Case& command, absl::string_view key) {
  std::map<MemberId, std::string> assigned;
  const Argument* values = command.Find(key);
  size_t at = 0;
  for (const absl::string_view list : {"cfg", "cfgj"}) {
    for (const uint64_t number : command.Numbers(list)) {
      if (values == nullptr || at == values->values.size()) return assigned;
      if (assigned.emplace(MemberId(number), values->values[at]).second) ++at;
    }
  }
  return assigned;
}

using Acked = std::map<MemberId, std::optional<LogIndex>>;

// A bar for each member, as long as the number of members that are behind it.
std::string Draw(const Acked& acked) {
  if (acked.empty()) return "<empty majority quorum>";
  const int n = static_cast<int>(acked.size());
  std::string text = absl::StrCat(std::string(n, ' '), "    idx\n");
  for (const auto& [id, index] : acked) {
    const LogIndex here = index.value_or(LogIndex(0));
    const auto behind = std::count_if(acked.begin(), acked.end(), [&](const auto& other) {
      return other.second.value_or(LogIndex(0)) < here;
    });
    const std::string bar = index.has_value()
                                ? absl::StrCat(std::string(behind, 'x'), ">",
                                               std::string(static_cast<size_t>(n - behind), ' '))
                                : absl::StrCat("?", std::string(n, ' '));
    absl::StrAppendFormat(&text, "%s %5d    (id=%x)\n", bar, here.value(), id.value());
  }
  return text;
}

std::string DescribeIndex(LogIndex index) {
  return index == raft::kEverythingCommitted ? "∞" : absl::StrCat(index.value());
}

std::string RunCommitted(const Case& command, const JointVoters& voters) {
  Acked acked;
  for (const MemberId id : voters.incoming) acked[id] = std::nullopt;
  for (const MemberId id : voters.outgoing) acked[id] = std::nullopt;
  for (const auto& [id, value] : Assign(command, "idx")) {
    uint64_t index = 0;
    if (absl::SimpleAtoi(value, &index)) acked[id] = LogIndex(index);
  }
  const LogIndex committed = raft::CommittedIndex(QuorumRule::Majority(), voters,
                                                  [&](MemberId id) { return acked.at(id); });
  return absl::StrCat(Draw(acked), DescribeIndex(committed), "\n");
}

std::string RunVote(const Case& command, const JointVoters& voters) {
  const std::map<MemberId, std::string> votes = Assign(command, "votes");
  const raft::VoteResult result =
      raft::TallyVotes(QuorumRule::Majority(), voters, [&](MemberId id) -> std::optional<bool> {
        const auto at = votes.find(id);
        if (at == votes.end() || at->second == "_") return std::nullopt;
        return at->second == "y";
      });
  switch (result) {
    case raft::VoteResult::kPending:
      return "VotePending\n";
    case raft::VoteResult::kLost:
      return "VoteLost\n";
    case raft::VoteResult::kWon:
      return "VoteWon\n";
  }
  return "";
}

absl::StatusOr<std::string> RunQuorum(const Case& command) {
  const bool vote = command.command == "vote";
  RETURN_IF_ERROR(CheckArguments(command, Arity{},
                                 {{"cfg", ValueKind::kNumbers},
                                  {"cfgj", ValueKind::kWords},
                                  {vote ? "votes" : "idx", ValueKind::kWords}}));
  const Argument* values = command.Find(vote ? "votes" : "idx");
  for (const std::string& value : values == nullptr ? std::vector<std::string>() : values->values) {
    uint64_t index = 0;
    const bool known =
        value == "_" || (vote ? value == "y" || value == "n" : absl::SimpleAtoi(value, &index));
    if (!known) {
      return absl::InvalidArgumentError(absl::StrCat(command.command, ": bad value: ", value));
    }
  }
  // "cfgj=zero" is joint with nobody.
  const JointVoters voters{Sorted(command.Numbers("cfg")), Sorted(command.Numbers("cfgj"))};
  return vote ? RunVote(command, voters) : RunCommitted(command, voters);
}

}  // namespace

bool IsQuorumCommand(const Case& command) {
  return command.command == "committed" || command.command == "vote";
}

std::string RunQuorumCommand(const Case& command) {
  const absl::StatusOr<std::string> text = RunQuorum(command);
  return text.ok() ? *text : absl::StrCat(text.status().message(), "\n");
}

bool ConfChanger::Knows(const Case& command) {
  return command.command == "simple" || command.command == "enter-joint" ||
         command.command == "leave-joint";
}

absl::StatusOr<raft::ChangedConfig> ConfChanger::Change(const Case& command) const {
  RETURN_IF_ERROR(CheckArguments(command, Arity{}, {{"autoleave", ValueKind::kFlag}}));
  ASSIGN_OR_RETURN(const std::vector<raft::ConfChangeSingle> changes, ParseChanges(command.input));
  if (command.command == "simple") return raft::ChangeSimple(tracker_.config(), changes);
  if (command.command == "enter-joint") {
    return raft::EnterJoint(tracker_.config(), command.Flag("autoleave"), changes);
  }
  if (!changes.empty()) return absl::InvalidArgumentError("leave-joint: takes no changes");
  return raft::LeaveJoint(tracker_.config());
}

std::string ConfChanger::Run(const Case& command) {
  absl::StatusOr<raft::ChangedConfig> changed = Change(command);
  const LogIndex last_index = last_index_;
  ++last_index_;
  if (!changed.ok()) return absl::StrCat(changed.status().message(), "\n");
  tracker_.SetConfig(*std::move(changed), last_index);
  std::string text = absl::StrCat(raft::Describe(tracker_.config()), "\n");
  return absl::StrCat(text, DescribeMembers(tracker_.members()));
}

}  // namespace quorate::peer_cases
