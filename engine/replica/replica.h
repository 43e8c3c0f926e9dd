// One member as a function: raft and the state machine behind one Step.
//
//   engine::Replica replica(config, std::move(recovered), now);
//   engine::Output out;
//   replica.Step({now, wall, engine::ClientRequest{token, RequestKind::kPut, body}}, &out);
//   ...
//   replica.Step({now, wall, engine::TurnEnd{}}, &out);
//   // hand out.messages to peers, out.persists to the log, out.responses to clients
//
// Step is the only way in. It reads no clock, draws no randomness but from the
// generator seeded by Config, owns no thread and never blocks; the same inputs give
// the same outputs in every build.
#ifndef QUORATE_ENGINE_REPLICA_REPLICA_H_
#define QUORATE_ENGINE_REPLICA_REPLICA_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/strong_int.h"
#include "base/time.h"
#include "engine/alarm/alarms.h"
#include "engine/image/image.h"
#include "engine/mvcc/segment_pins.h"
#include "engine/raft/config.h"
#include "engine/raft/types.h"
#include "engine/replica/hindrance.h"
#include "engine/replica/input.h"
#include "engine/replica/output.h"
#include "engine/replica/statistics.h"

namespace quorate::engine {

// A founding member, as in --initial-cluster.
struct BootstrapMember {
  MemberId id;
  std::string name;
  std::vector<std::string> peer_urls;
};

struct Config {
  ClusterId cluster_id;
  MemberId member_id;
  // id, storage mode and applied index in it are set by the replica itself.
  raft::Config raft;
  // Reported by Status; "3.7.1" for clients' version checks.
  std::string server_version;
  size_t max_txn_ops = 128;
  size_t max_request_bytes = 3 * 512 * 1024;
  // Proposals of this member that are not yet applied; above it requests get
  // ResourceExhausted "etcdserver: too many requests".
  size_t max_pending_proposals = 5000;
  // Work of one TurnEnd: entries applied and the bytes in them, and bytes of watch
  // replies produced.
  size_t max_apply_entries = 4096;
  size_t max_apply_bytes = 4 * 1024 * 1024;
  size_t max_watch_reply_bytes = 256 * 1024;
  // A response of a watcher that allows fragments is split from this size on; 0 = from what clients
  // take by default.
  size_t watch_fragment_bytes = 0;
  // Of an answer so many bytes are copied; the rest is referred to, and the log may have given up
  // so many bytes that answers alone still keep (engine/mvcc/segment_pins.h).
  uint64_t copied_answer_bytes = mvcc::SegmentPins::kCopiedBytes;
  uint64_t max_dead_answer_bytes = mvcc::SegmentPins::kMaxDeadBytes;
  // Of the whole turn, in units of engine/mvcc/work.h: half of it for applying, a quarter
  // each for confirmed reads, for a long one and for watchers. What needs more goes on in the
  // next turn. Compaction, and whatever else nobody waits for, has up to a half.
  uint64_t max_turn_work = 2000;
  // Between two pieces of work that nobody waits for. Members that clean at once would else take
  // all processors of a machine that they share, or one of their own, from requests.
  Duration background_pause = Milliseconds(1);
  // Bytes in use by records, index and leases, above which nothing is added; negative = no
  // bound. What was under way when it was reached may exceed it.
  int64_t quota_bytes = -1;
  // The least time to live of a lease, in seconds; shorter ones are granted for that long.
  int64_t min_lease_ttl = 2;
  // How often the log is told what is left of a lease that lasts longer (LeaseCheckpoint),
  // so that it does not begin anew with each leader. Infinite = never.
  Duration lease_checkpoint_interval = Seconds(300);
  // Keep-alives and questions for a lease's time that may wait for an answer; above it
  // requests get ResourceExhausted "etcdserver: too many requests".
  size_t max_pending_lease_calls = 20'000;
  // Leases that may be on their way to being revoked at once because they have expired.
  size_t max_expiring_leases = 1000;
  // Between the progress notes that idle watchers get on request (etcd's default); each
  // stream adds up to a tenth.
  Duration watch_progress_interval = Seconds(600);
  // etcd's --strict-reconfig-check: no change of the membership that the voters which have
  // started, or those that this member is connected with, might not survive.
  bool strict_reconfig_check = true;
  // etcd's --max-learners: above it no learner is proposed. What members with other bounds, or
  // two at once, proposed takes effect: what an entry does follows from the log alone.
  size_t max_learners = 1;
  // For how long a connection must have stood to count there.
  Duration reconfig_health_window = Seconds(5);
  // How long a simple token lasts after its last use, as etcd's --auth-token-ttl.
  Duration auth_token_ttl = Seconds(300);
  // How long a request waits for the command that gave out its token to be applied here;
  // then the token counts as invalid.
  Duration token_wait = Seconds(5);
  // Requests that wait so at once; those beyond get ResourceExhausted "etcdserver: too many
  // requests".
  size_t max_token_waits = 10000;
  // Size of the segments in which records lie in memory and in checkpoints, in bytes.
  size_t store_segment_bytes = 256 * 1024;
  // A checkpoint is taken once so many entries, or so many bytes in entries, were applied
  // since the last one; or so much time has passed (0 = never for that) and there is
  // something new.
  uint64_t checkpoint_entries = 10'000;
  uint64_t checkpoint_bytes = 64 * 1024 * 1024;
  Duration checkpoint_interval;
  // Entries that the log keeps behind a checkpoint for followers that are slow, at most so
  // many and of so many bytes: one that needs earlier ones gets the state instead.
  uint64_t catchup_entries = 5'000;
  uint64_t catchup_bytes = 64 * 1024 * 1024;
  // Borrowed; the simulator's alone (engine/replica/hindrance.h).
  Hindrance* hindrance = nullptr;
  // Distinguishes request ids of this run from those of earlier ones (etcd: unix
  // milliseconds, low 40 bits).
  uint64_t run_id = 0;
};

// What recovery read from the disk.
struct Recovered {
  raft::HardState hard_state;
  // The state as of an applied entry; nothing: everything is in `entries`.
  std::optional<StateImage> checkpoint;
  // The entry before the first of `entries`; 0, or not behind the checkpoint.
  LogIndex base;
  Term base_term;
  // Contiguous from base + 1, to the checkpoint's index at least.
  std::vector<raft::Entry> entries;
};

enum class Role : uint8_t { kFollower, kPreCandidate, kCandidate, kLeader };

// What took more than one turn, since the start.
struct PieceCounts {
  uint64_t applies = 0;
  uint64_t reads = 0;
  uint64_t images = 0;
};

// A view for health checks, metrics, Status and the simulator's oracles.
struct ReplicaStatus {
  Role role = Role::kFollower;
  Term term;
  MemberId leader;  // 0 = unknown
  LogIndex commit;
  LogIndex applied;
  LogIndex first_index;  // of the log that is kept
  LogIndex last_index;
  LogIndex checkpoint;  // the newest durable one
  Revision revision;
  Revision compact_revision;
  bool is_learner = false;
  uint64_t proposals_pending = 0;
  uint64_t proposals_committed = 0;
  uint64_t proposals_failed = 0;
  uint64_t leader_changes = 0;
  uint64_t keys = 0;
  uint64_t db_bytes = 0;         // memory of records and index
  uint64_t db_bytes_in_use = 0;  // of those that are not superseded garbage
  uint64_t watchers = 0;
  uint64_t watch_streams = 0;
  uint64_t slow_watchers = 0;
  uint64_t peer_messages_refused = 0;
  bool auth_enabled = false;
  uint64_t auth_revision = 0;
  uint64_t snapshots_sent = 0;
  uint64_t snapshots_installed = 0;
  uint64_t leases = 0;
  // Since the start, what was replayed included; renewed and expired: as leader.
  uint64_t leases_granted = 0;
  uint64_t leases_revoked = 0;
  uint64_t leases_renewed = 0;
  uint64_t leases_expired = 0;
  PieceCounts pieces;
  // Long answers: cut short by the bound on what they keep; whole although what they read was
  // cleaned away.
  uint64_t answers_revoked = 0;
  uint64_t answers_outlived = 0;
};

// Times of granted leases: those of at most 1, 2, 4, ... seconds, and the longer ones.
struct LeaseTtls {
  static constexpr size_t kBounds = 24;
  std::array<uint64_t, kBounds + 1> counts = {};
  uint64_t seconds = 0;  // of all together
};

// A member as the replicated configuration knows it.
struct MemberInfo {
  MemberId id;
  std::string name;
  std::vector<std::string> peer_urls;
  std::vector<std::string> client_urls;
  bool is_learner = false;
};

class Replica {
 public:
  // A new cluster's first log: one committed EntryConfChange per founding member,
  // indexes 1..N, term 1, ascending id; hard state
  // {term 1, vote 0, commit N}. Every founder writes the same and then starts from it.
  static Recovered Bootstrap(std::vector<BootstrapMember> members);

