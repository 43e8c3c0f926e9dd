// Calls between our client and our server over streams in memory.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/server/grpc/echo_server.h"

namespace quorate::grpc {
namespace {

using fakes::MemoryWorld;

std::string Repeat(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 + i / 251);
  return text;
}

TEST(Unary, EchoesMessagesOfAllSizes) {
  MemoryWorld world;
  EchoServer echo(&world);
  Channel channel(&world, &world, "server");
  for (const size_t size : {0, 1, 255, 256, 2047, 2048, 16384, 16385, 70'000, 2'000'000}) {
    const std::string text = Repeat(size);
    Answer answer;
    channel.Unary("/test.Echo/Echo", Bytes::Copy(text), {}, answer.callback());
    world.Run();
    ASSERT_TRUE(answer.ok()) << size << ": " << answer.status();
    EXPECT_TRUE(answer.message() == text) << size;
  }
  EXPECT_EQ(echo.server.open_calls(), 0u);
  EXPECT_EQ(echo.server.request_bytes(), 0u);
}

TEST(Unary, AnyCutOfTheBytesGivesTheSameAnswer) {
  size_t length = 0;
  {
    MemoryWorld world;
    EchoServer echo(&world);
    Channel channel(&world, &world, "server");
    Answer answer;
    channel.Unary("/test.Echo/Echo", Bytes::Copy("hello"), {}, answer.callback());
    world.Run();
    ASSERT_TRUE(answer.ok());
    length = world.bytes_moved();
  }
  for (size_t cut = 1; cut <= length; ++cut) {
    MemoryWorld world;
    world.set_first_chunk(cut);
    EchoServer echo(&world);
    Channel channel(&world, &world, "server");
    Answer answer;
    channel.Unary("/test.Echo/Echo", Bytes::Copy("hello"), {}, answer.callback());
    world.Run();
    ASSERT_TRUE(answer.ok()) << "cut after " << cut << ": " << answer.status();
    ASSERT_EQ(answer.message(), "hello");
  }
}

TEST(Unary, PiecesOfEverySmallSize) {
  for (size_t chunk = 1; chunk <= 40; ++chunk) {
    MemoryWorld world;
    world.set_chunk(chunk);
    EchoServer echo(&world);
    Channel channel(&world, &world, "server");
    const std::string text = Repeat(5000);
    Answer first;
    Answer second;
    channel.Unary("/test.Echo/Echo", Bytes::Copy(text), {}, first.callback());
    channel.Unary("/test.Echo/Fail", Bytes::Copy("why"), {}, second.callback());
    world.Run();
    ASSERT_TRUE(first.ok()) << chunk << " " << first.status();
    ASSERT_TRUE(first.message() == text);
    ASSERT_EQ(second.status(), "9 why");
  }
}

TEST(Unary, ATurnsAnswersLeaveInOneWrite) {
  MemoryWorld world;
  EchoServer echo(&world);
  Channel channel(&world, &world, "server");
  Answer warm;
  channel.Unary("/test.Echo/Echo", Bytes::Copy("x"), {}, warm.callback());
  world.Run();
  const size_t before = world.writes();
  std::vector<Answer> answers(16);
  for (Answer& answer : answers) {
    channel.Unary("/test.Echo/Echo", Bytes::Copy("x"), {}, answer.callback());
  }
  world.Run();
  for (Answer& answer : answers) EXPECT_TRUE(answer.ok());
  EXPECT_EQ(world.writes() - before, 2u);  // one of the client, one of the server
}

TEST(Unary, StatusTextsTravelWhole) {
  MemoryWorld world;
  EchoServer echo(&world);
  Channel channel(&world, &world, "server");
  for (const std::string& text :
       {std::string("etcdserver: key is not provided"), std::string("100% \xc3\xa4 \n\t"),
        std::string("%41"), std::string()}) {
    Answer answer;
    channel.Unary("/test.Echo/Fail", Bytes::Copy(text), {}, answer.callback());
    world.Run();
    EXPECT_EQ(answer.status(), "9 " + text);
  }
  Answer answer;
  channel.Unary("/test.Echo/Fail", Bytes::Copy("a\xff z"), {}, answer.callback());
  world.Run();
  EXPECT_EQ(answer.status(), "9 a\xef\xbf\xbd z");
}

TEST(Unary, UnknownServiceAndMethodAreNamed) {
  MemoryWorld world;
  EchoServer echo(&world);
  Channel channel(&world, &world, "server");
  Answer service;
  Answer method;
  Answer path;
  channel.Unary("/test.Nothing/Echo", Bytes(), {}, service.callback());
  channel.Unary("/test.Echo/Nothing", Bytes(), {}, method.callback());
  channel.Unary("/nothing", Bytes(), {}, path.callback());
  world.Run();
  EXPECT_EQ(service.status(), "12 unknown service test.Nothing");
  EXPECT_EQ(method.status(), "12 unknown method Nothing for service test.Echo");
  EXPECT_EQ(path.status(), "12 malformed method name: \"/nothing\"");
}

TEST(Unary, MetadataReachesTheHandler) {
  MemoryWorld world;
  EchoServer echo(&world);
  Channel channel(&world, &world, "server");
  Answer with;
  Answer without;
  CallOptions options;
  options.metadata = {{"hasleader", "true"}, {"token", "abc.7"}, {"token", "second"}};
  channel.Unary("/test.Echo/Token", Bytes(), options, with.callback());
  channel.Unary("/test.Echo/Token", Bytes(), {}, without.callback());
  world.Run();
  EXPECT_EQ(with.message(), "abc.7");
  EXPECT_EQ(without.message(), "none");
}

TEST(Unary, ATooLargeMessageIsRefusedWithItsSize) {
  MemoryWorld world;
  EchoServer echo(&world);
  Channel channel(&world, &world, "server");
  Answer large;
  Answer fits;
  channel.Unary("/test.Echo/Echo", Bytes::Copy(std::string(2097153, 'x')), {}, large.callback());
  channel.Unary("/test.Echo/Echo", Bytes::Copy(std::string(2097152, 'x')), {}, fits.callback());
  world.Run();
  EXPECT_EQ(large.status(), "8 grpc: received message larger than max (2097153 vs. 2097152)");
  EXPECT_TRUE(fits.ok()) << fits.status();
}

TEST(Unary, OneConnectionsRequestBytesAreBounded) {
  MemoryWorld world;
  ServerOptions options;
  options.max_connection_request_bytes = 1'000'000;
  EchoServer echo(&world, options);
  Channel channel(&world, &world, "server");
  std::vector<Answer> answers(5);
  for (Answer& answer : answers) {
    channel.Unary("/test.Echo/Later", Bytes::Copy(std::string(300'000, 'x')), {},
                  answer.callback());
  }
  world.Run();
  EXPECT_LE(echo.server.request_bytes(), 1'000'000u);
  ASSERT_EQ(echo.later.size(), 3u);
  for (const uint64_t id : echo.later) echo.server.Find(id)->Finish(absl::OkStatus());
  world.Run();
  int ok = 0;
  int exhausted = 0;
  for (const Answer& answer : answers) {
    if (answer.ok()) ++ok;
    if (answer.result->status.code() == absl::StatusCode::kResourceExhausted) ++exhausted;
  }
  EXPECT_EQ(ok, 3);
  EXPECT_EQ(exhausted, 2);
  EXPECT_EQ(echo.server.request_bytes(), 0u);
}

TEST(Deadline, EndsTheCallOnBothSides) {
  MemoryWorld world;
  EchoServer echo(&world);
  Channel channel(&world, &world, "server");
  Answer answer;
  CallOptions options;
  options.timeout = Milliseconds(300);
  channel.Unary("/test.Echo/Later", Bytes(), options, answer.callback());
  world.Run();
  ASSERT_EQ(echo.later.size(), 1u);
  Call* const call = echo.server.Find(echo.later[0]);
  ASSERT_NE(call, nullptr);
  EXPECT_GT(call->deadline(), world.Now() + Milliseconds(299));
  absl::Status cancelled;
  call->set_on_cancel([&](const absl::Status& why) { cancelled = why; });
  world.Advance(Milliseconds(299));
  EXPECT_FALSE(answer.result.has_value());
  world.Advance(Milliseconds(2));
  EXPECT_EQ(answer.status(), "4 context deadline exceeded");
  // Whichever side was first: the handler learns of it, and the id means nothing.
  EXPECT_FALSE(cancelled.ok());
  EXPECT_EQ(echo.server.Find(echo.later[0]), nullptr);
  EXPECT_EQ(echo.server.open_calls(), 0u);
}

TEST(Deadline, OfTheServerResetsTheStream) {
  MemoryWorld world;
  EchoServer echo(&world);
  auto [client_end, server_end] = world.Pair();
  echo.server.Accept(std::move(server_end));
  RawClient client(&world, std::move(client_end));
  RawCall call;
  ASSERT_TRUE(client.session->Request(
      &call, RawClient::Headers({{":path", "/test.Echo/Later"}, {"grpc-timeout", "50m"}}), false));
  call.SendBody(Frame(""));
  call.EndBody();
  world.Run();
  ASSERT_EQ(echo.later.size(), 1u);
  absl::Status cancelled;
  echo.server.Find(echo.later[0])->set_on_cancel([&](const absl::Status& s) { cancelled = s; });
  world.Advance(Milliseconds(60));
  EXPECT_EQ(call.closed, http2::ErrorCode::kCancel);
  EXPECT_EQ(cancelled.code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(Cancel, ReachesTheHandlerAndTheAnswerGoesNowhere) {
  MemoryWorld world;
  EchoServer echo(&world);
  Channel channel(&world, &world, "server");
  Answer answer;
  const uint64_t id = channel.Unary("/test.Echo/Later", Bytes(), {}, answer.callback());
  world.Run();
  ASSERT_EQ(echo.later.size(), 1u);
  bool cancelled = false;
  echo.server.Find(echo.later[0])->set_on_cancel([&](const absl::Status&) { cancelled = true; });
  channel.Cancel(id);
  world.Run();
  EXPECT_TRUE(cancelled);
  EXPECT_FALSE(answer.result.has_value());
  EXPECT_EQ(echo.server.Find(echo.later[0]), nullptr);
  // The connection is none the worse.
  Answer next;
  channel.Unary("/test.Echo/Echo", Bytes::Copy("x"), {}, next.callback());
  world.Run();
  EXPECT_TRUE(next.ok());
}

TEST(Cancel, AVanishedClientCancelsItsCallsOnly) {
  MemoryWorld world;
  EchoServer echo(&world);
  auto leaving = std::make_unique<Channel>(&world, &world, "server");
  Channel staying(&world, &world, "server");
  Answer lost;
  Answer kept;
  leaving->Unary("/test.Echo/Later", Bytes(), {}, lost.callback());
  world.Run();
  staying.Unary("/test.Echo/Later", Bytes(), {}, kept.callback());
  world.Run();
  ASSERT_EQ(echo.later.size(), 2u);
  leaving.reset();
  world.Run();
  EXPECT_EQ(echo.server.Find(echo.later[0]), nullptr);
  EXPECT_EQ(echo.server.connections(), 1u);
  echo.server.Find(echo.later[1])->Finish(absl::OkStatus(), Bytes::Copy("late"));
  world.Run();
  EXPECT_EQ(kept.message(), "late");
  EXPECT_FALSE(lost.result.has_value());
}

TEST(Cancel, AServerThatGoesAwayFailsItsClientsCalls) {
  MemoryWorld world;
  auto echo = std::make_unique<EchoServer>(&world);
  Channel channel(&world, &world, "server");
  Answer answer;
  channel.Unary("/test.Echo/Later", Bytes(), {}, answer.callback());
  world.Run();
  echo.reset();
  world.Run();
  EXPECT_EQ(answer.result->status.code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(answer.result->unprocessed);  // it may have been
  EXPECT_EQ(channel.state(), Channel::State::kFailed);
  Answer after;
  channel.Unary("/test.Echo/Echo", Bytes(), {}, after.callback());
  EXPECT_FALSE(after.result.has_value());  // never from inside the call
  world.Run();
  EXPECT_EQ(after.result->status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(after.result->unprocessed);
}

TEST(Channel, ARefusedConnectionFailsCallsAsUnprocessed) {
  MemoryWorld world;
  Channel channel(&world, &world, "nobody");
  Answer answer;
  channel.Unary("/test.Echo/Echo", Bytes(), {}, answer.callback());
  world.Run();
  EXPECT_EQ(answer.result->status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(answer.result->unprocessed);
}

TEST(Channel, MayBeDestroyedFromInsideItsCallbacks) {
  MemoryWorld world;
  EchoServer echo(&world);
  auto channel = std::make_unique<Channel>(&world, &world, "server");
  int answers = 0;
  for (int i = 0; i < 3; ++i) {
    channel->Unary("/test.Echo/Echo", Bytes::Copy("x"), {}, [&](Result) {
      ++answers;
      channel.reset();
    });
  }
  world.Run();
  EXPECT_EQ(answers, 1);
  EXPECT_EQ(echo.server.connections(), 0u);
}

// --- Streams ---

class Collector : public ClientStreamHandler {
 public:
  void OnMessage(Bytes message) override {
    messages.emplace_back(message.view());
    bytes += message.size();
  }
  void OnFinish(const absl::Status& s) override { status = s; }
  std::vector<std::string> messages;
  size_t bytes = 0;
  std::optional<absl::Status> status;
};

TEST(Streaming, BidiEchoesInOrderAndEndsWithTheHalfClose) {
  for (const size_t chunk : {1, 7, 100'000}) {
    MemoryWorld world;
    world.set_chunk(chunk);
    EchoServer echo(&world);
    Channel channel(&world, &world, "server");
    Collector collector;
    auto stream = channel.Stream("/test.Echo/Bidi", {}, &collector);
    stream->Send(Bytes::Copy("a"));
    world.Run();
    ASSERT_EQ(collector.messages, std::vector<std::string>{"a"});
    stream->Send(Bytes::Copy("b"));
    stream->Send(Bytes());
    stream->Send(Bytes::Copy("c"));
    stream->HalfClose();
    world.Run();
    EXPECT_EQ(collector.messages, (std::vector<std::string>{"a", "b", "", "c"}));
    ASSERT_TRUE(collector.status.has_value());
    EXPECT_TRUE(collector.status->ok()) << *collector.status;
    EXPECT_EQ(echo.echo.half_closed, 1);
    EXPECT_EQ(echo.echo.cancelled, 0);
  }
}

TEST(Streaming, DroppingTheClientsStreamCancels) {
  MemoryWorld world;
  EchoServer echo(&world);
  Channel channel(&world, &world, "server");
  Collector collector;
  auto stream = channel.Stream("/test.Echo/Bidi", {}, &collector);
  stream->Send(Bytes::Copy("a"));
  world.Run();
  stream.reset();
  world.Run();
  EXPECT_EQ(echo.echo.cancelled, 1);
  EXPECT_EQ(echo.echo.cancel_code, absl::StatusCode::kCancelled);
  EXPECT_FALSE(collector.status.has_value());
}

TEST(Streaming, ASlowReaderHoldsTheProducerBack) {
  MemoryWorld world;
  world.set_window(64 * 1024);
  EchoServer echo(&world);
  Channel channel(&world, &world, "server");
  Collector collector;
  auto stream = channel.Stream("/test.Echo/Count", {}, &collector);
  stream->PauseReading();
  stream->Send(Bytes::Copy("5000"));  // 50 MB in all
  stream->HalfClose();
  world.Run();
  EXPECT_TRUE(collector.messages.empty());
  const MethodStats& stats = echo.server.methods().at("/test.Echo/Count")->stats;
  // The stream's window (4 MiB here), the call's queue and the socket's queue: no more.
  EXPECT_LT(stats.messages_sent * 10'000, 8u * 1024 * 1024);
  // Others go on meanwhile.
  Answer other;
  channel.Unary("/test.Echo/Echo", Bytes::Copy("x"), {}, other.callback());
  world.Run();
  EXPECT_TRUE(other.ok());
  stream->ResumeReading();
  world.Run();
  EXPECT_EQ(collector.messages.size(), 5000u);
  EXPECT_EQ(collector.bytes, 50'000'000u);
  ASSERT_TRUE(collector.status.has_value());
  EXPECT_TRUE(collector.status->ok());
}

class SlowHandler : public StreamHandler {
 public:
  explicit SlowHandler(Call* call) : call_(call) { call_->PauseReading(); }
  void OnMessage(Bytes) override {
    ++messages;
    call_->PauseReading();
  }
  void OnHalfClose() override { call_->Finish(absl::OkStatus()); }
  void OnCancel(const absl::Status&) override {}
  void Resume() { call_->ResumeReading(); }
  int messages = 0;

 private:
  Call* const call_;
};

TEST(Streaming, AServerThatPausesGetsOneMessageAtATime) {
  MemoryWorld world;
  EchoServer echo(&world);
  SlowHandler* handler = nullptr;
  echo.server.AddStreaming("/test.Echo/Slow", MethodKind::kBidiStream, [&](Call* call) {
    auto slow = std::make_unique<SlowHandler>(call);
    handler = slow.get();
    return slow;
  });
  Channel channel(&world, &world, "server");
  Collector collector;
  auto stream = channel.Stream("/test.Echo/Slow", {}, &collector);
  for (int i = 0; i < 300; ++i) stream->Send(Bytes::Copy(std::string(10'000, 'm')));
  stream->HalfClose();
  world.Run();
  ASSERT_NE(handler, nullptr);
  EXPECT_EQ(handler->messages, 0);
  EXPECT_LE(echo.server.request_bytes(), 1024u * 1024 + 65536);
  for (int i = 1; i <= 300; ++i) {
    handler->Resume();
    world.Run();
    ASSERT_EQ(handler->messages, i);
  }
  EXPECT_FALSE(collector.status.has_value());
  handler->Resume();
  world.Run();
  ASSERT_TRUE(collector.status.has_value());
  EXPECT_TRUE(collector.status->ok());
}

TEST(Drain, OpenCallsEndAndNewOnesAreRefusedUnprocessed) {
  MemoryWorld world;
  EchoServer echo(&world);
  Channel channel(&world, &world, "server");
  Answer open;
  channel.Unary("/test.Echo/Later", Bytes(), {}, open.callback());
  world.Run();
  echo.server.Drain();
  world.Run();
  EXPECT_EQ(channel.state(), Channel::State::kDraining);
  Answer late;
  channel.Unary("/test.Echo/Echo", Bytes(), {}, late.callback());
  world.Run();
  EXPECT_EQ(late.result->status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(late.result->unprocessed);
  EXPECT_FALSE(open.result.has_value());
  echo.server.Find(echo.later[0])->Finish(absl::OkStatus(), Bytes::Copy("done"));
  world.Run();
  EXPECT_EQ(open.message(), "done");
  EXPECT_EQ(echo.server.connections(), 0u);
  EXPECT_EQ(channel.state(), Channel::State::kFailed);
}

TEST(Stats, CountCallsByMethodAndCode) {
  MemoryWorld world;
  EchoServer echo(&world);
  Channel channel(&world, &world, "server");
  Answer a;
  Answer b;
  channel.Unary("/test.Echo/Echo", Bytes::Copy("12345"), {}, a.callback());
  channel.Unary("/test.Echo/Fail", Bytes::Copy("x"), {}, b.callback());
  world.Run();
  const auto& methods = echo.server.methods();
  EXPECT_EQ(methods.at("/test.Echo/Echo")->stats.handled[0], 1u);
  EXPECT_EQ(methods.at("/test.Echo/Fail")->stats.handled[9], 1u);
  EXPECT_EQ(methods.at("/test.Echo/Fail")->stats.messages_sent, 0u);
  EXPECT_EQ(echo.server.stats().received_bytes, 6u);
  EXPECT_EQ(echo.server.stats().sent_bytes, 5u);
}

}  // namespace
}  // namespace quorate::grpc
