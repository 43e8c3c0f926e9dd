// What raft keeps and makes durable: entries, hard state, configuration,
// snapshots. Plain structs; raftpb's bytes are made in codec.h.
#ifndef QUORATE_ENGINE_RAFT_TYPES_H_
#define QUORATE_ENGINE_RAFT_TYPES_H_

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/strong_int.h"

namespace quorate::raft {

// Numbers are raftpb.EntryType's.
enum class EntryType : uint8_t { kNormal = 0, kConfChange = 1, kConfChangeV2 = 2 };

// One position of the replicated log. `data` is shared and immutable: the same
// bytes go to the log, the disk and every peer. Empty data = a new leader's no-op.
struct Entry {
  Term term;
  LogIndex index;
  EntryType type = EntryType::kNormal;
  Bytes data;

  friend bool operator==(const Entry&, const Entry&) = default;
};

// What must survive a crash besides the entries (Raft paper, figure 2, "persistent
// state"; commit only saves work at a restart).
struct HardState {
  Term term;
  MemberId vote;  // 0 = not voted in this term
  LogIndex commit;

  bool empty() const { return *this == HardState{}; }
  friend bool operator==(const HardState&, const HardState&) = default;
};

// The members as of some entry. A non-empty voters_outgoing means a joint
// configuration: both majorities are needed. Each list is sorted and unique.
struct ConfState {
  std::vector<MemberId> voters;
  std::vector<MemberId> learners;
  std::vector<MemberId> voters_outgoing;
  // Voters of the outgoing half that become learners when the joint phase ends.
  std::vector<MemberId> learners_next;
  bool auto_leave = false;

  friend bool operator==(const ConfState&, const ConfState&) = default;
};

struct SnapshotMeta {
  LogIndex index;
  Term term;
  ConfState conf_state;

  friend bool operator==(const SnapshotMeta&, const SnapshotMeta&) = default;
};

// The state machine as of meta.index. `data` is opaque to raft.
struct Snapshot {
  SnapshotMeta meta;
  Bytes data;

  bool empty() const { return meta.index == LogIndex(0); }
  friend bool operator==(const Snapshot&, const Snapshot&) = default;
};

// Numbers are raftpb.ConfChangeType's.
enum class ConfChangeType : uint8_t {
  kAddNode = 0,
  kRemoveNode = 1,
  kUpdateNode = 2,
  kAddLearnerNode = 3,
};

// Numbers are raftpb.ConfChangeTransition's.
enum class ConfChangeTransition : uint8_t { kAuto = 0, kJointImplicit = 1, kJointExplicit = 2 };

struct ConfChangeSingle {
  ConfChangeType type = ConfChangeType::kAddNode;
  MemberId node_id;

  friend bool operator==(const ConfChangeSingle&, const ConfChangeSingle&) = default;
};

// The simple change that etcd's servers propose (EntryType::kConfChange).
struct ConfChange {
  uint64_t id = 0;
  ConfChangeType type = ConfChangeType::kAddNode;
  MemberId node_id;
  Bytes context;

  friend bool operator==(const ConfChange&, const ConfChange&) = default;
};

// The general change (EntryType::kConfChangeV2); no changes at all means "leave the
// joint configuration".
struct ConfChangeV2 {
  ConfChangeTransition transition = ConfChangeTransition::kAuto;
  std::vector<ConfChangeSingle> changes;
  Bytes context;

  friend bool operator==(const ConfChangeV2&, const ConfChangeV2&) = default;
};

}  // namespace quorate::raft

#endif  // QUORATE_ENGINE_RAFT_TYPES_H_
