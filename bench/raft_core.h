// Clusters of consensus cores in memory, for the bench: no network, no disk, no clock.
// Ours and C-Raft's are driven alike: messages and completions of the disk queue up in
// one first-in first-out list and are handed over one by one.
#ifndef QUORATE_BENCH_RAFT_CORE_H_
#define QUORATE_BENCH_RAFT_CORE_H_

#include <cstddef>
#include <cstdint>
#include <memory>

namespace quorate::bench {

// Payload of every proposal, in bytes; allocated anew for each, as by a client's request.
inline constexpr size_t kPayloadBytes = 128;
// What is applied is dropped from the logs in steps of this many entries.
inline constexpr uint64_t kCompactionEntries = 8192;

class RaftCore {
 public:
  enum class Followers {
    // Members like the leader. A message's payloads are copied on the way, once for each
    // receiver, as they are when they arrive from a network.
    kReal,
    // Stand-ins that agree to everything at once: what is measured is the leader.
    kStandIn,
  };

  virtual ~RaftCore() = default;

  // Makes member 0 the leader. False if it does not come to that.
  virtual bool ElectFirst() = 0;
  // Hands leadership to another member (real followers only).
  virtual bool Transfer(size_t from, size_t to) = 0;
  // The leader, who is member 0, is given `calls` proposals of `entries` entries each;
  // what it wants sent and written after each call queues up.
  virtual void Propose(size_t calls, size_t entries) = 0;
  // Hands over what is queued until nothing is left.
  virtual void Exchange() = 0;

  // Highest index that a member has applied.
  virtual uint64_t Applied(size_t member) const = 0;
  // What was handed to the leader so far: proposals, messages, completed writes.
  virtual uint64_t leader_steps() const = 0;
};

std::unique_ptr<RaftCore> NewQuorateCore(size_t members, RaftCore::Followers followers);
std::unique_ptr<RaftCore> NewCRaftCore(size_t members, RaftCore::Followers followers);

}  // namespace quorate::bench

#endif  // QUORATE_BENCH_RAFT_CORE_H_
