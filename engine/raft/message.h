// One struct for every message between members, as raftpb.Message.
#ifndef QUORATE_ENGINE_RAFT_MESSAGE_H_
#define QUORATE_ENGINE_RAFT_MESSAGE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/strong_int.h"
#include "engine/raft/types.h"

namespace quorate::raft {

// Numbers are raftpb.MessageType's. kHup, kBeat, kUnreachable, kSnapStatus,
// kCheckQuorum and the storage messages never travel between hosts.
enum class MessageType : uint8_t {
  kHup = 0,
  kBeat = 1,
  kProp = 2,
  kApp = 3,
  kAppResp = 4,
  kVote = 5,
  kVoteResp = 6,
  kSnap = 7,
  kHeartbeat = 8,
  kHeartbeatResp = 9,
  kUnreachable = 10,
  kSnapStatus = 11,
  kCheckQuorum = 12,
  kTransferLeader = 13,
  kTimeoutNow = 14,
  kReadIndex = 15,
  kReadIndexResp = 16,
  kPreVote = 17,
  kPreVoteResp = 18,
  kStorageAppend = 19,
  kStorageAppendResp = 20,
  kStorageApply = 21,
  kStorageApplyResp = 22,
  kForgetLeader = 23,
};
inline constexpr int kMessageTypes = 24;

struct Message {
  MessageType type = MessageType::kHup;
  MemberId to;
  MemberId from;
  Term term;
  // kApp: term of the entry before `entries`; votes: term of the last entry; a
  // rejecting kAppResp: term at reject_hint.
  Term log_term;
  // kApp: index of the entry before `entries`; kAppResp: last matched, or what was
  // rejected; votes: index of the last entry.
  LogIndex index;
  std::vector<Entry> entries;
  LogIndex commit;
  MemberId vote;  // storage messages only
  // kSnap (and storage messages): shared, since it may be large.
  std::shared_ptr<const Snapshot> snapshot;
  bool reject = false;
  LogIndex reject_hint;
  // Opaque bytes that come back: read-index rounds, campaigns by transfer.
  Bytes context;
  // Storage messages: what to deliver once the write is done.
  std::vector<Message> responses;
};

}  // namespace quorate::raft

#endif  // QUORATE_ENGINE_RAFT_MESSAGE_H_
