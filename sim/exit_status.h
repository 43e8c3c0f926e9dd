// What quorate-sim ends with.
#ifndef QUORATE_SIM_EXIT_STATUS_H_
#define QUORATE_SIM_EXIT_STATUS_H_

namespace quorate::sim {

enum ExitStatus : int {
  kClean = 0,
  kFoundViolation = 1,  // or a campaign that did not do what it was to do
  kUsage = 2,
  kBound = 3,    // reached before the end
  kDiffers = 4,  // a schedule whose run is not the one that was saved
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_EXIT_STATUS_H_
