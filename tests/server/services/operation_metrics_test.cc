// What the metrics say after operations whose numbers are known: those of etcd 3.7.1 for the same
// ones (tests/clients/metrics.py asks it again).
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "api/rpc.pb.h"
#include "tests/server/support/test_cluster.h"

namespace quorate {
namespace {

using etcdserverpb::Compare;
using Samples = absl::btree_map<std::string, double>;

class OperationMetricsTest : public ::testing::Test {
 protected:
  OperationMetricsTest() : cluster_(1) {
    cluster_.StartAll();
    EXPECT_TRUE(cluster_.RunUntilReady());
  }

  // All samples of a scrape, by name and labels as they are printed.
  Samples Scrape() {
    const auto answer = cluster_.Get(1, "/metrics");
    EXPECT_TRUE(answer.ok()) << answer.status();
    Samples samples;
    if (!answer.ok()) return samples;
    for (const std::string& line : std::vector<std::string>(absl::StrSplit(answer->body, '\n'))) {
      const size_t space = line.rfind(' ');
      if (line.empty() || line[0] == '#' || space == std::string::npos) continue;
      EXPECT_TRUE(absl::SimpleAtod(line.substr(space + 1), &samples[line.substr(0, space)]));
    }
    return samples;
  }
  template <typename Request>
  absl::Status Do(const char* method, const Request& request) {
    return cluster_.Call(1, absl::StrCat("/etcdserverpb.", method), request.SerializeAsString())
        .status;
  }
  void Put(const std::string& key, bool prev_kv = false, int64_t lease = 0) {
    etcdserverpb::PutRequest request;
    request.set_key(key);
    request.set_value("value");
    request.set_prev_kv(prev_kv);
    request.set_lease(lease);
    ASSERT_TRUE(Do("KV/Put", request).ok());
  }
  void Range(const std::string& key) {
    etcdserverpb::RangeRequest request;
    request.set_key(key);
    ASSERT_TRUE(Do("KV/Range", request).ok());
  }
  void Delete(const std::string& key, const std::string& end = "", bool prev_kv = false) {
    etcdserverpb::DeleteRangeRequest request;
    request.set_key(key);
    request.set_range_end(end);
    request.set_prev_kv(prev_kv);
    ASSERT_TRUE(Do("KV/DeleteRange", request).ok());
  }
  // How much the store's counts grow by what is done: {ranges, puts, deletes, transactions}.
  template <typename Fn>
  std::vector<double> Counted(Fn&& operation) {
    const auto counts = [this] {
      Samples samples = Scrape();
      std::vector<double> values;
      for (const char* name : {"range", "put", "delete", "txn"}) {
        values.push_back(samples.at(absl::StrCat("etcd_mvcc_", name, "_total")));
      }
      return values;
    };
    const std::vector<double> before = counts();
    operation();
    std::vector<double> after = counts();
    for (size_t i = 0; i < after.size(); ++i) after[i] -= before[i];
    return after;
  }

