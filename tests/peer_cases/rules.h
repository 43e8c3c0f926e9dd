// The commands of quorum/ and confchange/: pure functions of the core.
#ifndef QUORATE_TESTS_PEER_CASES_RULES_H_
#define QUORATE_TESTS_PEER_CASES_RULES_H_

#include <string>

#include "absl/status/statusor.h"
#include "base/strong_int.h"
#include "engine/raft/conf_change.h"
#include "engine/raft/tracker.h"
#include "tests/peer_cases/script.h"

namespace quorate::peer_cases {

// `committed` and `vote`.
bool IsQuorumCommand(const Case& command);
std::string RunQuorumCommand(const Case& command);

// `simple`, `enter-joint` and `leave-joint` on a configuration that starts empty.
class ConfChanger {
 public:
  static bool Knows(const Case& command);
  std::string Run(const Case& command);

 private:
  absl::StatusOr<raft::ChangedConfig> Change(const Case& command) const;

  raft::Tracker tracker_{raft::QuorumRule::Majority(), 10, 0};
  LogIndex last_index_;  // counts the commands
};

}  // namespace quorate::peer_cases

#endif  // QUORATE_TESTS_PEER_CASES_RULES_H_
