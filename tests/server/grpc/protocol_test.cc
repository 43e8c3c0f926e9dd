// What a client may say wrongly, and what it hears then: gRPC's and HTTP/2's rules at the
// edge of the server, beside a normal client that is served.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "base/prng.h"
#include "tests/server/grpc/echo_server.h"

namespace {
// Counts this process's looks at the clock: libraries find this one before libc's.
int clock_reads = 0;
}  // namespace

extern "C" int clock_gettime(clockid_t clock, struct timespec* out) noexcept {
  ++clock_reads;
  return static_cast<int>(syscall(SYS_clock_gettime, clock, out));
}

namespace quorate::grpc {
namespace {

using fakes::MemoryWorld;
using fakes::RawPeer;

// A server, a normal client and a client that misbehaves.
class ProtocolTest : public testing::Test {
 protected:
  explicit ProtocolTest(ServerOptions options = ServerOptions())
      : echo_(&world_, options), normal_(&world_, &world_, "server") {
    auto [client, server] = world_.Pair();
    echo_.server.Accept(std::move(server));
    raw_ = std::make_unique<RawClient>(&world_, std::move(client));
    world_.Run();
  }
  ~ProtocolTest() override { ExpectNormalServed(); }

  void ExpectNormalServed() {
    Answer answer;
    normal_.Unary("/test.Echo/Echo", Bytes::Copy("normal"), {}, answer.callback());
    world_.Run();
    EXPECT_TRUE(answer.ok()) << answer.status();
  }

  // Sends a request with some header fields changed and a body.
  RawCall* Send(std::vector<http2::Header> changes, absl::string_view body, bool end = true) {
    return SendOn(raw_.get(), std::move(changes), body, end);
  }
  RawCall* SendOn(RawClient* client, std::vector<http2::Header> changes, absl::string_view body,
                  bool end = true) {
    calls_.push_back(std::make_unique<RawCall>());
    RawCall* const call = calls_.back().get();
    EXPECT_TRUE(client->session->Request(call, RawClient::Headers(std::move(changes)), false));
    call->SendBody(Bytes::Copy(body));
    if (end) call->EndBody();
    world_.Run();
    return call;
  }

