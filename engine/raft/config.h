// What a raft member is told once, at its start.
#ifndef QUORATE_ENGINE_RAFT_CONFIG_H_
#define QUORATE_ENGINE_RAFT_CONFIG_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "base/limits.h"
#include "base/strong_int.h"
#include "base/time.h"
#include "engine/raft/quorum.h"

namespace quorate::raft {

// How a linearizable read is made safe.
enum class ReadOnlyMode : uint8_t {
  // One round of heartbeats to a quorum confirms the leadership (thesis, section 6.4).
  kSafe,
  // The leader trusts its lease: members that heard it are loyal for an election
  // timeout, as long as their clocks drift by less than Config::max_clock_drift
  // (thesis, section 6.4.1; lease.h). Without a lease in force, as kSafe.
  kLeaseBased,
};

// Who sees to it that a request for votes does not outrun the disk, with asynchronous
// storage writes. It speaks of a term and of entries that may not be durable yet. Were
// they lost in a crash, the member could stand again in the same term with a shorter
// log, and answers to its first request would be taken for answers to the second: a
// leader without entries that are committed (Raft paper, section 5.4.1).
enum class VoteRequestGuard : uint8_t {
  // This core: requests wait for the disk among Ready::responses, as votes do.
  kRaft,
  // The environment: they are among Ready::messages at once, as etcd's raft has it, and
  // whoever carries them sends them after the unit of the same Ready is durable, or can
  // tell that the member never forgets.
  kEnvironment,
};

struct Config {
  // This member; not 0, and not one of the two local targets (see raft.h).
  MemberId id;

  // Least time without word from a leader before a follower stands for election.
  // Each wait is drawn uniformly, in nanoseconds, from
  // [election_timeout, 2 * election_timeout) (Raft paper, section 5.2).
  Duration election_timeout = Milliseconds(1000);
  // Between a leader's heartbeats; below election_timeout, by a factor of 10 usually.
  Duration heartbeat_interval = Milliseconds(100);
  // Election priority, ours: added to every wait above, so that a member may be told
  // to stand later than the others. 0 = first rank. Safety does not depend on it.
  Duration election_delay;

  // Ask for votes without raising the term first (thesis, section 9.6).
  bool pre_vote = true;
  // A leader that has not heard from a quorum within an election timeout steps down,
  // and members that hear from a leader ignore candidates (thesis, section 6.2).
  bool check_quorum = true;
  ReadOnlyMode read_only = ReadOnlyMode::kSafe;
  // With kLeaseBased: by how much two members' clocks may drift apart within an
  // election timeout. A lease ends that much earlier. Counting time in ticks is a drift
  // of a tick (etcd's members).
  Duration max_clock_drift;

  // Encoded bytes of the entries in one append message; a single larger entry still
  // goes, alone. 0 = one entry a message.
  uint64_t max_append_bytes = limits::kMaxAppendBytes;
  // Append messages (and bytes of payload; 0 = no limit) that may be on their way to
  // one follower. Round trip times rate is what they must cover.
  size_t max_inflight_messages = limits::kMaxInflightAppends;
  uint64_t max_inflight_bytes = 0;
  // Encoded bytes of committed entries that may be handed out and not yet acknowledged
  // by AppliedTo(). 0 = as max_append_bytes. One entry always goes.
  uint64_t max_committed_bytes_per_ready = 0;
  // Payload bytes of a leader's entries that are not yet applied; a proposal above it
  // is dropped (unless nothing is pending). 0 = no limit.
  uint64_t max_uncommitted_bytes = 256 * limits::kMiB;

  // A follower drops proposals instead of passing them to the leader.
  bool disable_proposal_forwarding = false;
  // A leader that a configuration change removed or demoted becomes a follower when
  // it applies the change; otherwise it leads on until somebody else is elected.
  bool step_down_on_removal = false;
  // Propose configuration changes without checking them against the configuration
  // in force. The check can be wrong either way, because a change takes effect when
  // it is applied, but it catches mistakes.
  bool disable_conf_change_validation = false;

  // Work goes on while the disk writes: Ready hands out units with the messages that
  // wait for them (see raft.h). Off: one Ready at a time, ended by Advance().
  bool async_storage_writes = false;
  // Only with async_storage_writes; without, a whole Ready waits for the disk.
  VoteRequestGuard vote_request_guard = VoteRequestGuard::kRaft;

  // Last entry that the application has already applied; earlier ones are not handed
  // out again.
  LogIndex applied;

  // Who must agree.
  QuorumRule quorum;

  // Seed of this member's generator, which draws the election waits.
  uint64_t seed = 0;

  // InvalidArgument, naming the field and the bound.
  absl::Status Validate() const;
};

}  // namespace quorate::raft

#endif  // QUORATE_ENGINE_RAFT_CONFIG_H_
