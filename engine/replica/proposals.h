// This member's own proposals from their arrival until they are applied or given up.
//
// Request ids count up from a base that no other member and no earlier run uses: 16 bits
// of the member's id, 40 bits of the run's id, and a counter that carries into them.
#ifndef QUORATE_ENGINE_REPLICA_PROPOSALS_H_
#define QUORATE_ENGINE_REPLICA_PROPOSALS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/strong_int.h"
#include "engine/replica/input.h"

namespace quorate::engine {

class Proposals {
 public:
  Proposals(MemberId member, uint64_t run_id);

  // The id of the next proposal, which its payload must carry.
  uint64_t next_id() const { return first_id_ + slots_.size(); }
  // Whether it is the id of a proposal that was made here, since the start.
  bool IsOfThisRun(uint64_t id) const { return id >= run_first_id_ && id < next_id(); }
  // Whether it is that of one that this member made, in this run or in an earlier one.
  bool IsOfThisMember(uint64_t id) const;
  // An id for a proposal of the replica's own, which nobody waits for.
  uint64_t TakeId();
  // Takes a proposal with id next_id(): it waits to be handed to raft. Unawaited: nobody
  // wants to know what becomes of it.
  void AddUnawaited(Bytes payload);
  void Add(RequestToken token, Bytes payload);

  // What waits to be handed to raft, in order.
  absl::Span<const Bytes> queued() const { return queued_; }
  // Raft took them all, in `term`: into its own log, or to pass them on to the leader.
  void QueuedWereProposed(Term term);

  // The request behind an applied entry, if it is one of ours and still awaited; it is
  // forgotten then.
  std::optional<RequestToken> Take(uint64_t id);
  // An entry of `term` has been applied: whatever a leader of an earlier term got of ours and
  // made last has been applied before. Forgets and gives back the requests, in order, that
  // were proposed in earlier terms and are still awaited. Nearly all of them are lost; one
  // that is still on its way to a member may yet be proposed by it.
  std::vector<RequestToken> TakeOvertaken(Term term);
  // Nobody waits for this request any more; what was not handed to raft never will be.
  // False if it is not here.
  bool Abandon(RequestToken token);

  // Not yet applied and not given up.
  size_t pending() const { return by_token_.size(); }

 private:
  struct Slot {
    RequestToken token;
    bool awaited = false;
    Term proposed;  // 0 while it is queued
  };
  void DropAnswered();

  const uint64_t run_first_id_;
  uint64_t first_id_;  // of slots_.front()
  std::deque<Slot> slots_;
  absl::flat_hash_map<RequestToken, uint64_t> by_token_;  // to the id; lookup only
  std::vector<Bytes> queued_;
  std::vector<uint64_t> queued_ids_;
};

}  // namespace quorate::engine

#endif  // QUORATE_ENGINE_REPLICA_PROPOSALS_H_