  TestCluster cluster_;
};

using Counts = std::vector<double>;

TEST_F(OperationMetricsTest, SingleOperations) {
  EXPECT_EQ(Counted([&] { Put("a"); }), Counts({0, 1, 0, 0}));
  EXPECT_EQ(Counted([&] { Put("a", /*prev_kv=*/true); }), Counts({1, 1, 0, 1}));
  EXPECT_EQ(Counted([&] { Range("a"); }), Counts({1, 0, 0, 0}));
  EXPECT_EQ(Counted([&] { Range("nothing"); }), Counts({1, 0, 0, 0}));
  EXPECT_EQ(Counted([&] { Delete("nothing"); }), Counts({0, 0, 1, 0}));
  EXPECT_EQ(Counted([&] { Delete("a", "b", /*prev_kv=*/true); }), Counts({1, 0, 1, 1}));
  EXPECT_EQ(Scrape().at("etcd_debugging_mvcc_total_put_size_in_bytes"), 2 * 6);
  etcdserverpb::PutRequest missing;
  missing.set_key("nothing");
  missing.set_ignore_lease(true);
  EXPECT_EQ(Counted([&] { EXPECT_FALSE(Do("KV/Put", missing).ok()); }), Counts({1, 0, 0, 0}));
}

// A comparison is a range; what writes looks things up in a transaction of its own first.
TEST_F(OperationMetricsTest, Transactions) {
  const auto compare = [](etcdserverpb::TxnRequest* txn, const char* key) {
    Compare* one = txn->add_compare();
    one->set_key(key);
    one->set_target(Compare::VERSION);
    one->set_version(0);
  };
  etcdserverpb::TxnRequest guarded;
  compare(&guarded, "x");
  guarded.add_success()->mutable_request_put()->set_key("x");
  EXPECT_EQ(Counted([&] { ASSERT_TRUE(Do("KV/Txn", guarded).ok()); }), Counts({1, 1, 0, 0}));

  etcdserverpb::TxnRequest twice;
  compare(&twice, "y");
  compare(&twice, "z");
  twice.add_success()->mutable_request_put()->set_key("y");
  twice.add_success()->mutable_request_range()->set_key("y");
  EXPECT_EQ(Counted([&] { ASSERT_TRUE(Do("KV/Txn", twice).ok()); }), Counts({3, 1, 0, 2}));
  // The first comparison fails now: the second is not looked at, and nothing is done.
  EXPECT_EQ(Counted([&] { ASSERT_TRUE(Do("KV/Txn", twice).ok()); }), Counts({1, 0, 0, 0}));

  // Of a put that needs the value before, it is looked up twice.
  etcdserverpb::TxnRequest previous;
  previous.add_success()->mutable_request_put()->set_key("x");
  previous.mutable_success(0)->mutable_request_put()->set_prev_kv(true);
  EXPECT_EQ(Counted([&] { ASSERT_TRUE(Do("KV/Txn", previous).ok()); }), Counts({2, 1, 0, 1}));

  etcdserverpb::TxnRequest reads;
  reads.add_success()->mutable_request_range()->set_key("x");
  reads.add_success()->mutable_request_range()->set_key("y");
  EXPECT_EQ(Counted([&] { ASSERT_TRUE(Do("KV/Txn", reads).ok()); }), Counts({2, 0, 0, 1}));
}

TEST_F(OperationMetricsTest, KeysOfARevokedLeaseAreDeletes) {
  etcdserverpb::LeaseGrantRequest grant;
  grant.set_id(7);
  grant.set_ttl(100);
  ASSERT_TRUE(Do("Lease/LeaseGrant", grant).ok());
  for (const char* key : {"a", "b", "c"}) Put(key, false, 7);
  etcdserverpb::LeaseRevokeRequest revoke;
  revoke.set_id(7);
  EXPECT_EQ(Counted([&] { ASSERT_TRUE(Do("Lease/LeaseRevoke", revoke).ok()); }),
            Counts({0, 0, 3, 1}));
}

TEST_F(OperationMetricsTest, Compactions) {
  Samples before = Scrape();
  EXPECT_EQ(before.at("etcd_debugging_mvcc_db_compaction_last"), 0);
  const std::string histogram = "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds";
  EXPECT_EQ(before.at(histogram + "_count"), 0);
  for (int i = 0; i < 3; ++i) Put("a");  // revisions 2 to 4
  Delete("a");
  Put("b");
  etcdserverpb::CompactionRequest compaction;
  compaction.set_revision(6);
  compaction.set_physical(true);
  ASSERT_TRUE(Do("KV/Compact", compaction).ok());
  Samples after = Scrape();
  EXPECT_EQ(after.at("etcd_debugging_mvcc_db_compaction_keys_total"), 4);
  EXPECT_GT(after.at("etcd_debugging_mvcc_db_compaction_last"), 0);
  EXPECT_EQ(after.at(histogram + "_count"), 1);
  EXPECT_EQ(after.at(histogram + "_bucket{le=\"100\"}"), 1);
}

TEST_F(OperationMetricsTest, HashesAndDurations) {
  Put("a");
  etcdserverpb::HashKVRequest hash;
  ASSERT_TRUE(Do("Maintenance/HashKV", hash).ok());
  etcdserverpb::PutRequest refused;
  refused.set_key("a");
  refused.set_lease(12345);
  EXPECT_EQ(Do("KV/Put", refused).code(), absl::StatusCode::kNotFound);
  Range("a");
  Samples samples = Scrape();
  EXPECT_EQ(samples.at("etcd_mvcc_hash_rev_duration_seconds_count"), 1);
  const std::string applied = "etcd_server_apply_duration_seconds_count";
  EXPECT_EQ(samples.at(applied + "{op=\"Put\",success=\"true\",version=\"v3\"}"), 1);
  EXPECT_EQ(samples.at(applied + "{op=\"Put\",success=\"false\",version=\"v3\"}"), 1);
  EXPECT_EQ(samples.at(applied + "{op=\"ClusterMemberAttrSet\",success=\"true\",version=\"v3\"}"),
            1);
  const std::string answered = "etcd_server_request_duration_seconds_count";
  EXPECT_EQ(samples.at(answered + "{success=\"true\",type=\"Put\"}"), 1);
  EXPECT_EQ(samples.at(answered + "{success=\"false\",type=\"Put\"}"), 1);
  EXPECT_GE(samples.at(answered + "{success=\"true\",type=\"Range\"}"), 1);
  EXPECT_GE(samples.at("etcd_server_range_duration_seconds_count{success=\"true\"}"), 1);
}

TEST(RefusalsTest, OfPeersAreLoggedOnceAMinuteAndCounted) {
  TestCluster cluster(1);
  cluster.StartAll();
  ASSERT_TRUE(cluster.RunUntilReady());
  const auto lines = [&](const std::string& text) {
    size_t count = 0;
    for (const std::string& line : cluster.log(1)) count += line.find(text) != line.npos ? 1 : 0;
    return count;
  };
  for (int i = 0; i < 5; ++i) {
    http1::ClientRequest request;
    request.target = "/raft/stream/message/1";
    const auto answer = cluster.Http(TestCluster::PeerAddress(1), std::move(request));
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(answer->head.status, 412);
  }
  EXPECT_EQ(lines("rejected connection on peer endpoint"), 1u);
  cluster.world().RunFor(Seconds(61));
  EXPECT_EQ(lines("rejected connection on peer endpoint, again and again"), 1u);
  EXPECT_EQ(lines("\"not-logged\":4"), 1u);
}

}  // namespace
}  // namespace quorate
