// `quorate-sim explore`: options, progress, verdict.
#ifndef QUORATE_SIM_EXPLORE_COMMAND_H_
#define QUORATE_SIM_EXPLORE_COMMAND_H_

#include <cstdint>
#include <functional>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "base/time.h"
#include "sim/explore/explorer.h"

namespace quorate::sim::explore {

// What of an exploration the command line says.
struct CommandOptions {
  Bounds bounds;
  std::string duplicates = "0";
  uint64_t timeouts = 0;
  bool audit = false;
  uint64_t max_states = 0;
  uint64_t max_seconds = 0;
  uint64_t max_memory_mb = 8192;
  bool json = false;
};

// Adds the options to the sub-command; `options` is filled when it is parsed.
void AddOptions(CLI::App* app, CommandOptions* options);

// The bounds that the parsed options ask for. InvalidArgument: wrong usage.
absl::StatusOr<Bounds> BoundsOf(const CLI::App& app, const CommandOptions& options);

enum class Verdict : uint8_t { kExhaustive, kViolation, kBoundReached };

// Explores, shows progress on stderr and prints what was found on stdout. `now` is a
// monotonic clock. An assertion that fails in raft is a violation like any other; then
// the process ends in here, with status 1.
Verdict Run(const Bounds& bounds, const CommandOptions& options,
            const std::function<Duration()>& now);

}  // namespace quorate::sim::explore

#endif  // QUORATE_SIM_EXPLORE_COMMAND_H_
