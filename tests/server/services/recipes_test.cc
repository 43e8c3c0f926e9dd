// Lock, Election, RangeStream and the small calls of Maintenance, through simulated
// connections to whole servers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/election.pb.h"
#include "api/lock.pb.h"
#include "api/rpc.pb.h"
#include "server/grpc/channel.h"
#include "tests/server/support/test_cluster.h"

namespace quorate {
namespace {

template <typename Message>
Message Parse(const Bytes& bytes) {
  Message message;
  EXPECT_TRUE(message.ParseFromString(std::string(bytes.view())));
  return message;
}

// A unary call that may take its time.
class PendingCall {
 public:
  PendingCall(TestCluster* cluster, int member, const std::string& path, const std::string& request)
      : cluster_(cluster) {
    channel_ = cluster->channel(member);
    cluster->client_host().Run([this, path, request] {
      id_ = channel_->Unary(path, Bytes::Copy(request), {}, [this](grpc::Result answer) {
        result = std::move(answer);
        done = true;
      });
    });
  }
  bool Wait() {
    return cluster_->world().RunUntil([this] { return done; });
  }
  void Cancel() {
    cluster_->client_host().Run([this] { channel_->Cancel(id_); });
  }

  bool done = false;
  grpc::Result result;

 private:
  TestCluster* const cluster_;
  grpc::Channel* channel_ = nullptr;
  uint64_t id_ = 0;
};

// A stream of answers to one request.
class AnswerStream final : private grpc::ClientStreamHandler {
 public:
  AnswerStream(TestCluster* cluster, int member, const std::string& path,
               const std::string& request) {
    grpc::Channel* const channel = cluster->channel(member);
    cluster->client_host().Run([this, channel, path, request] {
      stream_ = channel->Stream(path, {}, this);
      stream_->Send(Bytes::Copy(request));
      stream_->HalfClose();
    });
  }
  std::vector<Bytes> messages;
  bool finished = false;
  absl::Status status;

 private:
  void OnMessage(Bytes message) override { messages.push_back(std::move(message)); }
  void OnFinish(const absl::Status& why) override {
    finished = true;
    status = why;
  }
  std::unique_ptr<grpc::ClientStream> stream_;
};

class RecipesTest : public ::testing::Test {
 protected:
  RecipesTest() : cluster_(3) {
    cluster_.StartAll();
    EXPECT_TRUE(cluster_.RunUntilReady());
  }

  template <typename Response, typename Request>
  Response Call(const std::string& path, const Request& request) {
    const grpc::Result result = cluster_.Call(1, path, request.SerializeAsString());
    EXPECT_TRUE(result.status.ok()) << path << ": " << result.status;
    return Parse<Response>(result.message);
  }
  int64_t Grant(int64_t seconds) {
    etcdserverpb::LeaseGrantRequest request;
    request.set_ttl(seconds);
    return Call<etcdserverpb::LeaseGrantResponse>("/etcdserverpb.Lease/LeaseGrant", request).id();
  }
  void Revoke(int64_t lease) {
    etcdserverpb::LeaseRevokeRequest request;
    request.set_id(lease);
    Call<etcdserverpb::LeaseRevokeResponse>("/etcdserverpb.Lease/LeaseRevoke", request);
  }
  static std::string LockRequest(const std::string& name, int64_t lease) {
    v3lockpb::LockRequest request;
    request.set_name(name);
    request.set_lease(lease);
    return request.SerializeAsString();
  }
  static std::string Campaign(const std::string& name, int64_t lease, const std::string& value) {
    v3electionpb::CampaignRequest request;
    request.set_name(name);
    request.set_lease(lease);
    request.set_value(value);
    return request.SerializeAsString();
  }
  etcdserverpb::RangeResponse Prefix(const std::string& from, const std::string& end) {
    etcdserverpb::RangeRequest request;
    request.set_key(from);
    request.set_range_end(end);
    return Call<etcdserverpb::RangeResponse>("/etcdserverpb.KV/Range", request);
  }
  void Put(const std::string& key, const std::string& value) {
    etcdserverpb::PutRequest request;
    request.set_key(key);
    request.set_value(value);
    Call<etcdserverpb::PutResponse>("/etcdserverpb.KV/Put", request);
  }

