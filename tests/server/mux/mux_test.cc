// gRPC and HTTP/1.1 on one port, however the first bytes are cut.
#include "server/mux/mux.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "server/grpc/channel.h"
#include "server/grpc/server.h"
#include "server/http1/server.h"
#include "tests/server/fakes/memory_world.h"

namespace quorate::mux {
namespace {

struct OnePort {
  explicit OnePort(fakes::MemoryWorld* world)
      : grpc(world, grpc::ServerOptions()),
        http1(world, http1::ServerOptions()),
        mux(
            world, Options(), [this](auto stream) { grpc.Accept(std::move(stream)); },
            [this](auto stream) { http1.Accept(std::move(stream)); }) {
    grpc.AddUnary("/t.T/Echo", [](grpc::Call* call, Bytes request) {
      call->Finish(absl::OkStatus(), std::move(request));
    });
    http1.Route({"GET"}, "/health", [](http1::ExchangePtr exchange) {
      exchange->Respond(http1::Response::Json(200, "{}"));
    });
    listener = *world->Listen(
        "port", [this](std::unique_ptr<io::Stream> stream) { mux.Accept(std::move(stream)); });
  }
  grpc::Server grpc;
  http1::Server http1;
  Mux mux;
  std::unique_ptr<io::Listener> listener;
};

TEST(Mux, BothProtocolsWorkWithTheFirstBytesCutAnywhere) {
  for (size_t cut = 1; cut <= 40; ++cut) {
    fakes::MemoryWorld world;
    world.set_first_chunk(cut);
    OnePort port(&world);
    grpc::Channel channel(&world, &world, "port");
    grpc::Result result;
    channel.Unary("/t.T/Echo", Bytes::Copy("x"), {}, [&](grpc::Result r) { result = r; });
    world.Run();
    ASSERT_TRUE(result.status.ok()) << cut << result.status;
    ASSERT_EQ(result.message.view(), "x");

    world.set_first_chunk(cut);
    auto [client, server] = world.Pair();
    port.mux.Accept(std::move(server));
    fakes::RawPeer peer(std::move(client));
    peer.Send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    world.Run();
    ASSERT_TRUE(absl::EndsWith(peer.received(), "{}")) << cut;
    EXPECT_EQ(port.mux.undecided(), 0u);
  }
}

TEST(Mux, APostIsNoPreface) {
  fakes::MemoryWorld world;
  world.set_chunk(1);
  OnePort port(&world);
  auto [client, server] = world.Pair();
  port.mux.Accept(std::move(server));
  fakes::RawPeer peer(std::move(client));
  peer.Send("POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
  world.Run();
  EXPECT_TRUE(absl::StartsWith(peer.received(), "HTTP/1.1 404 ")) << peer.received();
}

TEST(Mux, SilenceIsCutOffAndEarlyEndsAreForgotten) {
  fakes::MemoryWorld world;
  OnePort port(&world);
  auto [client, server] = world.Pair();
  port.mux.Accept(std::move(server));
  fakes::RawPeer silent(std::move(client));
  silent.Send("PRI *");
  auto [second_client, second_server] = world.Pair();
  port.mux.Accept(std::move(second_server));
  fakes::RawPeer leaving(std::move(second_client));
  world.Run();
  EXPECT_EQ(port.mux.undecided(), 2u);
  leaving.Close();
  world.Run();
  EXPECT_EQ(port.mux.undecided(), 1u);
  world.Advance(Seconds(9));
  EXPECT_FALSE(silent.closed());
  world.Advance(Seconds(2));
  EXPECT_TRUE(silent.closed());
  EXPECT_EQ(port.mux.undecided(), 0u);
}

TEST(Mux, DestroyingItLeavesHandedOverConnectionsAlone) {
  fakes::MemoryWorld world;
  grpc::Server server(&world, grpc::ServerOptions());
  server.AddUnary("/t.T/Echo", [](grpc::Call* call, Bytes request) {
    call->Finish(absl::OkStatus(), std::move(request));
  });
  auto mux = std::make_unique<Mux>(
      &world, Options(), [&](auto stream) { server.Accept(std::move(stream)); }, [](auto) {});
  auto listener = *world.Listen(
      "port", [&](std::unique_ptr<io::Stream> stream) { mux->Accept(std::move(stream)); });
  grpc::Channel channel(&world, &world, "port");
  grpc::Result result;
  channel.Unary("/t.T/Echo", Bytes::Copy("1"), {}, [&](grpc::Result r) { result = r; });
  world.Run();
  ASSERT_EQ(result.message.view(), "1");
  mux.reset();
  channel.Unary("/t.T/Echo", Bytes::Copy("2"), {}, [&](grpc::Result r) { result = r; });
  world.Run();
  EXPECT_EQ(result.message.view(), "2");
}

}  // namespace
}  // namespace quorate::mux
