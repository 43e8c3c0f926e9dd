// WebSockets: the handshake and the frames of RFC 6455, and what a route makes of them.
#include "server/http1/websocket.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/http1/server.h"
#include "tests/server/fakes/memory_world.h"

namespace quorate::http1 {
namespace {

using fakes::MemoryWorld;
using fakes::RawPeer;

// A client's frame, masked.
std::string Frame(uint8_t first, absl::string_view payload) {
  const std::string mask = "\x12\x34\x56\x78";
  std::string frame(1, static_cast<char>(first));
  if (payload.size() < 126) {
    frame.push_back(static_cast<char>(0x80 | payload.size()));
  } else {
    frame.push_back(static_cast<char>(0x80 | 126));
    frame.push_back(static_cast<char>(payload.size() >> 8));
    frame.push_back(static_cast<char>(payload.size()));
  }
  frame += mask;
  for (size_t i = 0; i < payload.size(); ++i) {
    frame.push_back(static_cast<char>(payload[i] ^ mask[i % 4]));
  }
  return frame;
}
constexpr uint8_t kText = 0x81;
constexpr uint8_t kTextBegins = 0x01;
constexpr uint8_t kGoesOn = 0x00;
constexpr uint8_t kEnds = 0x80;
constexpr uint8_t kCloses = 0x88;
constexpr uint8_t kPings = 0x89;

// The server's frame, short.
std::string Answer(uint8_t first, absl::string_view payload) {
  return absl::StrCat(std::string(1, static_cast<char>(first)),
                      std::string(1, static_cast<char>(payload.size())), payload);
}
const std::string& Closed() {
  static const std::string* const frame = new std::string(CloseFrame(kNormalClosure));
  return *frame;
}

std::string Handshake(absl::string_view path, absl::string_view more = "") {
  return absl::StrCat("GET ", path,
                      " HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\n"
                      "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
                      more, "\r\n");
}

class WebSocketTest : public ::testing::Test {
 protected:
  WebSocketTest() : server_(&world_, ServerOptions()) {
    RouteOptions whole;
    whole.web_socket = true;
    server_.Route({"POST"}, "/whole", whole, [](const ExchangePtr& exchange) {
      exchange->Respond(Response::Text(
          200, absl::StrCat(exchange->request().method, " ", exchange->request().body.view(), " ",
                            exchange->request().fields.Get("authorization"), "\n")));
    });
    RouteOptions lines = whole;
    lines.stream_body = true;
    server_.Route({"POST"}, "/lines", lines, [this](const ExchangePtr& exchange) {
      exchange->set_on_body([this, exchange = exchange.get()](absl::string_view piece, bool last) {
        body_.append(piece.data(), piece.size());
        EXPECT_FALSE(last);
        if (piece == "\n") exchange->Write(Bytes::Copy("got it\n"));
        if (absl::EndsWith(body_, "end")) exchange->EndStream();
      });
      exchange->set_on_close([this] { ++closed_; });
      exchange->StartStream(200, {});
      open_ = exchange;
    });
    server_.Route({"GET"}, "/plain", [](const ExchangePtr& exchange) {
      exchange->Respond(Response::Text(200, "plain\n"));
    });
  }

  // All that the server says, after its handshake.
  std::string Ask(const std::string& path, const std::string& frames,
                  const std::string& fields = "", bool* closed = nullptr) {
    auto [client, accepted] = world_.Pair();
    server_.Accept(std::move(accepted));
    RawPeer peer(std::move(client));
    peer.Send(Handshake(path, fields) + frames);
    world_.Run();
    if (closed != nullptr) *closed = peer.closed();
    handshake_ = peer.received().substr(0, peer.received().find("\r\n\r\n") + 4);
    return peer.received().substr(handshake_.size());
  }

