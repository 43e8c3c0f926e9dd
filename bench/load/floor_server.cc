// quorate-grpc-floor: our gRPC server on libuv with a handler that does nothing: what a
// call costs before any store is behind it. Answers Put, Range and Status with a fixed
// response header; at SIGINT prints calls and CPU time per call.
#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <memory>
#include <string>

#include "io/uv/world.h"
#include "server/grpc/server.h"

int main(int argc, char** argv) {
  using namespace quorate;  // NOLINT: a main
  const std::string address = argc > 1 ? argv[1] : "127.0.0.1:23790";
  io::uv::World world;
  const io::Env env = world.env();
  grpc::Server server(env.loop, grpc::ServerOptions());
  const Bytes answer = Bytes::Copy(
      absl::string_view("\x0a\x12\x08\x81\x82\x83\x84\x85\x86\x87\x08\x10\x81\x82\x83\x84\x05"
                        "\x18\x01\x20\x02",
                        20));
  for (const char* path :
       {"/etcdserverpb.KV/Put", "/etcdserverpb.KV/Range", "/etcdserverpb.Maintenance/Status"}) {
    server.AddUnary(path, [&](grpc::Call* call, Bytes) { call->Finish(absl::OkStatus(), answer); });
  }
  auto listener = env.network->Listen(
      address, [&](std::unique_ptr<io::Stream> stream) { server.Accept(std::move(stream)); });
  if (!listener.ok()) {
    std::fprintf(stderr, "quorate-grpc-floor: %s\n",
                 std::string(listener.status().message()).c_str());
    return 1;
  }
  world.OnSignal(SIGINT, [&] { world.Stop(); });
  world.OnSignal(SIGTERM, [&] { world.Stop(); });
  world.Run();
  uint64_t calls = 0;
  for (const auto& [path, method] : server.methods()) calls += method->stats.started;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const double cpu = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                     static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
  std::printf("%llu calls, %.2f CPU s, %.2f us per call, %ld KiB resident at most\n",
              static_cast<unsigned long long>(calls), cpu,
              calls > 0 ? cpu / static_cast<double>(calls) * 1e6 : 0.0, usage.ru_maxrss);
  return 0;
}
