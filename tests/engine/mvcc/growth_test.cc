// What may grow to any size grows, shrinks and goes in small steps.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "engine/mvcc/compaction.h"
#include "engine/mvcc/key_value.h"
#include "engine/mvcc/paged.h"
#include "engine/mvcc/store.h"

namespace quorate::mvcc {
namespace {

void Put(Store* store, const std::string& key, const std::string& value = "") {
  WriteTxn txn(store);
  txn.Put(key, value, LeaseId());
  txn.Commit();
}

void CompactAll(Store* store, Compactor* compactor) {
  ASSERT_TRUE(compactor->Start(store->revision()).ok());
  while (compactor->busy()) compactor->Step(50);
}

std::string KeyOf(int i) { return "key" + std::to_string(100'000 + i); }

TEST(Paged, IsAListOfAnyLength) {
  Paged<uint64_t> list;
  for (uint64_t i = 0; i < 200'000; ++i) list.push_back(i * 7);
  ASSERT_EQ(list.size(), 200'000u);
  for (uint64_t i = 0; i < 200'000; ++i) ASSERT_EQ(list[i], i * 7);
  Paged<uint64_t> other = std::move(list);
  EXPECT_TRUE(list.empty());  // NOLINT: what is left of it is empty
  EXPECT_EQ(other.back(), 199'999u * 7);
  int pieces = 1;
  for (;; ++pieces) {
    Work work(1);
    if (other.Release(&work)) break;
  }
  EXPECT_GT(pieces, 2);
  EXPECT_TRUE(other.empty());
  other.push_back(3);
  EXPECT_EQ(other[0], 3u);
}

TEST(PagedSort, SortsAsAStableSortWhereverItStops) {
  Prng prng(5);
  for (const size_t size : {0, 1, 31, 32, 33, 1000, 50'000}) {
    Paged<std::pair<uint64_t, uint64_t>> list;
    std::vector<std::pair<uint64_t, uint64_t>> expected;
    for (size_t i = 0; i < size; ++i) {
      expected.emplace_back(prng.Below(100), i);
      list.push_back(expected.back());
    }
    const auto less = [](const auto& a, const auto& b) { return a.first < b.first; };
    std::stable_sort(expected.begin(), expected.end(), less);
    PagedSort<std::pair<uint64_t, uint64_t>> sort(&list);
    for (;;) {
      Work work(1 + prng.Below(20));
      if (sort.Step(&work, 4, less)) break;
    }
    for (size_t i = 0; i < size; ++i) ASSERT_EQ(list[i], expected[i]);
  }
}

// A key that changes all the time between two compactions, such as a leader's lock.
TEST(KeyIndexGrowth, AKeyMayHaveAnyNumberOfVersions) {
  Store store;
  Compactor compactor(&store);
  Prng prng(8);
  Put(&store, "other");
  const int64_t first = store.revision().value() + 1;
  for (int i = 0; i < 5000; ++i) Put(&store, "hot", std::to_string(i));
  const auto value_at = [&](int64_t revision) {
    const auto location = store.Visible("hot", Revision(revision));
    return location.has_value() ? Decode(store.log().Get(*location).bytes).value
                                : absl::string_view("none");
  };
  EXPECT_EQ(value_at(first - 1), "none");
  int64_t compacted = first;
  for (int round = 0; round < 12; ++round) {
    for (int i = 0; i < 50; ++i) {
      const int64_t at = prng.Between(compacted, first + 4999);
      ASSERT_EQ(value_at(at), std::to_string(at - first));
    }
    compacted += 400 + round;
    ASSERT_TRUE(compactor.Start(Revision(compacted)).ok());
    while (compactor.busy()) compactor.Step(30);
    ASSERT_EQ(store.index().Count(store.index().Find("hot")),
              static_cast<size_t>(first + 5000 - compacted));
  }
  const size_t held = store.index().allocated_bytes();
  CompactAll(&store, &compactor);
  EXPECT_EQ(value_at(first + 4999), "4999");
  EXPECT_LT(store.index().allocated_bytes() + 200 * 16, held);
}

// Rewriting a segment looks all of its records up.
TEST(RevisionLogGrowth, SegmentsHoldABoundedNumberOfRecordsHoweverSmall) {
  Store store;
  for (int i = 0; i < 20'000; ++i) Put(&store, KeyOf(i));
  const RevisionLog& log = store.log();
  const uint64_t least = 20'000 / RevisionLog::kSegmentRecords;
  EXPECT_GE(log.segments(), least);
  EXPECT_LE(log.segments(), least + 2);
  // They are no larger than they need to be, but for the first one, before anything was known.
  constexpr uint64_t kFirst = 256 * 1024;
  EXPECT_LT(log.allocated_bytes(), log.live_bytes() * 5 / 4 + kFirst);
}

// Whoever reads, or copies a value into the next record, may hold views of records.
TEST(RevisionLogGrowth, NoRecordMovesWhenOthersAreAppended) {
  Store store;
  for (size_t i = 0; i < RevisionLog::kSegmentRecords; ++i) Put(&store, KeyOf(static_cast<int>(i)));
  const RevisionLog& log = store.log();
  const Record last = log.Get(store.index().Newest(store.index().Find(KeyOf(1023))).location);
  const char* const where = last.bytes.data();
  Put(&store, KeyOf(5000));
  EXPECT_GT(log.segments(), 1u);
  EXPECT_EQ(log.Get(store.index().Newest(store.index().Find(KeyOf(1023))).location).bytes.data(),
            where);
}

// What was ever written must cost nothing once it is gone.
TEST(RevisionLogGrowth, EmptiedSegmentsLeaveTheTable) {
  Store store(/*segment_bytes=*/256);
  Compactor compactor(&store);
  Put(&store, "stays", "v");
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 400; ++i) Put(&store, "moves", std::string(100, 'x'));
    CompactAll(&store, &compactor);
  }
  const RevisionLog& log = store.log();
  EXPECT_GT(log.segments(), 2000u);
  uint64_t looked_at = 0;
  for (uint64_t i = log.NextSegment(0); i < log.segments(); i = log.NextSegment(i + 1)) ++looked_at;
  EXPECT_LT(looked_at, 300u);
  // Nothing of what is left is missed.
  uint64_t records = 0;
  for (LogCursor c = log.Begin(); log.Valid(&c); log.Next(&c)) ++records;
  EXPECT_EQ(records, log.records());
  for (const int64_t at : {int64_t{1}, int64_t{2}, int64_t{500}, store.revision().value()}) {
    LogCursor c = log.Seek(Revision(at));
    ASSERT_TRUE(log.Valid(&c));
    EXPECT_GE(log.Get(c.location()).revision.main, Revision(at));
  }
  LogCursor end = log.Seek(store.revision() + 1);
  EXPECT_FALSE(log.Valid(&end));
  EXPECT_EQ(log.Share().size(), log.NextSegment(0) == 0 ? 2u : 1u);
  Put(&store, "again");
  EXPECT_TRUE(log.Valid(&end));
}

TEST(StoreGrowth, GivesItsMemoryBackInPieces) {
  Store store(/*segment_bytes=*/1024);
  for (int i = 0; i < 3000; ++i) Put(&store, KeyOf(i / 2), std::string(i % 900, 'x'));
  int pieces = 1;
  for (;; ++pieces) {
    Work work(100);
    if (store.Release(&work)) break;
  }
  EXPECT_GT(pieces, 100);
}

}  // namespace
}  // namespace quorate::mvcc
