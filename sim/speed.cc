#include "sim/speed.h"

#include <iostream>
#include <utility>

#include "sim/exit_status.h"
#include "sim/report.h"
#include "sim/swarm.h"
#include "sim/world.h"

namespace quorate::sim {
namespace {

struct Kind {
  const char* name;
  const char* profile;
  Options (*change)(Options options);
};

// etcd's own timeouts, nobody who asks anything, an hour.
Options Idle(Options options) {
  Options out;
  out.seed = options.seed;
  out.profile = options.profile;
  out.heartbeat_interval = Milliseconds(100);
  out.election_timeout = Seconds(1);
  out.duration = Seconds(3600);
  out.link.latency_min = Microseconds(100);
  out.link.latency_mean = Microseconds(100);
  out.workload.clients = 0;
  out.workload.watchers = 0;
  return out;
}

Options Five(Options options, uint64_t rate, size_t clients) {
  options.members = 5;
  options.workload.rate = rate;
  options.workload.clients = clients;
  return options;
}

constexpr Kind kKinds[] = {
    {"an idle cluster of three members", "quiet", Idle},
    {"swarm, five members, about 100 requests a second", "swarm",
     [](Options options) { return Five(std::move(options), 100, 12); }},
    {"swarm, five members, about 1,000 requests a second", "swarm",
     [](Options options) { return Five(std::move(options), 1000, 100); }},
};

}  // namespace

int MeasureSpeed(uint64_t seeds, const std::function<Duration()>& now) {
  bool clean = true;
  for (const Kind& kind : kKinds) {
    Tally tally(kind.profile);
    const Duration start = now();
    for (uint64_t seed = 1; seed <= seeds; ++seed) {
      tally.Add(World(kind.change(*DrawOptions(kind.profile, seed))).Run());
    }
    std::cout << kind.name << ", " << seeds << " seeds\n"
              << tally.SpeedLines(now() - start, 1) << std::flush;
    clean = clean && tally.violations() == 0;
  }
  return clean ? kClean : kFoundViolation;
}

}  // namespace quorate::sim
