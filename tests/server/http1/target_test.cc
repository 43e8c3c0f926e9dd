// What a request's first lines may look like, beyond what RFC 9112 asks for: as Go's servers take
// it.
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/http1/server.h"
#include "tests/server/fakes/memory_world.h"

namespace quorate::http1 {
namespace {

using fakes::MemoryWorld;
using fakes::RawPeer;

// What the server says to these bytes, when they come in pieces of that size (0: in one).
std::string Ask(absl::string_view request, size_t chunk = 0) {
  MemoryWorld world;
  if (chunk > 0) world.set_chunk(chunk);
  Server server(&world, ServerOptions());
  server.Route({"GET"}, "/hello", [](const ExchangePtr& exchange) {
    exchange->Respond(Response::Text(200, "hello\n"));
  });
  server.Route({"POST"}, "/echo", [](const ExchangePtr& exchange) {
    exchange->Respond(Response::Text(200, exchange->request().body.view()));
  });
  server.RoutePrefix({}, "/stream/", [](const ExchangePtr& exchange) {
    exchange->Respond(Response::Text(200, "stream\n"));
  });
  auto [client, accepted] = world.Pair();
  server.Accept(std::move(accepted));
  RawPeer peer(std::move(client));
  peer.Send(request);
  world.Run();
  return peer.received();
}

// As Go's ServeMux does, so that etcd's users may be used to it.
TEST(Target, APathThatIsNotCleanIsRedirected) {
  const auto location = [](const std::string& line) -> std::string {
    const std::string answer = Ask(line + " HTTP/1.1\r\nHost: x\r\n\r\n");
    if (!absl::StartsWith(answer, "HTTP/1.1 307 Temporary Redirect\r\n")) return "none";
    const size_t at = answer.find("\r\nLocation: ");
    return answer.substr(at + 12, answer.find("\r\n", at + 2) - at - 12);
  };
  EXPECT_EQ(location("GET //hello"), "/hello");
  EXPECT_EQ(location("POST /a/./b//c/../d?x=//y"), "/a/b/d?x=//y");
  EXPECT_EQ(location("GET /../../hello/"), "/hello/");
  EXPECT_EQ(location("GET http://h//hello"), "/hello");
  EXPECT_EQ(location("GET /stream"), "/stream/") << "of which there is a tree";
  EXPECT_EQ(location("GET /hello"), "none");
  EXPECT_EQ(location("GET /hello/"), "none");
  EXPECT_EQ(location("GET /%2e%2e/hello"), "none");
  EXPECT_EQ(location("CONNECT //hello"), "none");
  // Which browsers would read as "//h": another host.
  EXPECT_EQ(location("GET /./\\h/"), "/%5Ch/");
  EXPECT_EQ(location("GET //{\"<\xc3\xa9>%41^`|}?\\"), "/%7B%22%3C%C3%A9%3E%41%5E%60%7C%7D?\\");
  const std::string page = Ask("GET //a?<b HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(absl::EndsWith(page, "\r\n\r\n<a href=\"/a?&lt;b\">Temporary Redirect</a>.\n\n"))
      << page;
}

TEST(Target, ATargetThatIsNoPathIsRefused) {
  for (const char* target : {"hello", "*", "?x", "h:1", "a?x=http://h/hello"}) {
    const std::string answer = Ask(absl::StrCat("GET ", target, " HTTP/1.1\r\nHost: x\r\n\r\n"));
    EXPECT_TRUE(absl::StartsWith(answer, "HTTP/1.1 400 Bad Request\r\n")) << target;
  }
  EXPECT_TRUE(absl::StartsWith(Ask("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 OK"));
  EXPECT_TRUE(absl::StartsWith(Ask("CONNECT * HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 404 "))
      << "200 would promise a tunnel";
  EXPECT_TRUE(
      absl::StartsWith(Ask("GET http://h?/hello HTTP/1.1\r\nHost: h\r\n\r\n"), "HTTP/1.1 404 "))
      << "its path is \"/\"";
}

// Clients by hand; Go's servers take them, too.
TEST(Target, LinesMayEndWithoutACarriageReturn) {
  const std::string expected =
      Ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\na\n\nb\r\n"
          "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string input =
      "POST /echo HTTP/1.1\nHost: x\r\nContent-Length: 6\n\na\n\nb\r\n"
      "GET /hello HTTP/1.1\nHost: x\n\n";
  EXPECT_EQ(Ask(input), expected);
  for (const size_t chunk : {1, 2, 3, 7}) {
    EXPECT_EQ(Ask(input, chunk), expected) << "pieces of " << chunk;
  }
}

}  // namespace
}  // namespace quorate::http1
