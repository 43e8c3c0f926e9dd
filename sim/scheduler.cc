#include "sim/scheduler.h"

#include <utility>

#include "base/check.h"
#include "base/prng.h"

namespace quorate::sim {

Scheduler::Scheduler(uint64_t seed)
    : tie_key_(NamedDraw(seed, HashName("scheduler"), HashName("tie"), 0)) {
  heap_.reserve(1024);
}

Scheduler::~Scheduler() {
  // What tasks hold may cancel other events while it goes: take it out one by one.
  while (!heap_.empty()) Cancel(EventId(heap_.back().slot, slot(heap_.back().slot).generation));
}

EventId Scheduler::At(VirtualTime when, Task task) {
  const uint32_t index = AllocateSlot();
  Slot& event = slot(index);
  event.task = std::move(task);
  heap_.emplace_back();
  SiftUp(heap_.size() - 1, {when < now_ ? now_ : when, NextTie(), index});
  return EventId(index, event.generation);
}

bool Scheduler::pending(EventId event) const {
  return event.generation_ != 0 && slot(event.slot_).generation == event.generation_;
}

bool Scheduler::Cancel(EventId event) {
  if (!pending(event)) return false;
  RemoveAt(slot(event.slot_).position);
  // Destroying the task may call back into the scheduler: everything is in order by then.
  Task dropped = std::move(slot(event.slot_).task);
  FreeSlot(event.slot_);
  return true;
}

bool Scheduler::Move(EventId event, VirtualTime when) {
  if (!pending(event)) return false;
  const size_t position = slot(event.slot_).position;
  const HeapEntry entry = {when < now_ ? now_ : when, NextTie(), event.slot_};
  if (Before(entry, heap_[position])) {
    SiftUp(position, entry);
  } else {
    SiftDown(position, entry);
  }
  return true;
}

bool Scheduler::RunOne() {
  if (heap_.empty()) return false;
  const uint32_t index = heap_[0].slot;
  now_ = heap_[0].when;
  ++events_run_;
  RemoveAt(0);
  Task task = std::move(slot(index).task);
  FreeSlot(index);
  task();
  return true;
}

void Scheduler::RunUntil(VirtualTime end) {
  stop_requested_ = false;
  while (next_time() <= end && !heap_.empty()) {
    RunOne();
    if (stop_requested_) return;
  }
  if (now_ < end) now_ = end;
}

bool Scheduler::Before(const HeapEntry& a, const HeapEntry& b) {
  if (a.when != b.when) return a.when < b.when;
  if (a.tie != b.tie) return a.tie < b.tie;
  return a.slot < b.slot;
}

uint64_t Scheduler::NextTie() { return Mix64(tie_key_ ^ ++sequence_); }

uint32_t Scheduler::AllocateSlot() {
  if (free_slot_ == kNoSlot) {
    const auto first = static_cast<uint32_t>(blocks_.size()) * kSlotsPerBlock;
    blocks_.push_back(std::make_unique<Slot[]>(kSlotsPerBlock));
    for (uint32_t i = kSlotsPerBlock; i-- > 0;) {
      blocks_.back()[i].position = free_slot_;
      free_slot_ = first + i;
    }
  }
  const uint32_t index = free_slot_;
  free_slot_ = slot(index).position;
  return index;
}

void Scheduler::FreeSlot(uint32_t index) {
  Slot& event = slot(index);
  if (++event.generation == 0) event.generation = 1;
  event.position = free_slot_;
  free_slot_ = index;
}

void Scheduler::Place(size_t position, const HeapEntry& entry) {
  heap_[position] = entry;
  slot(entry.slot).position = static_cast<uint32_t>(position);
}

void Scheduler::SiftUp(size_t position, HeapEntry entry) {
  while (position > 0) {
    const size_t parent = (position - 1) / kArity;
    if (!Before(entry, heap_[parent])) break;
    Place(position, heap_[parent]);
    position = parent;
  }
  Place(position, entry);
}

void Scheduler::SiftDown(size_t position, HeapEntry entry) {
  const size_t size = heap_.size();
  for (;;) {
    const size_t first = position * kArity + 1;
    if (first >= size) break;
    const size_t end = first + kArity < size ? first + kArity : size;
    size_t best = first;
    for (size_t i = first + 1; i < end; ++i) {
      if (Before(heap_[i], heap_[best])) best = i;
    }
    if (!Before(heap_[best], entry)) break;
    Place(position, heap_[best]);
    position = best;
  }
  Place(position, entry);
}

void Scheduler::RemoveAt(size_t position) {
  const HeapEntry last = heap_.back();
  heap_.pop_back();
  if (position == heap_.size()) return;
  if (position > 0 && Before(last, heap_[(position - 1) / kArity])) {
    SiftUp(position, last);
  } else {
    SiftDown(position, last);
  }
}

}  // namespace quorate::sim
