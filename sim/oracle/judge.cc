#include "sim/oracle/judge.h"

#include <utility>

#include "base/check.h"

namespace quorate::sim {

absl::string_view RuleName(Rule rule) {
  switch (rule) {
    case Rule::kElectionSafety:
      return "R1 election safety";
    case Rule::kLeaderAppendOnly:
      return "R2 leader append-only";
    case Rule::kLogMatching:
      return "R3 log matching";
    case Rule::kLeaderCompleteness:
      return "R4 leader completeness";
    case Rule::kStateMachineSafety:
      return "R5 state machine safety";
    case Rule::kCommitDurability:
      return "R6 commit durability";
    case Rule::kVoteDurability:
      return "R7 vote durability";
    case Rule::kMonotonicity:
      return "R8 monotonicity";
    case Rule::kOneChange:
      return "R9 one change at a time";
    case Rule::kRemoved:
      return "R10 removed members";
    case Rule::kReadSafety:
      return "R11 read safety";
    case Rule::kLinearizability:
      return "H1 linearizability";
    case Rule::kGeneralChecker:
      return "H2 linearizability by search";
    case Rule::kSerializableReads:
      return "H3 serializable reads";
    case Rule::kWatch:
      return "H4 watch";
    case Rule::kLease:
      return "H5 leases";
    case Rule::kAuth:
      return "H8 authorization";
    case Rule::kNoLostWrite:
      return "H6 no lost write";
    case Rule::kWorkload:
      return "W1 workload invariant";
    case Rule::kBounded:
      return "R12 bounded queues";
    case Rule::kRecovery:
      return "S2 recovery equivalence";
    case Rule::kEqualState:
      return "S1 equal state";
    case Rule::kLiveness:
      return "L1 liveness";
    case Rule::kStability:
      return "L2 stability";
    case Rule::kDeterminism:
      return "S5 determinism";
    case Rule::kAssertion:
      return "A1 assertion";
  }
  UNREACHABLE("every rule has a name");
}

void Judge::Report(Rule rule, VirtualTime when, std::string text,
                   std::vector<std::string> evidence) {
  if (ignored_[static_cast<size_t>(rule)]) return;
  if (expected_[static_cast<size_t>(rule)]) {
    if (on_expected_ != nullptr) on_expected_(rule);
    return;
  }
  const bool first = violations_.empty();
  if (violations_.size() < kViolationsKept) {
    violations_.push_back(Violation{rule, when, std::move(text), std::move(evidence)});
  }
  if (first && on_first_ != nullptr) on_first_();
}

}  // namespace quorate::sim
