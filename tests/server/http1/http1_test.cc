// HTTP/1.1: our server against hand-written bytes, and against our client.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/prng.h"
#include "server/http1/client.h"
#include "server/http1/server.h"
#include "tests/server/fakes/memory_world.h"

namespace quorate::http1 {
namespace {

using fakes::MemoryWorld;
using fakes::RawPeer;

struct TestServer {
  explicit TestServer(MemoryWorld* world, ServerOptions options = ServerOptions())
      : server(world, options) {
    server.Route({"GET"}, "/hello",
                 [](ExchangePtr exchange) { exchange->Respond(Response::Text(200, "hello\n")); });
    server.Route({"POST", "PUT"}, "/echo", [](ExchangePtr exchange) {
      Response response;
      response.body.push_back(exchange->request().body);
      exchange->Respond(std::move(response));
    });
    server.Route({}, "/query", [](ExchangePtr exchange) {
      std::string text = exchange->request().path;
      for (const std::string& value : exchange->request().QueryValues("x")) {
        absl::StrAppend(&text, "|", value);
      }
      exchange->Respond(Response::Text(200, text));
    });
    server.Route({"GET"}, "/later", [this](ExchangePtr exchange) {
      exchange->set_on_close([this] { ++closed; });
      later.push_back(std::move(exchange));
    });
    server.RoutePrefix({"GET"}, "/stream/", [this](ExchangePtr exchange) {
      exchange->set_on_close([this] { ++closed; });
      exchange->StartStream(200, {{"X-Kind", "endless"}});
      later.push_back(std::move(exchange));
    });
    RouteOptions upload;
    upload.stream_body = true;
    server.Route({"POST"}, "/upload", upload, [this](ExchangePtr exchange) {
      Exchange* const raw = exchange.get();
      exchange->set_on_body([this, raw](absl::string_view piece, bool last) {
        uploaded += piece.size();
        if (last) raw->Respond(Response::Text(200, absl::StrCat(uploaded)));
      });
      later.push_back(std::move(exchange));
    });
    listener = *world->Listen(
        "server", [this](std::unique_ptr<io::Stream> stream) { server.Accept(std::move(stream)); });
  }

