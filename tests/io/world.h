// The worlds in which the io conformance tests run: the real one and the simulator.
#ifndef QUORATE_TESTS_IO_WORLD_H_
#define QUORATE_TESTS_IO_WORLD_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "io/env.h"

namespace quorate::testing {

// A server process, a client process (in the real world they are one), and a way to
// let time pass.
class IoWorld {
 public:
  virtual ~IoWorld() = default;

  virtual io::Env server() = 0;
  virtual io::Env client() = 0;
  // Where the server may listen: port 0 of its address.
  virtual std::string listen_address() const = 0;
  // An existing, empty directory of the server's disk.
  virtual std::string directory() const = 0;

  // Runs `function` as a turn of the server / of the client.
  virtual void InServer(std::function<void()> function) = 0;
  virtual void InClient(std::function<void()> function) = 0;
  // Lets the world go on until `condition` holds; false when it does not within
  // `limit` of the world's time.
  virtual bool RunUntil(const std::function<bool()>& condition, Duration limit) = 0;
  bool RunUntil(const std::function<bool()>& condition) { return RunUntil(condition, Seconds(30)); }
  // Lets time pass.
  void RunFor(Duration time) {
    RunUntil([] { return false; }, time);
  }
};

std::unique_ptr<IoWorld> NewUvWorld();
// Every write arrives as it was written / in many pieces with long delays and batches.
std::unique_ptr<IoWorld> NewSmoothSimWorld();
std::unique_ptr<IoWorld> NewRoughSimWorld();

}  // namespace quorate::testing

#endif  // QUORATE_TESTS_IO_WORLD_H_
