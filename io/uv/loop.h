// io::Loop on a uv_loop_t, and the places of a turn where the rest of io/uv hooks in.
//
// One iteration of libuv: due timers; posted events; (prepare) end of turn; wait for
// and handle I/O; (check) end of turn; close callbacks. The end of a turn runs what
// was deferred, until nothing more is, and then writes out the dirty streams.
#ifndef QUORATE_IO_UV_LOOP_H_
#define QUORATE_IO_UV_LOOP_H_

#include <uv.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/time.h"
#include "io/loop.h"

namespace quorate::io::uv {

class TurnList;

// Something that can be queued, once at a time, for a place in the turn. Destroying
// it takes it out of the queue.
class TurnHook {
 public:
  // Calls run(owner), which may destroy the hook.
  TurnHook(void (*run)(void* owner), void* owner) : run_(run), owner_(owner) {}
  TurnHook(const TurnHook&) = delete;
  TurnHook& operator=(const TurnHook&) = delete;
  ~TurnHook();

 private:
  friend class TurnList;
  void (*const run_)(void* owner);
  void* const owner_;
  TurnList* list_ = nullptr;
  size_t index_ = 0;
};

class TurnList {
 public:
  void Add(TurnHook* hook);
  bool empty() const { return size_ == 0; }
  // Runs what is queued now; what is queued meanwhile stays for the next time.
  void RunAll();

 private:
  friend class TurnHook;
  std::vector<TurnHook*> hooks_;    // null where a hook was taken out
  std::vector<TurnHook*> running_;  // hooks_ while RunAll works through them
  size_t size_ = 0;                 // hooks queued in hooks_
};

// What a thread has finished, to be completed on the loop.
class Completion {
 public:
  virtual ~Completion() = default;
  virtual void Complete() = 0;
};

class Loop final : public io::Loop {
 public:
  Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  // Runs close callbacks until no handle is left.
  ~Loop() override;

  Instant Now() const override { return now_; }
  WallTime WallNow() const override;
  std::unique_ptr<Timer> NewTimer(std::function<void()> callback) override;
  void Defer(std::function<void()> callback) override { deferred_.push_back(std::move(callback)); }

  uv_loop_t* uv() { return &uv_; }

  // First thing in every callback from libuv: time stands still until the next one.
  void BeginCallback() {
    now_ = Instant::FromNanos(static_cast<int64_t>(uv_hrtime()));
    ++callbacks_;
  }
  // How often that was.
  uint64_t callbacks() const { return callbacks_; }

  // At the end of this turn, after everything deferred.
  void AtTurnEnd(TurnHook* hook) { turn_end_.Add(hook); }
  // As an event of its own, soon.
  void Post(TurnHook* hook);

  // From any thread: completes it on the loop, together with others.
  void PostCompletion(std::unique_ptr<Completion> completion);

  // At the end of the world, before what callbacks refer to goes: drops completions
  // and deferred callbacks without calling them.
  void DropPending();

  // A buffer for one read; whoever reads next overwrites it.
  uv_buf_t read_buffer() { return uv_buf_init(read_buffer_.get(), kReadBufferBytes); }
  // Room for the buffers of one write; whoever writes next overwrites it.
  std::vector<uv_buf_t>* write_buffers() { return &write_buffers_; }

 private:
  friend class LoopTimer;
  static constexpr unsigned kReadBufferBytes = 256 * 1024;

  void EndTurn();
  void RunCompletions();
  void RunPosted();
  void RunTimers();
  void ArmTimer();

  // The heap of set timers, earliest first; a timer knows its place.
  class TimerHeap;

  uv_loop_t uv_;
  uv_prepare_t prepare_;
  uv_check_t check_;
  uv_idle_t idle_;
  uv_idle_t due_;  // while a timer is due that has not fired
  uv_timer_t timer_;
  // What other threads write to when they have completed something. Not a uv_async_t: until libuv
  // 1.45 its loop waits actively, tens of microseconds, for a sender that it has preempted.
  const int completed_fd_;
  uv_poll_t completed_;

  Instant now_;
  uint64_t callbacks_ = 0;
  std::vector<std::function<void()>> deferred_;
  std::vector<std::function<void()>> flushing_;
  TurnList turn_end_;
  TurnList posted_;
  std::unique_ptr<TimerHeap> timers_;
  Instant armed_for_ = Instant::Infinite();
  std::unique_ptr<char[]> read_buffer_;
  std::vector<uv_buf_t> write_buffers_;

  std::mutex completions_mutex_;
  std::vector<std::unique_ptr<Completion>> completions_;
  std::vector<std::unique_ptr<Completion>> completing_;
};

}  // namespace quorate::io::uv

#endif  // QUORATE_IO_UV_LOOP_H_