  // What a checkpoint's segment may bring along (StateImage::prepared). Pure: for any thread.
  static std::shared_ptr<PreparedSegment> PrepareSegment(const LogSegment& segment);

  Replica(const Config& config, Recovered recovered, Instant now);
  ~Replica();
  Replica(const Replica&) = delete;
  Replica& operator=(const Replica&) = delete;

  // Takes one input and appends to *out. Never fails: bad input is answered or
  // counted (see ReplicaStatus); Output::fatal says when the member must stop. Given an
  // rvalue it takes what is in the input instead of copying it.
  void Step(Input&& input, Output* out);
  void Step(const Input& input, Output* out) { Step(Input(input), out); }

  ReplicaStatus status() const;
  // Members in ascending id, voters and learners.
  std::vector<MemberInfo> members() const;
  // Counts up with every change of what members() gives.
  uint64_t members_version() const;
  // Whether the member was one once and is not any more; for ever.
  bool IsRemoved(MemberId id) const;
  // Whether, as things are, the request needs nobody else any more: a read that waits for its turn
  // at the store, or has it, or a physical compaction that is applied. As in etcd, a caller's
  // time-out is for what may be lost, and does not end these.
  bool OutlivesTimeout(RequestToken token) const;
  // How far a member's log is known to agree with ours; 0 if that is not known, as it is to nobody
  // but a leader.
  LogIndex MatchOf(MemberId id) const;
  // Alarms that stand, by type and member.
  std::vector<alarm::Alarm> alarms() const;
  const LeaseTtls& lease_ttls() const;
  Statistics statistics() const;
  const DoneCounts& done() const;
  // "3.7.0", or empty while undecided.
  std::string cluster_version() const;
  // To which version the cluster is being downgraded; empty: none.
  std::string downgrade_target() const;

  // For oracles: a digest of everything that the applied entries decided (state,
  // not caches), equal on all members at equal applied index; O(size), tests only.
  uint64_t StateDigest() const;
  // HashKV at `revision` (0 = current), as etcd computes it.
  struct HashKvResult {
    uint32_t hash = 0;
    Revision compact_revision;
    Revision hash_revision;
    Revision current_revision;
  };
  absl::StatusOr<HashKvResult> HashKv(Revision revision) const;

  // Read access for the simulator's raft oracles.
  const class ReplicaInspector& inspector() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quorate::engine

#endif  // QUORATE_ENGINE_REPLICA_REPLICA_H_
