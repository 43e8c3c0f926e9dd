// HashKV against the figures that a real etcd gave.
#include "engine/mvcc/hash.h"

#include <string>

#include "base/prng.h"
#include "engine/mvcc/compaction.h"
#include "engine/mvcc/store.h"
#include "gtest/gtest.h"

namespace quorate::mvcc {
namespace {

void Put(Store* store, const std::string& key, const std::string& value) {
  WriteTxn txn(store);
  txn.Put(key, value, LeaseId());
  txn.Commit();
}

void Delete(Store* store, const std::string& key) {
  WriteTxn txn(store);
  txn.DeleteRange(KeyRange::FromRequest(key, ""));
  txn.Commit();
}

class HashKvVectors : public testing::Test {
 protected:
  KvHash Hash(int64_t at) { return compactor_.HashKv(Revision(at)).value(); }
  void Compact(int64_t at) {
    ASSERT_TRUE(compactor_.Start(Revision(at)).ok());
    while (compactor_.busy()) compactor_.Step(1);
  }

  Store store_;
  Compactor compactor_{&store_};
};

TEST_F(HashKvVectors, EmptyStore) {
  EXPECT_EQ(Hash(0).hash, 1084519789u);
  EXPECT_EQ(Hash(0).compact_revision, Revision(-1));
  EXPECT_EQ(Hash(0).hash_revision, Revision(1));
}

TEST_F(HashKvVectors, HistoryWithCompactions) {
  Put(&store_, "a", "1");
  EXPECT_EQ(Hash(0).hash, 2587454935u);
  Put(&store_, "b", "2");
  Put(&store_, "a", "3");
  Delete(&store_, "b");
  EXPECT_EQ(Hash(0).hash, 1125682900u);
  EXPECT_EQ(Hash(3).hash, 1827592406u);
  EXPECT_EQ(Hash(4).hash, 2069675932u);
  EXPECT_EQ(compactor_.HashKv(Revision(6)).status().message(),
            "etcdserver: mvcc: required revision is a future revision");

  Compact(4);
  EXPECT_EQ(Hash(0).hash, 1468967122u);
  EXPECT_EQ(Hash(0).compact_revision, Revision(4));
  // The hash stored by the compaction answers for its revision.
  EXPECT_EQ(Hash(4).hash, 2069675932u);
  EXPECT_EQ(Hash(4).compact_revision, Revision(-1));
  EXPECT_EQ(compactor_.HashKv(Revision(3)).status().message(),
            "etcdserver: mvcc: required revision has been compacted");

  Compact(5);
  Put(&store_, "c", "4");
  EXPECT_EQ(Hash(0).hash, 168415639u);
  EXPECT_EQ(Hash(0).compact_revision, Revision(5));
  EXPECT_EQ(Hash(0).hash_revision, Revision(6));
}

// Two deletions by one request leave nothing. The figures are those of etcd 3.7.1, whose HashKV at
// that revision depends on whether it was compacted there in the meantime.
TEST_F(HashKvVectors, AStoreWithoutKeysHasAnotherHashOnceItIsCompactedThere) {
  Put(&store_, "a", "1");
  Put(&store_, "b", "2");
  Compact(3);
  WriteTxn txn(&store_);
  txn.DeleteRange(KeyRange::FromRequest("a", "c"));
  txn.Commit();
  EXPECT_EQ(Hash(0).hash, 3044120765u);
  EXPECT_EQ(Hash(4).hash, 3044120765u);
  EXPECT_EQ(Hash(4).compact_revision, Revision(3));
  Compact(4);
  EXPECT_EQ(Hash(4).hash, 842926332u);
  EXPECT_EQ(Hash(4).compact_revision, Revision(3));
  EXPECT_EQ(Hash(0).hash, 1084519789u);
}

// Found beside etcd.
TEST_F(HashKvVectors, ANegativeRevisionHashesNoHistory) {
  Put(&store_, "a", "1");
  EXPECT_EQ(Hash(-1).hash, 1084519789u);
  EXPECT_EQ(Hash(-1).hash_revision, Revision(-1));
}

// What members' comparisons of their hashes rest on (server/corruption.h).
TEST(HashKv, TheHashThatACompactionKeepsIsTheComputedOneWhereverAKeyLives) {
  Prng prng(5);
  int empty = 0;
  for (int round = 0; round < 2000; ++round) {
    Store store(/*segment_bytes=*/256);
    Compactor compactor(&store);
    for (int compactions = 0; compactions < 3; ++compactions) {
      for (uint64_t n = prng.Between(1, 6); n > 0; --n) {
        const std::string key(1, static_cast<char>('a' + prng.Below(2)));
        prng.Chance(1, 2) ? Put(&store, key, "v") : Delete(&store, key);
      }
      const Revision at = store.revision();
      if (at <= store.compact_revision()) continue;
      const KvHash computed = compactor.HashKv(at).value();
      ASSERT_TRUE(compactor.Start(at).ok());
      while (compactor.busy()) compactor.Step(1);
      const KvHash kept = compactor.HashKv(at).value();
      EXPECT_EQ(kept.compact_revision, computed.compact_revision);
      if (store.index().live_keys() == 0) {
        empty += kept.hash != computed.hash ? 1 : 0;
      } else {
        EXPECT_EQ(kept.hash, computed.hash);
      }
    }
  }
  EXPECT_GT(empty, 0);
}

TEST(HashKv, DoesNotDependOnWhatIsPhysicallyRemoved) {
  Store store(/*segment_bytes=*/256);
  Compactor compactor(&store);
  for (int i = 0; i < 200; ++i) Put(&store, "k" + std::to_string(i % 7), std::string(40, 'v'));
  Delete(&store, "k3");
  ASSERT_TRUE(compactor.Start(Revision(150)).ok());
  const KvHash before = compactor.HashKv(Revision(0)).value();
  const KvHash stored_before = compactor.HashKv(Revision(150)).value();
  const size_t held = store.log().allocated_bytes();
  while (compactor.busy()) compactor.Step(3);
  EXPECT_LT(store.log().allocated_bytes(), held / 2);
  EXPECT_EQ(compactor.HashKv(Revision(0)).value().hash, before.hash);
  EXPECT_EQ(compactor.HashKv(Revision(150)).value().hash, stored_before.hash);
}

}  // namespace
}  // namespace quorate::mvcc
