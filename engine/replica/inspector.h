// Read access to a replica's insides for the oracles of the simulator and for tests:
// raft's log and terms, what it promised, its configuration, what was applied.
// Nothing in production looks through this window.
#ifndef QUORATE_ENGINE_REPLICA_INSPECTOR_H_
#define QUORATE_ENGINE_REPLICA_INSPECTOR_H_

#include <cstdint>
#include <optional>

#include "base/strong_int.h"
#include "engine/raft/types.h"
#include "engine/replica/replica.h"

namespace quorate::raft {
struct Counters;
}

namespace quorate::engine {

class ReplicaInspector {
 public:
  virtual ~ReplicaInspector() = default;

  // The log as raft sees it now: what is durable, and behind it what is still on its
  // way to the disk. Empty (last < first) in a fresh member; the first index is 1 as
  // long as the log was not cut.
  virtual LogIndex first_index() const = 0;
  virtual LogIndex last_index() const = 0;
  // Nothing outside [first_index, last_index]; the term also of the entry before.
  virtual std::optional<Term> TermAt(LogIndex index) const = 0;
  virtual std::optional<raft::Entry> EntryAt(LogIndex index) const = 0;

  // Term, vote and commit index as raft holds them; they may be ahead of the disk.
  virtual raft::HardState hard_state() const = 0;
  // The configuration that raft counts votes in now.
  virtual raft::ConfState conf_state() const = 0;

  virtual Role role() const = 0;
  virtual MemberId leader() const = 0;
  // Last entry whose effect the state machine shows.
  virtual LogIndex applied() const = 0;

  // A chain over every applied entry (index, term, type, data), in order, since the
  // start of the log: equal on all members at equal applied index, or the log
  // diverged. Checkpoints carry it.
  virtual uint64_t applied_chain() const = 0;
  // Replica::StateDigest().
  virtual uint64_t StateDigest() const = 0;
  // What raft has counted since this process began; null if nobody counts.
  virtual const raft::Counters* raft_counters() const { return nullptr; }
};

}  // namespace quorate::engine

#endif  // QUORATE_ENGINE_REPLICA_INSPECTOR_H_
