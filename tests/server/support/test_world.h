// A simulated world with hosts on which nothing runs yet.
#ifndef QUORATE_TESTS_SERVER_SUPPORT_TEST_WORLD_H_
#define QUORATE_TESTS_SERVER_SUPPORT_TEST_WORLD_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "base/time.h"
#include "sim/fault.h"
#include "sim/network.h"
#include "sim/scheduler.h"
#include "sim/trace.h"

namespace quorate {

class TestWorld {
 public:
  explicit TestWorld(uint64_t seed);

  const sim::Context& context() const { return context_; }
  sim::Network& network() { return *network_; }
  sim::Scheduler& scheduler() { return scheduler_; }

  // Runs events until `condition` holds; false if it does not within `limit`.
  bool RunUntil(const std::function<bool()>& condition, Duration limit = Seconds(60));
  void RunFor(Duration time);

  // Of everything that happened: equal for equal runs.
  uint64_t digest() const { return trace_.digest(); }

 private:
  sim::Scheduler scheduler_;
  sim::Trace trace_;
  sim::FaultCounters faults_;
  sim::Context context_;
  std::unique_ptr<sim::Network> network_;
};

}  // namespace quorate

#endif  // QUORATE_TESTS_SERVER_SUPPORT_TEST_WORLD_H_
