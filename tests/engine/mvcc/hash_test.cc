// HashKV against the figures that a real etcd gave (etcd-formats, section 5.4).
#include "engine/mvcc/hash.h"

#include <string>

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

// Found beside etcd.
TEST_F(HashKvVectors, ANegativeRevisionHashesNoHistory) {
  Put(&store_, "a", "1");
  EXPECT_EQ(Hash(-1).hash, 1084519789u);
  EXPECT_EQ(Hash(-1).hash_revision, Revision(-1));
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
