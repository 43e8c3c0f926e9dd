// `quorate-sim replay` and `quorate-sim shrink`.
#ifndef QUORATE_SIM_REPLAY_H_
#define QUORATE_SIM_REPLAY_H_

#include <cstdint>
#include <functional>
#include <string>

#include "base/time.h"

namespace quorate::sim {

struct ReplayArguments {
  uint64_t seed = 0;
  std::string profile = "default";
  std::string schedule;  // a file, instead of a seed; empty: none
  bool no_trace = false;
  bool history = false;
  std::string format;  // see sim/explain; empty: the trace
  std::string out;     // where the explanation goes; empty: standard output
};
// Runs it and shows it; an ExitStatus.
int Replay(const ReplayArguments& arguments);

struct ShrinkArguments {
  uint64_t seed = 0;
  std::string profile = "default";
  std::string out;  // the file of the schedule; empty: standard output
  uint64_t max_seconds = 60;
};
// `now` is monotonic time.
int Shrink(const ShrinkArguments& arguments, const std::function<Duration()>& now);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_REPLAY_H_
