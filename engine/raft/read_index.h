// Linearizable reads at the leader (Raft paper, section 8; thesis, section 6.4).
//
// A read notes the commit index and waits until a quorum has answered a heartbeat sent
// after that: then no other leader had committed more. Reads are numbered in the order
// of their arrival; heartbeats carry the number of the last one and the answers bring it
// back, so that one round confirms every read up to that number.
//
// With a lease (thesis, section 6.4.1) heartbeats carry the time at which they left as
// well. A member that answered one hears no candidate for an election timeout from then
// on, so as long as a quorum is bound like that nobody else can have committed anything,
// and reads are answered without a round.
#ifndef QUORATE_ENGINE_RAFT_READ_INDEX_H_
#define QUORATE_ENGINE_RAFT_READ_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/strong_int.h"
#include "base/time.h"
#include "engine/raft/quorum.h"
#include "engine/raft/types.h"

namespace quorate::raft {

// What a heartbeat carries as its context and its answer brings back.
struct HeartbeatTag {
  uint64_t read = 0;            // number of the last read that waits; 0 = none
  std::optional<Instant> sent;  // by the leader's clock; only with a lease

  // 8 bytes for each of the two, little endian; empty if there is nothing to say.
  Bytes Encode() const;
  // nullopt for bytes that Encode() does not give.
  static std::optional<HeartbeatTag> Decode(const Bytes& context);
};

// A read that waits for its confirmation.
struct ReadRequest {
  MemberId from;  // 0 or the own id: asked here; else forwarded by that follower
  // As it came in the message, to be echoed; the first entry's data names the request.
  std::vector<Entry> entries;
  // The commit index when the read was accepted.
  LogIndex index;
};

class ReadQueue {
 public:
  void Add(ReadRequest request) { waiting_.push_back(std::move(request)); }
  bool empty() const { return waiting_.empty(); }
  size_t size() const { return waiting_.size(); }
  // Of the last read that was added.
  uint64_t last_number() const { return confirmed_ + waiting_.size(); }

  // A member answered a heartbeat that was sent after read `number` <= last_number().
  void Acknowledge(MemberId from, uint64_t number);
  // Takes off the front what a quorum has confirmed and appends it to *out.
  void TakeConfirmed(const QuorumRule& rule, const JointVoters& voters,
                     std::vector<ReadRequest>* out);
  // Drops all: a new term.
  void Clear();

 private:
  friend class CanonicalState;

  std::deque<ReadRequest> waiting_;
  uint64_t confirmed_ = 0;  // reads that left the queue
  std::vector<std::pair<MemberId, uint64_t>> acked_;
};

class Lease {
 public:
  // A member answered a heartbeat that left at `sent`.
  void Acknowledge(MemberId from, Instant sent);
  // The latest moment at or after which a replication quorum heard of this leader, who
  // hears itself `now`; nullopt if there is none in this term.
  std::optional<Instant> QuorumHeardAt(const QuorumRule& rule, const JointVoters& voters,
                                       MemberId self, Instant now) const;
  // A new term.
  void Clear() { acked_.clear(); }

 private:
  std::vector<std::pair<MemberId, Instant>> acked_;
};

}  // namespace quorate::raft

#endif  // QUORATE_ENGINE_RAFT_READ_INDEX_H_
