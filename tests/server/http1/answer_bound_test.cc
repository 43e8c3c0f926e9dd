// Many clients that ask for much and read nothing must not fill the memory.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/http1/server.h"
#include "tests/server/fakes/memory_world.h"

namespace quorate::http1 {
namespace {

class AnswerBoundTest : public ::testing::Test {
 protected:
  AnswerBoundTest() : server_(&world_, Bounded()) {
    world_.set_window(1000);
    server_.Route({"GET"}, "/large", [](const ExchangePtr& exchange) {
      if (!exchange->MakeRoom(1'000'000)) return exchange->Respond(Response::Text(503, "full\n"));
      exchange->Respond(Response::Text(200, std::string(1'000'000, 'x')));
    });
  }
  static ServerOptions Bounded() {
    ServerOptions options;
    options.max_total_answer_bytes = 2'500'000;
    return options;
  }
  std::unique_ptr<io::Stream> Connect() {
    auto [client, accepted] = world_.Pair();
    server_.Accept(std::move(accepted));
    return std::move(client);
  }
  // Never reads.
  void AskInVain() {
    silent_.push_back(Connect());
    silent_.back()->Write(Bytes::Static(kRequest));
    world_.Run();
  }
  std::string Ask() {
    fakes::RawPeer peer(Connect());
    peer.Send(kRequest);
    world_.Run();
    return peer.received().substr(0, 12);
  }

  static constexpr char kRequest[] = "GET /large HTTP/1.1\r\nHost: x\r\n\r\n";
  fakes::MemoryWorld world_;
  Server server_;
  std::vector<std::unique_ptr<io::Stream>> silent_;
};

TEST_F(AnswerBoundTest, WhoStallsGoesWhenOthersNeedTheRoom) {
  AskInVain();
  AskInVain();
  EXPECT_EQ(Ask(), "HTTP/1.1 503");
  world_.Advance(Seconds(11));
  EXPECT_EQ(Ask(), "HTTP/1.1 200");
  EXPECT_EQ(Ask(), "HTTP/1.1 200");
}

// A hundred bytes of requests must not stand for a hundred megabytes of answers.
TEST_F(AnswerBoundTest, WhoAsksOnAndOnWithoutReadingIsNotHeard) {
  int asked = 0;
  server_.Route({"GET"}, "/small", [&](const ExchangePtr& exchange) {
    ++asked;
    exchange->Respond(Response::Text(200, std::string(50'000, 'x')));
  });
  const std::unique_ptr<io::Stream> silent = Connect();
  for (int i = 0; i < 100; ++i) {
    silent->Write(Bytes::Static("GET /small HTTP/1.1\r\nHost: x\r\n\r\n"));
  }
  world_.Run();
  EXPECT_LT(asked, 25) << "then its queue is full";
  const int before = asked;
  fakes::RawPeer reader(Connect());
  for (int i = 0; i < 100; ++i) reader.Send("GET /small HTTP/1.1\r\nHost: x\r\n\r\n");
  world_.Run();
  EXPECT_EQ(asked, before + 100);
  EXPECT_GT(reader.received().size(), 5'000'000u);
}

TEST_F(AnswerBoundTest, WhoReadsLeavesNothingBehind) {
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Ask(), "HTTP/1.1 200") << i;
}

}  // namespace
}  // namespace quorate::http1
