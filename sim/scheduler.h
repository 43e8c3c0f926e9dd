// Virtual time and the one ordered queue of everything that will happen.
//
// The simulated world has a single timeline in nanoseconds. Nothing runs but by
// an event of this queue; running an event moves the present to its time. Events
// of the same nanosecond run in an order drawn from the seed, so nobody may rely
// on the order in which they were put in (who needs first-in-first-out keeps a
// queue of their own and one event for its head).
#ifndef QUORATE_SIM_SCHEDULER_H_
#define QUORATE_SIM_SCHEDULER_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "base/strong_int.h"
#include "base/time.h"
#include "sim/task.h"

namespace quorate::sim {

// A machine of the simulated world: members, clients and whoever else talks. Small
// numbers given by the world; 0 is the world itself.
using HostId = StrongInt<struct HostIdTag, uint32_t>;

// A moment of the world's own clock, which no member can see (members see an
// io::Loop's Instant). 0 = the start of the run.
class VirtualTime {
 public:
  constexpr VirtualTime() = default;
  static constexpr VirtualTime FromNanos(int64_t ns) { return VirtualTime(ns); }
  static constexpr VirtualTime Infinite() {
    return VirtualTime(std::numeric_limits<int64_t>::max());
  }

  constexpr int64_t nanos() const { return ns_; }

  friend constexpr auto operator<=>(VirtualTime, VirtualTime) = default;
  friend constexpr VirtualTime operator+(VirtualTime a, Duration d) {
    return VirtualTime(a.ns_ + d.nanos());
  }
  friend constexpr VirtualTime operator-(VirtualTime a, Duration d) {
    return VirtualTime(a.ns_ - d.nanos());
  }
  friend constexpr Duration operator-(VirtualTime a, VirtualTime b) {
    return Duration::FromNanos(a.ns_ - b.ns_);
  }

 private:
  constexpr explicit VirtualTime(int64_t ns) : ns_(ns) {}
  int64_t ns_ = 0;
};

// Names a queued event; stays harmless after the event ran or was cancelled.
class EventId {
 public:
  constexpr EventId() = default;
  friend constexpr bool operator==(EventId, EventId) = default;

 private:
  friend class Scheduler;
  constexpr EventId(uint32_t slot, uint32_t generation) : slot_(slot), generation_(generation) {}
  uint32_t slot_ = 0;
  uint32_t generation_ = 0;  // 0 = no event
};

class Scheduler {
 public:
  // `seed` draws the order of events of the same nanosecond.
  explicit Scheduler(uint64_t seed);
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;
  // Drops pending events without running them.
  ~Scheduler();

  VirtualTime now() const { return now_; }

  // Runs `task` at `when`, or now (as an event of its own) if that is past. The
  // task must not throw.
  EventId At(VirtualTime when, Task task);
  EventId After(Duration delay, Task task) { return At(now_ + delay, std::move(task)); }

  // False if the event ran already or was cancelled.
  bool Cancel(EventId event);
  // Moves a pending event; it gets a new place among events of the same time. False
  // (and nothing happens) if it is no longer pending.
  bool Move(EventId event, VirtualTime when);
  bool pending(EventId event) const;

  // Runs the next event. False if there is none.
  bool RunOne();
  // Runs all events up to and including `end`, and moves the present there. Stops
  // early, between two events, after RequestStop().
  void RunUntil(VirtualTime end);
  // Makes RunUntil return after the event that is running. Cleared by RunUntil.
  void RequestStop() { stop_requested_ = true; }

  // When the next event is due; Infinite if there is none.
  VirtualTime next_time() const { return heap_.empty() ? VirtualTime::Infinite() : heap_[0].when; }
  size_t pending_events() const { return heap_.size(); }
  // Events run so far.
  uint64_t events_run() const { return events_run_; }

 private:
  // One cache line: what an event does and where it is in the heap.
  struct Slot {
    Task task;
    uint32_t generation = 1;
    uint32_t position = 0;  // in heap_; in the free list: the next free slot
  };
  struct HeapEntry {
    VirtualTime when;
    uint64_t tie;
    uint32_t slot;
  };
  static constexpr uint32_t kSlotsPerBlock = 256;
  static constexpr uint32_t kNoSlot = ~uint32_t{0};
  static constexpr size_t kArity = 4;

  static bool Before(const HeapEntry& a, const HeapEntry& b);
  Slot& slot(uint32_t index) const {
    return blocks_[index / kSlotsPerBlock][index % kSlotsPerBlock];
  }
  uint64_t NextTie();
  uint32_t AllocateSlot();
  void FreeSlot(uint32_t index);
  void Place(size_t position, const HeapEntry& entry);
  void SiftUp(size_t position, HeapEntry entry);
  void SiftDown(size_t position, HeapEntry entry);
  void RemoveAt(size_t position);

  const uint64_t tie_key_;
  uint64_t sequence_ = 0;
  uint64_t events_run_ = 0;
  VirtualTime now_;
  bool stop_requested_ = false;
  std::vector<HeapEntry> heap_;
  std::vector<std::unique_ptr<Slot[]>> blocks_;  // stable addresses: a running task stays put
  uint32_t free_slot_ = kNoSlot;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_SCHEDULER_H_
