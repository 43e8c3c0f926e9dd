// One member's world: everything outside itself that it may touch.
#ifndef QUORATE_IO_ENV_H_
#define QUORATE_IO_ENV_H_

#include "io/compute.h"
#include "io/disk.h"
#include "io/log_sink.h"
#include "io/loop.h"
#include "io/network.h"
#include "io/random.h"

namespace quorate::io {

// Borrowed; whoever builds a server keeps these alive longer than it.
struct Env {
  Loop* loop = nullptr;
  Network* network = nullptr;
  Disk* disk = nullptr;
  Random* random = nullptr;
  Compute* compute = nullptr;
  LogSink* log = nullptr;
};

}  // namespace quorate::io

#endif  // QUORATE_IO_ENV_H_