  Server server;
  std::vector<ExchangePtr> later;
  int closed = 0;
  size_t uploaded = 0;
  std::unique_ptr<io::Listener> listener;
};

std::unique_ptr<io::Stream> Connect(MemoryWorld* world, TestServer* server) {
  auto [client, accepted] = world->Pair();
  server->server.Accept(std::move(accepted));
  return std::move(client);
}

// What the server says to these bytes.
std::string Ask(absl::string_view request, ServerOptions options = ServerOptions(),
                bool* closed = nullptr) {
  MemoryWorld world;
  TestServer server(&world, options);
  auto [client, accepted] = world.Pair();
  server.server.Accept(std::move(accepted));
  RawPeer peer(std::move(client));
  peer.Send(request);
  world.Run();
  if (closed != nullptr) *closed = peer.closed();
  return peer.received();
}

size_t Count(absl::string_view text, absl::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != absl::string_view::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

TEST(Server, AnswersAndKeepsTheConnection) {
  bool closed = true;
  EXPECT_EQ(Ask("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", {}, &closed),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Date: Tue, 14 Nov 2023 22:13:21 GMT\r\nContent-Length: 6\r\n\r\nhello\n");
  EXPECT_FALSE(closed);
  const std::string old = Ask("GET /hello HTTP/1.0\r\n\r\n", {}, &closed);
  EXPECT_TRUE(absl::StrContains(old, "Connection: close\r\n"));
  EXPECT_TRUE(closed);
  Ask("GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", {}, &closed);
  EXPECT_TRUE(closed);
}

TEST(Server, AnyCutOfTheBytesGivesTheSameAnswers) {
  const std::string input =
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde"
      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nfgh\r\n4;ext=1\r\nijkl\r\n0\r\nTrailer: t\r\n\r\n"
      "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string expected = Ask(input);
  EXPECT_EQ(Count(expected, "HTTP/1.1 200 OK"), 3u);
  EXPECT_TRUE(absl::StrContains(expected, "abcde"));
  EXPECT_TRUE(absl::StrContains(expected, "fghijkl"));
  for (size_t cut = 1; cut < input.size(); ++cut) {
    MemoryWorld world;
    world.set_first_chunk(cut);
    TestServer server(&world);
    auto [client, accepted] = world.Pair();
    server.server.Accept(std::move(accepted));
    RawPeer peer(std::move(client));
    peer.Send(input);
    world.Run();
    ASSERT_EQ(peer.received(), expected) << "cut after " << cut;
  }
  for (const size_t chunk : {1, 2, 3, 5}) {
    MemoryWorld world;
    world.set_chunk(chunk);
    TestServer server(&world);
    auto [client, accepted] = world.Pair();
    server.server.Accept(std::move(accepted));
    RawPeer peer(std::move(client));
    peer.Send(input);
    world.Run();
    ASSERT_EQ(peer.received(), expected) << "pieces of " << chunk;
  }
}

TEST(Server, RefusesWhatItMust) {
  struct Case {
    std::string request;
    std::string status;
    bool closes;
  };
  ServerOptions options;
  options.max_header_bytes = 1024;
  options.max_body_bytes = 100;
  const Case cases[] = {
      {"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found", false},
      {"DELETE /hello HTTP/1.1\r\nHost: x\r\n\r\n", "405 Method Not Allowed", false},
      {"nonsense\r\n\r\n", "400 Bad Request", true},
      {"GET /hello HTTP/9.9\r\n\r\n", "400 Bad Request", true},
      {"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request", true},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
       "400 Bad Request", true},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
       "400 Bad Request", true},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
       "400 Bad Request", true},
      // The body's end is unknown: its bytes must not be taken for the next request.
      {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\nGET /hello "
       "HTTP/1.1\r\nHost: x\r\n\r\n",
       "501 Not Implemented", true},
      {"GET /hello HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400 Bad Request", true},
      {"GET /hello HTTP/1.1\r\n\r\n", "400 Bad Request", true},
      {"GET /hello HTTP/1.0\r\n\r\n", "200 OK", true},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\n",
       "413 Request Entity Too Large", true},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" +
           std::string(101, 'x') + "\r\n0\r\n\r\n",
       "413 Request Entity Too Large", true},
      {"GET /hello HTTP/1.1\r\nHost: x\r\nX: " + std::string(2000, 'x') + "\r\n\r\n",
       "431 Request Header Fields Too Large", true},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;" +
           std::string(2000, 'x'),
       "431 Request Header Fields Too Large", true},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\nContent-Length: 1\r\n\r\n",
       "417 Expectation Failed", true},
  };
  for (const Case& c : cases) {
    bool closed = false;
    const std::string answer = Ask(c.request, options, &closed);
    EXPECT_TRUE(absl::StartsWith(answer, "HTTP/1.1 " + c.status + "\r\n"))
        << c.request << " -> " << answer;
    EXPECT_EQ(closed, c.closes) << c.request;
    EXPECT_EQ(absl::StrContains(answer, "Connection: close"), c.closes) << c.request;
  }
  EXPECT_TRUE(absl::StrContains(Ask("DELETE /echo HTTP/1.1\r\nHost: x\r\n\r\n"),
                                "\r\nAllow: POST, PUT\r\n"));
}

