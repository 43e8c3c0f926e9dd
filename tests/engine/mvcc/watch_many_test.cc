// Very many watchers, and streams that end.
#include <string>
#include <vector>

#include "tests/engine/mvcc/watch_fixture.h"

namespace quorate::mvcc {
namespace {

// As many clients do that come back after a restart.
TEST_F(WatchTest, ManySmallRangesCatchUpEachWithItsOwnEvents) {
  constexpr int kRanges = 30;
  std::vector<Strings> expected(kRanges);
  for (int i = 0; i < 1500; ++i) {
    const int range = i * 7 % kRanges;
    const std::string key = "r" + std::to_string(100 + range) + "/" + std::to_string(i * 3 % 11);
    const std::string at = "@" + std::to_string(store_.revision().value() + 1);
    const bool gone = i % 5 == 4 && store_.Visible(key, store_.revision()).has_value();
    if (gone) {
      Delete(key);
    } else {
      Put(key, std::to_string(i));
    }
    if (i < 200) continue;
    expected[static_cast<size_t>(range)].push_back(
        gone ? "delete " + key + at : "put " + key + " " + std::to_string(i) + at);
  }
  Compact(150);
  WatchOptions options;
  options.batch_revisions = 7;
  UseOptions(options);
  const std::string all(1, '\0');
  hub_->Open(1000);
  Create(1000, Range(all, all, 202));
  for (int i = 0; i < kRanges; ++i) {
    const auto stream = static_cast<uint64_t>(i + 1);
    const std::string prefix = "r" + std::to_string(100 + i);
    hub_->Open(stream);
    Create(stream, Range(prefix + "/", prefix + "0", 202));
    Take(stream);
  }
  Take(1000);
  PumpAll(/*budget=*/3000);
  size_t events = 0;
  for (int i = 0; i < kRanges; ++i) {
    EXPECT_EQ(Events(Take(static_cast<uint64_t>(i + 1))), expected[static_cast<size_t>(i)]);
    events += expected[static_cast<size_t>(i)].size();
  }
  EXPECT_EQ(Events(Take(1000)).size(), events);
}

TEST_F(WatchTest, AStreamEndsWithWhatIsNoRequest) {
  hub_->Open(1);
  Create(1, Range("a"));
  hub_->Request(1, Bytes::Copy("\x0a\x05"), now_);
  ASSERT_EQ(ended_.size(), 1u);
  EXPECT_EQ(ended_[0].first, 1u);
  EXPECT_EQ(ended_[0].second, absl::InternalError("grpc: error unmarshalling request"));
  EXPECT_EQ(hub_->watchers(), 0u);
  Take(1);
  Put("a", "new");
  PumpAll();
  EXPECT_TRUE(Take(1).empty());
}

TEST_F(WatchTest, AStreamOfVeryManyWatchersGoesInPiecesAndGetsNothingMore) {
  constexpr size_t kMany = 3000;
  Put("a", "old");
  hub_->Open(1);
  hub_->Open(2);
  Create(2, Range("a"));
  // Some of them are to catch up.
  for (size_t i = 0; i < kMany; ++i) Create(1, Range("a", "", i % 3 == 0 ? 1 : 0));
  hub_->Close(1);
  EXPECT_GT(hub_->watchers(), kMany / 2);
  Take(1);
  Put("a", "new");
  PumpAll();
  EXPECT_EQ(hub_->watchers(), 1u);
  EXPECT_EQ(hub_->slow_watchers(), 0u);
  EXPECT_TRUE(Take(1).empty());
  EXPECT_EQ(Events(Take(2)), Strings{"put a new@3"});
}

TEST_F(WatchTest, ALargeCohortIsServedInPieces) {
  constexpr uint64_t kMany = 2500;
  for (int i = 0; i < 20; ++i) Put("a", std::to_string(i));
  for (uint64_t stream = 1; stream <= kMany; ++stream) {
    hub_->Open(stream);
    Create(stream, Range("a", "", 3));
    Take(stream);
  }
  PumpAll(/*budget=*/20'000);
  for (uint64_t stream = 1; stream <= kMany; ++stream) {
    const Strings events = Events(Take(stream));
    ASSERT_EQ(events.size(), 19u);
    EXPECT_EQ(events.front(), "put a 1@3");
  }
  EXPECT_EQ(hub_->slow_watchers(), 0u);
}

TEST_F(WatchTest, ALargeCohortLearnsInPiecesThatItsHistoryIsGone) {
  constexpr uint64_t kMany = 2500;
  for (int i = 0; i < 20; ++i) Put("a", std::to_string(i));
  Compact(15);
  hub_->Open(1);
  for (uint64_t i = 0; i < kMany; ++i) Create(1, Range("a", "", 3));
  Take(1);
  int pumps = 0;
  for (; hub_->HasWork() && pumps < 1000; ++pumps) hub_->Pump(kPlenty);
  EXPECT_GT(pumps, 2);
  const std::vector<WatchResponse> responses = Take(1);
  ASSERT_EQ(responses.size(), kMany);
  for (const WatchResponse& response : responses) {
    EXPECT_TRUE(response.canceled());
    EXPECT_EQ(response.compact_revision(), 15);
  }
  EXPECT_EQ(hub_->watchers(), 0u);
}

}  // namespace
}  // namespace quorate::mvcc
