// Any bytes as what a client sends to the gRPC port: HTTP/2 frames, header compression, gRPC's
// framing.
//
// With the highest bit of the first byte set, the connection's preface and an empty SETTINGS
// come first; the other bits say in pieces of how many bytes all of it arrives, 0 for any. What
// must hold: nothing crashes; the client that says it is answered or disconnected, and another
// one is served as ever.
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/check.h"
#include "tests/server/grpc/echo_server.h"

namespace quorate::grpc {
namespace {

constexpr char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
constexpr size_t kPrefaceBytes = sizeof(kPreface) - 1;

void Serve(absl::string_view input, size_t piece) {
  fakes::MemoryWorld world;
  EchoServer echo(&world);
  Channel normal(&world, &world, "server");
  Answer before;
  normal.Unary("/test.Echo/Echo", Bytes::Copy("before"), {}, before.callback());
  world.Run();
  CHECK(before.ok());
  auto [client, server] = world.Pair();
  echo.server.Accept(std::move(server));
  fakes::RawPeer raw(std::move(client));
  if (piece > 0) world.set_chunk(piece);
  raw.Send(input);
  world.Run();
  Answer after;
  normal.Unary("/test.Echo/Echo", Bytes::Copy("after"), {}, after.callback());
  world.Run();
  CHECK(after.ok());
  CHECK(after.message() == "after");
  raw.Close();
  world.Run();
}

}  // namespace
}  // namespace quorate::grpc

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string input;
  if ((data[0] & 0x80) != 0) {
    input.assign(quorate::grpc::kPreface, quorate::grpc::kPrefaceBytes);
  }
  input.append(reinterpret_cast<const char*>(data + 1), size - 1);
  quorate::grpc::Serve(input, data[0] & 0x7f);
  return 0;
}
