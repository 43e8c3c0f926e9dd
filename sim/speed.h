// `quorate-sim speed`: how fast four kinds of worlds, raft alone and a checker run on one core,
// each beside its aim and with its mix.
#ifndef QUORATE_SIM_SPEED_H_
#define QUORATE_SIM_SPEED_H_

#include <cstdint>
#include <functional>

#include "base/time.h"

namespace quorate::sim {

// Prints a few lines for each; an ExitStatus. `seeds` worlds of each kind; `cpu_time` is what this
// process has used: a figure does not depend on what else the machine does.
int MeasureSpeed(uint64_t seeds, const std::function<Duration()>& cpu_time);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_SPEED_H_
