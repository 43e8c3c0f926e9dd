// The hand-written decoders and checks against Protobuf's generated classes and etcd's
// texts.
#include "engine/mvcc/requests.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "api/rpc.pb.h"
#include "base/prng.h"
#include "gtest/gtest.h"

namespace quorate::mvcc {
namespace {

using ProtoTxn = etcdserverpb::TxnRequest;

TxnRequest DecodedTxn(const std::string& bytes) {
  TxnRequest txn;
  EXPECT_TRUE(Decode(bytes, &txn).ok());
  return txn;
}

absl::Status Check(const ProtoTxn& request, size_t max_ops = 128) {
  const std::string bytes = request.SerializeAsString();
  return Validate(DecodedTxn(bytes), max_ops);
}

etcdserverpb::PutRequest* AddPut(ProtoTxn* txn, const std::string& key) {
  auto* put = txn->add_success()->mutable_request_put();
  put->set_key(key);
  return put;
}

etcdserverpb::DeleteRangeRequest* AddDelete(ProtoTxn* txn, const std::string& key,
                                            const std::string& end = "") {
  auto* del = txn->add_success()->mutable_request_delete_range();
  del->set_key(key);
  del->set_range_end(end);
  return del;
}

constexpr char kDuplicate[] = "etcdserver: duplicate key given in txn request";

TEST(ValidateTxn, RefusesAKeyPutTwice) {
  ProtoTxn txn;
  AddPut(&txn, "a");
  AddPut(&txn, "b");
  EXPECT_TRUE(Check(txn).ok());
  AddPut(&txn, "a");
  EXPECT_EQ(Check(txn).message(), kDuplicate);
}

TEST(ValidateTxn, RefusesAPutInADeletedRange) {
  ProtoTxn txn;
  AddPut(&txn, "b");
  AddDelete(&txn, "a", "b");
  EXPECT_TRUE(Check(txn).ok());
  AddDelete(&txn, "a", "c");
  EXPECT_EQ(Check(txn).message(), kDuplicate);
}

// As etcd decides it, without any cleverness.
class Plain {
 public:
  static bool Sound(const ProtoTxn& txn) {
    Plain success;
    Plain failure;
    return success.Collect(txn.success()) && failure.Collect(txn.failure());
  }

 private:
  using Ops = google::protobuf::RepeatedPtrField<etcdserverpb::RequestOp>;

  bool Deletes(const std::string& key) const {
    return std::any_of(deletes_.begin(), deletes_.end(), [&key](const auto& del) {
      if (del.range_end().empty()) return key == del.key();
      return del.range_end() != std::string(1, '\0') && key >= del.key() && key < del.range_end();
    });
  }
  bool Collect(const Ops& ops) {
    for (const auto& op : ops) {
      if (op.has_request_delete_range()) deletes_.push_back(op.request_delete_range());
    }
    for (const auto& op : ops) {
      if (op.has_request_txn() && !AddChild(op.request_txn())) return false;
    }
    for (const auto& op : ops) {
      if (!op.has_request_put()) continue;
      const std::string& key = op.request_put().key();
      if (Deletes(key) || !puts_.insert(key).second) return false;
    }
    return true;
  }
  bool AddChild(const ProtoTxn& txn) {
    Plain then;
    Plain otherwise;
    if (!then.Collect(txn.success()) || !otherwise.Collect(txn.failure())) return false;
    const std::set<std::string> before = puts_;
    for (const Plain* child : {&then, &otherwise}) {
      for (const std::string& key : child->puts_) {
        if (Deletes(key) || before.contains(key)) return false;
        puts_.insert(key);
      }
    }
    for (const Plain* child : {&then, &otherwise}) {
      deletes_.insert(deletes_.end(), child->deletes_.begin(), child->deletes_.end());
    }
    return true;
  }

