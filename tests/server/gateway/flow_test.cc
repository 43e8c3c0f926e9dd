// Large answers: they come as their client reads, and what waits is counted and bounded.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "api/messages.h"
#include "api/rpc.pb.h"
#include "server/gateway/gateway.h"
#include "server/grpc/server.h"
#include "tests/server/fakes/memory_world.h"

namespace quorate::gateway {
namespace {

constexpr size_t kValueBytes = 1'000'000;

class FlowTest : public ::testing::Test {
 protected:
  FlowTest()
      : grpc_(&world_, Bounded()),
        http_(&world_, http1::ServerOptions()),
        gateway_(
            &world_, &http_,
            [this](std::unique_ptr<io::Stream> stream) { grpc_.Accept(std::move(stream)); },
            Options()) {
    // As many values as the limit says.
    grpc_.AddUnary("/etcdserverpb.KV/Range", [](grpc::Call* call, const Bytes& message) {
      etcdserverpb::RangeRequest request;
      ASSERT_TRUE(ParseMessage(message, &request));
      etcdserverpb::RangeResponse response;
      for (int i = 0; i < request.limit(); ++i) {
        response.add_kvs()->set_value(std::string(kValueBytes, static_cast<char>('a' + i % 26)));
      }
      response.set_count(request.limit());
      call->Finish(absl::OkStatus(), SerializeMessage(response));
    });
  }
  static grpc::ServerOptions Bounded() {
    grpc::ServerOptions options;
    options.max_total_response_bytes = 50 * kValueBytes;
    return options;
  }
  std::unique_ptr<fakes::RawPeer> Connect() {
    auto [client, server] = world_.Pair();
    http_.Accept(std::move(server));
    return std::make_unique<fakes::RawPeer>(std::move(client));
  }
  static std::string Request(int values) {
    const std::string body = absl::StrCat("{\"key\":\"YQ==\",\"limit\":", values, "}");
    return absl::StrCat("POST /v3/kv/range HTTP/1.1\r\nHost: x\r\nContent-Length: ", body.size(),
                        "\r\n\r\n", body);
  }
  std::unique_ptr<fakes::RawPeer> AskInVain(int values) {
    auto peer = Connect();
    peer->stream()->PauseReading();
    peer->Send(Request(values));
    world_.Run();
    return peer;
  }
  // The body of an answer in chunks.
  static std::string Body(const std::string& answer) {
    std::string body;
    const size_t head = answer.find("\r\n\r\n");
    if (head == std::string::npos) return "(no answer)";
    absl::string_view rest = absl::string_view(answer).substr(head + 4);
    while (true) {
      const size_t line = rest.find("\r\n");
      if (line == absl::string_view::npos) return body + "(cut off)";
      const size_t size = std::stoul(std::string(rest.substr(0, line)), nullptr, 16);
      if (size == 0) return body;
      if (rest.size() < line + 2 + size + 2) return body + "(cut off)";
      absl::StrAppend(&body, rest.substr(line + 2, size));
      rest.remove_prefix(line + 2 + size + 2);
    }
  }
  static std::string Json(int values) {
    std::string json = "{\"kvs\":[";
    for (int i = 0; i < values; ++i) {
      const std::string value(kValueBytes, static_cast<char>('a' + i % 26));
      absl::StrAppend(&json, i == 0 ? "" : ",", "{\"value\":\"", absl::Base64Escape(value), "\"}");
    }
    return absl::StrCat(json, "],\"count\":\"", values, "\"}");
  }

  fakes::MemoryWorld world_;
  grpc::Server grpc_;
  http1::Server http_;
  Gateway gateway_;
};

TEST_F(FlowTest, AnAnswerComesAsItsClientReads) {
  const auto peer = AskInVain(20);
  // Little has left, whatever the client might have asked for, and the rest is counted.
  EXPECT_LT(world_.bytes_moved(), 3 * kValueBytes);
  EXPECT_GE(grpc_.response_bytes(), 20 * kValueBytes);
  peer->stream()->ResumeReading();
  world_.Run();
  EXPECT_EQ(grpc_.response_bytes(), 0u);
  EXPECT_NE(peer->received().find("\r\nTransfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_EQ(Body(peer->received()), Json(20));
  // The connection goes on.
  peer->ClearReceived();
  peer->Send(Request(0));
  world_.Run();
  EXPECT_NE(peer->received().find("\r\nContent-Length: 2\r\n\r\n{}"), std::string::npos);
}

TEST_F(FlowTest, WhoeverReadsNothingIsClosedWhenOthersNeedTheRoom) {
  const auto first = AskInVain(20);
  const auto second = AskInVain(20);
  const auto third = Connect();
  third->Send(Request(20));
  world_.Run();
  EXPECT_EQ(third->received().substr(0, 12), "HTTP/1.1 429");
  EXPECT_FALSE(first->closed());
  world_.Advance(Seconds(11));
  third->Send(Request(20));
  world_.Run();
  EXPECT_EQ(grpc_.response_bytes(), 0u);
  third->ClearReceived();
  third->Send(Request(20));
  world_.Run();
  EXPECT_EQ(Body(third->received()), Json(20));
  // They see that something is missing: the connection ends before the last chunk.
  for (fakes::RawPeer* const peer : {first.get(), second.get()}) {
    peer->stream()->ResumeReading();
    world_.Run();
    EXPECT_TRUE(peer->closed());
    EXPECT_NE(Body(peer->received()), Json(20));
    EXPECT_EQ(peer->received().find("\r\n0\r\n\r\n"), std::string::npos);
  }
}

// As `printf ... | nc` does.
TEST_F(FlowTest, AClientThatHasSaidEverythingGetsAllOfItsAnswer) {
  const auto peer = AskInVain(5);
  peer->stream()->CloseAfterFlush();
  world_.Run();
  peer->stream()->ResumeReading();
  world_.Run();
  EXPECT_EQ(Body(peer->received()), Json(5));
}

}  // namespace
}  // namespace quorate::gateway
