// Unary answers that are made as their clients read them.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/server/grpc/echo_server.h"

namespace quorate::grpc {
namespace {

using fakes::MemoryWorld;

// An answer of many parts, each made when it is asked for.
class Parts final : public ResponseSource {
 public:
  static constexpr size_t kParts = 100;
  static constexpr size_t kPart = 300'000;
  static constexpr size_t kHeld = 5000;

  // Breaks off before part `broken`.
  Parts(size_t* made, bool* gone, size_t broken = kParts)
      : made_(made), gone_(gone), broken_(broken) {}
  ~Parts() override { *gone_ = true; }
  size_t size() const override { return kParts * kPart; }
  size_t held_bytes() const override { return kHeld; }
  std::optional<Bytes> Next() override {
    if (*made_ == broken_) return std::nullopt;
    ++*made_;
    return Bytes::Copy(std::string(kPart, 'p'));
  }

 private:
  size_t* const made_;
  bool* const gone_;
  const size_t broken_;
};

TEST(HugeAnswer, ComesWhole) {
  MemoryWorld world;
  EchoServer echo(&world);
  size_t made = 0;
  bool gone = false;
  echo.server.AddUnary("/test.Echo/Huge", [&](Call* call, Bytes) {
    call->FinishFrom(std::make_unique<Parts>(&made, &gone));
  });
  Channel channel(&world, &world, "server");
  Answer answer;
  channel.Unary("/test.Echo/Huge", Bytes(), {}, answer.callback());
  world.Run();
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer.message(), std::string(Parts::kParts * Parts::kPart, 'p'));
  EXPECT_TRUE(gone);
  EXPECT_EQ(echo.server.response_bytes(), 0u);
  EXPECT_EQ(echo.server.open_calls(), 0u);
}

TEST(HugeAnswer, ThatCannotGoOnIsReset) {
  MemoryWorld world;
  EchoServer echo(&world);
  size_t made = 0;
  bool gone = false;
  echo.server.AddUnary("/test.Echo/Huge", [&](Call* call, Bytes) {
    call->FinishFrom(std::make_unique<Parts>(&made, &gone, Parts::kParts / 2));
  });
  Channel channel(&world, &world, "server");
  Answer answer;
  channel.Unary("/test.Echo/Huge", Bytes(), {}, answer.callback());
  world.Run();
  ASSERT_TRUE(answer.result.has_value());
  EXPECT_EQ(answer.result->status.code(), absl::StatusCode::kResourceExhausted) << answer.status();
  EXPECT_TRUE(gone);
  EXPECT_EQ(echo.server.response_bytes(), 0u);
  EXPECT_EQ(echo.server.open_calls(), 0u);
  // The connection is as good as before.
  Answer echoed;
  channel.Unary("/test.Echo/Echo", Bytes::Copy("x"), {}, echoed.callback());
  world.Run();
  EXPECT_EQ(echoed.message(), "x");
}

// Its request is not kept in memory meanwhile; how large it was is known to the end.
TEST(HugeAnswer, IsToldOfWithTheSizeOfItsRequest) {
  MemoryWorld world;
  EchoServer echo(&world);
  size_t made = 0;
  bool gone = false;
  std::vector<size_t> told;
  echo.server.set_on_slow(Duration(), [&](const Call& call, Duration, const absl::Status&) {
    told.push_back(call.request_bytes());
  });
  for (const size_t broken : {Parts::kParts, Parts::kParts / 2}) {
    echo.server.AddUnary(absl::StrCat("/test.Echo/Huge", broken), [&, broken](Call* call, Bytes) {
      made = 0;
      call->FinishFrom(std::make_unique<Parts>(&made, &gone, broken));
    });
    Channel channel(&world, &world, "server");
    Answer answer;
    channel.Unary(absl::StrCat("/test.Echo/Huge", broken), Bytes::Copy("1234567"), {},
                  answer.callback());
    world.Run();
    EXPECT_EQ(answer.ok(), broken == Parts::kParts);
  }
  EXPECT_EQ(told, (std::vector<size_t>{7, 7}));
}

// However large the answer is and however slowly it is read, little of it is ever in memory; and
// many such readers at once are in nobody's way.
TEST(HugeAnswer, CostsTheSameHoweverLargeItIs) {
  constexpr size_t kReaders = 20;
  // A part counts until its last byte has left, and parts are made until the queue is full.
  constexpr size_t kEach = http2::Stream::kHighWater + 2 * Parts::kPart + Parts::kHeld;
  struct Reader {
    RawCall call;
    std::unique_ptr<RawClient> client;
    size_t made = 0;
    bool gone = false;

    void Take(size_t bytes, MemoryWorld* world) {
      call.Consume(bytes);
      client->session->Flush();
      world->Run();
    }
  };
  MemoryWorld world;
  EchoServer echo(&world);
  std::vector<std::unique_ptr<Reader>> readers;
  for (size_t i = 0; i < kReaders; ++i) {
    readers.push_back(std::make_unique<Reader>());
    Reader* const reader = readers.back().get();
    auto [client, server] = world.Pair();
    echo.server.Accept(std::move(server));
    reader->client = std::make_unique<RawClient>(&world, std::move(client));
    world.Run();
    const auto headers = RawClient::Headers({{":path", "/test.Echo/Later"}});
    ASSERT_TRUE(reader->client->session->Request(&reader->call, headers, false));
    reader->call.SendBody(Bytes::Static(absl::string_view("\0\0\0\0\0", 5)));
    reader->call.EndBody();
    world.Run();
    ASSERT_EQ(echo.later.size(), i + 1);
    echo.server.Find(echo.later.back())
        ->FinishFrom(std::make_unique<Parts>(&reader->made, &reader->gone));
    world.Run();
  }
  // The clients' windows of 4 MiB are full, of 30 MB.
  for (const auto& reader : readers) EXPECT_LT(reader->made, 20u);
  EXPECT_LE(echo.server.response_bytes(), kReaders * kEach);
  Channel channel(&world, &world, "server");
  Answer other;
  channel.Unary("/test.Echo/Echo", Bytes::Copy("other"), {}, other.callback());
  world.Run();
  EXPECT_EQ(other.message(), "other");
  // One reads a little now and then, and has all of it in the end; another one goes away.
  Reader* const slow = readers[1].get();
  size_t most = 0;
  for (int i = 0; i < 1000 && slow->call.Get("grpc-status") == "(none)"; ++i) {
    slow->Take(100'000, &world);
    most = std::max(most, echo.server.response_bytes());
  }
  EXPECT_EQ(slow->call.Get("grpc-status"), "0");
  EXPECT_EQ(slow->call.body.size(), Parts::kParts * Parts::kPart + 5);
  EXPECT_LE(most, kReaders * kEach);
  EXPECT_TRUE(slow->gone);
  readers[2]->call.Reset(http2::ErrorCode::kCancel);
  readers[2]->Take(0, &world);
  EXPECT_TRUE(readers[2]->gone);
  EXPECT_FALSE(readers[3]->gone);
  for (const auto& reader : readers) reader->client.reset();
  world.Run();
  EXPECT_EQ(echo.server.response_bytes(), 0u);
  for (const auto& reader : readers) EXPECT_TRUE(reader->gone);
}

constexpr size_t kGiB = size_t{1} << 30;

// Says that it is long.
class Endless final : public ResponseSource {
 public:
  explicit Endless(size_t size) : size_(size) {}
  size_t size() const override { return size_; }
  size_t held_bytes() const override { return 0; }
  std::optional<Bytes> Next() override { return Bytes::Static("x"); }

 private:
  const size_t size_;
};

// The same 64 MiB again and again.
std::vector<Bytes> Repeated(size_t total) {
  const Bytes part = Bytes::Copy(std::string(64 << 20, 'x'));
  return std::vector<Bytes>(total / part.size(), part);
}

// gRPC's lengths have 32 bits, and its implementations take them as signed.
TEST(HugeAnswer, LongerThanAnyMessageIsRefusedByItsLength) {
  MemoryWorld world;
  EchoServer echo(&world);
  size_t size = 0;
  echo.server.AddUnary("/test.Echo/Endless", [&](Call* call, Bytes) {
    call->FinishFrom(std::make_unique<Endless>(size));
  });
  echo.server.AddUnary("/test.Echo/Repeated", [&](Call* call, Bytes) {
    std::vector<Bytes> pieces = Repeated(size);
    call->FinishPieces(absl::MakeSpan(pieces));
  });
  Channel channel(&world, &world, "server");
  for (const char* method : {"/test.Echo/Endless", "/test.Echo/Repeated"}) {
    for (const size_t each : {2 * kGiB, 4 * kGiB + (64 << 20)}) {
      size = each;
      Answer answer;
      channel.Unary(method, Bytes(), {}, answer.callback());
      world.Run();
      EXPECT_EQ(answer.status(), absl::StrCat("8 trying to send message larger than max (", size,
                                              " vs. 2147483647)"));
    }
  }
  EXPECT_EQ(echo.server.open_calls(), 0u);
  EXPECT_EQ(echo.server.response_bytes(), 0u);
}

// Sends a message, one that is too long, and another one.
class TooLongStream final : public StreamHandler {
 public:
  TooLongStream(Call* call, EchoStats* stats) : call_(call), stats_(stats) {}
  void OnMessage(Bytes) override {
    call_->Send(Bytes::Static("before"));
    std::vector<Bytes> pieces = Repeated(2 * kGiB);
    call_->SendPieces(absl::MakeSpan(pieces));
    call_->Send(Bytes::Static("after"));
  }
  void OnHalfClose() override { call_->Finish(absl::OkStatus()); }
  void OnCancel(const absl::Status& why) override {
    ++stats_->cancelled;
    stats_->cancel_code = why.code();
  }

 private:
  Call* const call_;
  EchoStats* const stats_;
};

TEST(HugeAnswer, OfAStreamEndsIt) {
  for (const bool finishes : {false, true}) {
    MemoryWorld world;
    EchoServer echo(&world);
    echo.server.AddStreaming("/test.Echo/TooLong", MethodKind::kBidiStream, [&](Call* call) {
      return std::make_unique<TooLongStream>(call, &echo.echo);
    });
    auto [client_stream, server_stream] = world.Pair();
    echo.server.Accept(std::move(server_stream));
    RawCall call;
    RawClient client(&world, std::move(client_stream));
    world.Run();
    const auto headers = RawClient::Headers({{":path", "/test.Echo/TooLong"}});
    ASSERT_TRUE(client.session->Request(&call, headers, false));
    call.SendBody(Bytes::Static(absl::string_view("\0\0\0\0\0", 5)));
    if (finishes) call.EndBody();
    client.session->Flush();
    world.Run();
    EXPECT_EQ(call.body, std::string("\0\0\0\0\6before", 11));
    EXPECT_EQ(call.Get("grpc-status"), "8");
    EXPECT_EQ(call.Get("grpc-message"),
              "trying to send message larger than max (2147483648 vs. 2147483647)");
    EXPECT_EQ(echo.server.open_calls(), 0u);
    // Whoever has finished is told nothing more.
    EXPECT_EQ(echo.echo.cancelled, finishes ? 0 : 1);
  }
}

// A client that has its answer coming and does not stop sending.
class HugeAnswerAndAClientThatGoesOn : public ::testing::Test {
 protected:
  // The answer begins and waits for its reader. With `at_once` the server answers while it reads,
  // and a second message stands right behind the first one.
  void Begin(bool at_once) {
    auto [client, server] = world_.Pair();
    echo_.server.Accept(std::move(server));
    client_ = std::make_unique<RawClient>(&world_, std::move(client));
    world_.Run();
    if (at_once) {
      echo_.server.AddUnary("/test.Echo/Huge", [this](Call* call, Bytes) {
        call->FinishFrom(std::make_unique<Parts>(&made_, &gone_));
      });
    }
    const absl::string_view path = at_once ? "/test.Echo/Huge" : "/test.Echo/Later";
    ASSERT_TRUE(client_->session->Request(&call_, RawClient::Headers({{":path", path}}), false));
    call_.SendBody(Bytes::Static(kEmptyMessage));
    if (at_once) call_.SendBody(Bytes::Static(kEmptyMessage));
    Run();
    if (!at_once) {
      ASSERT_EQ(echo_.later.size(), 1u);
      echo_.server.Find(echo_.later[0])->FinishFrom(std::make_unique<Parts>(&made_, &gone_));
    }
    Run();
    ASSERT_EQ(echo_.server.open_calls(), 1u);
    ASSERT_FALSE(gone_);
  }

  void Run() {
    client_->session->Flush();
    world_.Run();
  }

  void ExpectTheWholeAnswer() {
    for (int i = 0; i < 1000 && call_.Get("grpc-status") == "(none)"; ++i) {
      call_.Consume(100'000);
      Run();
    }
    EXPECT_EQ(call_.Get("grpc-status"), "0");
    EXPECT_EQ(call_.body.size(), Parts::kParts * Parts::kPart + 5);
    ExpectNothingLeft();
  }

  void ExpectNothingLeft() {
    EXPECT_TRUE(gone_);
    EXPECT_EQ(echo_.server.open_calls(), 0u);
    EXPECT_EQ(echo_.server.response_bytes(), 0u);
    EXPECT_EQ(echo_.server.request_bytes(), 0u);
  }

  static constexpr absl::string_view kEmptyMessage = absl::string_view("\0\0\0\0\0", 5);

  MemoryWorld world_;
  EchoServer echo_{&world_};
  RawCall call_;
  std::unique_ptr<RawClient> client_;
  size_t made_ = 0;
  bool gone_ = false;
};

TEST_F(HugeAnswerAndAClientThatGoesOn, ASecondMessageIsDropped) {
  Begin(false);
  call_.SendBody(Bytes::Static(kEmptyMessage));
  Run();
  ExpectTheWholeAnswer();
}

TEST_F(HugeAnswerAndAClientThatGoesOn, ASecondMessageRightBehindTheFirstIsDropped) {
  Begin(true);
  ExpectTheWholeAnswer();
}

TEST_F(HugeAnswerAndAClientThatGoesOn, AnEndWithinAMessageIsDropped) {
  Begin(false);
  call_.SendBody(Bytes::Static(kEmptyMessage.substr(0, 2)));
  call_.EndBody();
  Run();
  ExpectTheWholeAnswer();
}

TEST_F(HugeAnswerAndAClientThatGoesOn, WhatIsNoMessageIsDroppedAndItsWindowGivenBack) {
  Begin(false);
  // More than the windows of stream and connection, and with more flags than there are.
  const Bytes garbage = Bytes::Copy(std::string(1 << 20, '\xff'));
  for (int i = 0; i < 64; ++i) {
    call_.SendBody(garbage);
    Run();
    ASSERT_EQ(call_.queued_bytes(), 0u) << i;
  }
  EXPECT_EQ(echo_.server.request_bytes(), 0u);
  ExpectTheWholeAnswer();
}

TEST_F(HugeAnswerAndAClientThatGoesOn, AServerThatChangesItsMindResetsTheCall) {
  Begin(false);
  echo_.server.Find(echo_.later[0])->Finish(absl::UnavailableError("etcdserver: no leader"));
  Run();
  EXPECT_EQ(call_.closed, http2::ErrorCode::kCancel);
  ExpectNothingLeft();
}

}  // namespace
}  // namespace quorate::grpc
