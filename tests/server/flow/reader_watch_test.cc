#include "server/flow/reader_watch.h"

#include <gtest/gtest.h>

namespace quorate::flow {
namespace {

constexpr ReaderRule kRule{Seconds(10), 1000};

Instant At(int64_t seconds) { return Instant::FromNanos(seconds * 1'000'000'000); }

TEST(ReaderWatchTest, WhoTakesNothingForThatLongStalls) {
  ReaderWatch watch;
  EXPECT_FALSE(watch.Stalls(kRule, At(100), 5000)) << "what left before says nothing";
  EXPECT_FALSE(watch.Stalls(kRule, At(109), 5000));
  EXPECT_TRUE(watch.Stalls(kRule, At(110), 5000));
  EXPECT_TRUE(watch.Stalls(kRule, At(111), 50000)) << "until a whole period was better";
  EXPECT_FALSE(watch.Stalls(kRule, At(120), 50000));
}

TEST(ReaderWatchTest, ASlowLineIsNoStall) {
  ReaderWatch slow;
  ReaderWatch slower;
  slow.Stalls(kRule, At(0), 0);
  slower.Stalls(kRule, At(0), 0);
  EXPECT_FALSE(slow.Stalls(kRule, At(20), 20000));
  EXPECT_TRUE(slower.Stalls(kRule, At(20), 19999));
}

TEST(ReaderWatchTest, WhoHasTakenAllBeginsAnew) {
  ReaderWatch watch;
  watch.Stalls(kRule, At(0), 0);
  EXPECT_TRUE(watch.Stalls(kRule, At(10), 0));
  watch.Rest();
  EXPECT_FALSE(watch.Stalls(kRule, At(30), 0));
  EXPECT_FALSE(watch.Stalls(kRule, At(39), 0));
  EXPECT_TRUE(watch.Stalls(kRule, At(40), 0));
}

}  // namespace
}  // namespace quorate::flow
