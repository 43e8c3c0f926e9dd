// A client that asks for very much and reads it slowly: what it costs the member, and what it gets.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "api/rpc.pb.h"
#include "base/coding.h"
#include "server/grpc/codec.h"
#include "server/grpc/server.h"
#include "server/http2/session.h"
#include "server/services/kv.h"
#include "tests/server/support/test_cluster.h"

namespace quorate {
namespace {

constexpr char kAddress[] = "m1:7777";
constexpr int kKeys = 400;
constexpr size_t kValue = 50'000;  // 20 MB in all

// A gRPC call by hand: what it was sent it takes off its window only when it is told to.
class SlowReader final : public http2::Stream, public http2::Session::Owner {
 public:
  SlowReader(TestCluster* cluster, std::string request) : cluster_(cluster) {
    host().Run([this, request = std::move(request)] {
      const io::Env& env = cluster_->client_env();
      queue_ = std::make_unique<http2::FlushQueue>(env.loop);
      connect_ = env.network->Connect(kAddress, [this, request](auto stream) {
        ASSERT_TRUE(stream.ok()) << stream.status();
        Begin(*std::move(stream), request);
      });
    });
  }
  ~SlowReader() override {
    host().Run([this] {
      connect_.reset();
      session_.reset();
      queue_.reset();
    });
  }

  // Takes all that came, and so lets as much more come.
  void Read() {
    host().Run([this] {
      Consume(body_.size() - read_);
      read_ = body_.size();
      session_->Flush();
    });
    cluster_->world().RunFor(Milliseconds(50));
  }
  size_t received() const { return body_.size(); }
  const std::string& status() const { return status_; }
  // The message, once all of it is there.
  std::string message() const { return body_.substr(grpc::kFrameHeaderBytes); }
  size_t promised() const { return LoadBe32(body_.data() + 1); }

 private:
  sim::Host& host() { return cluster_->client_host(); }
  void Begin(std::unique_ptr<io::Stream> stream, const std::string& request) {
    session_ = std::make_unique<http2::Session>(
        http2::Side::kClient, cluster_->client_env().loop, queue_.get(), std::move(stream),
        http2::Options::Client(), static_cast<http2::Session::Owner*>(this));
    session_->Start();
    const std::vector<http2::Header> headers = {
        {":method", "POST"}, {":scheme", "http"}, {":path", "/etcdserverpb.KV/Range"},
        {":authority", "m"}, {"te", "trailers"},  {"content-type", "application/grpc"}};
    ASSERT_TRUE(session_->Request(this, headers, /*end=*/false));
    char prefix[grpc::kFrameHeaderBytes];
    grpc::StoreFrameHeader(prefix, request.size());
    SendBody(Bytes::Copy(request), absl::string_view(prefix, sizeof(prefix)));
    EndBody();
  }

  bool OnHeader(absl::string_view name, absl::string_view value) override {
    if (name == "grpc-status") status_ = std::string(value);
    return true;
  }
  void OnHeadersEnd(bool) override {}
  void OnBody(absl::string_view data) override { body_.append(data.data(), data.size()); }
  void OnEnd() override {}
  void OnClosed(http2::ErrorCode) override {}
  http2::Stream* OnRequest(http2::Session*) override { return nullptr; }
  void OnSessionClosed(http2::Session*, const absl::Status&) override {}

  TestCluster* const cluster_;
  std::unique_ptr<http2::FlushQueue> queue_;
  std::unique_ptr<io::PendingConnect> connect_;
  std::unique_ptr<http2::Session> session_;
  std::string body_;
  size_t read_ = 0;
  std::string status_;
};

class LongRangeTest : public testing::Test {
 protected:
  LongRangeTest() {
    cluster_.StartAll();
    EXPECT_TRUE(cluster_.RunUntilReady());
    cluster_.host(1).Run([this] {
      const io::Env& env = cluster_.env(1);
      grpc_ = std::make_unique<grpc::Server>(env.loop, grpc::ServerOptions());
      services::AddKv(grpc_.get(), cluster_.node(1), /*log=*/nullptr, 1'500'000);
      listener_ = *env.network->Listen(
          kAddress, [this](std::unique_ptr<io::Stream> s) { grpc_->Accept(std::move(s)); });
    });
    PutAll('a');
  }
  ~LongRangeTest() override {
    cluster_.host(1).Run([this] {
      listener_.reset();
      grpc_.reset();
    });
  }

