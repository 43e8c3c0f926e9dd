// The CPU time of this thread.
#ifndef QUORATE_BENCH_CPU_TIME_H_
#define QUORATE_BENCH_CPU_TIME_H_

#include <time.h>

#include <cstdint>

namespace quorate {

inline int64_t CpuNanos() {
  timespec t = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec * 1'000'000'000 + t.tv_nsec;
}

}  // namespace quorate

#endif  // QUORATE_BENCH_CPU_TIME_H_
