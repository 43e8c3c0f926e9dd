// Runs the trials of a plan, in child processes if asked to. What comes out depends on
// the plan, the seeds and the shard alone, never on the number of processes.
#ifndef QUORATE_SIM_STUDY_TRIALS_H_
#define QUORATE_SIM_STUDY_TRIALS_H_

#include <cstdint>
#include <functional>

#include "absl/status/statusor.h"
#include "sim/study/plan.h"

namespace quorate::sim::study {

struct TrialOptions {
  uint64_t trials = 1000;  // of each case that does not say otherwise
  uint64_t seed = 1;       // of the first trial; each further one has the next
  uint64_t jobs = 1;
  // Every shards-th trial of each case, from the shard-th on (1-based): the shards
  // together are the whole.
  uint64_t shard = 1;
  uint64_t shards = 1;
  // Now and then: trials done, of how many.
  std::function<void(uint64_t done, uint64_t total)> on_progress;
};

// How many trials of all cases that is. OutOfRange: more than memory should hold, or
// seeds beyond 2^64.
absl::StatusOr<uint64_t> CountTrials(const Plan& plan, const TrialOptions& options);

// Internal: a process ended before its trials did (an assertion of the engine failed);
// the text names the trial and its command.
absl::StatusOr<Results> RunTrials(const Plan& plan, const TrialOptions& options);

// The command that replays one trial as a space-time diagram.
std::string ReplayCommand(const Case& of, uint64_t seed);

}  // namespace quorate::sim::study

#endif  // QUORATE_SIM_STUDY_TRIALS_H_
