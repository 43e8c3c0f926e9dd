#include "server/node/call_table.h"

#include <gtest/gtest.h>

#include <vector>

namespace quorate::node {
namespace {

constexpr Duration kUsual = Seconds(7);

Instant At(int64_t seconds) { return Instant() + Seconds(seconds); }
CallTable::Callback Nothing() {
  return [](absl::Status, Bytes) {};
}

TEST(CallTableTest, ACallIsTakenOnce) {
  CallTable calls(kUsual);
  const CallId id = calls.Add(At(0), kUsual, Nothing());
  EXPECT_EQ(calls.size(), 1u);
  EXPECT_NE(calls.Take(id), nullptr);
  EXPECT_EQ(calls.Take(id), nullptr);
  EXPECT_EQ(calls.size(), 0u);
}

TEST(CallTableTest, AnIdIsNeverUsedAgain) {
  CallTable calls(kUsual);
  std::vector<CallId> seen;
  for (int i = 0; i < 100; ++i) {
    const CallId id = calls.Add(At(0), kUsual, Nothing());
    for (const CallId old : seen) {
      EXPECT_NE(id, old);
      EXPECT_EQ(calls.Take(old), nullptr);
    }
    seen.push_back(id);
    calls.Take(id);
  }
}

TEST(CallTableTest, DeadlinesComeInOrderWhateverTheTimeouts) {
  CallTable calls(kUsual);
  const CallId late = calls.Add(At(0), Seconds(20), Nothing());
  const CallId usual = calls.Add(At(1), kUsual, Nothing());
  const CallId soon = calls.Add(At(2), Seconds(1), Nothing());
  EXPECT_EQ(calls.next_deadline(), At(3));
  EXPECT_EQ(calls.Due(At(2)), CallId(0));
  EXPECT_EQ(calls.Due(At(3)), soon);
  calls.Take(soon);
  EXPECT_EQ(calls.next_deadline(), At(8));
  EXPECT_EQ(calls.Due(At(8)), usual);
  calls.Take(usual);
  EXPECT_EQ(calls.Due(At(100)), late);
  calls.Take(late);
  EXPECT_EQ(calls.next_deadline(), Instant::Infinite());
  EXPECT_EQ(calls.First(), CallId(0));
}

TEST(CallTableTest, AProlongedCallIsDueLater) {
  CallTable calls(kUsual);
  const CallId usual = calls.Add(At(0), kUsual, Nothing());
  const CallId other = calls.Add(At(0), Seconds(1), Nothing());
  const CallId last = calls.Add(At(1), kUsual, Nothing());
  calls.Prolong(usual, At(20));
  calls.Prolong(other, At(10));
  EXPECT_EQ(calls.next_deadline(), At(8));
  EXPECT_EQ(calls.Due(At(100)), last);
  EXPECT_NE(calls.Take(last), nullptr);
  EXPECT_EQ(calls.next_deadline(), At(10));
  EXPECT_EQ(calls.Due(At(100)), other);
  EXPECT_NE(calls.Take(other), nullptr);
  calls.Prolong(other, At(50));
  EXPECT_EQ(calls.next_deadline(), At(20));
  EXPECT_NE(calls.Take(usual), nullptr);
  EXPECT_EQ(calls.size(), 0u);
}

TEST(CallTableTest, AnswersInAnyOrderKeepTheOthersDue) {
  CallTable calls(kUsual);
  std::vector<CallId> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(calls.Add(At(i), kUsual, Nothing()));
  calls.Take(ids[2]);
  calls.Take(ids[0]);
  EXPECT_EQ(calls.First(), ids[1]);
  EXPECT_EQ(calls.next_deadline(), At(8));
  calls.Take(ids[1]);
  calls.Take(ids[4]);
  EXPECT_EQ(calls.First(), ids[3]);
}

TEST(CallTableTest, AnEndlessTimeoutIsNeverDue) {
  CallTable calls(kUsual);
  calls.Add(At(5), Duration::Infinite(), Nothing());
  EXPECT_EQ(calls.Due(At(1'000'000'000)), CallId(0));
  EXPECT_NE(calls.First(), CallId(0));
}

}  // namespace
}  // namespace quorate::node
