#include "sim/model.h"

#include <gtest/gtest.h>

#include <string>

#include "sim/oracle/search.h"
#include "sim/wire.h"

namespace quorate::sim {
namespace {

Request Put(const std::string& key, const std::string& value) {
  Request request;
  request.shape = Request::Shape::kPut;
  Operation operation;
  operation.kind = Operation::Kind::kPut;
  operation.key = key;
  operation.value = value;
  request.success.push_back(operation);
  return request;
}

Request Get(const std::string& key, const std::string& end = "") {
  Request request;
  Operation operation;
  operation.key = key;
  operation.range_end = end;
  request.success.push_back(operation);
  return request;
}

Request Delete(const std::string& key, const std::string& end = "") {
  Request request;
  request.shape = Request::Shape::kDelete;
  Operation operation;
  operation.kind = Operation::Kind::kDelete;
  operation.key = key;
  operation.range_end = end;
  request.success.push_back(operation);
  return request;
}

TEST(Model, AnEmptyStoreIsAtRevisionOneAndEachChangeMakesOneMore) {
  Model model;
  EXPECT_EQ(model.revision(), 1);
  EXPECT_EQ(model.Apply(Put("a", "1")).revision, 2);
  EXPECT_EQ(model.Apply(Get("a")).revision, 2);
  EXPECT_EQ(model.Apply(Delete("b")).revision, 2) << "deleting nothing changes nothing";
  EXPECT_EQ(model.Apply(Delete("a")).revision, 3);
}

TEST(Model, AKeyCountsItsVersionsFromItsCreationOn) {
  Model model;
  model.Apply(Put("a", "1"));
  model.Apply(Put("a", "2"));
  const Result result = model.Apply(Get("a"));
  ASSERT_EQ(result.operations[0].kvs.size(), 1u);
  EXPECT_EQ(result.operations[0].kvs[0], (KeyValue{"a", "2", 2, 3, 2}));
  model.Apply(Delete("a"));
  model.Apply(Put("a", "3"));
  EXPECT_EQ(model.Apply(Get("a")).operations[0].kvs[0], (KeyValue{"a", "3", 5, 5, 1}));
}

TEST(Model, AReadInThePastSeesThePast) {
  Model model;
  model.Apply(Put("a", "1"));
  model.Apply(Put("a", "2"));
  Request past = Get("a");
  past.success[0].revision = 2;
  EXPECT_EQ(model.Apply(past).operations[0].kvs[0].value, "1");
  EXPECT_EQ(model.ReadAt(Get("a"), 2).operations[0].kvs[0].value, "1");
  past.success[0].revision = 9;
  EXPECT_TRUE(model.Apply(past).refused);
}

TEST(Model, RangesAreHalfOpenAndAZeroByteMeansTheRest) {
  Model model;
  for (const char* key : {"a", "b", "c"}) model.Apply(Put(key, key));
  EXPECT_EQ(model.Apply(Get("a", "c")).operations[0].count, 2);
  EXPECT_EQ(model.Apply(Get("b", std::string("\0", 1))).operations[0].count, 2);
  EXPECT_EQ(model.Apply(Delete("a", "c")).operations[0].count, 2);
  EXPECT_EQ(model.ChangesAt(5).size(), 2u) << "one revision for both";
}

TEST(Model, ALimitCutsButDoesNotHideTheCount) {
  Model model;
  for (const char* key : {"a", "b", "c"}) model.Apply(Put(key, key));
  Request limited = Get("a", "z");
  limited.success[0].limit = 2;
  const OperationResult result = model.Apply(limited).operations[0];
  EXPECT_EQ(result.kvs.size(), 2u);
  EXPECT_EQ(result.count, 3);
  EXPECT_TRUE(result.more);
}

TEST(Model, ATransactionTakesOneBranchAndReadsItsOwnWrites) {
  Model model;
  model.Apply(Put("a", "1"));
  Request txn;
  txn.shape = Request::Shape::kTxn;
  Comparison comparison;
  comparison.key = "a";
  comparison.target = Comparison::Target::kValue;
  comparison.value = "1";
  txn.compare = {comparison};
  txn.success = {Put("a", "2").success[0], Put("b", "3").success[0], Get("a", "c").success[0]};
  txn.failure = {Get("a").success[0]};
  Result result = model.Apply(txn);
  EXPECT_TRUE(result.succeeded);
  EXPECT_EQ(result.revision, 3);
  ASSERT_EQ(result.operations[2].kvs.size(), 2u);
  EXPECT_EQ(result.operations[2].kvs[0].value, "2");
  EXPECT_EQ(result.operations[2].kvs[1].mod_revision, 3);
  result = model.Apply(txn);
  EXPECT_FALSE(result.succeeded);
  EXPECT_EQ(result.revision, 3);
  EXPECT_EQ(result.operations[0].kvs[0].value, "2");
}

TEST(Model, AMissingKeyHasVersionZeroAndNoValueAtAll) {
  Model model;
  Request txn;
  txn.shape = Request::Shape::kTxn;
  Comparison comparison;
  comparison.key = "a";
  txn.compare = {comparison};  // version = 0
  EXPECT_TRUE(model.Apply(txn).succeeded);
  txn.compare[0].target = Comparison::Target::kValue;
  txn.compare[0].relation = Comparison::Relation::kNotEqual;
  txn.compare[0].value = "x";
  EXPECT_FALSE(model.Apply(txn).succeeded);
}

Request Grant(int64_t lease) {
  Request request;
  request.shape = Request::Shape::kGrant;
  request.lease = lease;
  request.ttl = 5;
  return request;
}

Request Revoke(int64_t lease) {
  Request request;
  request.shape = Request::Shape::kRevoke;
  request.lease = lease;
  return request;
}

Request PutWithLease(const std::string& key, int64_t lease) {
  Request request = Put(key, "v");
  request.success[0].lease = lease;
  return request;
}

TEST(Model, ARevokedLeaseTakesItsKeysInOneRevision) {
  Model model;
  EXPECT_TRUE(model.Apply(PutWithLease("a", 7)).refused);
  EXPECT_FALSE(model.Apply(Grant(7)).refused);
  EXPECT_TRUE(model.Apply(Grant(7)).refused);
  EXPECT_EQ(model.revision(), 1);
  for (const char* key : {"c", "a", "b"}) model.Apply(PutWithLease(key, 7));
  EXPECT_EQ(model.Apply(Get("a")).operations[0].kvs[0].lease, 7);
  model.Apply(Put("b", "free"));
  EXPECT_EQ(model.Apply(Revoke(7)).revision, 6);
  ASSERT_EQ(model.ChangesAt(6).size(), 2u);
  EXPECT_EQ(model.ChangesAt(6)[0].kv.key, "a");
  EXPECT_EQ(model.ChangesAt(6)[1].kv.key, "c");
  EXPECT_EQ(model.Apply(Get("b")).operations[0].count, 1);
  EXPECT_TRUE(model.Apply(Revoke(7)).refused);
}

TEST(Model, IgnoreLeaseKeepsWhatWasThere) {
  Model model;
  model.Apply(Grant(7));
  Request put = Put("a", "1");
  put.success[0].ignore_lease = true;
  EXPECT_TRUE(model.Apply(put).refused);
  model.Apply(PutWithLease("a", 7));
  EXPECT_FALSE(model.Apply(put).refused);
  EXPECT_EQ(model.leases().at(7).keys.count("a"), 1u);
}

TEST(Wire, RequestsKeepTheirMeaning) {
  Request txn;
  txn.shape = Request::Shape::kTxn;
  Comparison comparison;
  comparison.key = "a";
  comparison.target = Comparison::Target::kModRevision;
  comparison.relation = Comparison::Relation::kLess;
  comparison.number = 17;
  txn.compare = {comparison};
  txn.success = {Put("a", "2").success[0], Delete("b", "c").success[0]};
  txn.failure = {Get("a").success[0]};
  // An InternalRaftRequest with the transaction in field 6.
  const Bytes body = EncodeRequest(txn);
  std::string command = "\x32";
  command.push_back(static_cast<char>(body.size()));
  command.append(body.data(), body.size());
  const auto decoded = DecodeCommand(command);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  ASSERT_TRUE(decoded->has_value());
  EXPECT_EQ(**decoded, txn);
  EXPECT_EQ((*decoded)->Fingerprint(), txn.Fingerprint());
  EXPECT_FALSE(DecodeCommand("\x32\xff").ok());
}

}  // namespace
}  // namespace quorate::sim
