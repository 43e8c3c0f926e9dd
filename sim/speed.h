// `quorate-sim speed`: how fast three kinds of worlds run on one core, with their mix beside.
#ifndef QUORATE_SIM_SPEED_H_
#define QUORATE_SIM_SPEED_H_

#include <cstdint>
#include <functional>

#include "base/time.h"

namespace quorate::sim {

// Prints a few lines for each; an ExitStatus. `seeds` worlds of each kind; `now` is monotonic
// time.
int MeasureSpeed(uint64_t seeds, const std::function<Duration()>& now);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_SPEED_H_
