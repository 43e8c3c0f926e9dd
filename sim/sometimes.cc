#include "sim/sometimes.h"

#include "engine/raft/raft.h"
#include "engine/replica/inspector.h"
#include "storage/checkpoints.h"
#include "storage/wal.h"

namespace quorate::sim {
namespace {

struct Sources {
  const raft::Counters& raft;
  const raft::RareEvents& rare;
  const engine::ReplicaStatus& status;
  const storage::CheckpointStats& checkpoints;
  const storage::WalStats& wal;
};

struct Property {
  const char* name;
  uint64_t (*count)(const Sources& from);
};

constexpr Property kProperties[] = {
    {"a vote was refused since the candidate's log is behind",
     [](const Sources& s) { return s.rare.votes_refused_for_log; }},
    {"a candidate was ignored while a leader was heard",
     [](const Sources& s) { return s.raft.sticky_votes; }},
    {"a leader lost its quorum and stepped down",
     [](const Sources& s) { return s.raft.quorum_lost; }},
    {"a divergent tail of a log was replaced",
     [](const Sources& s) { return s.rare.tails_replaced; }},
    {"an append was rejected since the logs did not meet",
     [](const Sources& s) { return s.rare.appends_rejected; }},
    {"an entry of an earlier term on a quorum was not committed by counting",
     [](const Sources& s) { return s.rare.commits_withheld; }},
    {"a read waited for its leader's first commit",
     [](const Sources& s) { return s.rare.reads_held; }},
    {"a read was answered by the leader's lease",
     [](const Sources& s) { return s.rare.reads_by_lease; }},
    {"the disk's word of an earlier term was not taken for this one's",
     [](const Sources& s) { return s.rare.stale_acknowledgements; }},
    {"a message of an earlier term arrived", [](const Sources& s) { return s.raft.stale_term; }},
    {"a proposal was dropped", [](const Sources& s) { return s.raft.proposals_dropped; }},
    {"a snapshot replaced a follower's log",
     [](const Sources& s) { return s.raft.snapshots_restored; }},
    {"a snapshot came that the follower did not need",
     [](const Sources& s) { return s.rare.snapshots_needless; }},
    {"a proposal's outcome was lost with its leader",
     [](const Sources& s) { return s.status.proposals_failed; }},
    {"a leader sent its state to a follower",
     [](const Sources& s) { return s.status.snapshots_sent; }},
    {"a lease ended by itself", [](const Sources& s) { return s.status.leases_expired; }},
    {"a checkpoint from a peer was installed",
     [](const Sources& s) { return s.checkpoints.installed; }},
    {"a segment of the log was cut", [](const Sources& s) { return s.wal.segments_cut; }},
    {"a log went on in another segment", [](const Sources& s) { return s.wal.segments; }},
    {"a command took several turns", [](const Sources& s) { return s.status.pieces.applies; }},
    {"a read took several turns", [](const Sources& s) { return s.status.pieces.reads; }},
    {"an image of the state took several turns",
     [](const Sources& s) { return s.status.pieces.images; }},
    {"a slow reader was cut off by the bound on what its answer keeps",
     [](const Sources& s) { return s.status.answers_revoked; }},
    {"a long answer outlived the compaction of what it reads",
     [](const Sources& s) { return s.status.answers_outlived; }},
    {"the leader changed in the middle of a long answer",
     [](const Sources&) { return uint64_t{0}; }},
};
static_assert(std::size(kProperties) == kSometimes);

}  // namespace

absl::string_view SometimesName(size_t property) { return kProperties[property].name; }

SometimesCounts CountSometimes(const node::Node& node) {
  SometimesCounts out = {};
  const raft::Counters* const raft = node.replica().inspector().raft_counters();
  if (raft == nullptr) return out;
  const engine::ReplicaStatus status = node.status();
  const storage::CheckpointStats checkpoints = node.checkpoints()->stats();
  const storage::WalStats wal = node.wal()->stats();
  const Sources from{*raft, raft->rare, status, checkpoints, wal};
  for (size_t i = 0; i < kSometimes; ++i) out[i] = kProperties[i].count(from);
  return out;
}

}  // namespace quorate::sim
