// Runs seeds in child processes and collects their reports: an assertion that fails, a
// crash or a hang of one seed is that seed's violation and does not end the campaign.
// Part of the binary, not of the simulated world: it is the one place that forks.
#ifndef QUORATE_SIM_WORKERS_H_
#define QUORATE_SIM_WORKERS_H_

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "sim/world.h"

namespace quorate::sim {

struct WorkerOptions {
  uint64_t jobs = 1;
  // From one seed to the next.
  uint64_t stride = 1;
  // A seed that takes longer on the wall is killed and counts as hung.
  Duration seed_timeout = Seconds(600);
  // Runs one seed in the child.
  std::function<SeedReport(uint64_t seed)> run;
  // In the parent, when a report is there. False: stop the campaign.
  std::function<bool(const SeedReport&)> on_report;
  // In the parent, now and then. False: stop the campaign.
  std::function<bool()> on_tick;
  // Monotonic time.
  std::function<Duration()> now;
};

class Workers {
 public:
  // Hands out `first`, first + stride, ... up to `last`, which is at least `first`.
  Workers(WorkerOptions options, uint64_t first, uint64_t last);
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  // Ends the children.
  ~Workers();

  // Until all seeds have reported or somebody said stop; true if all have.
  bool Run();

 private:
  struct Child {
    pid_t pid = 0;
    int orders = -1;   // we write the next seed
    int reports = -1;  // we read lines
    std::string buffer;
    std::string last_words;
    std::optional<uint64_t> seed;
    Duration since;
  };

  void Spawn(Child* child);
  void GiveNext(Child* child);
  void ReadFrom(Child* child);
  void TakeLine(Child* child, const std::string& line);
  void OnGone(Child* child);
  void End(Child* child);
  [[noreturn]] void RunChild(int orders, int reports);

  const WorkerOptions options_;
  uint64_t next_;
  const uint64_t last_;
  bool exhausted_ = false;
  bool stopped_ = false;
  std::vector<Child> children_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_WORKERS_H_