  std::set<std::string> puts_;
  std::vector<etcdserverpb::DeleteRangeRequest> deletes_;
};

void FillTxn(Prng* prng, int depth, ProtoTxn* txn) {
  // Keys that differ early, and those that have eight bytes and more in common, or are others'
  // heads.
  const bool alike = prng->Chance(1, 2);
  const auto key = [prng, alike] {
    if (!alike) {
      std::string k(1, static_cast<char>('a' + prng->Below(26)));
      if (prng->Chance(1, 2)) k.push_back(static_cast<char>('a' + prng->Below(4)));
      return k;
    }
    std::string k(absl::string_view("abcdefghi").substr(0, 7 + prng->Below(3)));
    constexpr char kTails[] = {'\0', '\1', 'a', 'b', '\xff'};
    for (uint64_t n = prng->Below(3); n > 0; --n) k.push_back(kTails[prng->Below(5)]);
    return k;
  };
  for (uint64_t n = prng->Below(4); n > 0; --n) {
    auto* op = prng->Chance(1, 2) ? txn->add_success() : txn->add_failure();
    const uint64_t kind = prng->Below(depth > 0 ? 5 : 3);
    if (kind < 2) {
      op->mutable_request_put()->set_key(key());
    } else if (kind == 2) {
      op->mutable_request_delete_range()->set_key(key());
      if (prng->Chance(1, 2)) op->mutable_request_delete_range()->set_range_end(key());
      if (prng->Chance(1, 9)) {
        op->mutable_request_delete_range()->set_range_end(std::string(1, '\0'));
      }
    } else {
      FillTxn(prng, depth - 1, op->mutable_request_txn());
    }
  }
}

TEST(ValidateTxn, FindsDuplicatesAsComparingEverythingWould) {
  Prng prng(31);
  int sound = 0;
  int unsound = 0;
  for (int i = 0; i < 20'000; ++i) {
    ProtoTxn txn;
    FillTxn(&prng, 4, &txn);
    const bool expected = Plain::Sound(txn);
    ASSERT_EQ(Check(txn).ok(), expected) << txn.DebugString();
    ++(expected ? sound : unsound);
  }
  EXPECT_GT(sound, 2000);
  EXPECT_GT(unsound, 500);
}

// Nested transactions may come to very many operations within the limit of each list.
TEST(ValidateTxn, ATransactionHasABoundedNumberOfOperationsInAll) {
  ProtoTxn txn;
  for (int i = 0; i < 40; ++i) {
    auto* nested = txn.add_success()->mutable_request_txn();
    for (int j = 0; j < 40; ++j) {
      auto* innermost = nested->add_success()->mutable_request_txn();
      for (int k = 0; k < 6; ++k) innermost->add_success()->mutable_request_range()->set_key("a");
    }
  }
  const std::string bytes = txn.SerializeAsString();
  TxnRequest decoded;
  EXPECT_EQ(Decode(bytes, &decoded, MaxProposedTxnOps(128)).message(),
            "etcdserver: too many operations in txn request");
  EXPECT_TRUE(Decode(bytes, &decoded, MaxProposedTxnOps(10'000)).ok());
  // What is in the log, since another member let it in, is applied.
  EXPECT_TRUE(Decode(bytes, &decoded).ok());
}

TEST(ValidateTxn, TheTwoListsOfANestedTransactionMayShareKeys) {
  ProtoTxn txn;
  auto* nested = txn.add_success()->mutable_request_txn();
  nested->add_success()->mutable_request_put()->set_key("a");
  nested->add_failure()->mutable_request_put()->set_key("a");
  EXPECT_TRUE(Check(txn).ok());
  AddPut(&txn, "a");
  EXPECT_EQ(Check(txn).message(), kDuplicate);
}

TEST(ValidateTxn, NestedTransactionsShareTheBudgetOfOperations) {
  ProtoTxn txn;
  auto* nested = txn.add_success()->mutable_request_txn();
  for (int i = 0; i < 7; ++i) {
    nested->add_success()->mutable_request_range()->set_key("a");
  }
  EXPECT_TRUE(Check(txn, 8).ok());
  nested->add_success()->mutable_request_range()->set_key("a");
  EXPECT_EQ(Check(txn, 8).message(), "etcdserver: too many operations in txn request");
}

TEST(ValidateTxn, RefusesEmptyOperationsAndKeys) {
  ProtoTxn txn;
  txn.add_failure();
  EXPECT_EQ(Check(txn).message(), "etcdserver: key not found");
  ProtoTxn other;
  other.add_compare();
  EXPECT_EQ(Check(other).message(), "etcdserver: key is not provided");
}

TEST(ValidatePut, RefusesContradictions) {
  PutRequest put;
  EXPECT_EQ(Validate(put).message(), "etcdserver: key is not provided");
  put.key = "a";
  put.value = "v";
  put.ignore_value = true;
  EXPECT_EQ(Validate(put).message(), "etcdserver: value is provided");
  put.value = "";
  put.lease = LeaseId(7);
  put.ignore_lease = true;
  EXPECT_EQ(Validate(put).message(), "etcdserver: lease is provided");
}

TEST(ValidateRange, RefusesUnknownSortOptions) {
  RangeRequest range;
  range.key = "a";
  range.sort_target = 5;
  EXPECT_EQ(Validate(range).message(), "etcdserver: invalid sort option");
}

// One length-delimited field.
std::string Field(char tag, const std::string& body) {
  std::string out(1, tag);
  size_t n = body.size();
  for (; n >= 0x80; n >>= 7) out.push_back(static_cast<char>((n & 0x7f) | 0x80));
  out.push_back(static_cast<char>(n));
  return out + body;
}

TEST(Decode, DeeplyNestedTransactionsAreRefusedNotFollowed) {
  std::string bytes;
  for (int i = 0; i < 100; ++i) bytes = Field('\x12', Field('\x22', bytes));
  TxnRequest shallow;
  EXPECT_TRUE(Decode(bytes, &shallow).ok());
  for (int i = 0; i < 300; ++i) bytes = Field('\x12', Field('\x22', bytes));
  TxnRequest deep;
  EXPECT_EQ(Decode(bytes, &deep).message(), "etcdserver: too many operations in txn request");
}

// Valid messages with random damage: what is accepted is what Protobuf reads.
TEST(Decode, AgreesWithProtobufOnDamagedInput) {
  Prng prng(11);
  int accepted = 0;
  int stricter = 0;
  for (int i = 0; i < 20000; ++i) {
    etcdserverpb::RangeRequest proto;
    proto.set_key(std::string(prng.Below(4), 'k'));
    proto.set_range_end(std::string(prng.Below(3), 'z'));
    proto.set_limit(prng.Between(-3, 300));
    proto.set_revision(static_cast<int64_t>(prng.Next()));
    proto.set_keys_only(prng.Chance(1, 2));
    proto.set_max_create_revision(prng.Between(0, 1 << 20));
    std::string bytes = proto.SerializeAsString();
    const uint64_t damage = prng.Below(4);
    for (uint64_t d = 0; d < damage && !bytes.empty(); ++d) {
      const uint64_t at = prng.Below(bytes.size());
      if (prng.Chance(1, 4)) {
        bytes.resize(at);
      } else {
        bytes[at] = static_cast<char>(prng.Next());
      }
    }
    etcdserverpb::RangeRequest expected;
    const bool valid = expected.ParseFromString(bytes);
    RangeRequest decoded;
    const bool ok = Decode(bytes, &decoded).ok();
    // Protobuf's C++ library cuts numbers that are too long for a varint or a tag; its
    // Go library refuses them, and so do we.
    ASSERT_TRUE(valid || !ok) << testing::PrintToString(bytes);
    if (valid && !ok) ++stricter;
    if (!ok || !valid) continue;
    ++accepted;
    EXPECT_EQ(decoded.key, absl::string_view(expected.key()));
    EXPECT_EQ(decoded.range_end, absl::string_view(expected.range_end()));
    EXPECT_EQ(decoded.limit, expected.limit());
    EXPECT_EQ(decoded.revision.value(), expected.revision());
    EXPECT_EQ(decoded.sort_order, static_cast<int32_t>(expected.sort_order()));
    EXPECT_EQ(decoded.keys_only, expected.keys_only());
    EXPECT_EQ(decoded.count_only, expected.count_only());
    EXPECT_EQ(decoded.max_create_revision.value(), expected.max_create_revision());
  }
  EXPECT_GT(accepted, 5000);
  EXPECT_LT(stricter, 500);
}

}  // namespace
}  // namespace quorate::mvcc
