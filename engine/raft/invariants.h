// What must hold of a raft member at any moment, and across any step. Used by tests and
// by the simulator after each step; the algorithm itself never looks here.
#ifndef QUORATE_ENGINE_RAFT_INVARIANTS_H_
#define QUORATE_ENGINE_RAFT_INVARIANTS_H_

#include <vector>

#include "absl/status/status.h"
#include "base/strong_int.h"
#include "engine/raft/raft.h"
#include "engine/raft/types.h"

namespace quorate::raft {

// What CheckTransition remembers of the state before a step.
struct StateView {
  Role role = Role::kFollower;
  HardState hard_state;
  LogIndex first_index;
  LogIndex last_index;
  EntryId last_id;
  LogIndex applied;
  LogIndex stable;
};

StateView ViewOf(const Raft& raft);

// Of one state: order of the log's marks, roles against leader, term and vote, progress
// against the log, the configuration's own rules. Internal names the first broken one.
absl::Status CheckState(const Raft& raft);

// Of a step: term, commit and applied index never go back; one vote a term; a leader's
// log only grows (Leader Append-Only); committed entries stay; roles change only as
// figure 4 of the paper allows.
absl::Status CheckTransition(const StateView& before, const Raft& after);

}  // namespace quorate::raft

#endif  // QUORATE_ENGINE_RAFT_INVARIANTS_H_
