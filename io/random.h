// Random bytes for ids, tokens and seeds: the system's in production, drawn from
// the seed in the simulator (where nothing needs to be secret).
#ifndef QUORATE_IO_RANDOM_H_
#define QUORATE_IO_RANDOM_H_

#include <cstddef>
#include <cstdint>

namespace quorate::io {

class Random {
 public:
  virtual ~Random() = default;
  virtual void Fill(void* out, size_t size) = 0;

  uint64_t Next64() {
    uint64_t value = 0;
    Fill(&value, sizeof(value));
    return value;
  }
};

}  // namespace quorate::io

#endif  // QUORATE_IO_RANDOM_H_
