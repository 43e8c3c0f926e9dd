// Raft's rules about a whole cluster (Raft paper, figure 3), as functions of its members'
// present states and of what must not be forgotten of the past.
//
// sim/oracle/raft watches one run and grows with it; here every state is judged by
// itself, and the past is part of the state, so that it can branch.
#ifndef QUORATE_SIM_EXPLORE_RULES_H_
#define QUORATE_SIM_EXPLORE_RULES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "engine/raft/canonical_state.h"
#include "sim/explore/member.h"
#include "sim/oracle/judge.h"

namespace quorate::sim::explore {

// An entry that some member has committed, at some time.
struct Chosen {
  Link link;
  Term in_term;  // of the member that was the first to commit it
};

struct History {
  std::vector<MemberId> leaders;     // [term - 1]; nobody = none known of
  std::vector<Chosen> chosen;        // [index - 1]
  std::vector<LogIndex> reads_from;  // [read]: what must be seen, as of its request

  void AppendCanonical(raft::CanonicalState::Renaming rename, std::string* out) const;
};

class Rules {
 public:
  // The members of one cluster, in the order of their ids; all outlive this object.
  explicit Rules(absl::Span<const MemberView* const> members) : members_(members) {}

  // Member `changed` (counted from 0) has just reacted, giving these answers: enters
  // into *history what is new. R1, R5, R11.
  std::optional<Violation> OnReaction(size_t changed, absl::Span<const ReadAnswer> answers,
                                      History* history) const;
  // Whether OnReaction would change the history, or find a second leader of a term.
  bool IsNews(size_t changed, const History& history) const;
  // R3 and R5 of member `changed` against all others; R4: leaders hold what was chosen before
  // their terms; R6: what was chosen is on the disks of a quorum.
  std::optional<Violation> OnState(size_t changed, const History& history) const;

 private:
  std::optional<Violation> CheckLeader(const MemberView& leader, History* history) const;
  std::optional<Violation> CheckCompleteness(const MemberView& leader,
                                             const History& history) const;
  std::optional<Violation> CheckCommitted(const MemberView& member, const History& history) const;
  std::optional<Violation> CheckQuorumHolds(const History& history) const;
  std::optional<Violation> CheckLogMatching(const MemberView& one, const MemberView& other) const;

  const absl::Span<const MemberView* const> members_;
};

}  // namespace quorate::sim::explore

#endif  // QUORATE_SIM_EXPLORE_RULES_H_
