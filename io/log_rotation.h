// When a log file is full and what becomes of the full ones.
#ifndef QUORATE_IO_LOG_ROTATION_H_
#define QUORATE_IO_LOG_ROTATION_H_

#include <cstdint>

#include "base/limits.h"

namespace quorate::io {

struct LogRotation {
  // A line that would make the file larger goes to a new one; > 0.
  uint64_t max_bytes = 100 * limits::kMiB;
  // Full files that are older, or more than so many, are removed; 0 = never, all are kept.
  uint64_t max_age_days = 0;
  uint64_t max_backups = 0;
  // Whether the time in the name of a full file is the local one, not UTC.
  bool local_time = false;
  // Whether full files are compressed by gzip.
  bool compress = false;
};

}  // namespace quorate::io

#endif  // QUORATE_IO_LOG_ROTATION_H_
