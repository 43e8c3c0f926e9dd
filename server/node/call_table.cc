#include "server/node/call_table.h"

#include "base/check.h"

namespace quorate::node {

CallId CallTable::Add(Instant now, Duration timeout, Callback callback, engine::RequestKind kind) {
  CHECK(callback != nullptr);
  const uint32_t index = NewSlot();
  Slot& slot = slots_[index];
  slot.callback = std::move(callback);
  slot.beginning = {now, kind};
  slot.deadline = timeout >= Instant::Infinite() - now ? Instant::Infinite() : now + timeout;
  slot.used = true;
  slot.usual = timeout == usual_timeout_;
  if (slot.usual) {
    // Time does not go back, so appending keeps the list sorted by deadline.
    Slot& head = slots_[kEnd];
    slot.previous = head.previous;
    slot.next = kEnd;
    slots_[head.previous].next = index;
    slots_[kEnd].previous = index;
  } else {
    unusual_.emplace(slot.deadline, index);
  }
  ++size_;
  return IdOf(index);
}

uint32_t CallTable::SlotOf(CallId id) const {
  const auto index = static_cast<uint32_t>(id.value());
  const auto generation = static_cast<uint32_t>(id.value() >> 32);
  if (index >= slots_.size() || !slots_[index].used) return kEnd;
  return slots_[index].generation == generation ? index : kEnd;
}

const CallTable::Beginning* CallTable::Find(CallId id) const {
  const uint32_t index = SlotOf(id);
  return index == kEnd ? nullptr : &slots_[index].beginning;
}

void CallTable::Prolong(CallId id, Instant deadline) {
  const uint32_t index = SlotOf(id);
  if (index == kEnd) return;
  Unlist(index);
  Slot& slot = slots_[index];
  slot.usual = false;
  slot.deadline = deadline;
  unusual_.emplace(slot.deadline, index);
}

void CallTable::Unlist(uint32_t index) {
  const Slot& slot = slots_[index];
  if (slot.usual) {
    slots_[slot.previous].next = slot.next;
    slots_[slot.next].previous = slot.previous;
  } else {
    unusual_.erase({slot.deadline, index});
  }
}

CallTable::Callback CallTable::Take(CallId id) {
  const uint32_t index = SlotOf(id);
  if (index == kEnd) return nullptr;
  Unlist(index);
  Slot& slot = slots_[index];
  Callback callback = std::move(slot.callback);
  slot.callback = nullptr;
  slot.used = false;
  slot.next = free_;
  free_ = index;
  --size_;
  return callback;
}

CallId CallTable::Due(Instant now) const {
  const uint32_t usual = slots_[kEnd].next;
  if (usual != kEnd && slots_[usual].deadline <= now) return IdOf(usual);
  if (!unusual_.empty() && unusual_.begin()->first <= now) return IdOf(unusual_.begin()->second);
  return CallId(0);
}

Instant CallTable::next_deadline() const {
  Instant next = Instant::Infinite();
  const uint32_t usual = slots_[kEnd].next;
  if (usual != kEnd) next = slots_[usual].deadline;
  if (!unusual_.empty() && unusual_.begin()->first < next) next = unusual_.begin()->first;
  return next;
}

CallId CallTable::First() const {
  if (slots_[kEnd].next != kEnd) return IdOf(slots_[kEnd].next);
  if (!unusual_.empty()) return IdOf(unusual_.begin()->second);
  return CallId(0);
}

uint32_t CallTable::NewSlot() {
  if (free_ == kEnd) {
    slots_.emplace_back();
    slots_.back().generation = 1;
    return static_cast<uint32_t>(slots_.size() - 1);
  }
  const uint32_t index = free_;
  free_ = slots_[index].next;
  ++slots_[index].generation;
  return index;
}

}  // namespace quorate::node
