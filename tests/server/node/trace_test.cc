#include "server/node/trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quorate::node {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Instant At(int64_t millis) { return Instant::FromNanos(millis * 1'000'000); }

TEST(TraceTest, TellsWhatHeldARequestUp) {
  Trace trace;
  trace.NoteLeader(At(5), true);
  trace.NoteWrite(At(100), At(101));  // as ever
  trace.NoteWrite(At(190), At(500));
  trace.NoteTurn(At(600), Milliseconds(9));
  trace.NoteTurn(At(600), Milliseconds(25));
  trace.NoteLeader(At(700), false);
  trace.NoteLeader(At(701), false);  // still
  trace.NoteLeader(At(900), true);
  EXPECT_THAT(trace.Since(At(200)),
              ElementsAre("before, a write of the log, took 310ms",
                          "+400ms a turn of the engine, took 25ms", "+500ms the leader was lost",
                          "+700ms a leader is known"));
  EXPECT_THAT(trace.Since(At(650)),
              ElementsAre("+50ms the leader was lost", "+250ms a leader is known"));
  EXPECT_THAT(trace.Since(At(1000)), IsEmpty());
}

TEST(TraceTest, ALeaderThatWasMissingBeforeIsMissedFromTheBeginning) {
  Trace trace;
  EXPECT_THAT(trace.Since(At(0)), ElementsAre("no leader was known"));
  trace.NoteLeader(At(10), true);
  trace.NoteLeader(At(20), false);
  EXPECT_THAT(trace.Since(At(100)), ElementsAre("no leader was known"));
  trace.NoteLeader(At(150), true);
  EXPECT_THAT(trace.Since(At(100)), ElementsAre("no leader was known", "+50ms a leader is known"));
}

TEST(TraceTest, KeepsAndTellsTheNewest) {
  Trace trace;
  for (int i = 0; i < 1000; ++i) trace.NoteTurn(At(i * 100), Milliseconds(20 + i));
  const auto told = trace.Since(At(0));
  EXPECT_EQ(told.size(), Trace::kTold);
  EXPECT_EQ(told.back(), "+1m39.9s a turn of the engine, took 1.019s");
}

}  // namespace
}  // namespace quorate::node
