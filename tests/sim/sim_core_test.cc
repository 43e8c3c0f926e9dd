// The scheduler, the trace, clocks, pauses and crashes of simulated processes.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/sim_io_fixture.h"

namespace quorate::testing {
namespace {

using sim::Fault;
using sim::HostId;
using sim::Scheduler;
using sim::Trace;
using sim::TraceKind;
using sim::VirtualTime;

VirtualTime At(int64_t ns) { return VirtualTime::FromNanos(ns); }

RC_GTEST_PROP(SchedulerTest, BehavesLikeASortedList, ()) {
  Scheduler scheduler(*rc::gen::arbitrary<uint64_t>());
  std::map<int, int64_t> expected;  // pending: number -> time
  std::map<int, sim::EventId> ids;
  std::vector<int> ran;
  int next = 0;
  const int steps = *rc::gen::inRange(1, 200);
  for (int step = 0; step < steps; ++step) {
    const int64_t when =
        std::max<int64_t>(scheduler.now().nanos(), *rc::gen::inRange<int64_t>(0, 50));
    const int pick = next == 0 ? 0 : *rc::gen::inRange(0, next);
    switch (*rc::gen::inRange(0, 5)) {
      case 0:
      case 1:
        ids[next] = scheduler.At(At(when), [&ran, n = next] { ran.push_back(n); });
        expected[next++] = when;
        break;
      case 2:
        if (next > 0) {
          RC_ASSERT(scheduler.Cancel(ids[pick]) == (expected.erase(pick) > 0));
        }
        break;
      case 3:
        if (next > 0) {
          RC_ASSERT(scheduler.Move(ids[pick], At(when)) == expected.contains(pick));
          if (expected.contains(pick)) expected[pick] = when;
        }
        break;
      default: {
        ran.clear();
        RC_ASSERT(scheduler.RunOne() == !expected.empty());
        if (expected.empty()) break;
        RC_ASSERT(ran.size() == 1u);
        int64_t earliest = expected.begin()->second;
        for (const auto& [n, time] : expected) earliest = std::min(earliest, time);
        RC_ASSERT(expected.at(ran[0]) == earliest);
        RC_ASSERT(scheduler.now() == At(earliest));
        expected.erase(ran[0]);
      }
    }
    RC_ASSERT(scheduler.pending_events() == expected.size());
  }
}

TEST(SchedulerTest, EventsOfOneNanosecondComeInAnOrderDrawnFromTheSeed) {
  const auto order = [](uint64_t seed) {
    Scheduler scheduler(seed);
    std::vector<int> ran;
    for (int i = 0; i < 20; ++i) scheduler.At(At(5), [&ran, i] { ran.push_back(i); });
    scheduler.RunUntil(At(5));
    return ran;
  };
  EXPECT_EQ(order(1), order(1));
  EXPECT_NE(order(1), order(2));
  std::vector<int> sorted = order(1);
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(sorted.size(), 20u);
  EXPECT_EQ(sorted[19], 19);
}

TEST(SchedulerTest, RunUntilRunsEverythingDueAndMovesThePresentThere) {
  Scheduler scheduler(1);
  int ran = 0;
  scheduler.At(At(10), [&] { ++ran; });
  scheduler.At(At(20), [&] {
    ++ran;
    scheduler.After(Duration(), [&] { ++ran; });
  });
  scheduler.At(At(21), [&] { ++ran; });
  scheduler.RunUntil(At(20));
  EXPECT_EQ(ran, 3);
  EXPECT_EQ(scheduler.now(), At(20));
  scheduler.RunUntil(At(100));
  EXPECT_EQ(ran, 4);
  EXPECT_EQ(scheduler.now(), At(100));
}

TEST(TraceTest, TheDigestSeesEveryFieldAndNotThePrinting) {
  constexpr TraceKind kMoved("moved", "from", "to");
  constexpr TraceKind kOther("other", "from", "to");
  const auto digest = [&](int64_t when, uint32_t host, const TraceKind& kind, uint64_t a,
                          uint64_t b) {
    Trace trace;
    trace.Append(At(when), HostId(host), kind, a, b);
    return trace.digest();
  };
  const uint64_t base = digest(1, 2, kMoved, 3, 4);
  EXPECT_EQ(base, digest(1, 2, kMoved, 3, 4));
  for (const uint64_t other :
       {digest(2, 2, kMoved, 3, 4), digest(1, 3, kMoved, 3, 4), digest(1, 2, kOther, 3, 4),
        digest(1, 2, kMoved, 5, 4), digest(1, 2, kMoved, 3, 5), digest(1, 2, kMoved, 4, 3)}) {
    EXPECT_NE(base, other);
  }
  Trace printed;
  std::vector<std::string> lines;
  printed.PrintTo([&](absl::string_view line) { lines.emplace_back(line); });
  printed.Append(At(1'500'000'001), HostId(2), kMoved, 3, 4);
  printed.AppendText(At(2'000'000'000), HostId(), kOther, "some text");
  EXPECT_EQ(lines, std::vector<std::string>({"1.500000001 host 2 moved from=3 to=4",
                                             "2.000000000 world other some text"}));
  Trace silent;
  silent.Append(At(1'500'000'001), HostId(2), kMoved, 3, 4);
  silent.AppendText(At(2'000'000'000), HostId(), kOther, "some text");
  EXPECT_EQ(printed.digest(), silent.digest());
}

TEST(SimClockTest, AFastClockRunsAheadAndItsTimersFireEarly) {
  SimWorld world(1);
  sim::HostOptions options;
  options.clock.drift_ppm = 1'000'000;  // twice as fast
  DiskHost m(&world, options);
  const Instant start = m.env.loop->Now();
  sim::VirtualTime fired;
  auto timer = m.env.loop->NewTimer([&] {
    fired = world.scheduler().now();
    EXPECT_GE(m.env.loop->Now(), start + Seconds(10));
  });
  m.host.Run([&] { timer->Set(start + Seconds(10)); });
  world.RunFor(Seconds(60));
  EXPECT_EQ(fired, At(5'000'000'000));
  EXPECT_EQ(m.env.loop->Now() - start, Seconds(120));
}

TEST(SimClockTest, AChangeOfRateMovesPendingTimersButNotTheReading) {
  SimWorld world(1);
  DiskHost m(&world);
  const Instant start = m.env.loop->Now();
  sim::VirtualTime fired;
  auto timer = m.env.loop->NewTimer([&] { fired = world.scheduler().now(); });
  m.host.Run([&] { timer->Set(start + Seconds(10)); });
  world.RunFor(Seconds(4));
  m.host.loop()->SetDrift(-500'000);  // half speed
  EXPECT_EQ(m.env.loop->Now(), start + Seconds(4));
  world.RunFor(Seconds(60));
  EXPECT_EQ(fired, At(16'000'000'000));
}

TEST(SimClockTest, AWallJumpDoesNotTouchTheMonotonicClock) {
  SimWorld world(1);
  DiskHost m(&world);
  const Instant now = m.env.loop->Now();
  const int64_t wall = m.env.loop->WallNow().unix_nanos();
  m.host.loop()->JumpWall(Seconds(-3600));
  EXPECT_EQ(m.env.loop->Now(), now);
  EXPECT_EQ(m.env.loop->WallNow().unix_nanos(), wall - 3'600'000'000'000);
}

TEST(SimProcessTest, APausedProcessDoesNothingAndThenCatchesUpInOneTurn) {
  SimWorld world(1);
  DiskHost m(&world);
  std::vector<int> fired;
  int flushes = 0;
  std::vector<std::unique_ptr<io::Timer>> timers;
  m.host.Run([&] {
    for (int i = 0; i < 3; ++i) {
      timers.push_back(m.env.loop->NewTimer([&, i] {
        fired.push_back(i);
        if (fired.size() == 1) m.env.loop->Defer([&] { ++flushes; });
      }));
      timers[static_cast<size_t>(i)]->Set(m.env.loop->Now() + Milliseconds(10 * (i + 1)));
    }
  });
  m.host.PauseFor(Seconds(1));
  world.RunFor(Milliseconds(999));
  EXPECT_TRUE(fired.empty());
  world.RunFor(Milliseconds(2));
  EXPECT_EQ(fired, std::vector<int>({0, 1, 2}));
  EXPECT_EQ(flushes, 1);
  EXPECT_EQ(world.count(Fault::kProcessPause), 1u);
}

TEST(SimProcessTest, ATimerCancelledWhileItsFiringWaitsDoesNotFire) {
  SimWorld world(1);
  DiskHost m(&world);
  bool fired = false;
  std::unique_ptr<io::Timer> second;
  std::unique_ptr<io::Timer> third;
  auto first = m.env.loop->NewTimer([&] {
    second->Cancel();
    third.reset();
  });
  second = m.env.loop->NewTimer([&] { fired = true; });
  third = m.env.loop->NewTimer([&] { fired = true; });
  m.host.Run([&] {
    first->Set(m.env.loop->Now() + Milliseconds(1));
    second->Set(m.env.loop->Now() + Milliseconds(2));
    third->Set(m.env.loop->Now() + Milliseconds(3));
  });
  m.host.PauseFor(Seconds(1));
  world.RunFor(Seconds(2));
  EXPECT_FALSE(fired);
}

TEST(SimProcessTest, NothingOfADeadProcessIsCalled) {
  SimWorld world(1);
  DiskHost m(&world);
  int called = 0;
  auto timer = m.env.loop->NewTimer([&] { ++called; });
  m.host.Run([&] {
    timer->Set(m.env.loop->Now() + Milliseconds(5));
    m.env.compute->Run([] {}, [&] { ++called; });
  });
  m.env.loop->Defer([&] { ++called; });  // from outside: would be a turn of its own
  m.host.Crash(sim::CrashKind::kKill);
  timer->Set(m.env.loop->Now());
  m.env.loop->Defer([&] { ++called; });
  timer.reset();
  m.env = m.host.Boot();
  world.RunFor(Seconds(10));
  EXPECT_EQ(called, 0);
  EXPECT_EQ(m.host.incarnation(), 2u);
  EXPECT_EQ(world.count(Fault::kRestart), 1u);
}

TEST(SimProcessTest, ABusyProcessHandlesWhatGatheredInOneTurn) {
  SimWorld world(1);
  sim::HostOptions options;
  options.turns.busy_min = Milliseconds(1);
  options.turns.busy_max = Milliseconds(1);
  DiskHost m(&world, options);
  int events = 0;
  int turns = 0;
  bool flush_pending = false;
  for (int i = 0; i < 100; ++i) {
    world.scheduler().After(Microseconds(100 * i), [&] {
      m.host.Run([&] {
        ++events;
        if (std::exchange(flush_pending, true)) return;
        m.env.loop->Defer([&] {
          ++turns;
          flush_pending = false;
        });
      });
    });
  }
  world.RunFor(Seconds(1));
  EXPECT_EQ(events, 100);
  EXPECT_LT(turns, 15);
  EXPECT_GT(turns, 5);
}

TEST(SimProcessTest, ComputationsCompleteInADrawnOrder) {
  const auto order = [](uint64_t seed) {
    SimWorld world(seed);
    DiskHost m(&world);
    std::vector<int> done;
    m.host.Run([&] {
      for (int i = 0; i < 10; ++i) m.env.compute->Run([] {}, [&done, i] { done.push_back(i); });
    });
    world.RunFor(Seconds(1));
    EXPECT_EQ(done.size(), 10u);
    return done;
  };
  EXPECT_EQ(order(1), order(1));
  EXPECT_NE(order(1), order(2));
}

}  // namespace
}  // namespace quorate::testing
