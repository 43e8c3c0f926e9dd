// Everything a replica can want: the closed set of outputs, with the order of
// effects that makes it safe.
#ifndef QUORATE_ENGINE_REPLICA_OUTPUT_H_
#define QUORATE_ENGINE_REPLICA_OUTPUT_H_

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "base/bytes.h"
#include "base/strong_int.h"
#include "base/time.h"
#include "engine/image/image.h"
#include "engine/mvcc/long_reply.h"
#include "engine/raft/message.h"
#include "engine/raft/types.h"
#include "engine/replica/input.h"

namespace quorate::engine {

// An encoded response, in one buffer or in pieces that are made as they are read.
using mvcc::Answer;
using mvcc::LongReply;

// One unit for the disk. Units are written in ticket order; when the sync that
// covers a unit has returned success, the caller gives Persisted{ticket} back, and
// only then do the messages and responses that depend on it come out.
struct Persist {
  PersistTicket ticket;
  // A leader's state that replaces ours. Made the newest checkpoint, durably, before
  // anything else of this unit and of later ones; the log begins anew behind it.
  std::optional<StateImage> install;
  // Appended to the log; an entry at an index that is already there replaces the
  // tail from that index on.
  std::vector<raft::Entry> entries;
  std::optional<raft::HardState> hard_state;
  // False: only the commit index moved. It may be written with the next unit, and
  // Persisted may be given as soon as everything before it is durable.
  bool must_sync = true;
};

// The answer to a ClientRequest. With an OK status `body` is the encoded response,
// header included; otherwise the status carries etcd's code and text.
struct Response {
  RequestToken token;
  absl::Status status;
  Answer body;
  bool read = false;  // a range or a transaction that left no entry in the log
};

// One encoded WatchResponse for a stream, in two pieces that follow each other:
// what is this watcher's own, and the events, which are shared by all watchers
// that see the same ones.
struct WatchReply {
  StreamToken stream;
  Bytes head;
  Bytes events;
};

// The stream is closed: its client's last request was none. Replies to it come before.
struct WatchEnd {
  StreamToken stream;
  absl::Status status;
};

// A client's request that only the leader can answer: to be asked of `to` as
// PeerKindOf(kind). What it says comes back as Forwarded, with this attempt's number; if
// nothing comes the replica asks about a lease again after a while.
struct Forward {
  RequestToken token;
  uint64_t attempt = 0;
  MemberId to;
  RequestKind kind = RequestKind::kLeaseKeepAlive;
  Bytes body;
};

// A follower needs entries that are cut: it gets the state. `message` is raft's kSnap,
// without data; `image` is to arrive with it. SnapshotSent tells how that went, always.
struct SnapshotToSend {
  raft::Message message;
  StateImage image;
};

// Cleared and reused by the caller from step to step; Step only appends.
struct Output {
  // For peers, in order for each of them. They depend on nothing that is not yet
  // durable: they may leave at once.
  std::vector<raft::Message> messages;
  // For the disk, in order.
  std::vector<Persist> persists;
  // For peers, apart from the messages since they are large.
  std::vector<SnapshotToSend> snapshots;
  // To be kept as the newest checkpoint, in the background; answered by Checkpointed. The
  // state is pinned as it was. One at a time.
  std::optional<StateImage> checkpoint;
  // A durable checkpoint made the log up to this entry dispensable; 0 = nothing new.
  LogIndex log_cut;
  // For clients. They tell only what is committed and applied.
  std::vector<Response> responses;
  std::vector<WatchReply> watch_replies;
  std::vector<WatchEnd> watch_ends;
  // For another member. They depend on nothing.
  std::vector<Forward> forwards;

  // The latest moment at which the caller must step again (TimePassed) if nothing
  // else happens. Valid after every step.
  Instant next_wake = Instant::Infinite();
  // True if a TurnEnd would do something; valid after every step. The caller gives
  // one at the end of its turn, and another if this is still set after it (work is
  // handed out in bounded pieces).
  bool turn_end_wanted = false;
  // With turn_end_wanted: what is left is long work, of which a piece was done. Whoever waits
  // for the loop comes first.
  bool only_long_work = false;
  // Set when this member must stop: a committed entry that it cannot decode or apply.
  // Nothing after it may be acknowledged.
  absl::Status fatal;

  void Clear() {
    messages.clear();
    persists.clear();
    snapshots.clear();
    checkpoint.reset();
    log_cut = LogIndex(0);
    responses.clear();
    watch_replies.clear();
    watch_ends.clear();
    forwards.clear();
  }
};

}  // namespace quorate::engine

#endif  // QUORATE_ENGINE_REPLICA_OUTPUT_H_
