// Records in the order of their keys, and an index that is filled in that order.
#include "engine/mvcc/key_runs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "engine/mvcc/counted_tree.h"

namespace quorate::mvcc {
namespace {

struct Expected {
  std::string key;
  uint32_t segment = 0;
  RevisionLog::Adopted record;
};

// Keys that share much or little of their beginnings, that are beginnings of others, that hold
// zeros and high bytes, and that come again and again.
std::string DrawKey(Prng* prng, const std::string& begin) {
  std::string key = begin;
  const uint64_t size = prng->Below(20);
  for (uint64_t i = 0; i < size; ++i)
    key.push_back(
        "\0\x01"
        "a\xff"[prng->Below(4)]);
  if (key.empty()) key.push_back('k');
  return key;
}

TEST(KeyRuns, AnyRecordsComeInTheOrderOfTheirKeysAndOfTheLog) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Prng prng(seed);
    const std::string begin = seed % 3 == 0 ? "" : std::string("/registry/pods/", seed % 16);
    std::vector<Expected> expected;
    KeyRuns runs;
    Revision main(1);
    const auto segments = static_cast<uint32_t>(prng.Below(8));
    for (uint32_t segment = 0; segment < segments; ++segment) {
      const uint64_t count = prng.Below(60);
      std::vector<std::string> keys;
      for (uint64_t i = 0; i < count; ++i) keys.push_back(DrawKey(&prng, begin));
      std::vector<RevisionLog::Adopted> records;
      for (uint32_t i = 0; i < count; ++i) {
        main = main + static_cast<int64_t>(prng.Below(3));
        records.push_back({keys[i], main, i * 7, prng.Below(2) == 0, prng.Below(2) == 0});
        expected.push_back({keys[i], segment, records.back()});
      }
      runs.Add(segment, KeyRuns::Sort(records));
    }
    std::stable_sort(expected.begin(), expected.end(),
                     [](const Expected& a, const Expected& b) { return a.key < b.key; });
    KeyRuns::Item item;
    for (const Expected& next : expected) {
      ASSERT_TRUE(runs.Next(&item)) << "seed " << seed;
      ASSERT_EQ(std::string(item.key), next.key) << "seed " << seed;
      ASSERT_EQ(item.location, Location(next.segment, next.record.offset)) << "seed " << seed;
      ASSERT_EQ(item.main, next.record.main) << "seed " << seed;
      ASSERT_EQ(item.tombstone, next.record.tombstone) << "seed " << seed;
      ASSERT_EQ(item.leased, next.record.leased) << "seed " << seed;
    }
    ASSERT_FALSE(runs.Next(&item)) << "seed " << seed;
    ASSERT_FALSE(runs.Next(&item)) << "seed " << seed;
  }
}

TEST(CountedTreeAppender, AnyKeysInTheirOrderMakeTheTreeThatInsertsMake) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Prng prng(seed);
    std::vector<std::string> keys;
    for (int i = 0; i < 3000; ++i) {
      std::string key = DrawKey(&prng, "");
      if (prng.Below(50) == 0) key.append(600, 'x');  // not kept in its page
      keys.push_back(std::move(key));
    }
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    CountedTree tree;
    CountedTree::Appender appender(&tree);
    uint64_t weight = 0;
    for (size_t i = 0; i < keys.size(); ++i) {
      appender.Append(keys[i], i * 2 + i % 2);
      weight += i % 2;
      // As a key that leaves the index again.
      if (prng.Below(40) == 0 && i % 2 == 0) {
        appender.Reset();
        CountedTree::Path path = tree.Descend(keys[i]);
        ASSERT_TRUE(path.found);
        tree.Erase(path);
        path = tree.Descend(keys[i]);
        tree.Insert(path, keys[i], i * 2);
      }
    }
    tree.CheckInvariants();
    ASSERT_EQ(tree.size(), keys.size());
    ASSERT_EQ(tree.weight(), weight);
    auto cursor = tree.First();
    for (size_t i = 0; i < keys.size(); ++i, cursor.Next()) {
      ASSERT_TRUE(cursor.valid());
      ASSERT_EQ(std::string(cursor.key()), keys[i]);
      ASSERT_EQ(cursor.word(), i * 2 + i % 2);
    }
    ASSERT_FALSE(cursor.valid());
  }
}

}  // namespace
}  // namespace quorate::mvcc