  TestCluster cluster_;
};

constexpr char kLock[] = "/v3lockpb.Lock/Lock";
constexpr char kUnlock[] = "/v3lockpb.Lock/Unlock";
constexpr char kElection[] = "/v3electionpb.Election/";

TEST_F(RecipesTest, ALockPassesFromOwnerToOwnerInOrder) {
  const int64_t first = Grant(100);
  const int64_t second = Grant(100);
  PendingCall a(&cluster_, 1, kLock, LockRequest("my", first));
  ASSERT_TRUE(a.Wait());
  const std::string key = Parse<v3lockpb::LockResponse>(a.result.message).key();
  EXPECT_EQ(key, absl::StrCat("my/", absl::Hex(first))) << "as the concurrency package names it";
  PendingCall b(&cluster_, 2, kLock, LockRequest("my", second));
  PendingCall c(&cluster_, 3, kLock, LockRequest("my", 0));
  cluster_.world().RunFor(Seconds(10));
  EXPECT_FALSE(b.done || c.done);
  v3lockpb::UnlockRequest unlock;
  unlock.set_key(key);
  Call<v3lockpb::UnlockResponse>(kUnlock, unlock);
  ASSERT_TRUE(cluster_.world().RunUntil([&] { return b.done || c.done; }));
  cluster_.world().RunFor(Seconds(10));
  EXPECT_NE(b.done, c.done) << "one owner at a time";
  const PendingCall& held = b.done ? b : c;
  unlock.set_key(Parse<v3lockpb::LockResponse>(held.result.message).key());
  Call<v3lockpb::UnlockResponse>(kUnlock, unlock);
  ASSERT_TRUE(b.Wait() && c.Wait());
}

TEST_F(RecipesTest, ALockGoesWithItsLease) {
  const int64_t first = Grant(100);
  PendingCall a(&cluster_, 1, kLock, LockRequest("my", first));
  ASSERT_TRUE(a.Wait());
  PendingCall b(&cluster_, 2, kLock, LockRequest("my", 0));
  cluster_.world().RunFor(Seconds(1));
  EXPECT_FALSE(b.done);
  Revoke(first);
  EXPECT_TRUE(b.Wait());
}

TEST_F(RecipesTest, AskingAgainForAHeldLockIsNoWait) {
  const int64_t lease = Grant(100);
  PendingCall a(&cluster_, 1, kLock, LockRequest("my", lease));
  ASSERT_TRUE(a.Wait());
  PendingCall again(&cluster_, 2, kLock, LockRequest("my", lease));
  ASSERT_TRUE(again.Wait());
  EXPECT_EQ(Parse<v3lockpb::LockResponse>(again.result.message).key(),
            Parse<v3lockpb::LockResponse>(a.result.message).key());
}

TEST_F(RecipesTest, WhoGivesUpLeavesTheQueue) {
  PendingCall a(&cluster_, 1, kLock, LockRequest("my", Grant(100)));
  ASSERT_TRUE(a.Wait());
  PendingCall b(&cluster_, 2, kLock, LockRequest("my", Grant(100)));
  cluster_.world().RunFor(Seconds(1));
  EXPECT_EQ(Prefix("my/", "my0").kvs_size(), 2);
  b.Cancel();
  EXPECT_TRUE(cluster_.world().RunUntil([&] { return Prefix("my/", "my0").kvs_size() == 1; }));
}

TEST_F(RecipesTest, AWaitersLeaseIsKeptAlive) {
  const int64_t lease = Grant(5);
  PendingCall a(&cluster_, 1, kLock, LockRequest("my", Grant(1000)));
  ASSERT_TRUE(a.Wait());
  PendingCall b(&cluster_, 2, kLock, LockRequest("my", lease));
  cluster_.world().RunFor(Seconds(60));
  EXPECT_FALSE(b.done);
  EXPECT_EQ(Prefix("my/", "my0").kvs_size(), 2) << "twelve times its life";
}

TEST_F(RecipesTest, ALockNeedsALivingLease) {
  const grpc::Result gone = cluster_.Call(1, kLock, LockRequest("my", 4711));
  EXPECT_EQ(gone.status, absl::UnknownError("etcdserver: requested lease not found"));
}

TEST_F(RecipesTest, AnElectionFromCampaignToResignation) {
  const std::string service = kElection;
  PendingCall a(&cluster_, 1, service + "Campaign", Campaign("job", Grant(100), "A"));
  ASSERT_TRUE(a.Wait());
  const auto won = Parse<v3electionpb::CampaignResponse>(a.result.message).leader();
  EXPECT_EQ(won.name(), "job");
  PendingCall b(&cluster_, 2, service + "Campaign", Campaign("job", Grant(100), "B"));
  v3electionpb::LeaderRequest name;
  name.set_name("job");
  AnswerStream observed(&cluster_, 3, service + "Observe", name.SerializeAsString());
  ASSERT_TRUE(cluster_.world().RunUntil([&] { return observed.messages.size() == 1; }));
  EXPECT_EQ(Call<v3electionpb::LeaderResponse>(service + "Leader", name).kv().value(), "A");
  v3electionpb::ProclaimRequest proclaim;
  *proclaim.mutable_leader() = won;
  proclaim.set_value("A2");
  Call<v3electionpb::ProclaimResponse>(service + "Proclaim", proclaim);
  ASSERT_TRUE(cluster_.world().RunUntil([&] { return observed.messages.size() == 2; }));
  EXPECT_FALSE(b.done);
  v3electionpb::ResignRequest resign;
  *resign.mutable_leader() = won;
  Call<v3electionpb::ResignResponse>(service + "Resign", resign);
  ASSERT_TRUE(b.Wait());
  ASSERT_TRUE(cluster_.world().RunUntil([&] { return observed.messages.size() == 3; }));
  std::vector<std::string> values;
  for (const Bytes& message : observed.messages) {
    values.push_back(Parse<v3electionpb::LeaderResponse>(message).kv().value());
  }
  EXPECT_THAT(values, ::testing::ElementsAre("A", "A2", "B"));
  // Somebody who leads no more proclaims nothing.
  const grpc::Result late = cluster_.Call(1, service + "Proclaim", proclaim.SerializeAsString());
  EXPECT_EQ(late.status, absl::UnknownError("election: not leader"));
  EXPECT_EQ(Call<v3electionpb::LeaderResponse>(service + "Leader", name).kv().value(), "B");
}

TEST_F(RecipesTest, ElectionsWithoutALeader) {
  const std::string service = kElection;
  v3electionpb::LeaderRequest name;
  name.set_name("job");
  EXPECT_EQ(cluster_.Call(1, service + "Leader", name.SerializeAsString()).status,
            absl::UnknownError("election: no leader"));
  EXPECT_EQ(cluster_.Call(1, service + "Resign", "").status,
            absl::UnknownError("\"leader\" field must be provided"));
  AnswerStream observed(&cluster_, 3, service + "Observe", name.SerializeAsString());
  cluster_.world().RunFor(Seconds(5));
  EXPECT_TRUE(observed.messages.empty());
  PendingCall a(&cluster_, 1, service + "Campaign", Campaign("job", 0, "first"));
  ASSERT_TRUE(a.Wait());
  ASSERT_TRUE(cluster_.world().RunUntil([&] { return observed.messages.size() == 1; }));
}

TEST_F(RecipesTest, ARangeInPiecesIsOneRangeAtOneRevision) {
  const std::string value(10'000, 'v');
  for (int i = 0; i < 300; ++i) Put(absl::StrCat("k", 1000 + i), value);
  etcdserverpb::RangeRequest request;
  request.set_key("k");
  request.set_range_end("l");
  AnswerStream stream(&cluster_, 2, "/etcdserverpb.KV/RangeStream", request.SerializeAsString());
  Put("k0", "written meanwhile, or before");
  ASSERT_TRUE(cluster_.world().RunUntil([&] { return stream.finished; }));
  EXPECT_TRUE(stream.status.ok()) << stream.status;
  ASSERT_GT(stream.messages.size(), 3u);
  std::vector<std::string> keys;
  for (size_t i = 0; i < stream.messages.size(); ++i) {
    EXPECT_LT(stream.messages[i].size(), 2u << 20);
    const auto page = Parse<etcdserverpb::RangeStreamResponse>(stream.messages[i]).range_response();
    for (const auto& kv : page.kvs()) keys.push_back(kv.key());
    const bool last = i + 1 == stream.messages.size();
    EXPECT_EQ(page.has_header(), last);
    EXPECT_EQ(page.count() != 0, last);
    EXPECT_FALSE(page.more());
    if (!last) continue;
    EXPECT_EQ(page.count(), static_cast<int64_t>(keys.size()));
  }
  EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
  EXPECT_GE(keys.size(), 300u);
}

// Tiny values say nothing about those that follow them.
TEST_F(RecipesTest, ARangeInPiecesGrowsItsPiecesWithCare) {
  for (int i = 0; i < 10; ++i) Put(absl::StrCat("k", 1000 + i), "v");
  for (int i = 10; i < 60; ++i) Put(absl::StrCat("k", 1000 + i), std::string(100'000, 'v'));
  etcdserverpb::RangeRequest request;
  request.set_key("k");
  request.set_range_end("l");
  AnswerStream stream(&cluster_, 2, "/etcdserverpb.KV/RangeStream", request.SerializeAsString());
  ASSERT_TRUE(cluster_.world().RunUntil([&] { return stream.finished; }));
  ASSERT_GT(stream.messages.size(), 5u);
  for (const Bytes& message : stream.messages) EXPECT_LT(message.size(), 2'100'000u);
}

TEST_F(RecipesTest, ARangeInPiecesHasTheLimitsOfARange) {
  for (int i = 0; i < 200; ++i) Put(absl::StrCat("k", 1000 + i), "v");
  const auto ask = [&](etcdserverpb::RangeRequest request) {
    request.set_key("k");
    request.set_range_end("l");
    AnswerStream stream(&cluster_, 2, "/etcdserverpb.KV/RangeStream", request.SerializeAsString());
    EXPECT_TRUE(cluster_.world().RunUntil([&] { return stream.finished; }));
    etcdserverpb::RangeResponse all;
    for (const Bytes& message : stream.messages) {
      all.MergeFrom(Parse<etcdserverpb::RangeStreamResponse>(message).range_response());
    }
    const auto one = Call<etcdserverpb::RangeResponse>("/etcdserverpb.KV/Range", request);
    all.clear_header();
    auto expected = one;
    expected.clear_header();
    EXPECT_EQ(all.SerializeAsString(), expected.SerializeAsString()) << request.ShortDebugString();
  };
  etcdserverpb::RangeRequest request;
  ask(request);
  for (const int64_t limit : {1, 64, 65, 100, 199, 200, 201}) {
    request.set_limit(limit);
    ask(request);
  }
  request.set_sort_order(etcdserverpb::RangeRequest::ASCEND);
  ask(request);
  request.set_limit(0);
  request.set_count_only(true);
  ask(request);
  AnswerStream bad(&cluster_, 1, "/etcdserverpb.KV/RangeStream", "");
  ASSERT_TRUE(cluster_.world().RunUntil([&] { return bad.finished; }));
  EXPECT_EQ(bad.status, absl::InvalidArgumentError("etcdserver: key is not provided"));
}

// As etcd's does: clients fall back to Range.
TEST_F(RecipesTest, ARangeInPiecesIsNeitherSortedNorFiltered) {
  const auto refusal = [&](etcdserverpb::RangeRequest request) {
    request.set_key("k");
    request.set_range_end("l");
    AnswerStream stream(&cluster_, 1, "/etcdserverpb.KV/RangeStream", request.SerializeAsString());
    EXPECT_TRUE(cluster_.world().RunUntil([&] { return stream.finished; }));
    EXPECT_TRUE(stream.messages.empty());
    return stream.status;
  };
  const absl::Status sorted =
      absl::UnimplementedError("RangeStream does not support custom sort orders");
  etcdserverpb::RangeRequest request;
  request.set_sort_order(etcdserverpb::RangeRequest::DESCEND);
  EXPECT_EQ(refusal(request), sorted);
  request.set_sort_order(etcdserverpb::RangeRequest::ASCEND);
  request.set_sort_target(etcdserverpb::RangeRequest::MOD);
  EXPECT_EQ(refusal(request), sorted);
  request.Clear();
  request.set_max_create_revision(5);
  EXPECT_EQ(refusal(request),
            absl::UnimplementedError("RangeStream does not support revision filters"));
  // No target at all, whether there is an order or not.
  const absl::Status unknown = absl::InvalidArgumentError("etcdserver: invalid sort option");
  request.Clear();
  request.set_sort_target(static_cast<etcdserverpb::RangeRequest::SortTarget>(5));
  EXPECT_EQ(refusal(request), unknown);
  request.set_sort_order(etcdserverpb::RangeRequest::DESCEND);
  EXPECT_EQ(refusal(request), unknown);
}

TEST_F(RecipesTest, SmallCallsOfMaintenance) {
  const std::string service = "/etcdserverpb.Maintenance/";
  Put("a", "b");
  const grpc::Result defragmented = cluster_.Call(1, service + "Defragment", "");
  EXPECT_TRUE(defragmented.status.ok());
  EXPECT_TRUE(defragmented.message.empty()) << "etcd leaves the header out";
  ASSERT_TRUE(cluster_.world().RunUntil(
      [&] { return cluster_.node(3)->status().applied == cluster_.node(1)->status().applied; }));
  const auto hash = [&](int member) {
    return Parse<etcdserverpb::HashResponse>(cluster_.Call(member, service + "Hash", "").message)
        .hash();
  };
  EXPECT_EQ(hash(1), hash(3));
}

class DowngradeTest : public RecipesTest {
 protected:
  using Request = etcdserverpb::DowngradeRequest;

  absl::StatusOr<std::string> Ask(int member, Request::DowngradeAction action,
                                  const std::string& version) {
    Request request;
    request.set_action(action);
    request.set_version(version);
    const grpc::Result result =
        cluster_.Call(member, "/etcdserverpb.Maintenance/Downgrade", request.SerializeAsString());
    if (!result.status.ok()) return result.status;
    return Parse<etcdserverpb::DowngradeResponse>(result.message).version();
  }
  etcdserverpb::StatusResponse Status(int member) {
    return Parse<etcdserverpb::StatusResponse>(
        cluster_.Call(member, "/etcdserverpb.Maintenance/Status", "").message);
  }
  bool AllSay(bool enabled, const std::string& cluster_version) {
    return cluster_.world().RunUntil([&] {
      for (const int member : {1, 2, 3}) {
        if (cluster_.node(member)->cluster_version() != cluster_version) return false;
        if (cluster_.node(member)->downgrade_target().empty() == enabled) return false;
      }
      return true;
    });
  }
};

TEST_F(DowngradeTest, OnlyOneMinorVersionDownIsATarget) {
  EXPECT_EQ(*Ask(1, Request::VALIDATE, "3.6"), "3.7");
  EXPECT_EQ(*Ask(2, Request::VALIDATE, "3.6.0-rc.1"), "3.7");
  for (const auto action : {Request::VALIDATE, Request::ENABLE}) {
    for (const char* bad : {"soon", "3", "3.6.0.0", "3.6.x", "3.6.", "3.6-rc.1", "3..6", ""}) {
      EXPECT_EQ(Ask(1, action, bad).status(),
                absl::InvalidArgumentError("etcdserver: wrong downgrade target version format"))
          << bad;
    }
    for (const char* other : {"3.5", "3.7.0", "3.8", "2.6"}) {
      EXPECT_EQ(Ask(1, action, other).status(),
                absl::InvalidArgumentError("etcdserver: invalid downgrade target version"))
          << other;
    }
  }
  EXPECT_EQ(Ask(1, static_cast<Request::DowngradeAction>(7), "3.6").status(),
            absl::UnknownError("etcdserver: unknown method"));
  EXPECT_FALSE(Status(1).downgradeinfo().enabled());
}

TEST_F(DowngradeTest, TheClusterGoesDownAndComesBackWhenThatIsCancelled) {
  EXPECT_EQ(*Ask(1, Request::CANCEL, ""), "3.7") << "as etcd, where there is none to cancel";
  EXPECT_EQ(*Ask(2, Request::ENABLE, "3.6"), "3.7");
  const absl::Status under_way =
      absl::FailedPreconditionError("etcdserver: cluster has a downgrade job in progress");
  EXPECT_EQ(Ask(1, Request::ENABLE, "3.6.0").status(), under_way);
  ASSERT_TRUE(AllSay(true, "3.6.0"));
  EXPECT_EQ(Status(3).downgradeinfo().targetversion(), "3.6.0");
  EXPECT_EQ(Status(3).storageversion(), "3.6.0");
  EXPECT_EQ(Status(3).version(), "3.7.1");
  EXPECT_EQ(Ask(3, Request::VALIDATE, "3.5").status(), under_way);
  EXPECT_EQ(Ask(3, Request::ENABLE, "3.6").status(),
            absl::InvalidArgumentError("etcdserver: invalid downgrade target version"));
  EXPECT_EQ(*Ask(3, Request::CANCEL, ""), "3.6");
  ASSERT_TRUE(AllSay(false, "3.7.0")) << "members of 3.7 alone make it one of 3.7 again";
  EXPECT_EQ(Status(1).downgradeinfo().targetversion(), "");
}

}  // namespace
}  // namespace quorate
