// Calls with grpc-encoding: gzip, as clients make them that were told to compress.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/grpc/codec.h"
#include "server/grpc/gzip.h"
#include "tests/server/grpc/echo_server.h"

namespace quorate::grpc {
namespace {

constexpr size_t kMaxMessage = 1'000'000;

// Keeps what is to be done until it is told to.
class HeldCompute final : public io::Compute {
 public:
  void Run(std::function<void()> work, std::function<void()> done) override {
    held_.emplace_back(std::move(work), std::move(done));
  }
  size_t held() const { return held_.size(); }
  void Release() {
    for (auto& [work, done] : std::exchange(held_, {})) {
      work();
      done();
    }
  }

 private:
  std::vector<std::pair<std::function<void()>, std::function<void()>>> held_;
};

std::string Framed(absl::string_view text) {
  const Bytes bytes = Bytes::Copy(text);
  const Bytes packed = Gzip(absl::MakeSpan(&bytes, 1));
  std::string out(kFrameHeaderBytes, 0);
  StoreFrameHeader(out.data(), packed.size(), /*compressed=*/true);
  return out.append(packed.data(), packed.size());
}

// The messages of a body, "+" before those that were compressed.
std::vector<std::string> Messages(absl::string_view body) {
  std::vector<std::string> all;
  MessageReader reader;
  reader.Reset(kMaxMessage, /*gzip=*/true);
  while (!body.empty()) {
    const auto message = reader.Next(&body);
    EXPECT_TRUE(message.ok()) << message.status();
    if (!message.ok() || !message->has_value()) break;
    all.push_back(reader.compressed()
                      ? "+" + std::string(Gunzip(**message, kMaxMessage).value().view())
                      : std::string((*message)->view()));
  }
  return all;
}

class GzipCallTest : public testing::Test {
 protected:
  GzipCallTest() : echo_(&world_, WithCompute()) {
    auto [client, server] = world_.Pair();
    echo_.server.Accept(std::move(server));
    raw_ = std::make_unique<RawClient>(&world_, std::move(client));
    world_.Run();
  }
  ~GzipCallTest() override { raw_.reset(); }
  ServerOptions WithCompute() {
    ServerOptions options;
    options.max_message_bytes = kMaxMessage;
    options.compute = &compute_;
    return options;
  }
  RawCall* Send(absl::string_view path, absl::string_view body, bool end = true) {
    calls_.push_back(std::make_unique<RawCall>());
    RawCall* const call = calls_.back().get();
    EXPECT_TRUE(raw_->session->Request(
        call, RawClient::Headers({{":path", path}, {"grpc-encoding", "gzip"}}), false));
    SendMore(call, body, end);
    return call;
  }
  void SendMore(RawCall* call, absl::string_view body, bool end = true) {
    call->SendBody(Bytes::Copy(body));
    if (end) call->EndBody();
    world_.Run();
  }

  HeldCompute compute_;
  fakes::MemoryWorld world_;
  EchoServer echo_;
  std::vector<std::unique_ptr<RawCall>> calls_;
  std::unique_ptr<RawClient> raw_;
};

TEST_F(GzipCallTest, IsAnsweredInKind) {
  const RawCall* const call = Send("/test.Echo/Echo", Framed("hello"));
  EXPECT_EQ(call->Get("grpc-encoding"), "gzip");
  EXPECT_EQ(Messages(call->body), std::vector<std::string>{"+hello"});
  EXPECT_EQ(call->Get("grpc-status"), "0");
  EXPECT_EQ(compute_.held(), 0u);
  // What is not compressed among it is as good.
  const RawCall* const plain = Send("/test.Echo/Echo", std::string(Frame("hello").view()));
  EXPECT_EQ(Messages(plain->body), std::vector<std::string>{"+hello"});
}

TEST_F(GzipCallTest, LargeMessagesAreUnpackedOffTheLoopAndAnsweredAsTheyAre) {
  const std::string large(kMaxMessage, 'x');
  const RawCall* const call = Send("/test.Echo/Echo", Framed(large));
  EXPECT_EQ(compute_.held(), 1u);
  EXPECT_EQ(call->blocks, 0);
  EXPECT_EQ(Messages(Send("/test.Echo/Echo", Framed("small"))->body),
            std::vector<std::string>{"+small"});
  compute_.Release();
  world_.Run();
  EXPECT_EQ(Messages(call->body), std::vector<std::string>{large});
  EXPECT_EQ(call->Get("grpc-status"), "0");
}

TEST_F(GzipCallTest, MessagesOfAStreamStayInOrder) {
  const std::string large(200'000, 'x');
  RawCall* const call = Send("/test.Echo/Bidi", Framed("a") + Framed(large) + Framed("b"), false);
  EXPECT_EQ(Messages(call->body), std::vector<std::string>{"+a"});
  SendMore(call, Framed("c"));  // with the end of the request
  EXPECT_FALSE(call->ended);
  compute_.Release();
  world_.Run();
  EXPECT_EQ(Messages(call->body), (std::vector<std::string>{"+a", large, "+b", "+c"}));
  EXPECT_EQ(call->Get("grpc-status"), "0");
  EXPECT_EQ(echo_.server.request_bytes(), 0u);
}

TEST_F(GzipCallTest, BombsAreRefused) {
  const RawCall* const call = Send("/test.Echo/Echo", Framed(std::string(8 << 20, 0)));
  compute_.Release();
  world_.Run();
  EXPECT_EQ(call->Get("grpc-status"), "8");
  EXPECT_EQ(call->Get("grpc-message"),
            "grpc: received message after decompression larger than max 1000000");
}

TEST_F(GzipCallTest, WhoeverGoesAwayMeanwhileIsForgotten) {
  RawCall* const call = Send("/test.Echo/Echo", Framed(std::string(500'000, 'x')));
  ASSERT_EQ(compute_.held(), 1u);
  call->Reset(http2::ErrorCode::kCancel);
  world_.Run();
  EXPECT_EQ(echo_.server.open_calls(), 0u);
  compute_.Release();
  world_.Run();
  EXPECT_EQ(Messages(Send("/test.Echo/Echo", Framed("next"))->body),
            std::vector<std::string>{"+next"});
}

}  // namespace
}  // namespace quorate::grpc
