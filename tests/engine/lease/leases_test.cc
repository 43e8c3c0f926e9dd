// Which leases exist and which keys are attached to them.
#include "engine/lease/leases.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "engine/lease/errors.h"
#include "engine/mvcc/errors.h"
#include "engine/mvcc/store.h"

namespace quorate::lease {
namespace {

using Keys = std::vector<std::string>;

constexpr LeaseId kOne{1};
constexpr LeaseId kTwo{2};

TEST(Leases, GrantRefusesWhatEtcdRefuses) {
  Leases leases;
  EXPECT_EQ(leases.Grant(LeaseId(0), 5), mvcc::LeaseNotFoundError());
  EXPECT_EQ(leases.Grant(LeaseId(0), kMaxTtl + 1), mvcc::LeaseNotFoundError());
  EXPECT_EQ(leases.Grant(kOne, kMaxTtl + 1), TtlTooLargeError());
  EXPECT_TRUE(leases.Grant(kOne, kMaxTtl).ok());
  EXPECT_EQ(leases.Grant(kOne, 5), ExistsError());
  EXPECT_EQ(leases.Grant(kOne, kMaxTtl + 1), TtlTooLargeError());
  EXPECT_EQ(leases.Find(kOne)->ttl, kMaxTtl);
}

TEST(Leases, KeysOfALeaseAreInByteOrderAndApartFromOthers) {
  Leases leases;
  for (const int64_t id : {int64_t{-1}, int64_t{1}, int64_t{256}, int64_t{1} << 40,
                           std::numeric_limits<int64_t>::max()}) {
    ASSERT_TRUE(leases.Grant(LeaseId(id), 5).ok());
    for (const char* key : {"b", "a", "\xff", "ab", "c"}) {
      leases.Move(key + std::to_string(id), LeaseId(), LeaseId(id));
    }
  }
  EXPECT_EQ(leases.attachments(), 25u);
  EXPECT_EQ(leases.Keys(LeaseId(256)), (Keys{"a256", "ab256", "b256", "c256",
                                             "\xff"
                                             "256"}));
  EXPECT_EQ(leases.CountKeys(LeaseId(-1)), 5u);
  EXPECT_EQ(leases.CountKeys(LeaseId(std::numeric_limits<int64_t>::max())), 5u);
  EXPECT_EQ(leases.CountKeys(LeaseId(257)), 0u);
  EXPECT_EQ(leases.Keys(LeaseId(257)), Keys{});
}

// A store with leases behind it.
class AttachmentTest : public ::testing::Test {
 protected:
  AttachmentTest() {
    store_.set_leases(&leases_);
    EXPECT_TRUE(leases_.Grant(kOne, 5).ok());
    EXPECT_TRUE(leases_.Grant(kTwo, 5).ok());
  }
  void Put(const std::string& key, LeaseId lease) {
    mvcc::WriteTxn txn(&store_);
    txn.Put(key, "v", lease);
    txn.Commit();
  }
  void Delete(const std::string& key) {
    mvcc::WriteTxn txn(&store_);
    txn.DeleteRange(mvcc::KeyRange::FromRequest(key, ""));
    txn.Commit();
  }

  Leases leases_;
  mvcc::Store store_;
};

TEST_F(AttachmentTest, APutAttachesMovesAndDetaches) {
  Put("a", kOne);
  Put("b", kOne);
  EXPECT_EQ(leases_.Keys(kOne), (Keys{"a", "b"}));
  Put("a", kTwo);
  EXPECT_EQ(leases_.Keys(kOne), Keys{"b"});
  EXPECT_EQ(leases_.Keys(kTwo), Keys{"a"});
  Put("a", LeaseId());
  EXPECT_EQ(leases_.Keys(kTwo), Keys{});
  Put("b", kOne);
  EXPECT_EQ(leases_.Keys(kOne), Keys{"b"});
}

TEST_F(AttachmentTest, ADeletedKeyIsAttachedToNothing) {
  Put("a", kOne);
  Delete("a");
  EXPECT_FALSE(leases_.HasAttachments());
  Put("a", LeaseId());
  EXPECT_FALSE(leases_.HasAttachments());
}

TEST_F(AttachmentTest, WithinOneTransactionTheLastChangeCounts) {
  mvcc::WriteTxn txn(&store_);
  txn.Put("a", "1", kOne);
  txn.Put("a", "2", kTwo);
  txn.DeleteRange(mvcc::KeyRange::FromRequest("a", ""));
  txn.Put("a", "3", kOne);
  txn.Commit();
  EXPECT_EQ(leases_.Keys(kOne), Keys{"a"});
  EXPECT_EQ(leases_.Keys(kTwo), Keys{});
}

TEST_F(AttachmentTest, TheDigestTellsWhatEntriesDecide) {
  const uint64_t before = leases_.Digest(7);
  leases_.Checkpoint(kOne, 3);
  const uint64_t checkpointed = leases_.Digest(7);
  EXPECT_NE(checkpointed, before);
  Put("a", kOne);
  EXPECT_NE(leases_.Digest(7), checkpointed);
  Delete("a");
  EXPECT_EQ(leases_.Digest(7), checkpointed);
  leases_.Checkpoint(kOne, 0);
  EXPECT_EQ(leases_.Digest(7), before);
}

TEST_F(AttachmentTest, CheckpointsStayWithinWhatALeaseCanLast) {
  leases_.Checkpoint(kOne, std::numeric_limits<int64_t>::max());
  EXPECT_EQ(leases_.Find(kOne)->remaining, kMaxTtl);
  leases_.Checkpoint(kOne, std::numeric_limits<int64_t>::min());
  EXPECT_EQ(leases_.Find(kOne)->remaining, 0);
  leases_.Checkpoint(LeaseId(99), 5);
  EXPECT_EQ(leases_.Find(LeaseId(99)), nullptr);
}

}  // namespace
}  // namespace quorate::lease
