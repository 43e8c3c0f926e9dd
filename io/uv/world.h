// The real world: libuv's loop with sockets, disk threads, compute threads, the
// system's randomness and clock. For mains, benches and tests of io/uv only.
//
//   io::uv::World world;
//   Server server(world.env(), config);
//   world.OnSignal(SIGTERM, [&] { world.Stop(); });
//   world.Run();
//
// One thread builds, runs and destroys a World; every callback comes on it. What
// was made from its Env is destroyed before it. SIGPIPE is ignored process-wide from
// the first World on (a closed socket is a status, not a signal).
#ifndef QUORATE_IO_UV_WORLD_H_
#define QUORATE_IO_UV_WORLD_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/env.h"
#include "io/log_rotation.h"

namespace quorate::io::uv {

// A log file that is rotated (io/uv/log_files.h): open for appending, and owned by the World.
struct RotatedLog {
  int fd = -1;
  std::string path;
  LogRotation rotation;
};

struct WorldOptions {
  // Where log lines go, each to all of them (standard error); not closed.
  std::vector<int> log_fds = {2};
  std::optional<RotatedLog> rotated_log;
  // Listening sockets share their ports with others that do so, too (SO_REUSEPORT).
  bool reuse_port = false;
  // Threads for files that have no dedicated one, and for io::Compute. Started when
  // first needed.
  int disk_threads = 4;
  int compute_threads = 2;
};

class World {
 public:
  explicit World(const WorldOptions& options = {});
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  // Waits for operations that threads are running; their callbacks do not come.
  ~World();

  // Valid as long as the World is.
  Env env() const;

  // Runs callbacks until Stop().
  void Run();
  // Makes Run return once the turn that is running has ended. On the loop's thread.
  void Stop();
  // Runs what is due, or else waits for something to happen and runs that.
  void RunOnce();

  // Calls back, as an event of the loop, each time the process gets this signal
  // (instead of the signal's default). Replaces an earlier callback for it.
  void OnSignal(int signal_number, std::function<void()> callback);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quorate::io::uv

#endif  // QUORATE_IO_UV_WORLD_H_
