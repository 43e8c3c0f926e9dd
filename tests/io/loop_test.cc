// What io::Loop, io::Compute and io::Random promise, in both worlds.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/prng.h"
#include "tests/io/param.h"
#include "tests/io/world.h"

namespace quorate::testing {
namespace {

class LoopTest : public IoTest {
 protected:
  io::Loop& loop() { return *world().server().loop; }
};

TEST_P(LoopTest, TimersFireInOrderOfTheirDeadlinesAndNotBeforeThem) {
  std::vector<int> fired;
  std::vector<std::unique_ptr<io::Timer>> timers;
  const std::vector<int> delays = {50, 10, 30, 20, 40};
  world().InServer([&] {
    const Instant start = loop().Now();
    for (const int delay : delays) {
      const Instant when = start + Milliseconds(delay);
      timers.push_back(loop().NewTimer([&, delay, when] {
        EXPECT_GE(loop().Now(), when);
        fired.push_back(delay);
      }));
      timers.back()->Set(when);
    }
  });
  ASSERT_TRUE(world().RunUntil([&] { return fired.size() == delays.size(); }));
  EXPECT_EQ(fired, std::vector<int>({10, 20, 30, 40, 50}));
}

TEST_P(LoopTest, SettingATimerAgainReplacesTheEarlierDeadline) {
  int fired = 0;
  Instant late;
  std::unique_ptr<io::Timer> timer;
  world().InServer([&] {
    timer = loop().NewTimer([&] {
      ++fired;
      EXPECT_GE(loop().Now(), late);
    });
    timer->Set(loop().Now() + Milliseconds(5));
    late = loop().Now() + Milliseconds(40);
    timer->Set(late);
  });
  ASSERT_TRUE(world().RunUntil([&] { return fired > 0; }));
  world().RunFor(Milliseconds(30));
  EXPECT_EQ(fired, 1);
}

// Work in pieces sets a timer for now after each: it must not wait in between, not even for the
// kernel's or libuv's smallest tick.
TEST_P(LoopTest, ATimerThatIsDueAtOnceDoesNotWait) {
  constexpr int kPieces = 5000;
  int pieces = 0;
  bool late = false;
  std::unique_ptr<io::Timer> work;
  std::unique_ptr<io::Timer> deadline;
  world().InServer([&] {
    work = loop().NewTimer([&] {
      if (++pieces < kPieces) work->Set(loop().Now());
    });
    work->Set(loop().Now());
    deadline = loop().NewTimer([&] { late = true; });
    deadline->Set(loop().Now() + Milliseconds(kPieces));
  });
  ASSERT_TRUE(world().RunUntil([&] { return pieces == kPieces || late; }));
  EXPECT_FALSE(late) << pieces << " pieces took a millisecond each";
}

TEST_P(LoopTest, ATimerCanBeBroughtForward) {
  bool fired = false;
  std::unique_ptr<io::Timer> timer;
  Instant start;
  world().InServer([&] {
    start = loop().Now();
    timer = loop().NewTimer([&] {
      fired = true;
      EXPECT_LT(loop().Now() - start, Seconds(3600));
    });
    timer->Set(start + Seconds(7200));
    timer->Set(start + Milliseconds(5));
  });
  ASSERT_TRUE(world().RunUntil([&] { return fired; }));
}

TEST_P(LoopTest, CancelledAndDestroyedTimersDoNotFire) {
  int fired = 0;
  std::unique_ptr<io::Timer> cancelled;
  std::unique_ptr<io::Timer> destroyed;
  world().InServer([&] {
    cancelled = loop().NewTimer([&] { ++fired; });
    destroyed = loop().NewTimer([&] { ++fired; });
    cancelled->Set(loop().Now() + Milliseconds(5));
    destroyed->Set(loop().Now() + Milliseconds(5));
    cancelled->Cancel();
    destroyed.reset();
  });
  world().RunFor(Milliseconds(40));
  EXPECT_EQ(fired, 0);
}

TEST_P(LoopTest, ATimerMayBeSetAgainAndDestroyedInItsOwnCallback) {
  int fired = 0;
  std::unique_ptr<io::Timer> timer;
  world().InServer([&] {
    timer = loop().NewTimer([&] {
      if (++fired < 3) {
        timer->Set(loop().Now() + Milliseconds(1));
      } else {
        timer.reset();
      }
    });
    timer->Set(loop().Now() + Milliseconds(1));
  });
  ASSERT_TRUE(world().RunUntil([&] { return timer == nullptr; }));
  EXPECT_EQ(fired, 3);
}

TEST_P(LoopTest, APastDeadlineFiresSoonButNotInsideTheCall) {
  bool fired = false;
  std::unique_ptr<io::Timer> timer;
  world().InServer([&] {
    timer = loop().NewTimer([&] { fired = true; });
    timer->Set(loop().Now() - Seconds(5));
    EXPECT_FALSE(fired);
  });
  ASSERT_TRUE(world().RunUntil([&] { return fired; }, Seconds(2)));
}

TEST_P(LoopTest, ATimerThatIsAlwaysDueDoesNotStopTheWorld) {
  int fired = 0;
  bool other = false;
  std::unique_ptr<io::Timer> busy;
  std::unique_ptr<io::Timer> timer;
  world().InServer([&] {
    busy = loop().NewTimer([&] {
      if (++fired < 1'000'000 && !other) busy->Set(loop().Now() + Nanoseconds(1));
    });
    timer = loop().NewTimer([&] { other = true; });
    busy->Set(loop().Now());
    timer->Set(loop().Now() + Microseconds(100));
  });
  ASSERT_TRUE(world().RunUntil([&] { return other; }));
}

TEST_P(LoopTest, DeferredCallbacksRunInOrderAfterTheTurn) {
  std::vector<std::string> order;
  world().InServer([&] {
    loop().Defer([&] {
      order.push_back("first");
      loop().Defer([&] { order.push_back("nested"); });
    });
    loop().Defer([&] { order.push_back("second"); });
    order.push_back("turn");
  });
  ASSERT_TRUE(world().RunUntil([&] { return order.size() == 4; }));
  EXPECT_EQ(order, std::vector<std::string>({"turn", "first", "second", "nested"}));
}

TEST_P(LoopTest, WhatATimerDefersRunsBeforeTheLoopSleeps) {
  Instant fired;
  Instant deferred;
  std::unique_ptr<io::Timer> timer;
  world().InServer([&] {
    timer = loop().NewTimer([&] {
      fired = loop().Now();
      loop().Defer([&] { deferred = loop().Now(); });
    });
    timer->Set(loop().Now() + Milliseconds(2));
  });
  // Nothing else happens in this world for a long time.
  ASSERT_TRUE(world().RunUntil([&] { return deferred != Instant(); }));
  EXPECT_LT(deferred - fired, Milliseconds(500));
}

TEST_P(LoopTest, TimeStandsStillDuringACallbackAndNeverGoesBack) {
  Instant last;
  int turns = 0;
  std::unique_ptr<io::Timer> timer;
  world().InServer([&] {
    last = loop().Now();
    timer = loop().NewTimer([&] {
      const Instant now = loop().Now();
      EXPECT_GE(now, last);
      uint64_t work = 0;
      for (uint64_t i = 0; i < 100'000; ++i) work = Mix64(work + i);
      EXPECT_NE(work, 0u);
      EXPECT_EQ(loop().Now(), now);
      last = now;
      if (++turns < 5) timer->Set(now + Milliseconds(1));
    });
    timer->Set(last);
  });
  ASSERT_TRUE(world().RunUntil([&] { return turns == 5; }));
}

TEST_P(LoopTest, TheWallClockShowsThisCentury) {
  EXPECT_GT(loop().WallNow().unix_millis(), int64_t{1'600'000'000'000});
  EXPECT_LT(loop().WallNow().unix_millis(), int64_t{4'100'000'000'000});
}

TEST_P(LoopTest, ComputedResultsAreThereWhenDoneIsCalled) {
  constexpr int kJobs = 50;
  std::vector<int> results(kJobs, 0);
  int done = 0;
  world().InServer([&] {
    for (int i = 0; i < kJobs; ++i) {
      world().server().compute->Run([&results, i] { results[static_cast<size_t>(i)] = i * i; },
                                    [&, i] {
                                      EXPECT_EQ(results[static_cast<size_t>(i)], i * i);
                                      ++done;
                                    });
    }
    EXPECT_EQ(done, 0);
  });
  ASSERT_TRUE(world().RunUntil([&] { return done == kJobs; }));
}

TEST_P(LoopTest, RandomBytesDoNotRepeat) {
  io::Random& random = *world().server().random;
  const uint64_t first = random.Next64();
  const uint64_t second = random.Next64();
  EXPECT_NE(first, second);
  char odd[13] = {};
  random.Fill(odd, sizeof(odd));
  EXPECT_NE(std::string(odd, sizeof(odd)), std::string(sizeof(odd), '\0'));
}

INSTANTIATE_TEST_SUITE_P(Worlds, LoopTest, AllIoWorlds(), IoWorldName);

}  // namespace
}  // namespace quorate::testing
