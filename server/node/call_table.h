// Calls in flight: who waits for which answer, and until when. Constant time for each
// operation and no allocation per call once the table has grown to the largest number
// of calls pending at once.
#ifndef QUORATE_SERVER_NODE_CALL_TABLE_H_
#define QUORATE_SERVER_NODE_CALL_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "base/time.h"
#include "engine/replica/input.h"
#include "engine/replica/output.h"

namespace quorate::node {

// Names a call until it is answered; never reused within one node.
using CallId = engine::RequestToken;

class CallTable {
 public:
  // One that takes Bytes gets a long answer in one buffer.
  using Callback = std::function<void(absl::Status, engine::Answer)>;

  // Calls with `usual_timeout` are the cheap ones; others cost a search tree's insert.
  explicit CallTable(Duration usual_timeout) : usual_timeout_(usual_timeout) {}

  // What is remembered of a call for its metrics.
  struct Beginning {
    Instant at;
    engine::RequestKind kind = engine::RequestKind::kRange;
  };

  CallId Add(Instant now, Duration timeout, Callback callback,
             engine::RequestKind kind = engine::RequestKind::kRange);
  // Null if the call is not there.
  const Beginning* Find(CallId id) const;
  // Removes a call and gives its callback; an empty function if it is not there.
  Callback Take(CallId id);
  // Gives the call, if it is there, a later deadline.
  void Prolong(CallId id, Instant deadline);
  // The call that is due first, if its deadline is at or before `now`; 0 if none.
  CallId Due(Instant now) const;
  // The earliest deadline; Infinite if there is none.
  Instant next_deadline() const;
  // Any call still there (in the order of Add among those with the usual time-out); 0 if none.
  CallId First() const;

  size_t size() const { return size_; }

 private:
  // Slots are reused; an id is (use count of the slot, slot number), so that an id of an
  // earlier use is recognised.
  struct Slot {
    Callback callback;
    Instant deadline;
    Beginning beginning;
    uint32_t generation = 0;
    uint32_t next = 0;  // of the list by deadline, or of the free list
    uint32_t previous = 0;
    bool used = false;
    bool usual = false;
  };
  static constexpr uint32_t kEnd = 0;  // slot 0 is the list's head and never used

  CallId IdOf(uint32_t slot) const {
    return CallId((uint64_t{slots_[slot].generation} << 32) | slot);
  }
  // kEnd if the call is not there.
  uint32_t SlotOf(CallId id) const;
  uint32_t NewSlot();
  // Takes a slot out of the list, or the tree, of deadlines.
  void Unlist(uint32_t index);

  Duration usual_timeout_;
  std::vector<Slot> slots_ = std::vector<Slot>(1);
  uint32_t free_ = kEnd;
  size_t size_ = 0;
  absl::btree_set<std::pair<Instant, uint32_t>> unusual_;
};

}  // namespace quorate::node

#endif  // QUORATE_SERVER_NODE_CALL_TABLE_H_
