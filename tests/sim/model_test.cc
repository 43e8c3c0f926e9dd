#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "sim/model/store.h"
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
  ASSERT_EQ(model.ChangesAt(5, "b", "z").size(), 1u);
  EXPECT_EQ(model.ChangesAt(5, "b", "z")[0].kv.key, "b");
  EXPECT_TRUE(model.ChangesAt(5, "c", "").empty());
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

TEST(Model, TellsWhichLeasesChanged) {
  Model model;
  model.Apply(Grant(7));
  model.Apply(Grant(8));
  model.Apply(Put("a", "v"));
  EXPECT_EQ(model.lease_changes(), (std::vector<int64_t>{7, 8})) << "a put without a lease";
  model.Apply(PutWithLease("a", 7));
  model.Apply(PutWithLease("a", 8));
  EXPECT_EQ(model.lease_changes(), (std::vector<int64_t>{7, 8, 7, 7, 8}))
      << "from one to the other";
  model.Apply(Revoke(8));
  EXPECT_EQ(model.lease_changes(), (std::vector<int64_t>{7, 8, 7, 7, 8, 8, 8})) << "key and lease";
  EXPECT_TRUE(model.Apply(Revoke(8)).refused);
  EXPECT_EQ(model.lease_changes().size(), 7u);
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

// A transaction with a transaction inside: {put a; txn if a is not there {put b} else {get a}}.
Request NestedTxn() {
  Request txn;
  txn.shape = Request::Shape::kTxn;
  Operation put = Put("a", "1").success[0];
  Operation inner;
  inner.kind = Operation::Kind::kTxn;
  Comparison absent;
  absent.key = "a";
  inner.compare.push_back(absent);
  inner.success.push_back(Put("b", "2").success[0]);
  inner.failure.push_back(Get("a").success[0]);
  txn.success = {put, inner};
  return txn;
}

TEST(Model, ANestedTransactionComparesWithTheStateBeforeTheWholeOne) {
  Model model;
  const Result first = model.Apply(NestedTxn());
  EXPECT_EQ(first.revision, 2) << "one revision for all of it";
  ASSERT_EQ(first.operations.size(), 2u);
  EXPECT_TRUE(first.operations[1].succeeded) << "a was not there when it began";
  EXPECT_EQ(model.Apply(Get("b")).operations[0].kvs[0], (KeyValue{"b", "2", 2, 2, 1}));
  const Result second = model.Apply(NestedTxn());
  EXPECT_FALSE(second.operations[1].succeeded);
  ASSERT_EQ(second.operations[1].operations.size(), 1u);
  EXPECT_EQ(second.operations[1].operations[0].kvs[0], (KeyValue{"a", "1", 2, 3, 2}))
      << "but it reads what was written before it";
}

TEST(Model, APutInsideANestedTransactionIsRefusedWithTheWholeOne) {
  Model model;
  Request txn = NestedTxn();
  txn.success[1].success[0].lease = 7;
  EXPECT_TRUE(model.Apply(txn).refused);
  EXPECT_EQ(model.Apply(Get("a")).operations[0].count, 0);
}

TEST(Model, ComparesLeasesAndRanges) {
  Model model;
  model.Apply(Grant(7));
  model.Apply(PutWithLease("a1", 7));
  Request txn;
  txn.shape = Request::Shape::kTxn;
  txn.compare.resize(1);
  txn.compare[0].key = "a";
  txn.compare[0].range_end = "b";
  txn.compare[0].target = Comparison::Target::kLease;
  txn.compare[0].number = 7;
  EXPECT_TRUE(model.Apply(txn).succeeded);
  model.Apply(Put("a2", "y"));
  EXPECT_FALSE(model.Apply(txn).succeeded) << "one of them has no lease";
  txn.compare[0].key = "c";
  txn.compare[0].range_end = "d";
  txn.compare[0].number = 0;
  EXPECT_TRUE(model.Apply(txn).succeeded) << "no key is as one without a lease";
  txn.compare[0].target = Comparison::Target::kValue;
  EXPECT_FALSE(model.Apply(txn).succeeded);
}

TEST(Model, SortsAndFiltersBeforeItCutsAndCountsAll) {
  Model model;
  model.Apply(Put("a", "2"));  // 2
  model.Apply(Put("b", "1"));  // 3
  model.Apply(Put("c", "1"));  // 4
  model.Apply(Put("b", "1"));  // 5
  Request get = Get("a", "z");
  Operation& range = get.success[0];
  const auto keys = [&] {
    std::string out;
    const Result result = model.Apply(get);
    for (const KeyValue& kv : result.operations[0].kvs) out += kv.key;
    return out;
  };
  range.order = Operation::Order::kDescend;
  EXPECT_EQ(keys(), "cba");
  range.sort_by = Operation::SortBy::kValue;
  EXPECT_EQ(keys(), "abc") << "equal ones by their keys, ascending";
  range.order = Operation::Order::kAscend;
  EXPECT_EQ(keys(), "bca");
  range.sort_by = Operation::SortBy::kModRevision;
  EXPECT_EQ(keys(), "acb");
  range.limit = 2;
  EXPECT_EQ(keys(), "ac");
  EXPECT_TRUE(model.Apply(get).operations[0].more);
  range.min_mod_revision = 4;
  EXPECT_EQ(keys(), "cb");
  EXPECT_FALSE(model.Apply(get).operations[0].more);
  range.max_create_revision = 3;
  EXPECT_EQ(keys(), "b");
  EXPECT_EQ(model.Apply(get).operations[0].count, 3) << "whatever is filtered";
}

TEST(Wire, NestedTransactionsComparisonsAndSortsComeBackFromTheLog) {
  Request txn = NestedTxn();
  txn.success[1].compare[0].target = Comparison::Target::kLease;
  txn.success[1].compare[0].number = 9;
  txn.success[1].compare[0].range_end = "b";
  Operation& range = txn.success[1].failure[0];
  range.order = Operation::Order::kDescend;
  range.sort_by = Operation::SortBy::kCreateRevision;
  range.min_mod_revision = 2;
  range.max_mod_revision = 3;
  range.min_create_revision = 4;
  range.max_create_revision = 5;
  const Bytes body = EncodeRequest(txn);
  ASSERT_LT(body.size(), 128u);
  std::string command = "\x32";
  command.push_back(static_cast<char>(body.size()));
  command.append(body.data(), body.size());
  const auto decoded = DecodeCommand(command);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  ASSERT_TRUE(decoded->has_value());
  EXPECT_EQ(**decoded, txn);
  EXPECT_EQ((*decoded)->Fingerprint(), txn.Fingerprint());
}

}  // namespace
}  // namespace quorate::sim
