#include "tests/server/support/test_world.h"

namespace quorate {

TestWorld::TestWorld(uint64_t seed)
    : scheduler_(seed), context_{seed, &scheduler_, &trace_, &faults_} {
  network_ = std::make_unique<sim::Network>(context_, sim::StreamOptions());
}

bool TestWorld::RunUntil(const std::function<bool()>& condition, Duration limit) {
  const sim::VirtualTime end = scheduler_.now() + limit;
  while (!condition()) {
    if (scheduler_.next_time() > end || !scheduler_.RunOne()) return condition();
  }
  return true;
}

void TestWorld::RunFor(Duration time) { scheduler_.RunUntil(scheduler_.now() + time); }

}  // namespace quorate
