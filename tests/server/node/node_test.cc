// The shell around the replica: when it answers, when it must not, and what happens when
// the disk fails under it.
#include "server/node/node.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "api/rpc.pb.h"
#include "base/limits.h"
#include "tests/server/node/one_node.h"

namespace quorate::node {
namespace {

class RecordingSink final : public WatchSink {
 public:
  void OnWatchReply(Bytes head, Bytes events) override {
    etcdserverpb::WatchResponse response;
    ASSERT_TRUE(response.ParseFromString(std::string(head.view()) + std::string(events.view())));
    replies.push_back(std::move(response));
  }
  void OnWatchEnd(const absl::Status& status) override { ends.push_back(status); }
  std::vector<etcdserverpb::WatchResponse> replies;
  std::vector<absl::Status> ends;
};

struct Answer {
  bool done = false;
  absl::Status status;
  Bytes body;
};

std::string PutRequest(const std::string& key, const std::string& value) {
  etcdserverpb::PutRequest request;
  request.set_key(key);
  request.set_value(value);
  return request.SerializeAsString();
}

std::string RangeRequest(const std::string& key) {
  etcdserverpb::RangeRequest request;
  request.set_key(key);
  return request.SerializeAsString();
}

class NodeTest : public OneNode {
 protected:
  void Adjust(Options* options) override {
    options->disk = {"/data", limits::kMiB, Seconds(1)};
    options->replica.max_turn_work = max_turn_work_;
  }

  // Begins a call as an event of the process; `answer` outlives the world's run.
  void Call(RequestKind kind, const std::string& body, Answer* answer,
            Duration timeout = Seconds(7)) {
    host_.Run([=, this] {
      last_call_ =
          node_->Call(kind, Bytes::Copy(body), timeout, [answer](absl::Status status, Bytes reply) {
            EXPECT_FALSE(answer->done) << "answered twice";
            *answer = {true, std::move(status), std::move(reply)};
          });
    });
  }
  Answer Finish(RequestKind kind, const std::string& body) {
    Answer answer;
    Call(kind, body, &answer);
    EXPECT_TRUE(world_.RunUntil([&] { return answer.done; }));
    return answer;
  }

