// Time and turns of one member's single thread.
//
// Everything of a member (server, storage, engine) runs on one loop: callbacks
// of timers, streams, files and computations are called one after another, never
// at once and never from inside the call that asked for them. The real loop is
// libuv's; the simulator's runs on virtual time.
#ifndef QUORATE_IO_LOOP_H_
#define QUORATE_IO_LOOP_H_

#include <functional>
#include <memory>

#include "base/time.h"

namespace quorate::io {

// A one-shot, re-armable timer. Destroying it cancels it.
class Timer {
 public:
  virtual ~Timer() = default;
  // Calls back once at `when` or soon after it (at once, as an event of its own, if
  // it is past). Replaces an earlier setting.
  virtual void Set(Instant when) = 0;
  virtual void Cancel() = 0;
};

class Loop {
 public:
  virtual ~Loop() = default;

  // Monotonic time, constant during one callback. May differ between members in
  // origin and rate.
  virtual Instant Now() const = 0;
  virtual WallTime WallNow() const = 0;

  virtual std::unique_ptr<Timer> NewTimer(std::function<void()> callback) = 0;

  // Runs `callback` once this turn's ready I/O has been handled and before the
  // loop sleeps: the place to flush what the turn gathered (one write per
  // connection, one append per follower, one read-index round). In order of calls.
  virtual void Defer(std::function<void()> callback) = 0;
};

}  // namespace quorate::io

#endif  // QUORATE_IO_LOOP_H_
