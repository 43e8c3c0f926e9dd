// A simulated world around the ticket members: hosts, network, disks, customers, a nemesis,
// and oracles, all from one seed. The world's parts are Quorate's (//:sim_io, //:sim_oracle);
// what is particular to tickets is a page of code in world.cc.
#ifndef QUORATE_EXAMPLES_EXTERNAL_WORLD_H_
#define QUORATE_EXAMPLES_EXTERNAL_WORLD_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/time.h"
#include "sim/oracle/judge.h"

namespace tickets {

struct WorldOptions {
  uint64_t seed = 1;
  size_t members = 3;
  size_t customers = 4;
  // As long as anything may break; afterwards everything must come right.
  quorate::Duration duration = quorate::Seconds(10);
  bool answer_before_commit = false;  // see MemberOptions
};

struct Report {
  std::vector<quorate::sim::Violation> violations;
  uint64_t tickets = 0;  // that customers hold
  uint64_t elections = 0;
  uint64_t crashes = 0;
  uint64_t partitions = 0;
  // Of the trace: equal for equal options, in every build.
  uint64_t digest = 0;
};

Report RunWorld(const WorldOptions& options);

}  // namespace tickets

#endif  // QUORATE_EXAMPLES_EXTERNAL_WORLD_H_
