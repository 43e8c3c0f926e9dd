// One process's loop on virtual time: its clock, its turns, its pauses.
//
// The process sees a clock of its own: Instant = origin + elapsed * rate, where the
// rate may be off by parts per million (or by a factor of two), and a wall clock
// that may be anywhere. Everything that calls into a process goes through Enter(),
// which makes it a turn: the callback, then what it deferred. While the process is
// paused or busy, turns queue up and run together afterwards, as sockets and timers
// do for a stopped process; once it is dead nothing of it is called any more.
#ifndef QUORATE_SIM_LOOP_H_
#define QUORATE_SIM_LOOP_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/prng.h"
#include "base/time.h"
#include "io/loop.h"
#include "sim/fault.h"
#include "sim/scheduler.h"
#include "sim/task.h"
#include "sim/trace.h"

namespace quorate::sim {

struct ClockOptions {
  Instant origin;         // what the clock shows at start
  int64_t drift_ppm = 0;  // 1'000'000 = twice as fast; > -1'000'000
  WallTime wall_origin = WallTime::FromUnixNanos(1'700'000'000'000'000'000);
};

struct TurnOptions {
  // How long a turn keeps the process busy (uniform). What arrives meanwhile is
  // handled in one turn afterwards: this is what makes batches. Both zero: every
  // event is a turn of its own.
  Duration busy_min;
  Duration busy_max;
  // How late a timer may fire (uniform from zero).
  Duration timer_late_max;
};

class Loop final : public io::Loop {
 public:
  Loop(const Context& context, HostId host, uint64_t incarnation, const ClockOptions& clock,
       const TurnOptions& turns);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop() override;

  Instant Now() const override { return LocalTime(context_.now()); }
  WallTime WallNow() const override;
  std::unique_ptr<io::Timer> NewTimer(std::function<void()> callback) override;
  void Defer(std::function<void()> callback) override;

  // Calls into the process: runs `task` as (part of) a turn, now or when the process
  // gets to it; drops it if the process is dead. At the moment it runs it is put
  // into the trace as `kind`. May be called from inside a turn; then it joins it.
  void Enter(const TraceKind& kind, uint64_t a, uint64_t b, Task task);

  // Stops the process as SIGSTOP does: nothing of it runs until Resume.
  void Pause();
  void Resume();
  bool paused() const { return paused_; }

  // Changes the clock's rate from now on (its reading does not jump).
  void SetDrift(int64_t drift_ppm);
  // Moves the wall clock.
  void JumpWall(Duration by);

  // The process is dead: drops timers, deferred callbacks and queued turns without
  // calling them, now and for ever. Objects made by this loop stay valid (and inert)
  // until they are destroyed.
  void Kill();
  bool alive() const { return alive_; }

  Instant LocalTime(VirtualTime time) const;
  // The first moment at which the clock shows `when` or more.
  VirtualTime GlobalTime(Instant when) const;

  const Context& context() const { return context_; }
  HostId host() const { return host_; }
  uint64_t incarnation() const { return incarnation_; }

  // Objects handed to the process and not yet destroyed (timers, streams, files,
  // listeners ...). The environment must not go before they have.
  void AddObject() { ++objects_; }
  void RemoveObject() { --objects_; }
  size_t objects() const { return objects_; }

 private:
  class SimTimer;
  struct Turn {
    const TraceKind* kind;
    uint64_t a;
    uint64_t b;
    Task task;
  };

  void RunQueued();
  void EndTurn();
  void WakeWhenFree();

  const Context context_;
  const HostId host_;
  const uint64_t incarnation_;
  const TurnOptions turns_;
  Prng turn_prng_;
  Prng timer_prng_;

  // The clock: local = local_base_ + (now - global_base_) * (1e6 + drift) / 1e6.
  VirtualTime global_base_;
  Instant local_base_;
  int64_t drift_ppm_;
  int64_t wall_base_nanos_;  // wall clock when the local clock shows zero

  bool alive_ = true;
  bool paused_ = false;
  bool in_turn_ = false;
  VirtualTime busy_until_;
  EventId wake_;
  std::vector<Turn> queue_;
  std::vector<Turn> running_;
  std::vector<std::function<void()>> deferred_;
  std::vector<std::function<void()>> flushing_;
  SimTimer* timers_ = nullptr;  // all set timers, a doubly linked list
  size_t objects_ = 0;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_LOOP_H_
