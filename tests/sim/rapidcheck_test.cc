// Properties over whole servers, in a few lines each.
#include "sim/rapidcheck.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace quorate::sim {
namespace {

RC_GTEST_PROP(Cluster, KeepsItsPromisesUnderAnySchedule, ()) {
  const Schedule schedule = *AnySchedule();
  const SeedReport report = RunSchedule(schedule);
  RC_ASSERT(report.violations.empty());
}

RC_GTEST_PROP(Cluster, AScheduleIsTheSameWhenReadBack, ()) {
  const Schedule schedule = *AnySchedule();
  RC_ASSERT(*ParseSchedule(ToText(schedule), "file") == schedule);
}

// What is shrunk is small: the least schedule that fails a property is the least there is.
TEST(AnySchedule, ShrinksToAlmostNothing) {
  Schedule last;
  const auto result = rc::detail::checkTestable([&last] {
    const Schedule schedule = *AnySchedule();
    if (schedule.members < 3) return;
    last = schedule;
    RC_FAIL("three members are too many");
  });
  ASSERT_TRUE(result.is<rc::detail::FailureResult>());
  EXPECT_EQ(last.members, 3u);
  EXPECT_EQ(last.clients, 1u);
  EXPECT_EQ(last.watchers, 0u);
  EXPECT_EQ(last.duration, Milliseconds(100));
  for (const bool on : last.classes) EXPECT_FALSE(on);
  for (const bool on : last.kinds) EXPECT_FALSE(on);
}

}  // namespace
}  // namespace quorate::sim
