// Many clients that ask for much and read nothing must not fill the memory.
#include <gtest/gtest.h>

#include <algorithm>
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

// Reads so many bytes, and then no more until it is told.
class PacedReader : private io::Stream::Handler {
 public:
  explicit PacedReader(std::unique_ptr<io::Stream> stream) : stream_(std::move(stream)) {
    stream_->Start(this);
    stream_->PauseReading();
  }
  void Send(absl::string_view bytes) { stream_->Write(Bytes::Copy(bytes)); }
  void Read(size_t bytes) {
    left_ = bytes;
    stream_->ResumeReading();
  }
  bool closed() const { return closed_; }

 private:
  void OnData(absl::string_view data) override {
    left_ -= std::min(left_, data.size());
    if (left_ == 0) stream_->PauseReading();
  }
  void OnClose(const absl::Status&) override { closed_ = true; }

  std::unique_ptr<io::Stream> stream_;
  size_t left_ = 0;
  bool closed_ = false;
};

// Whole answers count as what is streamed does.
TEST_F(AnswerBoundTest, WhoReadsOneAnswerWhileTheNextIsWrittenDoesNotStall) {
  PacedReader reader(Connect());
  reader.Send(kRequest);
  AskInVain();
  EXPECT_EQ(Ask(), "HTTP/1.1 503") << "and both are watched";
  server_.Route({"GET"}, "/more", [](const ExchangePtr& exchange) {
    exchange->Respond(Response::Text(200, std::string(1'000'000, 'x')));
  });
  reader.Send("GET /more HTTP/1.1\r\nHost: x\r\n\r\n");
  world_.Advance(Seconds(11));
  reader.Read(900'000);
  world_.Run();
  EXPECT_EQ(Ask(), "HTTP/1.1 200") << "the other one goes";
  world_.Run();
  reader.Read(10'000'000);
  world_.Run();
  EXPECT_FALSE(reader.closed());
}

TEST_F(AnswerBoundTest, WhoTookAllOnceIsWatchedAnew) {
  server_.Route({"GET"}, "/unasked", [](const ExchangePtr& exchange) {
    exchange->Respond(Response::Text(200, std::string(1'000'000, 'x')));
  });
  PacedReader reader(Connect());
  reader.Send("GET /unasked HTTP/1.1\r\nHost: x\r\n\r\n");
  AskInVain();
  EXPECT_EQ(Ask(), "HTTP/1.1 503") << "and both are watched";
  reader.Read(1'000'000);
  world_.Advance(Seconds(200));
  reader.Send("GET /unasked HTTP/1.1\r\nHost: x\r\n\r\n");
  world_.Run();
  EXPECT_EQ(Ask(), "HTTP/1.1 200") << "the other one goes";
  reader.Read(10'000'000);
  world_.Run();
  EXPECT_FALSE(reader.closed());
}

TEST_F(AnswerBoundTest, WhoReadsLeavesNothingBehind) {
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Ask(), "HTTP/1.1 200") << i;
}

}  // namespace
}  // namespace quorate::http1
