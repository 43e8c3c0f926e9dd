// What gRPC clients see of whole servers, through simulated connections.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/health.pb.h"
#include "api/rpc.pb.h"
#include "server/grpc/channel.h"
#include "tests/server/support/test_cluster.h"

namespace quorate {
namespace {

using etcdserverpb::RangeResponse;
using ::testing::HasSubstr;

std::string Put(const std::string& key, const std::string& value) {
  etcdserverpb::PutRequest request;
  request.set_key(key);
  request.set_value(value);
  return request.SerializeAsString();
}

std::string Range(const std::string& key, bool serializable = false) {
  etcdserverpb::RangeRequest request;
  request.set_key(key);
  request.set_serializable(serializable);
  return request.SerializeAsString();
}

template <typename Message>
Message Parse(const grpc::Result& result) {
  EXPECT_TRUE(result.status.ok()) << result.status;
  Message message;
  EXPECT_TRUE(message.ParseFromString(std::string(result.message.view())));
  return message;
}

constexpr char kPut[] = "/etcdserverpb.KV/Put";
constexpr char kRange[] = "/etcdserverpb.KV/Range";

// The same requests at clusters of one and of three members, at leader and followers.
class ServicesTest : public ::testing::TestWithParam<int> {
 protected:
  ServicesTest() : cluster_(GetParam()) {
    cluster_.StartAll();
    EXPECT_TRUE(cluster_.RunUntilReady());
  }
  int AnyMember(int i) const { return i % GetParam() + 1; }