  MemoryWorld world_;
  EchoServer echo_;
  Channel normal_;
  std::vector<std::unique_ptr<RawCall>> calls_;
  std::unique_ptr<RawClient> raw_;
};

std::string Message(absl::string_view text, char flag = 0) {
  std::string out(5, '\0');
  out[0] = flag;
  StoreBe32(&out[1], static_cast<uint32_t>(text.size()));
  return out.append(text.data(), text.size());
}

TEST_F(ProtocolTest, AnUnaryAnswerHasItsThreeParts) {
  const RawCall* const call = Send({}, Message("hi"));
  EXPECT_EQ(call->Get(":status"), "200");
  EXPECT_EQ(call->Get("content-type"), "application/grpc");
  EXPECT_EQ(call->body, Message("hi"));
  EXPECT_EQ(call->Get("grpc-status"), "0");
  EXPECT_EQ(call->blocks, 2);  // headers and trailers
  EXPECT_EQ(call->closed, http2::ErrorCode::kNoError);
}

TEST_F(ProtocolTest, AnErrorIsTrailersOnly) {
  const RawCall* const call = Send({{":path", "/test.Echo/Fail"}}, Message("no\n"));
  EXPECT_EQ(call->blocks, 1);
  EXPECT_EQ(call->Get(":status"), "200");
  EXPECT_EQ(call->Get("grpc-status"), "9");
  EXPECT_EQ(call->Get("grpc-message"), "no%0A");
  EXPECT_EQ(call->body, "");
}

// etcdctl 3.4 does so when it takes its endpoints from the member list.
TEST_F(ProtocolTest, TheAuthorityMayBeAWholeUrl) {
  const RawCall* const call = Send({{":authority", "http://127.0.0.1:2379"}}, Message("hi"));
  EXPECT_EQ(call->body, Message("hi"));
  EXPECT_EQ(call->Get("grpc-status"), "0");
}

TEST_F(ProtocolTest, RequestsThatAreNoHttpAreReset) {
  const std::vector<http2::Header> changes[] = {
      {{"connection", "close"}}, {{"te", "gzip"}},          {{"bad name", "x"}},
      {{"x", "a\nb"}},           {{"content-length", "7"}}, {{"content-length", "5"}},
      {{":scheme", ""}},         {{":status", "200"}},      {{"content-length", "-6"}},
  };
  for (const std::vector<http2::Header>& change : changes) {
    const RawCall* const call = Send(change, Message("x"));
    EXPECT_EQ(call->closed, http2::ErrorCode::kProtocolError) << change[0].name << change[0].value;
    EXPECT_EQ(call->blocks, 0) << change[0].name;
  }
  EXPECT_EQ(Send({{"content-length", "6"}}, Message("x"))->Get("grpc-status"), "0");
}

TEST_F(ProtocolTest, RefusalsHaveGrpcsCodes) {
  struct Case {
    std::vector<http2::Header> changes;
    std::string body;
    std::string http;
    std::string code;
    std::string message;
  };
  const Case cases[] = {
      {{{"content-type", "text/plain"}},
       Message("x"),
       "415",
       "3",
       "invalid gRPC request content-type \"text/plain\""},
      {{{"content-type", "application/grpcx"}},
       Message("x"),
       "415",
       "3",
       "invalid gRPC request content-type \"application/grpcx\""},
      {{{":method", "PUT"}},
       Message("x"),
       "405",
       "13",
       "Received a HEADERS frame with :method \"PUT\" which should be POST"},
      {{{"grpc-timeout", "5X"}}, Message("x"), "400", "13", "malformed grpc-timeout: \"5X\""},
      {{{"grpc-timeout", "0n"}}, Message("x"), "200", "4", "context deadline exceeded"},
      {{{":path", "Echo"}}, Message("x"), "200", "12", "malformed method name: \"Echo\""},
      {{{"grpc-timeout", "123456789S"}},
       Message("x"),
       "400",
       "13",
       "malformed grpc-timeout: \"123456789S\""},
      {{{"grpc-encoding", "deflate"}},
       Message("x", 1),
       "200",
       "12",
       "grpc: Decompressor is not installed for grpc-encoding \"deflate\""},
      {{{"grpc-encoding", "gzip"}},
       Message("x", 1),
       "200",
       "13",
       "grpc: failed to read decompressed data: unexpected EOF"},
      {{},
       Message("x", 1),
       "200",
       "13",
       "grpc: compressed flag set with identity or empty encoding"},
      {{{"grpc-encoding", "identity"}},
       Message("x", 1),
       "200",
       "13",
       "grpc: compressed flag set with identity or empty encoding"},
      {{}, Message("x", 7), "200", "13", "grpc: received unexpected payload format 7"},
      {{}, Message("hello").substr(0, 7), "200", "13", "unexpected EOF"},
      {{}, std::string("\0\0", 2), "200", "13", "unexpected EOF"},
      {{}, "", "200", "13", "grpc: the call ended without a request message"},
      {{},
       std::string("\0\xff\xff\xff\xff", 5),
       "200",
       "8",
       "grpc: received message larger than max (4294967295 vs. 2097152)"},
  };
  for (const Case& c : cases) {
    const RawCall* const call = Send(c.changes, c.body);
    EXPECT_EQ(call->Get(":status"), c.http) << c.message;
    EXPECT_EQ(call->Get("grpc-status"), c.code) << c.message;
    EXPECT_EQ(DecodeStatusMessage(call->Get("grpc-message")), c.message);
    EXPECT_TRUE(call->ended) << c.message;
  }
  EXPECT_EQ(echo_.server.open_calls(), 0u);
}

TEST_F(ProtocolTest, ContentSubtypesAreEchoed) {
  EXPECT_EQ(Send({{"content-type", "application/grpc+proto"}}, Message("x"))->Get("content-type"),
            "application/grpc+proto");
  EXPECT_EQ(Send({{"content-type", "application/grpc+json"}}, Message("x"))->Get("content-type"),
            "application/grpc+json");
}

TEST_F(ProtocolTest, AnAnswerBeforeTheEndOfTheRequestStopsTheClient) {
  const RawCall* const call = Send({{":path", "/test.Nothing/X"}}, Message("x"), false);
  EXPECT_EQ(call->Get("grpc-status"), "12");
  EXPECT_TRUE(call->ended);
  EXPECT_EQ(call->closed, http2::ErrorCode::kNoError);  // by RST_STREAM
}

TEST_F(ProtocolTest, ASecondMessageOnAUnaryCallIsAnError) {
  const RawCall* const call = Send({{":path", "/test.Echo/Later"}}, Message("a") + Message("b"));
  EXPECT_EQ(call->Get("grpc-status"), "13");
}

TEST_F(ProtocolTest, RapidResetsEndTheConnectionWithoutALookAtTheClock) {
  clock_reads = 0;
  size_t sent = 0;
  for (; sent < 20'000 && !raw_->closed && raw_->goaway.empty(); ++sent) {
    RawCall call;
    if (!raw_->session->Request(&call, RawClient::Headers({}), false)) break;
    call.SendBody(Bytes::Copy("\0\0\0\0\5abc"));
    world_.Run();
    call.Reset(http2::ErrorCode::kCancel);
    world_.Run();
  }
  EXPECT_EQ(clock_reads, 0);
  EXPECT_TRUE(absl::StrContains(raw_->goaway, "too_many_resets")) << raw_->goaway;
  EXPECT_LT(sent, 5000u);
  EXPECT_EQ(echo_.server.open_calls(), 0u);
  EXPECT_EQ(echo_.server.connections(), 2u - (raw_->closed ? 1u : 0u));
}

TEST_F(ProtocolTest, SomeResetsASecondAreNormal) {
  for (int i = 0; i < 20'000; ++i) {
    RawCall call;
    ASSERT_TRUE(raw_->session->Request(&call, RawClient::Headers({}), false)) << i;
    world_.Run();
    call.Reset(http2::ErrorCode::kCancel);
    world_.Advance(Milliseconds(5));
  }
  EXPECT_EQ(raw_->goaway, "");
}

class SmallHeadersTest : public ProtocolTest {
 protected:
  static ServerOptions Small() {
    ServerOptions options;
    options.http2.max_header_list_bytes = 16 * 1024;
    return options;
  }
  SmallHeadersTest() : ProtocolTest(Small()) {}
};

TEST_F(SmallHeadersTest, TooLargeHeaderBlocksEndTheStreamOnly) {
  const std::string large(3000, 'h');
  std::vector<http2::Header> headers;
  std::vector<std::string> names;
  for (int i = 0; i < 8; ++i) names.push_back("x-" + std::to_string(i));
  for (const std::string& name : names) headers.push_back({name, large});
  const RawCall* const call = Send(headers, Message("x"));
  EXPECT_EQ(call->closed, http2::ErrorCode::kEnhanceYourCalm);
  const RawCall* const next = Send({}, Message("x"));
  EXPECT_EQ(next->Get("grpc-status"), "0");
}

// The bytes of a frame.
std::string RawFrame(uint8_t type, uint8_t flags, uint32_t stream, absl::string_view payload) {
  std::string out(9, '\0');
  StoreBe32(&out[0], static_cast<uint32_t>(payload.size() << 8 | type));
  out[4] = static_cast<char>(flags);
  StoreBe32(&out[5], stream);
  return out.append(payload.data(), payload.size());
}

const char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

class RawBytesTest : public ProtocolTest {
 protected:
  RawBytesTest() {
    auto [client, server] = world_.Pair();
    echo_.server.Accept(std::move(server));
    peer_ = std::make_unique<RawPeer>(std::move(client));
  }
  std::unique_ptr<RawPeer> peer_;
};

TEST_F(RawBytesTest, ThreePingsTooSoonEndTheConnection) {
  peer_->Send(std::string(kPreface) + RawFrame(4, 0, 0, ""));
  world_.Advance(Seconds(1));
  for (int i = 0; i < 3; ++i) {
    peer_->Send(RawFrame(6, 0, 0, "12345678"));
    world_.Advance(Seconds(1));
    EXPECT_FALSE(peer_->closed()) << i;
  }
  peer_->Send(RawFrame(6, 0, 0, "12345678"));
  world_.Run();
  EXPECT_TRUE(peer_->closed());
  EXPECT_TRUE(absl::StrContains(peer_->received(), "too_many_pings"));
}

TEST_F(RawBytesTest, PingsInGoodTimeWithAStreamOpenAreWelcome) {
  const std::string headers =
      "\x83\x86\x41\x01h\x44\x10/test.Echo/Later\x5f\x10"
      "application/grpc";
  peer_->Send(std::string(kPreface) + RawFrame(4, 0, 0, "") + RawFrame(1, 4, 1, headers));
  for (int i = 0; i < 50; ++i) {
    peer_->Send(RawFrame(6, 0, 0, "12345678"));
    world_.Advance(Milliseconds(5001));
  }
  EXPECT_FALSE(peer_->closed());
}

TEST_F(RawBytesTest, FloodsOfUselessFramesEndTheConnection) {
  peer_->Send(kPreface);
  for (int i = 0; i < 10'000 && !peer_->closed(); ++i) {
    peer_->Send(RawFrame(4, 0, 0, ""));  // SETTINGS
    if (i % 50 == 0) world_.Run();
  }
  world_.Run();
  EXPECT_TRUE(peer_->closed());
  EXPECT_LT(peer_->received().size(), 200'000u);
}

TEST_F(RawBytesTest, MalformedFramesEndTheConnectionOnly) {
  const std::string hello = std::string(kPreface) + RawFrame(4, 0, 0, "");
  const std::string inputs[] = {
      "GET / HTTP/1.1\r\n\r\n........",  // no preface
      std::string(kPreface).substr(0, 23) + "X" + RawFrame(4, 0, 0, ""),
      std::string(kPreface) + RawFrame(0, 0, 1, "data first"),  // no SETTINGS
      hello + RawFrame(4, 0, 0, "12345"),                       // SETTINGS of odd size
      hello + RawFrame(8, 0, 0, std::string(4, '\0')),          // WINDOW_UPDATE by zero
      hello + RawFrame(3, 0, 0, std::string(4, '\0')),          // RST_STREAM of stream 0
      hello + RawFrame(3, 0, 7, std::string(4, '\0')),          // RST_STREAM of an idle stream
      hello + RawFrame(3, 0, 2, std::string(4, '\0')),          // ... of a server's stream
      hello + RawFrame(3, 0, 1, "abc"),                         // RST_STREAM of odd size
      hello + RawFrame(1, 4, 2, "\x82"),                        // HEADERS on an even stream
      hello + RawFrame(1, 4, 1, "\xff\xff\xff\xff\xff\xff"),    // malformed HPACK
      hello + RawFrame(0, 0, 1, "data on an idle stream"),
      hello + RawFrame(9, 4, 1, "\x82"),  // CONTINUATION of nothing
      hello + RawFrame(1, 0, 1, "\x82") + RawFrame(6, 0, 0, "12345678"),
      hello + RawFrame(0, 0, 1, std::string(20'000, 'x')),  // larger than agreed
      hello + RawFrame(7, 0, 1, "12345678"),                // GOAWAY on a stream
  };
  for (const std::string& input : inputs) {
    auto [client, server] = world_.Pair();
    echo_.server.Accept(std::move(server));
    RawPeer bad(std::move(client));
    bad.Send(input);
    world_.Run();
    EXPECT_TRUE(bad.closed()) << testing::PrintToString(input.substr(0, 60));
    ExpectNormalServed();
  }
}

TEST_F(RawBytesTest, EndlessContinuationsAreCutOff) {
  peer_->Send(std::string(kPreface) + RawFrame(4, 0, 0, "") + RawFrame(1, 0, 1, "\x82"));
  for (int i = 0; i < 100; ++i) peer_->Send(RawFrame(9, 0, 1, std::string(1000, '\x82')));
  world_.Run();
  EXPECT_TRUE(peer_->closed());
}

// A request's fields, one of which is put into the dynamic table: "\xbe" names it again.
std::string LargeEntryOnce() {
  std::string block = "\x83\x86\x41\x01h\x44\x0f/test.Echo/Echo\x40\x01x";
  block += std::string("\x7f\xa1\x1e", 3) + std::string(4000, 'b');  // the table holds 4096
  return block;
}

// A small block that unpacks to much: one large entry of the dynamic table, named again
// and again. Reading over all of it would keep the loop from everybody else.
TEST_F(RawBytesTest, HpackBombsEndTheConnection) {
  std::string block = LargeEntryOnce();
  block += std::string(8000, '\xbe');
  peer_->Send(std::string(kPreface) + RawFrame(4, 0, 0, "") + RawFrame(1, 4, 1, block));
  world_.Run();
  EXPECT_TRUE(peer_->closed());
  EXPECT_TRUE(absl::StrContains(peer_->received(), "header_list_too_large"));
  EXPECT_EQ(echo_.server.open_calls(), 0u);
  EXPECT_EQ(echo_.later.size(), 0u);
}

TEST_F(RawBytesTest, ABlockSomewhatTooLargeOnlyCostsItsStream) {
  std::string block = LargeEntryOnce();
  block += std::string(20, '\xbe');  // 80 KiB in all
  peer_->Send(std::string(kPreface) + RawFrame(4, 0, 0, "") + RawFrame(1, 4, 1, block));
  world_.Run();
  EXPECT_FALSE(peer_->closed());
  EXPECT_TRUE(
      absl::StrContains(peer_->received(), RawFrame(3, 0, 1, absl::string_view("\0\0\0\x0b", 4))));
}

TEST_F(RawBytesTest, RandomBytesHurtNobody) {
  Prng prng(11);
  const std::string hello = std::string(kPreface) + RawFrame(4, 0, 0, "");
  for (int round = 0; round < 2000; ++round) {
    auto [client, server] = world_.Pair();
    echo_.server.Accept(std::move(server));
    RawPeer bad(std::move(client));
    world_.set_chunk(1 + prng.Below(200));
    std::string input = prng.Chance(9, 10) ? hello : "";
    const uint64_t frames = prng.Below(30);
    for (uint64_t i = 0; i < frames; ++i) {
      std::string payload(prng.Below(40), '\0');
      for (char& c : payload) c = static_cast<char>(prng.Below(256));
      if (prng.Chance(1, 3))
        payload =
            "\x83\x86\x41\x01h\x44\x0f/test.Echo/Echo\x5f\x10"
            "application/grpc";
      const auto type = static_cast<uint8_t>(prng.Below(11));
      const auto flags = static_cast<uint8_t>(prng.Below(64));
      input += RawFrame(type, flags, static_cast<uint32_t>(prng.Below(8)), payload);
    }
    bad.Send(input);
    world_.Run();
  }
  world_.set_chunk(100'000);
  EXPECT_EQ(echo_.server.open_calls(), 0u);
}

class FewStreamsTest : public ProtocolTest {
 protected:
  static ServerOptions Few() {
    ServerOptions options;
    options.http2.max_concurrent_streams = 3;
    return options;
  }
  FewStreamsTest() : ProtocolTest(Few()) {}
};

TEST_F(FewStreamsTest, StreamsBeyondTheLimitAreRefused) {
  std::vector<RawCall*> calls;
  for (int i = 0; i < 3; ++i) {
    calls.push_back(Send({{":path", "/test.Echo/Later"}}, Message("x")));
  }
  // A well-behaved client waits for the limit that it was told.
  RawCall* const fourth = Send({}, Message("x"));
  EXPECT_FALSE(fourth->closed.has_value());
  EXPECT_EQ(echo_.later.size(), 3u);
  echo_.server.Find(echo_.later[0])->Finish(absl::OkStatus());
  world_.Run();
  EXPECT_EQ(fourth->Get("grpc-status"), "0");
}

// Clients that ask for large answers and take no more than their window.
class SlowReadersTest : public ProtocolTest {
 protected:
  static constexpr size_t kLarge = 6 * 1024 * 1024;

  static ServerOptions Small() {
    ServerOptions options;
    options.max_message_bytes = 2 * kLarge;
    options.max_connection_response_bytes = 10 * 1024 * 1024;
    options.max_total_response_bytes = 16 * 1024 * 1024;
    return options;
  }
  SlowReadersTest() : ProtocolTest(Small()) {}

  RawClient* Connect() {
    auto [client, server] = world_.Pair();
    echo_.server.Accept(std::move(server));
    clients_.push_back(std::make_unique<RawClient>(&world_, std::move(client)));
    world_.Run();
    return clients_.back().get();
  }
  // The status of a call with a large answer; "(none)" while most of the answer waits.
  std::string AskMuch(RawClient* client, size_t bytes = kLarge) {
    return SendOn(client, {}, Message(std::string(bytes, 'x')))->Get("grpc-status");
  }

  std::vector<std::unique_ptr<RawClient>> clients_;
};

TEST_F(SlowReadersTest, WhatWaitsForOneIsBounded) {
  EXPECT_EQ(AskMuch(raw_.get()), "(none)");
  EXPECT_EQ(AskMuch(raw_.get()), "8");
  EXPECT_EQ(echo_.server.response_bytes(), kLarge);
  // Once its client reads, there is room again.
  calls_.front()->Consume(calls_.front()->body.size());
  raw_->session->Flush();
  world_.Run();
  EXPECT_EQ(calls_.front()->Get("grpc-status"), "0");
  EXPECT_EQ(echo_.server.response_bytes(), 0u);
  EXPECT_EQ(AskMuch(raw_.get()), "(none)");
}

// A write that was applied must not be told to have failed since a long list is on its way.
TEST_F(SlowReadersTest, SmallAnswersDoNotFailBehindALargeOne) {
  EXPECT_EQ(AskMuch(raw_.get(), 11 * 1024 * 1024), "(none)");  // more than a connection's share
  RawCall* const small = SendOn(raw_.get(), {}, Message("x"));
  raw_->session->Flush();
  world_.Run();
  EXPECT_NE(small->Get("grpc-status"), "8");
  EXPECT_EQ(AskMuch(raw_.get()), "8");
}

TEST_F(SlowReadersTest, TheFirstAnswerMayHaveAnySizeWhileHalfOfAllIsFree) {
  RawClient* const second = Connect();
  EXPECT_EQ(AskMuch(raw_.get()), "(none)");
  EXPECT_EQ(AskMuch(second, 11 * 1024 * 1024), "(none)");
  EXPECT_EQ(AskMuch(Connect()), "8");
}

TEST_F(SlowReadersTest, WhatWaitsForAllIsBoundedAndWhoeverReadsNothingIsClosed) {
  RawClient* const second = Connect();
  RawClient* const third = Connect();
  EXPECT_EQ(AskMuch(raw_.get()), "(none)");
  EXPECT_EQ(AskMuch(second), "(none)");
  EXPECT_EQ(AskMuch(third), "8");
  EXPECT_EQ(echo_.server.response_bytes(), 2 * kLarge);
  ExpectNormalServed();  // small answers go on
  world_.Advance(Seconds(11));
  EXPECT_EQ(AskMuch(third), "8");
  world_.Run();
  EXPECT_TRUE(raw_->closed);
  EXPECT_TRUE(second->closed);
  EXPECT_FALSE(third->closed);
  EXPECT_EQ(echo_.server.response_bytes(), 0u);
  EXPECT_EQ(AskMuch(third), "(none)");
}

// Reading a little now and then is no reading: what waits would stay for days.
TEST_F(SlowReadersTest, WhoeverReadsAByteASecondIsClosed) {
  auto [client, server] = world_.Pair();
  echo_.server.Accept(std::move(server));
  RawPeer trickling(std::move(client));
  const std::string headers =
      "\x83\x86\x41\x01h\x44\x10/test.Echo/Later\x5f\x10"
      "application/grpc";
  trickling.Send(absl::StrCat(kPreface, RawFrame(4, 0, 0, ""), RawFrame(1, 4, 1, headers),
                              RawFrame(0, 1, 1, Message("x"))));
  world_.Run();
  ASSERT_EQ(echo_.later.size(), 1u);
  echo_.server.Find(echo_.later[0])
      ->Finish(absl::OkStatus(), Bytes::Copy(std::string(kLarge, 'x')));
  EXPECT_EQ(AskMuch(raw_.get()), "(none)");
  RawClient* const third = Connect();
  EXPECT_EQ(AskMuch(third), "8");
  std::string one_byte(4, '\0');
  one_byte[3] = 1;
  for (int i = 0; i < 12; ++i) {
    const size_t before = trickling.received().size();
    trickling.Send(absl::StrCat(RawFrame(8, 0, 0, one_byte), RawFrame(8, 0, 1, one_byte)));
    world_.Advance(Seconds(1));
    EXPECT_EQ(trickling.received().size(), before + 10);  // a frame with one byte
  }
  // The other one has taken half of its window of 4 MiB meanwhile.
  calls_.front()->Consume(2 * 1024 * 1024);
  raw_->session->Flush();
  world_.Run();
  EXPECT_EQ(echo_.server.response_bytes(), 2 * kLarge);
  EXPECT_EQ(AskMuch(third), "8");
  world_.Run();
  EXPECT_TRUE(trickling.closed());
  EXPECT_FALSE(raw_->closed);
  EXPECT_EQ(echo_.server.response_bytes(), kLarge);
  EXPECT_EQ(AskMuch(third), "(none)");
}

// A client that has read all and then asks anew is judged by what it reads from then on.
TEST_F(SlowReadersTest, ALongPauseBetweenAnswersIsNoStall) {
  RawClient* const second = Connect();
  RawClient* const third = Connect();
  EXPECT_EQ(AskMuch(raw_.get()), "(none)");
  EXPECT_EQ(AskMuch(second), "(none)");
  EXPECT_EQ(AskMuch(third), "8");
  calls_[0]->Consume(calls_[0]->body.size());
  raw_->session->Flush();
  world_.Run();
  EXPECT_EQ(calls_[0]->Get("grpc-status"), "0");
  world_.Advance(Seconds(3600));
  EXPECT_EQ(AskMuch(raw_.get()), "(none)");
  EXPECT_EQ(AskMuch(third), "8");
  world_.Run();
  EXPECT_FALSE(raw_->closed);
  EXPECT_TRUE(second->closed);  // it has not read for an hour
}

// Parts of an answer that have left are no longer in memory, and no longer counted.
TEST_F(SlowReadersTest, WhatHasLeftCountsNoMore) {
  RawCall* const call = SendOn(raw_.get(), {{":path", "/test.Echo/Later"}}, Message("x"));
  std::vector<Bytes> pieces;
  for (int i = 0; i < 9; ++i) pieces.push_back(Bytes::Copy(std::string(1024 * 1024, 'x')));
  echo_.server.Find(echo_.later[0])->FinishPieces(absl::MakeSpan(pieces));
  world_.Run();
  // The client's window is 4 MiB.
  EXPECT_GT(echo_.server.response_bytes(), 4u * 1024 * 1024);
  EXPECT_LE(echo_.server.response_bytes(), 6u * 1024 * 1024);
  call->Consume(3 * 1024 * 1024);
  raw_->session->Flush();
  world_.Run();
  EXPECT_LE(echo_.server.response_bytes(), 3u * 1024 * 1024);
  EXPECT_GT(echo_.server.response_bytes(), 0u);
}

}  // namespace
}  // namespace quorate::grpc