TEST(Server, ExpectContinueIsAnsweredBeforeTheBody) {
  MemoryWorld world;
  TestServer server(&world);
  RawPeer peer(Connect(&world, &server));
  peer.Send("POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  world.Run();
  EXPECT_EQ(peer.received(), "HTTP/1.1 100 Continue\r\n\r\n");
  peer.Send("ok");
  world.Run();
  EXPECT_TRUE(absl::EndsWith(peer.received(), "Content-Length: 2\r\n\r\nok"));
}

TEST(Server, HeadHasTheLengthAndNoBody) {
  const std::string answer = Ask("HEAD /query HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(absl::StartsWith(answer, "HTTP/1.1 200 OK\r\n"));
  EXPECT_TRUE(absl::StrContains(answer, "Content-Length: 6\r\n"));
  EXPECT_TRUE(absl::EndsWith(answer, "\r\n\r\n"));
}

TEST(Server, PathsAndQueriesAreDecoded) {
  const std::string answer = Ask("GET /qu%65ry?x=1&y=2&x=a%20b+c&x HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(absl::EndsWith(answer, "/query|1|a b c|")) << answer;
  const std::string proxied = Ask("GET http://host:1/query?x=7 HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(absl::EndsWith(proxied, "/query|7")) << proxied;
}

TEST(Server, PipelinedRequestsAreAnsweredInOrder) {
  MemoryWorld world;
  TestServer server(&world);
  RawPeer peer(Connect(&world, &server));
  peer.Send(
      "GET /later HTTP/1.1\r\nHost: x\r\n\r\n"
      "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  world.Run();
  EXPECT_EQ(peer.received(), "");
  ASSERT_EQ(server.later.size(), 1u);
  server.later[0]->Respond(Response::Text(200, "first"));
  world.Run();
  const size_t first = peer.received().find("first");
  const size_t second = peer.received().find("hello");
  EXPECT_NE(first, std::string::npos);
  EXPECT_LT(first, second);
  EXPECT_NE(second, std::string::npos);
}

TEST(Server, AnEndlessStreamSendsEachChunkAtOnce) {
  MemoryWorld world;
  TestServer server(&world);
  RawPeer peer(Connect(&world, &server));
  peer.Send("GET /stream/message/1f HTTP/1.1\r\nHost: x\r\n\r\n");
  world.Run();
  EXPECT_EQ(peer.received(),
            "HTTP/1.1 200 OK\r\nX-Kind: endless\r\nDate: Tue, 14 Nov 2023 22:13:21 GMT\r\n"
            "Transfer-Encoding: chunked\r\n\r\n");
  peer.ClearReceived();
  ASSERT_EQ(server.later.size(), 1u);
  server.later[0]->Write(Bytes::Copy("abc"));
  world.Run();
  EXPECT_EQ(peer.received(), "3\r\nabc\r\n");
  peer.ClearReceived();
  std::vector<Bytes> pieces = {Bytes::Copy("x"), Bytes::Copy(std::string(5000, 'y'))};
  server.later[0]->Write(std::move(pieces));
  world.Run();
  EXPECT_EQ(peer.received(), absl::StrCat("1389\r\nx", std::string(5000, 'y'), "\r\n"));
  peer.Close();
  world.Run();
  EXPECT_EQ(server.closed, 1);
  EXPECT_TRUE(server.later[0]->closed());
  server.later[0]->Write(Bytes::Copy("late"));  // harmless
  EXPECT_EQ(server.server.connections(), 0u);
}

// Of a costly answer nothing is computed for a client that has closed its side.
TEST(Server, WhoHasSentItsLastByteCountsAsGoneWhereTheRouteSaysSo) {
  MemoryWorld world;
  TestServer server(&world);
  RouteOptions costly;
  costly.leaves_at_end = true;
  server.server.Route({"GET"}, "/costly", costly, [&](ExchangePtr exchange) {
    exchange->set_on_close([&] { ++server.closed; });
    server.later.push_back(std::move(exchange));
  });
  RawPeer patient(Connect(&world, &server));
  patient.Send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
  patient.stream()->CloseAfterFlush();
  RawPeer costly_peer(Connect(&world, &server));
  costly_peer.Send("GET /costly HTTP/1.1\r\nHost: x\r\n\r\n");
  world.Run();
  ASSERT_EQ(server.later.size(), 2u);
  EXPECT_EQ(server.closed, 0);
  costly_peer.stream()->CloseAfterFlush();
  world.Run();
  EXPECT_EQ(server.closed, 1);
  EXPECT_FALSE(server.later[0]->closed());
  EXPECT_TRUE(server.later[1]->closed());
  server.later[0]->Respond(Response::Text(200, "still there"));
  world.Run();
  EXPECT_TRUE(absl::StrContains(patient.received(), "still there"));
}

TEST(Server, SlowClientsAreCutOff) {
  ServerOptions options;
  options.header_timeout = Seconds(2);
  options.body_timeout = Seconds(3);
  options.idle_timeout = Seconds(20);
  MemoryWorld world;
  TestServer server(&world, options);
  RawPeer header(Connect(&world, &server));
  RawPeer body(Connect(&world, &server));
  RawPeer idle(Connect(&world, &server));
  RawPeer streaming(Connect(&world, &server));
  streaming.Send("GET /stream/x HTTP/1.1\r\nHost: x\r\n\r\n");
  header.Send("GET /hel");
  body.Send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
  world.Advance(Milliseconds(1900));
  EXPECT_FALSE(header.closed());
  world.Advance(Milliseconds(200));
  EXPECT_TRUE(header.closed());
  EXPECT_TRUE(absl::StartsWith(header.received(), "HTTP/1.1 408 "));
  EXPECT_FALSE(body.closed());
  world.Advance(Seconds(2));
  EXPECT_TRUE(body.closed());
  EXPECT_FALSE(idle.closed());
  world.Advance(Seconds(20));
  EXPECT_TRUE(idle.closed());
  EXPECT_FALSE(streaming.closed());
}

TEST(Server, DrainLetsAnswersOut) {
  MemoryWorld world;
  TestServer server(&world);
  RawPeer idle(Connect(&world, &server));
  RawPeer busy(Connect(&world, &server));
  busy.Send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
  world.Run();
  server.server.Drain();
  world.Run();
  EXPECT_TRUE(idle.closed());
  EXPECT_FALSE(busy.closed());
  server.later[0]->Respond(Response::Text(200, "bye"));
  world.Run();
  EXPECT_TRUE(busy.closed());
  EXPECT_TRUE(absl::EndsWith(busy.received(), "bye"));
}

TEST(Server, AFieldOfOursCannotSplitTheResponse) {
  MemoryWorld world;
  TestServer server(&world);
  RawPeer peer(Connect(&world, &server));
  peer.Send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
  world.Run();
  Response response = Response::Text(200, "");
  response.fields.Add("X-Name", "a\r\nX-Evil: 1");
  server.later[0]->Respond(std::move(response));
  world.Run();
  EXPECT_FALSE(absl::StrContains(peer.received(), "\r\nX-Evil"));
}

// Random bytes, and requests with bytes changed: the server lives, its memory is
// bounded, and a normal client beside is served.
TEST(Server, SurvivesGarbage) {
  Prng prng(7);
  const std::string good =
      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nfgh\r\n0\r\n\r\nGET /query?x=%20 HTTP/1.1\r\nHost: x\r\n\r\n";
  for (int round = 0; round < 3000; ++round) {
    MemoryWorld world;
    ServerOptions options;
    options.max_header_bytes = 2048;
    TestServer server(&world, options);
    RawPeer bad(Connect(&world, &server));
    RawPeer normal(Connect(&world, &server));
    std::string input = good;
    if (prng.Chance(1, 3)) {
      input.resize(prng.Below(3000));
      for (char& c : input) c = static_cast<char>(prng.Below(256));
    } else {
      const uint64_t changes = 1 + prng.Below(6);
      for (uint64_t i = 0; i < changes; ++i) {
        const size_t at = prng.Below(input.size());
        input[at] = static_cast<char>(prng.Below(256));
      }
    }
    world.set_chunk(1 + prng.Below(50));
    bad.Send(input);
    normal.Send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    world.Run();
    ASSERT_TRUE(absl::EndsWith(normal.received(), "hello\n")) << round;
  }
}

// --- The client ---

class Collector : public ResponseHandler {
 public:
  void OnResponse(const ResponseHead& h) override { head = h; }
  void OnBody(absl::string_view piece) override { body.append(piece.data(), piece.size()); }
  void OnEnd() override { ended = true; }
  void OnError(const absl::Status& status) override { error = status; }
  ResponseHead head;
  std::string body;
  bool ended = false;
  absl::Status error;
};

TEST(Client, ReadsAnswersInAnyPiecesAndReusesItsConnection) {
  for (const size_t chunk : {1, 3, 1000}) {
    MemoryWorld world;
    world.set_chunk(chunk);
    TestServer server(&world);
    Client client(&world, &world, "server", ClientOptions());
    for (int i = 0; i < 3; ++i) {
      Collector collector;
      ClientRequest request;
      request.method = "POST";
      request.target = "/echo";
      request.body = {Bytes::Copy("ab"), Bytes::Copy("cd")};
      auto exchange = client.Start(std::move(request), &collector);
      world.Run();
      ASSERT_TRUE(collector.ended) << collector.error;
      EXPECT_EQ(collector.head.status, 200);
      EXPECT_EQ(collector.body, "abcd");
    }
    EXPECT_EQ(server.server.connections(), 1u);
  }
}

TEST(Client, ReadsAnEndlessStreamAsItComes) {
  MemoryWorld world;
  TestServer server(&world);
  ClientOptions options;
  options.read_timeout = Seconds(5);
  Client client(&world, &world, "server", options);
  Collector collector;
  ClientRequest request;
  request.target = "/stream/message/1";
  auto exchange = client.Start(std::move(request), &collector);
  world.Run();
  EXPECT_EQ(collector.head.status, 200);
  EXPECT_EQ(collector.head.fields.Get("x-kind"), "endless");
  for (int i = 0; i < 10; ++i) {
    server.later[0]->Write(Bytes::Copy("frame"));
    world.Advance(Seconds(4));
  }
  EXPECT_EQ(collector.body.size(), 50u);
  EXPECT_TRUE(collector.error.ok());
  world.Advance(Seconds(6));  // silence
  EXPECT_EQ(collector.error.code(), absl::StatusCode::kDeadlineExceeded) << collector.error;
  world.Run();
  EXPECT_EQ(server.closed, 1);
}

TEST(Client, DroppingTheRequestClosesItsConnection) {
  MemoryWorld world;
  TestServer server(&world);
  Client client(&world, &world, "server", ClientOptions());
  Collector collector;
  ClientRequest request;
  request.target = "/stream/x";
  auto exchange = client.Start(std::move(request), &collector);
  world.Run();
  exchange.reset();
  world.Run();
  EXPECT_EQ(server.closed, 1);
  EXPECT_EQ(server.server.connections(), 0u);
  EXPECT_FALSE(collector.ended);
}

TEST(Client, StreamsAnUpload) {
  for (const bool chunked : {true, false}) {
    MemoryWorld world;
    TestServer server(&world);
    Client client(&world, &world, "server", ClientOptions());
    Collector collector;
    ClientRequest request;
    request.method = "POST";
    request.target = "/upload";
    request.stream_body = true;
    request.content_length = chunked ? 0 : 3'000'000;
    auto exchange = client.Start(std::move(request), &collector);
    for (int i = 0; i < 30; ++i) {
      exchange->Write(Bytes::Copy(std::string(100'000, 'u')));
      if (i % 7 == 0) world.Run();
    }
    exchange->EndBody();
    world.Run();
    ASSERT_TRUE(collector.ended) << collector.error;
    EXPECT_EQ(collector.body, "3000000");
    EXPECT_LE(server.later[0]->request().body.size(), 0u);
  }
}

TEST(Client, ErrorsNameTheAddress) {
  MemoryWorld world;
  Client nobody(&world, &world, "nowhere:1", ClientOptions());
  Collector refused;
  auto exchange = nobody.Start(ClientRequest(), &refused);
  EXPECT_TRUE(refused.error.ok());  // never from inside Start
  world.Run();
  EXPECT_EQ(refused.error.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(absl::StrContains(refused.error.message(), "nowhere:1"));

  std::vector<std::unique_ptr<RawPeer>> accepted;
  auto listener = *world.Listen("odd:2", [&](std::unique_ptr<io::Stream> stream) {
    accepted.push_back(std::make_unique<RawPeer>(std::move(stream)));
  });
  Client odd(&world, &world, "odd:2", ClientOptions());
  Collector garbage;
  auto second = odd.Start(ClientRequest(), &garbage);
  world.Run();
  accepted[0]->Send("SSH-2.0-OpenSSH\r\n\r\n");
  world.Run();
  EXPECT_EQ(garbage.error.code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(absl::StrContains(garbage.error.message(), "odd:2"));

  Collector cut;
  auto third = odd.Start(ClientRequest(), &cut);
  world.Run();
  accepted[1]->Send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
  world.Run();
  accepted[1]->Close();
  world.Run();
  EXPECT_EQ(cut.body, "abc");
  EXPECT_EQ(cut.error.code(), absl::StatusCode::kUnavailable);

  Collector silent;
  auto fourth = odd.Start(ClientRequest(), &silent);
  world.Advance(Seconds(31));
  EXPECT_EQ(silent.error.code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(Client, ABodyMayLastUntilTheConnectionCloses) {
  MemoryWorld world;
  std::vector<std::unique_ptr<RawPeer>> accepted;
  auto listener = *world.Listen("old", [&](std::unique_ptr<io::Stream> stream) {
    accepted.push_back(std::make_unique<RawPeer>(std::move(stream)));
  });
  Client client(&world, &world, "old", ClientOptions());
  Collector collector;
  auto exchange = client.Start(ClientRequest(), &collector);
  world.Run();
  accepted[0]->Send("HTTP/1.0 200 OK\r\n\r\nall of it");
  world.Run();
  EXPECT_FALSE(collector.ended);
  accepted[0]->Close();
  world.Run();
  EXPECT_TRUE(collector.ended);
  EXPECT_EQ(collector.body, "all of it");
}

TEST(Client, RepeatsASafeRequestOnceIfAKeptConnectionWasClosed) {
  MemoryWorld world;
  auto server = std::make_unique<TestServer>(&world);
  Client client(&world, &world, "server", ClientOptions());
  Collector first;
  ClientRequest request;
  request.target = "/hello";
  auto exchange = client.Start(request, &first);
  world.Run();
  ASSERT_TRUE(first.ended);
  server.reset();
  server = std::make_unique<TestServer>(&world);
  Collector second;
  auto again = client.Start(request, &second);
  world.Run();
  EXPECT_TRUE(second.ended) << second.error;
}

TEST(Client, FetchGathersUpToALimit) {
  MemoryWorld world;
  TestServer server(&world);
  Client client(&world, &world, "server", ClientOptions());
  ClientRequest request;
  request.target = "/hello";
  absl::StatusOr<Client::WholeResponse> whole = absl::UnknownError("none");
  auto exchange = client.Fetch(request, 100, [&](auto result) { whole = std::move(result); });
  world.Run();
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(whole->body, "hello\n");
  auto second = client.Fetch(request, 3, [&](auto result) { whole = std::move(result); });
  world.Run();
  EXPECT_EQ(whole.status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(Client, MayBeDestroyedFromInsideItsCallbacks) {
  MemoryWorld world;
  TestServer server(&world);
  auto client = std::make_unique<Client>(&world, &world, "server", ClientOptions());
  ClientRequest request;
  request.target = "/hello";
  std::unique_ptr<ClientExchange> exchange;
  bool done = false;
  exchange = client->Fetch(request, 100, [&](auto) {
    done = true;
    exchange.reset();
    client.reset();
  });
  world.Run();
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace quorate::http1
