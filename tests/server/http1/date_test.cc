// The Date of answers.
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/http1/server.h"
#include "tests/server/fakes/memory_world.h"

namespace quorate::http1 {
namespace {

TEST(DateTest, AnswersHaveTheirDate) {
  fakes::MemoryWorld world;
  Server server(&world, ServerOptions());
  server.Route({"GET"}, "/hello",
               [](const ExchangePtr& exchange) { exchange->Respond(Response::Text(200, "hi")); });
  auto [client, accepted] = world.Pair();
  server.Accept(std::move(accepted));
  fakes::RawPeer peer(std::move(client));
  for (const char* date : {"Tue, 14 Nov 2023 22:13:21 GMT", "Tue, 14 Nov 2023 22:15:01 GMT"}) {
    peer.ClearReceived();
    peer.Send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    world.Run();
    EXPECT_TRUE(absl::StrContains(peer.received(), absl::StrCat("\r\nDate: ", date, "\r\n")))
        << peer.received();
    world.Advance(Seconds(100));
  }
}

}  // namespace
}  // namespace quorate::http1
