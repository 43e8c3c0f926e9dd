// Pure functions off the loop: password hashes, signatures, checksums of much
// data. In the simulator they run on the loop and their completion order is drawn
// from the seed.
#ifndef QUORATE_IO_COMPUTE_H_
#define QUORATE_IO_COMPUTE_H_

#include <functional>

namespace quorate::io {

class Compute {
 public:
  virtual ~Compute() = default;
  // Runs `work` on some thread, then `done` on the loop. `work` must touch nothing
  // that the loop may touch meanwhile.
  virtual void Run(std::function<void()> work, std::function<void()> done) = 0;
};

}  // namespace quorate::io

#endif  // QUORATE_IO_COMPUTE_H_