  void PutAll(char with) {
    for (int i = 0; i < kKeys; ++i) {
      etcdserverpb::PutRequest put;
      put.set_key(absl::StrFormat("key%04d", i));
      put.set_value(std::string(kValue, with));
      const grpc::Result result = cluster_.Call(1, "/etcdserverpb.KV/Put", put.SerializeAsString());
      ASSERT_TRUE(result.status.ok()) << result.status;
    }
  }
  static std::string Everything() {
    etcdserverpb::RangeRequest range;
    range.set_key(std::string(1, '\0'));
    range.set_range_end(std::string(1, '\0'));
    return range.SerializeAsString();
  }
  void Compact() {
    etcdserverpb::CompactionRequest compact;
    compact.set_revision(cluster_.node(1)->status().revision.value());
    compact.set_physical(true);
    const grpc::Result result =
        cluster_.Call(1, "/etcdserverpb.KV/Compact", compact.SerializeAsString());
    ASSERT_TRUE(result.status.ok()) << result.status;
  }

  TestCluster cluster_{1};
  std::unique_ptr<grpc::Server> grpc_;
  std::unique_ptr<io::Listener> listener_;
};

TEST_F(LongRangeTest, ASlowReaderCostsLittleAndGetsWhatWasThereWhenItAsked) {
  const std::string expected(
      cluster_.Call(1, "/etcdserverpb.KV/Range", Everything()).message.view());
  ASSERT_GT(expected.size(), kKeys * kValue);
  SlowReader reader(&cluster_, Everything());
  cluster_.world().RunFor(Seconds(1));
  ASSERT_EQ(reader.status(), "");
  ASSERT_EQ(reader.promised(), expected.size());
  // Others are served, and what it has not read yet is overwritten and compacted away.
  PutAll('b');
  Compact();
  size_t most = 0;
  for (int i = 0; i < 1000 && reader.status().empty(); ++i) {
    most = std::max(most, grpc_->response_bytes());
    reader.Read();
  }
  EXPECT_EQ(reader.status(), "0");
  EXPECT_EQ(reader.message(), expected);
  // The beginning, which is copied, and two full queues: not 20 MB.
  EXPECT_LE(most, 2'000'000u);
  EXPECT_EQ(grpc_->response_bytes(), 0u);
  EXPECT_EQ(grpc_->open_calls(), 0u);
}

TEST_F(LongRangeTest, ManySlowReadersAreInNobodysWay) {
  std::vector<std::unique_ptr<SlowReader>> readers;
  for (int i = 0; i < 10; ++i) {
    readers.push_back(std::make_unique<SlowReader>(&cluster_, Everything()));
    cluster_.world().RunFor(Milliseconds(100));
  }
  for (const auto& reader : readers) {
    EXPECT_EQ(reader->status(), "");
    EXPECT_GT(reader->received(), size_t{1'000'000});
  }
  EXPECT_LE(grpc_->response_bytes(), 20'000'000u);  // of 200
  EXPECT_TRUE(cluster_.Put(1, "other").status.ok());
  EXPECT_EQ(cluster_.CountKeys(1), kKeys + 1);
  // Those who go away leave nothing behind.
  readers.clear();
  cluster_.world().RunFor(Seconds(1));
  EXPECT_EQ(grpc_->response_bytes(), 0u);
  EXPECT_EQ(grpc_->open_calls(), 0u);
}

}  // namespace
}  // namespace quorate