  CallId last_call_;
  uint64_t max_turn_work_ = engine::Config().max_turn_work;
};

TEST_F(NodeTest, ASingleMemberServes) {
  Boot(1);
  WaitForLeadership();
  EXPECT_TRUE(Finish(RequestKind::kPut, PutRequest("a", "1")).status.ok());
  const Answer got = Finish(RequestKind::kRange, RangeRequest("a"));
  ASSERT_TRUE(got.status.ok()) << got.status;
  etcdserverpb::RangeResponse response;
  ASSERT_TRUE(response.ParseFromString(std::string(got.body.view())));
  ASSERT_EQ(response.kvs_size(), 1);
  EXPECT_EQ(response.kvs(0).value(), "1");
  EXPECT_EQ(response.header().cluster_id(), 77u);
}

TEST_F(NodeTest, AWriteIsNotAcknowledgedBeforeItIsDurable) {
  Boot(1);
  WaitForLeadership();
  Finish(RequestKind::kPut, PutRequest("before", "1"));
  host_.disk().StallUntil(world_.scheduler().now() + Seconds(2));
  Answer answer;
  Call(RequestKind::kPut, PutRequest("a", "1"), &answer);
  world_.RunFor(Milliseconds(1900));
  EXPECT_FALSE(answer.done);
  ASSERT_TRUE(world_.RunUntil([&] { return answer.done; }));
  EXPECT_TRUE(answer.status.ok()) << answer.status;
}

TEST_F(NodeTest, RequestsOfOneTurnShareOneWriteOfTheLog) {
  Boot(1);
  WaitForLeadership();
  Finish(RequestKind::kPut, PutRequest("before", "1"));
  const uint64_t writes = node_->wal()->stats().writes;
  std::vector<Answer> answers(50);
  host_.Run([&] {
    for (Answer& answer : answers) {
      node_->Call(RequestKind::kPut, Bytes::Copy(PutRequest("k", "v")), Seconds(7),
                  [&answer](absl::Status status, Bytes) {
                    answer = {true, status, Bytes()};
                  });
    }
  });
  for (Answer& answer : answers) {
    ASSERT_TRUE(world_.RunUntil([&] { return answer.done; }));
    EXPECT_TRUE(answer.status.ok());
  }
  EXPECT_EQ(node_->wal()->stats().writes - writes, 1u);
}

TEST_F(NodeTest, AFailedSyncEndsServiceForGood) {
  Boot(1);
  WaitForLeadership();
  host_.disk().FailNextSyncs(100);  // of the log, and of files being prepared for it
  const Answer answer = Finish(RequestKind::kPut, PutRequest("a", "1"));
  EXPECT_EQ(answer.status, absl::UnavailableError("etcdserver: server stopped"));
  EXPECT_FALSE(node_->halted().ok());
  ASSERT_EQ(halts_.size(), 1u);
  EXPECT_EQ(halts_[0], node_->halted());
  host_.disk().FailNextSyncs(0);
  // The disk works again; the member must not go on as if nothing had happened.
  const Answer later = Finish(RequestKind::kRange, RangeRequest("a"));
  EXPECT_EQ(later.status, absl::UnavailableError("etcdserver: server stopped"));
  EXPECT_EQ(halts_.size(), 1u);
}

TEST_F(NodeTest, ALinearizableReadRightAfterARestartSeesWhatWasAcknowledged) {
  Boot(1);
  WaitForLeadership();
  ASSERT_TRUE(Finish(RequestKind::kPut, PutRequest("a", "1")).status.ok());
  host_.Crash(sim::CrashKind::kPowerLoss);
  Forget();
  Boot(1);
  // Alone, it leads before its own term has committed anything: the commit index that it
  // recovered may be older than what it had answered with.
  WaitForLeadership();
  const Answer got = Finish(RequestKind::kRange, RangeRequest("a"));
  ASSERT_TRUE(got.status.ok()) << got.status;
  etcdserverpb::RangeResponse response;
  ASSERT_TRUE(response.ParseFromString(std::string(got.body.view())));
  EXPECT_EQ(response.count(), 1);
}

TEST_F(NodeTest, AfterAFailedSyncTheNextProcessServesAgain) {
  Boot(1);
  WaitForLeadership();
  ASSERT_TRUE(Finish(RequestKind::kPut, PutRequest("kept", "1")).status.ok());
  host_.disk().FailNextSyncs(100);  // of the log, and of files being prepared for it
  ASSERT_FALSE(Finish(RequestKind::kPut, PutRequest("lost", "1")).status.ok());
  host_.disk().FailNextSyncs(0);
  host_.Crash(sim::CrashKind::kPowerLoss);
  Forget();
  Boot(1);
  WaitForLeadership();
  const Answer got = Finish(RequestKind::kRange, RangeRequest("kept"));
  ASSERT_TRUE(got.status.ok()) << got.status;
  etcdserverpb::RangeResponse response;
  ASSERT_TRUE(response.ParseFromString(std::string(got.body.view())));
  EXPECT_EQ(response.count(), 1);
}

TEST_F(NodeTest, AFullDiskRefusesWritesServesReadsAndRecoversByItself) {
  Boot(1);
  WaitForLeadership();
  ASSERT_TRUE(Finish(RequestKind::kPut, PutRequest("a", "1")).status.ok());
  sim::DiskOptions disk = host_.disk().options();
  const uint64_t capacity = std::exchange(disk.capacity_bytes, host_.disk().used_bytes() + 1000);
  host_.disk().SetOptions(disk);
  ASSERT_TRUE(world_.RunUntil([this] { return !node_->alarms().empty(); }));
  EXPECT_EQ(Finish(RequestKind::kPut, PutRequest("a", "2")).status.code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(Finish(RequestKind::kRange, RangeRequest("a")).status.ok());
  disk.capacity_bytes = capacity;
  host_.disk().SetOptions(disk);
  ASSERT_TRUE(world_.RunUntil([this] { return node_->alarms().empty(); }));
  EXPECT_TRUE(Finish(RequestKind::kPut, PutRequest("a", "3")).status.ok());
  EXPECT_TRUE(halts_.empty());
}

TEST_F(NodeTest, AStalledDiskIsNoticedAndForgotten) {
  Boot(1);
  WaitForLeadership();
  host_.disk().StallUntil(world_.scheduler().now() + Seconds(4));
  Answer put;
  Call(RequestKind::kPut, PutRequest("a", "1"), &put);
  ASSERT_TRUE(world_.RunUntil([this] { return node_->disk_watch().state().stalled; }));
  EXPECT_FALSE(put.done);
  ASSERT_TRUE(world_.RunUntil([this] { return !node_->disk_watch().state().stalled; }));
  ASSERT_TRUE(world_.RunUntil([&] { return put.done; }));
  EXPECT_TRUE(put.status.ok()) << put.status;
}

TEST_F(NodeTest, WithoutAQuorumCallsTimeOut) {
  Boot(3);
  Answer write;
  Answer read;
  Call(RequestKind::kPut, PutRequest("a", "1"), &write, Seconds(7));
  Call(RequestKind::kRange, RangeRequest("a"), &read, Seconds(2));
  world_.RunFor(Milliseconds(1990));
  EXPECT_FALSE(read.done);
  ASSERT_TRUE(world_.RunUntil([&] { return read.done; }, Seconds(1)));
  EXPECT_EQ(read.status.code(), absl::StatusCode::kUnavailable);
  ASSERT_TRUE(world_.RunUntil([&] { return write.done; }, Seconds(6)));
  EXPECT_EQ(write.status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(node_->pending_calls(), 0u);
  EXPECT_GT(transport_.sent, 0u) << "it campaigned meanwhile";
}

// As in etcd: only what must be heard from others has a time-out of the server's. Many clients that
// list very much at once wait for each other, and all are answered.
TEST_F(NodeTest, AReadThatWaitsForItsTurnAtTheStoreDoesNotTimeOut) {
  max_turn_work_ = 40;
  Boot(1);
  WaitForLeadership();
  constexpr int kKeys = 300;
  for (int i = 0; i < kKeys; ++i) {
    Finish(RequestKind::kPut, PutRequest("key/" + std::to_string(1000 + i), "value"));
  }
  etcdserverpb::RangeRequest all;
  all.set_key("key/");
  all.set_range_end("key0");
  std::vector<Answer> answers(16);
  for (Answer& answer : answers) {
    Call(RequestKind::kRange, all.SerializeAsString(), &answer, Nanoseconds(1));
  }
  ASSERT_TRUE(world_.RunUntil([&] {
    return std::all_of(answers.begin(), answers.end(), [](const Answer& a) { return a.done; });
  }));
  for (const Answer& answer : answers) {
    ASSERT_TRUE(answer.status.ok()) << answer.status;
    etcdserverpb::RangeResponse response;
    ASSERT_TRUE(response.ParseFromString(std::string(answer.body.view())));
    EXPECT_EQ(response.kvs_size(), kKeys);
  }
  EXPECT_EQ(node_->pending_calls(), 0u);
}

// Votes and heartbeats go on in between.
TEST_F(NodeTest, VeryManyCallsTimeOutInPieces) {
  Boot(3);
  constexpr size_t kCalls = 2000;
  size_t done = 0;
  host_.Run([&] {
    for (size_t i = 0; i < kCalls; ++i) {
      node_->Call(RequestKind::kRange, Bytes::Copy(RangeRequest("a")), Seconds(2),
                  [&done](absl::Status, Bytes) { ++done; });
    }
  });
  size_t most = 0;
  while (done < kCalls) {
    const size_t before = done;
    ASSERT_TRUE(world_.RunUntil([&] { return done > before; }, Seconds(3)));
    most = std::max(most, done - before);
  }
  EXPECT_LE(most, kCalls / 4);
  EXPECT_EQ(node_->pending_calls(), 0u);
}

class SlowNodeTest : public NodeTest {
 protected:
  void Adjust(Options* options) override {
    NodeTest::Adjust(options);
    options->replica.max_turn_work = 8;
  }
};

// It said "request timed out" while cleaning went on.
TEST_F(SlowNodeTest, APhysicalCompactionIsWaitedForUntilItIsDone) {
  Boot(1);
  WaitForLeadership();
  for (int i = 0; i < 500; ++i) Finish(RequestKind::kPut, PutRequest("a", "1"));
  etcdserverpb::CompactionRequest compact;
  compact.set_revision(501);
  compact.set_physical(true);
  Answer answer;
  Call(RequestKind::kCompact, compact.SerializeAsString(), &answer, Milliseconds(100));
  world_.RunFor(Milliseconds(200));
  EXPECT_FALSE(answer.done) << "cleaning takes longer than the time-out";
  ASSERT_TRUE(world_.RunUntil([&] { return answer.done; }));
  EXPECT_TRUE(answer.status.ok()) << answer.status;
  EXPECT_EQ(node_->counters().calls_timed_out, 0u);
}

TEST_F(NodeTest, AnAbandonedCallIsNeverAnswered) {
  Boot(1);
  WaitForLeadership();
  Answer answer;
  Call(RequestKind::kPut, PutRequest("a", "1"), &answer);
  host_.Run([this] { node_->Abandon(last_call_); });
  world_.RunFor(Seconds(10));
  EXPECT_FALSE(answer.done);
  EXPECT_EQ(node_->pending_calls(), 0u);
}

TEST_F(NodeTest, AMalformedRequestIsAnError) {
  Boot(1);
  WaitForLeadership();
  for (const RequestKind kind : {RequestKind::kPut, RequestKind::kTxn, RequestKind::kLeaseGrant,
                                 RequestKind::kAuthUserAdd, RequestKind::kHashKv}) {
    EXPECT_EQ(Finish(kind, "\xff\xff\xff").status,
              absl::InternalError("grpc: error unmarshalling request: proto: cannot parse invalid "
                                  "wire-format data"));
  }
  EXPECT_TRUE(Finish(RequestKind::kPut, PutRequest("a", "1")).status.ok());
}

TEST_F(NodeTest, AWatchSeesPutsAndEndsWithTheNode) {
  Boot(1);
  WaitForLeadership();
  RecordingSink sink;
  WatchStream stream;
  host_.Run([&] {
    stream = node_->OpenWatch(&sink);
    etcdserverpb::WatchRequest request;
    request.mutable_create_request()->set_key("a");
    stream.Request(Bytes::Copy(request.SerializeAsString()));
  });
  ASSERT_TRUE(world_.RunUntil([&] { return sink.replies.size() == 1; }));
  EXPECT_TRUE(sink.replies[0].created());
  Finish(RequestKind::kPut, PutRequest("a", "1"));
  ASSERT_TRUE(world_.RunUntil([&] { return sink.replies.size() == 2; }));
  ASSERT_EQ(sink.replies[1].events_size(), 1);
  EXPECT_EQ(sink.replies[1].events(0).kv().value(), "1");

  host_.Run([&] { node_->Stop(absl::CancelledError("test")); });
  ASSERT_TRUE(world_.RunUntil([&] { return !sink.ends.empty(); }));
  EXPECT_EQ(sink.ends[0], absl::UnavailableError("etcdserver: server stopped"));
  EXPECT_TRUE(halts_.empty()) << "a stop is no halt";
}

TEST_F(NodeTest, AnUnwritableStreamGetsNothingAndCatchesUp) {
  Boot(1);
  WaitForLeadership();
  RecordingSink sink;
  WatchStream stream;
  host_.Run([&] {
    stream = node_->OpenWatch(&sink);
    etcdserverpb::WatchRequest request;
    request.mutable_create_request()->set_key("a");
    stream.Request(Bytes::Copy(request.SerializeAsString()));
  });
  ASSERT_TRUE(world_.RunUntil([&] { return sink.replies.size() == 1; }));
  host_.Run([&] { stream.SetWritable(false); });
  for (int i = 0; i < 5; ++i) Finish(RequestKind::kPut, PutRequest("a", std::to_string(i)));
  EXPECT_EQ(sink.replies.size(), 1u);
  host_.Run([&] { stream.SetWritable(true); });
  const auto events = [&] {
    int total = 0;
    for (const auto& reply : sink.replies) total += reply.events_size();
    return total;
  };
  ASSERT_TRUE(world_.RunUntil([&] { return events() == 5; }));
}

TEST_F(NodeTest, AWatchStreamMayOutliveItsNode) {
  Boot(1);
  WaitForLeadership();
  RecordingSink sink;
  WatchStream stream;
  host_.Run([&] { stream = node_->OpenWatch(&sink); });
  world_.RunFor(Seconds(1));
  host_.Crash(sim::CrashKind::kKill);
  node_.reset();
  stream.Request(Bytes::Copy("anything"));
  stream.SetWritable(false);
  stream.Close();
}

}  // namespace
}  // namespace quorate::node