  MemoryWorld world_;
  Server server_;
  std::string handshake_;
  std::string body_;
  ExchangePtr open_;
  int closed_ = 0;
};

TEST_F(WebSocketTest, AMessageIsARequestAndItsAnswerAMessage) {
  bool closed = false;
  EXPECT_EQ(Ask("/whole", Frame(kText, "hello"), "", &closed),
            Answer(kText, "POST hello ") + Closed());
  EXPECT_TRUE(closed);
  // The accept value is that of RFC 6455, section 1.3.
  EXPECT_EQ(handshake_,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
}

TEST_F(WebSocketTest, ABrowsersTokenComesAsASubprotocol) {
  EXPECT_EQ(Ask("/whole", Frame(kText, "x"), "Sec-WebSocket-Protocol: Bearer, to.ken\r\n"),
            Answer(kText, "POST x to.ken") + Closed());
  EXPECT_TRUE(absl::StrContains(handshake_, "\r\nSec-WebSocket-Protocol: Bearer\r\n"));
}

TEST_F(WebSocketTest, EachMessageIsALineInWhateverFramesItComes) {
  const std::string frames = Frame(kText, "one") + Frame(kTextBegins, "t") + Frame(kGoesOn, "w") +
                             Frame(kPings, "are you there") + Frame(kEnds, "o") +
                             Frame(kText, std::string(300, 'x'));
  const std::string expected = Answer(kText, "got it") + Answer(0x8a, "are you there") +
                               Answer(kText, "got it") + Answer(kText, "got it");
  for (const size_t chunk : {1000, 1, 2, 3, 7}) {
    world_.set_chunk(chunk);
    body_.clear();
    bool closed = true;
    EXPECT_EQ(Ask("/lines", frames, "", &closed), expected) << chunk;
    EXPECT_EQ(body_, absl::StrCat("one\ntwo\n", std::string(300, 'x'), "\n"));
    EXPECT_FALSE(closed);
  }
}

TEST_F(WebSocketTest, EitherSideCloses) {
  bool closed = false;
  EXPECT_EQ(Ask("/lines", Frame(kCloses, "\x03\xe8") + Frame(kText, "too late"), "", &closed),
            Closed());
  EXPECT_EQ(closed_, 1);
  EXPECT_TRUE(closed);
  EXPECT_EQ(body_, "");
  EXPECT_EQ(Ask("/lines", Frame(kText, "the end"), "", &closed), Closed());
  EXPECT_EQ(closed_, 1) << "the handler ended it";
  EXPECT_TRUE(closed);
}

TEST_F(WebSocketTest, WhatIsNoFrameOfAClientEndsTheConnection) {
  const std::string unmasked = std::string("\x81\x02hi");
  const std::string cases[] = {unmasked,
                               Frame(0xc1, "reserved bit"),
                               Frame(0x83, "no such opcode"),
                               Frame(kGoesOn, "goes on with nothing"),
                               Frame(kTextBegins, "a") + Frame(kText, "b"),
                               Frame(0x09, "a ping in pieces"),
                               Frame(kPings, std::string(126, 'p')),
                               std::string("\x81\xff") + std::string(12, '\xff')};
  for (const std::string& bad : cases) {
    bool closed = false;
    const int before = closed_;
    EXPECT_TRUE(absl::EndsWith(Ask("/lines", bad, "", &closed), CloseFrame(kProtocolError)));
    EXPECT_TRUE(closed);
    EXPECT_EQ(closed_, before + 1);
  }
}

// Were what waits copied behind each message, this would take many minutes.
TEST_F(WebSocketTest, ManySmallMessagesAtOnceAreReadInOneGo) {
  constexpr int kMessages = 2'000'000;
  world_.set_window(16 << 20);
  int messages = 0;
  RouteOptions lines;
  lines.web_socket = true;
  lines.stream_body = true;
  server_.Route({"POST"}, "/count", lines, [&](const ExchangePtr& exchange) {
    exchange->set_on_body(
        [this, &messages, exchange = exchange.get()](absl::string_view piece, bool) {
          // As a handler that is busy with each for a moment.
          if (piece != "\n" || ++messages % 2 != 0) return;
          exchange->PauseBody();
          world_.Defer([exchange] { exchange->ResumeBody(); });
        });
    exchange->StartStream(200, {});
    open_ = exchange;
  });
  std::string frames;
  const std::string frame = Frame(kText, "x");
  for (int i = 0; i < kMessages; ++i) frames += frame;
  EXPECT_EQ(Ask("/count", frames), "");
  EXPECT_EQ(messages, kMessages);
}

// What came of it counts against the limit of all that is being received.
TEST_F(WebSocketTest, ACutFirstMessageIsNotWaitedForWithoutEnd) {
  auto [client, accepted] = world_.Pair();
  server_.Accept(std::move(accepted));
  RawPeer peer(std::move(client));
  peer.Send(Handshake("/whole") + Frame(kTextBegins, "a"));
  world_.Advance(Seconds(40));
  peer.Send(Frame(kGoesOn, "b"));
  world_.Advance(Seconds(40));
  EXPECT_FALSE(peer.closed()) << "it goes on";
  peer.Send(Frame(kPings, ""));
  world_.Advance(Seconds(40));
  EXPECT_TRUE(peer.closed()) << "a ping is no part of it";
  EXPECT_TRUE(absl::EndsWith(peer.received(), Answer(0x8a, "") + CloseFrame(kPolicyViolation)));
  world_.Advance(Seconds(10));
  EXPECT_EQ(server_.connections(), 0u);
}

TEST_F(WebSocketTest, WhoWaitsForALongAnswerIsHeard) {
  int calls = 0;
  RouteOptions whole;
  whole.web_socket = true;
  whole.answers_after_end = true;
  server_.Route({"POST"}, "/lock", whole, [&](const ExchangePtr& exchange) {
    ++calls;
    exchange->set_on_close([this] { ++closed_; });
    open_ = exchange;
  });
  auto [client, accepted] = world_.Pair();
  server_.Accept(std::move(accepted));
  RawPeer peer(std::move(client));
  peer.Send(Handshake("/lock") + Frame(kText, "first"));
  world_.Advance(Seconds(3600));
  peer.ClearReceived();
  peer.Send(Frame(kPings, "hello?") + Frame(kText, "second"));
  world_.Run();
  EXPECT_EQ(peer.received(), Answer(0x8a, "hello?"));
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(open_->request().body.view(), "first");
  peer.ClearReceived();
  peer.Send(Frame(kCloses, "\x03\xe8"));
  world_.Run();
  EXPECT_EQ(closed_, 1) << "its call is given up";
  EXPECT_EQ(peer.received(), Closed());
  EXPECT_TRUE(peer.closed());
}

TEST_F(WebSocketTest, APingOfASlowReaderIsAnsweredLater) {
  auto [client, accepted] = world_.Pair();
  server_.Accept(std::move(accepted));
  RawPeer peer(std::move(client));
  peer.Send(Handshake("/lines"));
  world_.Run();
  peer.ClearReceived();
  peer.stream()->PauseReading();
  open_->Write(Bytes::Copy(std::string(2'000'000, 'x') + "\n"));
  for (const char* text : {"one", "two", "three"}) {
    peer.Send(Frame(kPings, text));
    world_.Run();
  }
  ASSERT_FALSE(open_->closed());
  peer.stream()->ResumeReading();
  world_.Run();
  ASSERT_EQ(peer.received().size(), 10 + 2'000'000 + 2 + 5u);
  EXPECT_TRUE(absl::EndsWith(peer.received(), Answer(0x8a, "three")));
  EXPECT_FALSE(peer.closed());
}

TEST_F(WebSocketTest, AHandshakeThatDoesNotFitIsRefused) {
  const auto ask = [this](const std::string& request) {
    auto [client, accepted] = world_.Pair();
    server_.Accept(std::move(accepted));
    RawPeer peer(std::move(client));
    peer.Send(request);
    world_.Run();
    return peer.received();
  };
  const std::string start = "GET /lines HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n";
  for (const char* rest :
       {"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n",
        "Upgrade: websocket\r\nSec-WebSocket-Version: 8\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"}) {
    EXPECT_TRUE(absl::StartsWith(ask(start + rest), "HTTP/1.1 400 Bad Request\r\n")) << rest;
  }
  // Who asks for another protocol, or a path that knows none, is answered in HTTP.
  EXPECT_TRUE(
      absl::StartsWith(ask(start + "Upgrade: h2c\r\n\r\n"), "HTTP/1.1 405 Method Not Allowed\r\n"));
  EXPECT_TRUE(absl::StartsWith(ask(Handshake("/plain")), "HTTP/1.1 200 OK\r\n"));
}

}  // namespace
}  // namespace quorate::http1
