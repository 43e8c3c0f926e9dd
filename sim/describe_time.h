// Moments of a run, for people.
#ifndef QUORATE_SIM_DESCRIBE_TIME_H_
#define QUORATE_SIM_DESCRIBE_TIME_H_

#include <string>

#include "sim/scheduler.h"

namespace quorate::sim {

// "12.345678901 s".
std::string Describe(VirtualTime time);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_DESCRIBE_TIME_H_
