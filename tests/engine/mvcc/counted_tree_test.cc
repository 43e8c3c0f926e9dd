#include "engine/mvcc/counted_tree.h"

#include <cstdint>
#include <iterator>
#include <map>
#include <string>

#include "base/prng.h"
#include "gtest/gtest.h"

namespace quorate::mvcc {
namespace {

// The tree beside a std::map, both changed alike and compared.
class Twin {
 public:
  void Set(const std::string& key, uint64_t word) {
    CountedTree::Path path = tree_.Descend(key);
    ASSERT_EQ(path.found, map_.contains(key));
    if (path.found) {
      ASSERT_EQ(CountedTree::WordAt(path), map_[key]);
      tree_.Assign(path, word);
    } else {
      tree_.Insert(path, key, word);
    }
    map_[key] = word;
  }
  void Erase(const std::string& key) {
    CountedTree::Path path = tree_.Descend(key);
    ASSERT_EQ(path.found, map_.contains(key));
    if (!path.found) return;
    tree_.Erase(path);
    map_.erase(key);
  }
  uint64_t WeightBefore(const std::string& key) const {
    uint64_t sum = 0;
    for (auto it = map_.begin(); it != map_.end() && it->first < key; ++it) sum += it->second & 1;
    return sum;
  }
  void CompareAll() const {
    tree_.CheckInvariants();
    ASSERT_EQ(tree_.size(), map_.size());
    auto cursor = tree_.First();
    for (const auto& [key, word] : map_) {
      ASSERT_TRUE(cursor.valid());
      ASSERT_EQ(cursor.key(), absl::string_view(key));
      ASSERT_EQ(cursor.word(), word);
      cursor.Next();
    }
    ASSERT_FALSE(cursor.valid());
    cursor = tree_.Last();
    for (auto it = map_.rbegin(); it != map_.rend(); ++it) {
      ASSERT_TRUE(cursor.valid());
      ASSERT_EQ(cursor.key(), absl::string_view(it->first));
      cursor.Prev();
    }
    ASSERT_FALSE(cursor.valid());
  }
  void Probe(const std::string& key) const {
    ASSERT_EQ(tree_.WeightBefore(key), WeightBefore(key));
    const auto it = map_.lower_bound(key);
    const auto cursor = tree_.LowerBound(key);
    ASSERT_EQ(cursor.valid(), it != map_.end());
    if (cursor.valid()) {
      ASSERT_EQ(cursor.key(), absl::string_view(it->first));
    }
    const auto before = tree_.Before(key);
    ASSERT_EQ(before.valid(), it != map_.begin());
    if (before.valid()) {
      ASSERT_EQ(before.key(), absl::string_view(std::prev(it)->first));
    }
  }
  const CountedTree& tree() const { return tree_; }
  const std::map<std::string, uint64_t>& map() const { return map_; }

 private:
  CountedTree tree_;
  std::map<std::string, uint64_t> map_;
};

std::string RandomKey(Prng& prng, uint64_t space, size_t longest) {
  const uint64_t n = prng.Below(space);
  std::string key = std::to_string(Mix64(n));
  const uint64_t shape = Mix64(n ^ 77) % 20;
  if (shape == 0) key += std::string(Mix64(n ^ 5) % (longest + 1), 'x');
  if (shape == 1) key = std::string(Mix64(n ^ 9) % 300, '\0') + key;
  return key;
}

void RandomWalk(uint64_t seed, uint64_t space, int steps, size_t longest) {
  Prng prng(seed);
  Twin twin;
  for (int i = 0; i < steps; ++i) {
    const std::string key = RandomKey(prng, space, longest);
    // The walk grows first and shrinks in its second half.
    if (prng.Chance(i < steps / 2 ? 3 : 7, 10)) {
      ASSERT_NO_FATAL_FAILURE(twin.Erase(key));
    } else {
      ASSERT_NO_FATAL_FAILURE(twin.Set(key, prng.Next()));
    }
    if (i % 16 == 0) {
      ASSERT_NO_FATAL_FAILURE(twin.Probe(RandomKey(prng, space, longest)));
    }
    if (i % 1000 == 0) {
      ASSERT_NO_FATAL_FAILURE(twin.CompareAll());
    }
  }
  ASSERT_NO_FATAL_FAILURE(twin.CompareAll());
  while (!twin.map().empty()) {
    const std::string key = twin.map().begin()->first;
    ASSERT_NO_FATAL_FAILURE(twin.Erase(key));
  }
  twin.CompareAll();
}

TEST(CountedTree, AgreesWithAnOrderedMap) {
  for (uint64_t seed = 1; seed <= 4; ++seed) RandomWalk(seed, 4000, 20000, 500);
}

TEST(CountedTree, KeepsKeysTooLongForAPage) {
  for (uint64_t seed = 1; seed <= 3; ++seed) RandomWalk(seed, 600, 6000, 5000);
}

TEST(CountedTree, AscendingKeysFillTheirPages) {
  Twin twin;
  for (int i = 0; i < 20000; ++i) twin.Set("key" + std::to_string(1000000 + i), 1);
  twin.CompareAll();
  EXPECT_EQ(twin.tree().weight(), 20000u);
  // 10-byte keys: 22 bytes each with word, size and slot.
  EXPECT_LT(twin.tree().allocated_bytes(), size_t{20000} * 24);
}

TEST(CountedTree, RandomKeysOfSixteenBytesStayCompact) {
  CountedTree tree;
  Prng prng(3);
  for (int i = 0; i < 50000; ++i) {
    std::string key(16, ' ');
    for (char& c : key) c = static_cast<char>('a' + prng.Below(26));
    CountedTree::Path path = tree.Descend(key);
    if (!path.found) tree.Insert(path, key, 1);
  }
  EXPECT_LT(tree.allocated_bytes() / tree.size(), size_t{46});
}

}  // namespace
}  // namespace quorate::mvcc
