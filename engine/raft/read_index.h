// Linearizable reads without log entries (thesis, section 6.4): the leader notes its
// commit index, then confirms by a round of heartbeats that it still leads.
//
// Rounds are numbered by the count of reads asked for so far; a heartbeat carries the
// latest number, and an answer to it confirms all reads up to it at once, so any number
// of reads shares one round.
#ifndef QUORATE_ENGINE_RAFT_READ_INDEX_H_
#define QUORATE_ENGINE_RAFT_READ_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/strong_int.h"
#include "engine/raft/quorum.h"
#include "engine/raft/types.h"

namespace quorate::raft {

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

  // What heartbeats carry: 8 bytes, little endian, the number of the last read; empty
  // if none waits.
  Bytes Context() const;
  // A member answered a heartbeat that carried `context`. False for one that we never
  // sent.
  bool Acknowledge(MemberId from, const Bytes& context);
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

}  // namespace quorate::raft

#endif  // QUORATE_ENGINE_RAFT_READ_INDEX_H_
