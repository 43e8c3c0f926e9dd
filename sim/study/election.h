// How long a cluster is without a leader after the leader fails: the experiment of the
// Raft paper's section 9.3 (figure 16) on the real engine.
//
// At time 0 a heartbeat of the leader arrives everywhere at once. The leader (member 1)
// fails at a moment drawn uniformly from one heartbeat interval after it; the members
// that fail with it are the last ones. Downtime is from there to the moment at which a
// new leader sends its first message as one.
#ifndef QUORATE_SIM_STUDY_ELECTION_H_
#define QUORATE_SIM_STUDY_ELECTION_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "sim/study/plan.h"

namespace quorate::sim::study {

struct ElectionSetup {
  uint64_t members = 5;
  // Members that are down, the leader among them: 1 or more.
  uint64_t failed = 1;
  // Survivors whose logs lack the last entry, so that they cannot win.
  uint64_t short_logs = 0;
  // A trial without a leader after so long is cut.
  Duration limit = Seconds(60);
  ClusterOptions cluster;  // seed is the trial's
};

enum ElectionColumn : size_t {
  kDowntime,
  kElected,    // 0 if it was cut
  kTerms,      // elections that it took, by the winner's term
  kCampaigns,  // by all members
  kMessages,
  kLeader,
  kSilence,  // from the old leader's last heartbeat on, not from its failure
};
std::vector<Column> ElectionColumns();

// InvalidArgument says which numbers make no cluster that could elect anybody.
absl::Status Validate(const ElectionSetup& setup);

Row RunElection(const ElectionSetup& setup, uint64_t seed, Observer* observer);

}  // namespace quorate::sim::study

#endif  // QUORATE_SIM_STUDY_ELECTION_H_
