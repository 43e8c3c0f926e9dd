// A machine of the simulated world and the processes that run on it, one after
// another.
//
//   Host host(context, &network, "m1", options);
//   io::Env env = host.Boot();
//   host.Run([&] { server = std::make_unique<Server>(env, config); });
//   ...
//   host.Crash(CrashKind::kPowerLoss);   // from an event of the world, not of the server
//   server.reset();                      // safe: nothing it holds calls back any more
//   host.Boot();                         // the same disk, what is left of it
#ifndef QUORATE_SIM_ENV_H_
#define QUORATE_SIM_ENV_H_

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "base/prng.h"
#include "io/compute.h"
#include "io/env.h"
#include "io/log_sink.h"
#include "io/random.h"
#include "sim/disk.h"
#include "sim/fault.h"
#include "sim/loop.h"
#include "sim/network.h"
#include "sim/task.h"

namespace quorate::sim {

// Random bytes from the seed, keyed by (seed, host, incarnation).
class Random final : public io::Random {
 public:
  Random(uint64_t seed, HostId host, uint64_t incarnation);
  void Fill(void* out, size_t size) override;

 private:
  Prng prng_;
};

// Runs `work` on the loop after a drawn time, so that completions come in any order.
class Compute final : public io::Compute {
 public:
  Compute(Loop* loop, Duration time_max);
  void Run(std::function<void()> work, std::function<void()> done) override;

 private:
  struct Job {
    std::function<void()> work;
    std::function<void()> done;
  };
  Loop* const loop_;
  const Duration time_max_;
  Prng prng_;
  // Events hold it weakly: they outlive the process.
  const std::shared_ptr<std::list<Job>> pending_ = std::make_shared<std::list<Job>>();
};

// Log lines become events of the trace, and go to an observer.
class LogSink final : public io::LogSink {
 public:
  using Observer = std::function<void(absl::string_view line)>;
  LogSink(Loop* loop, Observer observer);
  void WriteLine(absl::string_view line) override;
  bool wants_source_lines() const override { return false; }

 private:
  Loop* const loop_;
  const Observer observer_;
};

struct HostOptions {
  ClockOptions clock;
  // The clock's origin is drawn anew for each process when true.
  bool draw_clock_origin = true;
  TurnOptions turns;
  DiskOptions disk;
  Duration compute_max = Milliseconds(5);
  // Sees each log line, after the trace.
  LogSink::Observer on_log_line;
};

enum class CrashKind {
  kKill,       // SIGKILL: the kernel and its page cache live on
  kPowerLoss,  // everything volatile is gone
};

class Host {
 public:
  // Registers the host with the network under `name`.
  Host(const Context& context, Network* network, const std::string& name,
       const HostOptions& options);
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  ~Host();

  HostId id() const { return id_; }
  const std::string& name() const;

  // Starts a process: a new incarnation with a fresh loop over the same disk. What
  // the previous process had (its server object above all) must have been destroyed.
  // The Env is valid until the next Boot or the end of the host.
  io::Env Boot();
  bool running() const { return process_ != nullptr && process_running_; }
  // Processes started so far; the running one's number.
  uint64_t incarnation() const { return incarnation_; }

  // Calls into the running process, as a turn of its loop (queued while it is paused).
  void Run(Task task);
  Loop* loop();  // the running process's

  // The process dies now: none of its callbacks comes any more. Not from inside one of
  // its turns: schedule an event for it.
  void Crash(CrashKind kind);
  // The process has ended in order (its server is already destroyed).
  void Exit();

  // P3: SIGSTOP for a while.
  void PauseFor(Duration time);

  Disk& disk() { return disk_; }
  const Disk& disk() const { return disk_; }
  HostOptions& options() { return options_; }  // changes take effect at the next Boot

 private:
  struct Process;
  void End(Network::Ending network_ending, Disk::Ending disk_ending);

  const Context context_;
  Network* const network_;
  HostOptions options_;
  const HostId id_;
  Disk disk_;
  uint64_t incarnation_ = 0;
  bool process_running_ = false;
  std::unique_ptr<Process> process_;
  EventId resume_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_ENV_H_
