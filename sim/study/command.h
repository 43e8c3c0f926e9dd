// `quorate-sim study`: options, progress, files, replays.
#ifndef QUORATE_SIM_STUDY_COMMAND_H_
#define QUORATE_SIM_STUDY_COMMAND_H_

#include <cstdint>
#include <functional>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "base/time.h"
#include "sim/study/election_study.h"
#include "sim/study/membership.h"
#include "sim/study/partition.h"
#include "sim/study/quorum.h"
#include "sim/study/study.h"

namespace quorate::sim::study {

// What the command line says; lists are text until a study reads them.
struct CommandOptions {
  ElectionArguments election;
  PartitionArguments partition;
  QuorumArguments quorum;
  std::string membership = "all";
  uint64_t trials = 0;  // 0 = as many as the study takes by itself
  uint64_t seed = 1;
  uint64_t jobs = 0;  // 0 = as many as there are processors
  std::string shard = "1/1";
  std::string csv;
  std::string json;
  std::string html;
  std::string svg;  // a folder
  std::string replay;
  std::string window;
  bool check = false;
};

// Adds the studies to the sub-command; `options` is filled when it is parsed.
void AddOptions(CLI::App* app, CommandOptions* options);

// Runs the study that was parsed. True: done (and, with --check, as it should be).
// InvalidArgument and the like: wrong usage, found before any trial ran; Internal: a
// trial failed. `now` is a monotonic clock, `command` what was typed.
absl::StatusOr<bool> Run(const CLI::App& app, const CommandOptions& options,
                         const std::string& command, const std::function<Duration()>& now);

}  // namespace quorate::sim::study

#endif  // QUORATE_SIM_STUDY_COMMAND_H_