  TestCluster cluster_;
};

INSTANTIATE_TEST_SUITE_P(Sizes, ServicesTest, ::testing::Values(1, 3));

// As etcd does, also where the node would read nothing of the request.
TEST_P(ServicesTest, BytesThatAreNoMessageAreRefusedByEveryMethod) {
  const std::pair<const char*, std::vector<const char*>> services[] = {
      {"KV", {"Range", "Put", "DeleteRange", "Txn", "Compact"}},
      {"Lease", {"LeaseGrant", "LeaseRevoke", "LeaseTimeToLive", "LeaseLeases"}},
      {"Cluster", {"MemberAdd", "MemberRemove", "MemberUpdate", "MemberList", "MemberPromote"}},
      {"Maintenance",
       {"Alarm", "Status", "Defragment", "Hash", "HashKV", "MoveLeader", "Downgrade"}},
      {"Auth",
       {"AuthEnable", "AuthDisable", "AuthStatus", "Authenticate", "UserAdd", "UserGet", "UserList",
        "UserDelete", "UserChangePassword", "UserGrantRole", "UserRevokeRole", "RoleAdd", "RoleGet",
        "RoleList", "RoleDelete", "RoleGrantPermission", "RoleRevokePermission"}},
  };
  for (const auto& [service, methods] : services) {
    for (const char* method : methods) {
      const std::string path = std::string("/etcdserverpb.") + service + "/" + method;
      EXPECT_EQ(cluster_.Call(AnyMember(1), path, "\xff").status.code(),
                absl::StatusCode::kInternal)
          << path;
    }
  }
}

TEST_P(ServicesTest, BytesThatAreNoMessageEndAWatchStream) {
  struct Stream : public grpc::ClientStreamHandler {
    void OnMessage(Bytes) override { ++responses; }
    void OnFinish(const absl::Status& status) override { end = status; }
    int responses = 0;
    std::optional<absl::Status> end;
  };
  Stream seen;
  std::unique_ptr<grpc::ClientStream> stream;
  cluster_.client_host().Run([&, channel = cluster_.channel(AnyMember(1))] {
    stream = channel->Stream("/etcdserverpb.Watch/Watch", {}, &seen);
    stream->Send(Bytes::Copy("\xff"));
  });
  ASSERT_TRUE(cluster_.world().RunUntil([&] { return seen.end.has_value(); }));
  EXPECT_EQ(seen.end->code(), absl::StatusCode::kInternal);
  EXPECT_EQ(seen.responses, 0);
}

TEST_P(ServicesTest, WhatWasPutAnywhereIsReadEverywhere) {
  for (int i = 0; i < 6; ++i) {
    const std::string value = std::to_string(i);
    const auto put =
        Parse<etcdserverpb::PutResponse>(cluster_.Call(AnyMember(i), kPut, Put("a", value)));
    EXPECT_EQ(put.header().cluster_id(), cluster_.server(1)->cluster_id().value());
    EXPECT_EQ(put.header().member_id(), cluster_.server(AnyMember(i))->member_id().value());
    const auto got = Parse<RangeResponse>(cluster_.Call(AnyMember(i + 1), kRange, Range("a")));
    ASSERT_EQ(got.kvs_size(), 1);
    EXPECT_EQ(got.kvs(0).value(), value);
    EXPECT_EQ(got.kvs(0).mod_revision(), put.header().revision());
  }
}

TEST_P(ServicesTest, DeleteTransactionAndCompaction) {
  Parse<etcdserverpb::PutResponse>(cluster_.Call(1, kPut, Put("a", "1")));
  etcdserverpb::TxnRequest txn;
  etcdserverpb::Compare* compare = txn.add_compare();
  compare->set_key("a");
  compare->set_target(etcdserverpb::Compare::VERSION);
  compare->set_version(1);
  txn.add_success()->mutable_request_put()->set_key("b");
  txn.add_failure()->mutable_request_range()->set_key("a");
  const std::string encoded = txn.SerializeAsString();
  const auto first = Parse<etcdserverpb::TxnResponse>(
      cluster_.Call(AnyMember(1), "/etcdserverpb.KV/Txn", encoded));
  EXPECT_TRUE(first.succeeded());

  etcdserverpb::DeleteRangeRequest remove;
  remove.set_key("a");
  const auto removed = Parse<etcdserverpb::DeleteRangeResponse>(
      cluster_.Call(AnyMember(2), "/etcdserverpb.KV/DeleteRange", remove.SerializeAsString()));
  EXPECT_EQ(removed.deleted(), 1);
  const auto second = Parse<etcdserverpb::TxnResponse>(
      cluster_.Call(AnyMember(0), "/etcdserverpb.KV/Txn", encoded));
  EXPECT_FALSE(second.succeeded());

  etcdserverpb::CompactionRequest compact;
  compact.set_revision(removed.header().revision());
  Parse<etcdserverpb::CompactionResponse>(
      cluster_.Call(AnyMember(1), "/etcdserverpb.KV/Compact", compact.SerializeAsString()));
  etcdserverpb::RangeRequest old;
  old.set_key("b");
  old.set_revision(1);
  const grpc::Result refused = cluster_.Call(AnyMember(2), kRange, old.SerializeAsString());
  EXPECT_EQ(refused.status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(refused.status.message(), "etcdserver: mvcc: required revision has been compacted");
}

TEST_P(ServicesTest, EtcdsErrorsForEtcdsMistakes) {
  const grpc::Result no_key = cluster_.Call(1, kPut, Put("", "1"));
  EXPECT_EQ(no_key.status, absl::InvalidArgumentError("etcdserver: key is not provided"));
  const grpc::Result too_large = cluster_.Call(1, kPut, Put("a", std::string(1600 * 1024, 'x')));
  EXPECT_EQ(too_large.status, absl::InvalidArgumentError("etcdserver: request is too large"));
  const grpc::Result far_too_large =
      cluster_.Call(1, kPut, Put("a", std::string(3 * 1024 * 1024, 'x')));
  EXPECT_EQ(far_too_large.status.code(), absl::StatusCode::kResourceExhausted);
  const grpc::Result malformed = cluster_.Call(1, kPut, "\xff\xff\xff\xff");
  EXPECT_FALSE(malformed.status.ok());
  const grpc::Result unknown = cluster_.Call(1, "/etcdserverpb.KV/Guess", "");
  EXPECT_EQ(unknown.status,
            absl::UnimplementedError("unknown method Guess for service etcdserverpb.KV"));
  for (const char* later : {"/etcdserverpb.Maintenance/Snapshot"}) {
    const grpc::Result answer = cluster_.Call(1, later, "");
    EXPECT_EQ(answer.status.code(), absl::StatusCode::kUnimplemented) << later;
    EXPECT_THAT(std::string(answer.status.message()), HasSubstr("not implemented yet"));
  }
}

TEST_P(ServicesTest, MembersKnowEachOther) {
  for (int member = 1; member <= GetParam(); ++member) {
    const auto list = Parse<etcdserverpb::MemberListResponse>(
        cluster_.Call(member, "/etcdserverpb.Cluster/MemberList", ""));
    ASSERT_EQ(list.members_size(), GetParam());
    std::vector<std::string> urls;
    for (const auto& m : list.members()) {
      ASSERT_EQ(m.clienturls_size(), 1) << "every member has published";
      urls.push_back(m.name() + "=" + m.clienturls(0));
    }
    for (int i = 1; i <= GetParam(); ++i) {
      EXPECT_THAT(urls, ::testing::Contains("m" + std::to_string(i) + "=http://m" +
                                            std::to_string(i) + ":2379"));
    }
  }
}

TEST_P(ServicesTest, StatusAndHashes) {
  Parse<etcdserverpb::PutResponse>(cluster_.Call(1, kPut, Put("a", "1")));
  ASSERT_TRUE(cluster_.world().RunUntil([this] { return cluster_.Leader() != 0; }));
  cluster_.world().RunFor(Seconds(1));
  std::vector<uint32_t> hashes;
  for (int member = 1; member <= GetParam(); ++member) {
    const auto status = Parse<etcdserverpb::StatusResponse>(
        cluster_.Call(member, "/etcdserverpb.Maintenance/Status", ""));
    EXPECT_EQ(status.version(), "3.7.1");
    EXPECT_EQ(status.leader(), cluster_.server(cluster_.Leader())->member_id().value());
    EXPECT_GT(status.dbsize(), 0);
    hashes.push_back(Parse<etcdserverpb::HashKVResponse>(
                         cluster_.Call(member, "/etcdserverpb.Maintenance/HashKV", ""))
                         .hash());
  }
  for (const uint32_t hash : hashes) EXPECT_EQ(hash, hashes[0]);
  EXPECT_EQ(cluster_.node(1)->cluster_version(), "3.7.0");
}

TEST_P(ServicesTest, AlarmsAreRaisedListedAndPutOut) {
  constexpr char kAlarm[] = "/etcdserverpb.Maintenance/Alarm";
  etcdserverpb::AlarmRequest request;
  const auto alarms = [&](int member) {
    return Parse<etcdserverpb::AlarmResponse>(
        cluster_.Call(member, kAlarm, request.SerializeAsString()));
  };
  EXPECT_EQ(alarms(1).alarms_size(), 0);
  EXPECT_NE(alarms(1).header().cluster_id(), 0u);
  request.set_action(etcdserverpb::AlarmRequest::ACTIVATE);
  request.set_alarm(etcdserverpb::NOSPACE);
  request.set_memberid(17);
  EXPECT_EQ(alarms(1).alarms_size(), 1);
  for (int member = 1; member <= GetParam(); ++member) {
    EXPECT_EQ(cluster_.Call(member, kPut, Put("a", "1")).status,
              absl::ResourceExhaustedError("etcdserver: mvcc: database space exceeded"));
  }
  request.set_action(etcdserverpb::AlarmRequest::DEACTIVATE);
  EXPECT_EQ(alarms(AnyMember(1)).alarms_size(), 1);
  EXPECT_TRUE(cluster_.Call(1, kPut, Put("a", "1")).status.ok());
}

TEST_P(ServicesTest, HealthOfServerAndServices) {
  using ::grpc::health::v1::HealthCheckRequest;
  using ::grpc::health::v1::HealthCheckResponse;
  constexpr char kCheck[] = "/grpc.health.v1.Health/Check";
  HealthCheckRequest request;
  EXPECT_EQ(
      Parse<HealthCheckResponse>(cluster_.Call(1, kCheck, request.SerializeAsString())).status(),
      HealthCheckResponse::SERVING);
  // As in etcd, services have no health of their own.
  for (const char* service : {"etcdserverpb.KV", "nobody.Knows"}) {
    request.set_service(service);
    EXPECT_EQ(cluster_.Call(1, kCheck, request.SerializeAsString()).status,
              absl::NotFoundError("unknown service"));
  }
}

// A client's watch.
class Watch final : public grpc::ClientStreamHandler {
 public:
  Watch(TestCluster* cluster, int member, const grpc::CallOptions& options = {})
      : cluster_(cluster) {
    grpc::Channel* channel = cluster->channel(member);
    cluster->client_host().Run([this, channel, options] {
      stream_ = channel->Stream("/etcdserverpb.Watch/Watch", options, this);
    });
  }
  ~Watch() override { stream_.reset(); }

  void Create(const std::string& key, int64_t start_revision = 0) {
    etcdserverpb::WatchRequest request;
    request.mutable_create_request()->set_key(key);
    request.mutable_create_request()->set_start_revision(start_revision);
    Send(request);
  }
  void Cancel(int64_t id) {
    etcdserverpb::WatchRequest request;
    request.mutable_cancel_request()->set_watch_id(id);
    Send(request);
  }
  void Send(const etcdserverpb::WatchRequest& request) { SendBytes(request.SerializeAsString()); }
  void SendBytes(const std::string& bytes) {
    cluster_->client_host().Run([this, bytes] { stream_->Send(Bytes::Copy(bytes)); });
  }
  void Pause() {
    cluster_->client_host().Run([this] { stream_->PauseReading(); });
  }
  void Resume() {
    cluster_->client_host().Run([this] { stream_->ResumeReading(); });
  }
  bool Wait(const std::function<bool()>& condition) {
    return cluster_->world().RunUntil(condition);
  }

  void OnMessage(Bytes message) override {
    etcdserverpb::WatchResponse response;
    ASSERT_TRUE(response.ParseFromString(std::string(message.view())));
    for (const auto& event : response.events()) values.push_back(event.kv().value());
    responses.push_back(std::move(response));
  }
  void OnFinish(const absl::Status& status) override {
    finished = true;
    final_status = status;
  }

  std::vector<etcdserverpb::WatchResponse> responses;
  std::vector<std::string> values;
  bool finished = false;
  absl::Status final_status;

 private:
  TestCluster* cluster_;
  std::unique_ptr<grpc::ClientStream> stream_;
};

TEST_P(ServicesTest, AWatchSeesPastAndPresentUntilItIsCancelled) {
  const auto put = Parse<etcdserverpb::PutResponse>(cluster_.Call(1, kPut, Put("w", "0")));
  Parse<etcdserverpb::PutResponse>(cluster_.Call(1, kPut, Put("w", "1")));
  for (int member = 1; member <= GetParam(); ++member) {
    Watch watch(&cluster_, member);
    watch.Create("w", put.header().revision());
    ASSERT_TRUE(watch.Wait([&] { return watch.values.size() >= 2; }));
    EXPECT_TRUE(watch.responses[0].created());
    const std::string now = "at " + std::to_string(member);
    Parse<etcdserverpb::PutResponse>(cluster_.Call(AnyMember(member), kPut, Put("w", now)));
    ASSERT_TRUE(watch.Wait([&] { return watch.values.back() == now; }));
    EXPECT_EQ(watch.values[0], "0");
    EXPECT_EQ(watch.values[1], "1");
    watch.Cancel(watch.responses[0].watch_id());
    ASSERT_TRUE(watch.Wait([&] { return watch.responses.back().canceled(); }));
    EXPECT_FALSE(watch.finished);
  }
}

// There is one parser, the engine's: it says so.
TEST_P(ServicesTest, AWatchEndsWithWhatIsNoRequest) {
  for (int member = 1; member <= GetParam(); ++member) {
    Watch watch(&cluster_, member);
    watch.Create("w");
    ASSERT_TRUE(watch.Wait([&] { return watch.responses.size() == 1; }));
    watch.SendBytes("\x0a\x7f");
    ASSERT_TRUE(watch.Wait([&] { return watch.finished; }));
    EXPECT_EQ(watch.final_status,
              absl::InternalError("grpc: failed to unmarshal the received message: proto: cannot "
                                  "parse invalid wire-format data"));
    EXPECT_EQ(watch.responses.size(), 1u);
  }
}

// Who does not read is not read from: no request is forgotten, however many he sends.
TEST(ServicesWatchTest, RequestsOfAClientThatDoesNotReadAreAllAnswered) {
  TestCluster cluster(1);
  cluster.StartAll();
  ASSERT_TRUE(cluster.RunUntilReady());
  Watch watch(&cluster, 1);
  watch.Create("first");
  ASSERT_TRUE(watch.Wait([&] { return watch.responses.size() == 1; }));
  watch.Pause();
  constexpr size_t kRequests = 200'000;
  etcdserverpb::WatchRequest taken;
  taken.mutable_create_request()->set_key("k");
  taken.mutable_create_request()->set_watch_id(1);  // one after the first is refused
  for (size_t i = 0; i < kRequests; ++i) watch.Send(taken);
  cluster.world().RunFor(Seconds(5));
  watch.Resume();
  EXPECT_TRUE(watch.Wait([&] { return watch.responses.size() == 1 + kRequests; }))
      << watch.responses.size();
  EXPECT_FALSE(watch.finished);
}

TEST_P(ServicesTest, AClientThatDoesNotReadLosesNothing) {
  Watch watch(&cluster_, 1);
  watch.Create("slow");
  ASSERT_TRUE(watch.Wait([&] { return watch.responses.size() == 1; }));
  watch.Pause();
  const std::string filler(200 * 1024, 'x');
  constexpr int kPuts = 60;  // 12 MB: more than all buffers on the way
  for (int i = 0; i < kPuts; ++i) {
    ASSERT_TRUE(cluster_.Call(1, kPut, Put("slow", std::to_string(i) + filler)).status.ok());
  }
  watch.Resume();
  ASSERT_TRUE(watch.Wait([&] { return watch.values.size() == kPuts; }));
  for (int i = 0; i < kPuts; ++i) {
    EXPECT_EQ(watch.values[static_cast<size_t>(i)].substr(0, 3),
              (std::to_string(i) + "xxx").substr(0, 3));
  }
}

TEST_P(ServicesTest, ValuesOfAMegabyteAndAHalfGoEveryWay) {
  std::string large(1572864 - 1024, 'x');
  Watch watch(&cluster_, AnyMember(2));
  watch.Create("large");
  ASSERT_TRUE(watch.Wait([&] { return watch.responses.size() == 1; }));
  Parse<etcdserverpb::PutResponse>(cluster_.Call(AnyMember(0), kPut, Put("large", large)));
  for (int member = 1; member <= GetParam(); ++member) {
    EXPECT_EQ(Parse<RangeResponse>(cluster_.Call(member, kRange, Range("large"))).kvs(0).value(),
              large);
  }
  large[7] = 'y';
  etcdserverpb::TxnRequest txn;
  etcdserverpb::PutRequest* const put = txn.add_success()->mutable_request_put();
  put->set_key("large");
  put->set_value(large);
  txn.add_success()->mutable_request_range()->set_key("large");
  const auto read = Parse<etcdserverpb::TxnResponse>(
      cluster_.Call(AnyMember(1), "/etcdserverpb.KV/Txn", txn.SerializeAsString()));
  EXPECT_EQ(read.responses(1).response_range().kvs(0).value(), large);
  ASSERT_TRUE(watch.Wait([&] { return watch.values.size() == 2; }));
  EXPECT_EQ(watch.values[1], large);
  etcdserverpb::DeleteRangeRequest remove;
  remove.set_key("large");
  remove.set_prev_kv(true);
  const auto removed = Parse<etcdserverpb::DeleteRangeResponse>(
      cluster_.Call(AnyMember(2), "/etcdserverpb.KV/DeleteRange", remove.SerializeAsString()));
  EXPECT_EQ(removed.prev_kvs(0).value(), large);
}

TEST_P(ServicesTest, WhatIsTooLargeIsLoggedWithItsClientAndFirstKey) {
  const std::string large(1572864, 'x');
  EXPECT_EQ(cluster_.Call(1, kPut, Put("by/put", large)).status,
            absl::InvalidArgumentError("etcdserver: request is too large"));
  EXPECT_TRUE(cluster_.Logged(1, "\"msg\":\"request is too large\",\"remote\":\"client:"));
  EXPECT_TRUE(cluster_.Logged(1,
                              "\"method\":\"/etcdserverpb.KV/Put\",\"first-key\":\"by/put\","
                              "\"request-bytes\":1572876,\"limit-bytes\":1572864"));
  etcdserverpb::TxnRequest txn;
  for (const char* key : {"by/txn", "second"}) {
    etcdserverpb::PutRequest* const put = txn.add_success()->mutable_request_put();
    put->set_key(key);
    put->set_value(large.substr(large.size() / 2));
  }
  EXPECT_EQ(cluster_.Call(1, "/etcdserverpb.KV/Txn", txn.SerializeAsString()).status,
            absl::InvalidArgumentError("etcdserver: request is too large"));
  EXPECT_TRUE(cluster_.Logged(1, "\"first-key\":\"by/txn\""));
}

TEST(ServicesWithoutQuorumTest, DeadlinesAndLeaderlessness) {
  TestCluster cluster(3);
  cluster.StartAll();
  ASSERT_TRUE(cluster.RunUntilReady());
  ASSERT_TRUE(cluster.Call(1, kPut, Put("a", "1")).status.ok());
  grpc::CallOptions has_leader;
  has_leader.metadata = {{"hasleader", "true"}};
  Watch watch(&cluster, 1, has_leader);
  Watch patient(&cluster, 1);
  watch.Create("a");
  patient.Create("a");
  ASSERT_TRUE(watch.Wait([&] { return watch.responses.size() + patient.responses.size() == 2; }));

  cluster.Crash(2);
  cluster.Crash(3);
  ASSERT_TRUE(
      cluster.world().RunUntil([&] { return cluster.node(1)->status().leader == MemberId(0); }));
  // Asked for a leader: refused at once. A stream that asked is ended after a while.
  EXPECT_EQ(cluster.Call(1, kRange, Range("a"), has_leader).status,
            absl::UnavailableError("etcdserver: no leader"));
  ASSERT_TRUE(watch.Wait([&] { return watch.finished; }));
  EXPECT_EQ(watch.final_status, absl::UnavailableError("etcdserver: no leader"));
  EXPECT_FALSE(patient.finished);
  // Local reads go on.
  EXPECT_TRUE(cluster.Call(1, kRange, Range("a", true)).status.ok());
  // The client's own deadline, and ours.
  grpc::CallOptions hurried;
  hurried.timeout = Milliseconds(500);
  EXPECT_EQ(cluster.Call(1, kRange, Range("a"), hurried).status.code(),
            absl::StatusCode::kDeadlineExceeded);
  const grpc::Result refused = cluster.Call(1, kPut, Put("a", "2"));
  EXPECT_EQ(refused.status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(cluster.node(1)->pending_calls(), 0u);

  cluster.Start(2);
  ASSERT_TRUE(cluster.RunUntilReady());
  EXPECT_TRUE(cluster.Call(1, kPut, Put("a", "3")).status.ok());
  ASSERT_TRUE(patient.Wait([&] { return !patient.values.empty(); }));
  EXPECT_EQ(patient.values.back(), "3");
}

}  // namespace
}  // namespace quorate
