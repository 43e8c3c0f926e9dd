// The imperative shell around one engine::Replica: inputs in; outputs to the log,
// to peers and to clients, in the order that makes them safe (engine/replica/output.h).
//
//   Node node(env, options, std::move(recovered), std::move(wal), &transport);
//   CallId id = node.Call(RequestKind::kPut, body, node.request_timeout(),
//                         [](absl::Status status, Bytes reply) { ... });
//
// Every call steps the replica at once; what came out is handed on at the end of the
// loop's turn (io::Loop::Defer), after one TurnEnd, so that all requests of a turn
// share a proposal batch, a log write, a read-index round and a write to each peer.
// No callback is ever made from inside a call of this interface, and no callback may
// destroy the node.
//
// A failed write or sync of the log, and a committed entry that cannot be applied, are
// final: the node halts. It acknowledges nothing any more, answers all pending and
// later calls with Unavailable "etcdserver: server stopped", ends all watch streams,
// and halted() says why.
#ifndef QUORATE_SERVER_NODE_NODE_H_
#define QUORATE_SERVER_NODE_NODE_H_

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "base/bytes.h"
#include "base/strong_int.h"
#include "base/time.h"
#include "engine/replica/input.h"
#include "engine/replica/output.h"
#include "engine/replica/replica.h"
#include "io/env.h"
#include "server/node/call_table.h"
#include "server/node/disk_watch.h"
#include "server/node/peer_transport.h"
#include "server/node/times.h"
#include "server/node/trace.h"

namespace quorate::storage {
class Checkpoints;
class Wal;
}  // namespace quorate::storage

namespace quorate::node {

using engine::RequestKind;

// What happens on a watch stream. Must outlive its WatchStream.
class WatchSink {
 public:
  virtual ~WatchSink() = default;
  // One encoded WatchResponse: `head` followed by `events` (shared by all watchers
  // that see the same ones; may be empty).
  virtual void OnWatchReply(Bytes head, Bytes events) = 0;
  // The node halted or stopped, or the last request was none (Internal); nothing comes after it.
  virtual void OnWatchEnd(const absl::Status& status) = 0;
};

class Node;

// One client's watch stream, open until destroyed. May outlive its node (it is then
// dead: every call does nothing).
class WatchStream {
 public:
  WatchStream() = default;
  WatchStream(WatchStream&& other) noexcept;
  WatchStream& operator=(WatchStream&& other) noexcept;
  ~WatchStream();

  // An encoded WatchRequest.
  void Request(Bytes body);
  // Whether the client's connection takes more bytes; starts as true. While false no
  // reply comes.
  void SetWritable(bool writable);
  void Close();

 private:
  friend class Node;
  WatchStream(std::weak_ptr<Node*> node, engine::StreamToken token)
      : node_(std::move(node)), token_(token) {}
  Node* node() const;

  std::weak_ptr<Node*> node_;
  engine::StreamToken token_;
};

struct Options {
  engine::Config replica;
  // Calls that name no time-out of their own; etcd's: 5 s + 2 x election timeout.
  Duration request_timeout = Seconds(7);
  // TurnEnds of one turn of the loop; what is left goes on in the next turn.
  int max_turn_ends = 8;
  DiskWatchOptions disk;
  // Called when the disk begins or ceases to be full, or to stall, with the free space.
  std::function<void(const engine::DiskState&, uint64_t free_bytes)> on_disk_state;
  // The clock read anew (the loop's stands still in a callback): for measuring what a turn takes,
  // never for decisions. Empty: it takes no time.
  std::function<Instant()> stopwatch;
  // Called once when the node halts, after all calls were answered.
  std::function<void(const absl::Status&)> on_halt;
  // A checkpoint could not be written; the one before it holds, and it is tried again.
  std::function<void(const absl::Status&)> on_checkpoint_failure;
  // A checkpoint at this entry is durable: of the own state, or of one that a leader sent.
  std::function<void(LogIndex)> on_checkpoint;
  std::function<void(LogIndex)> on_installed;
  // A compaction is finished physically.
  std::function<void(const engine::Statistics&)> on_compacted;
  // A turn of the engine took longer (0: is never told), with so many commands and ranges.
  Duration long_turn;
  std::function<void(Duration, uint64_t)> on_long_turn;
  // Called at the end of a turn in which leader, role or term changed.
  std::function<void()> on_leadership_change;
  // Called at the end of a turn in which members() changed.
  std::function<void()> on_members_change;
};

// Counters of the shell itself, for metrics.
struct NodeCounters {
  uint64_t turns = 0;
  uint64_t turn_ends = 0;
  uint64_t calls = 0;
  uint64_t calls_timed_out = 0;
  uint64_t persist_units = 0;
  uint64_t messages_sent = 0;
  uint64_t messages_received = 0;
};

class Node final : public PeerSink {
 public:
  // `transport` is borrowed and must outlive the node. Without `checkpoints` none are
  // taken, and none can be received. The first step happens here.
  Node(const io::Env& env, Options options, engine::Recovered recovered,
       std::unique_ptr<storage::Wal> wal, std::unique_ptr<storage::Checkpoints> checkpoints,
       PeerTransport* transport);
  // Calls still pending are never answered, and watch streams end silently: call
  // Stop() first where somebody waits.
  ~Node() override;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  using ReplyCallback = CallTable::Callback;

  // Sends a request to the replica. `done` is called once, later, unless the call is
  // abandoned: with the encoded response (etcdserverpb message of `kind`), with etcd's
  // status, with Unavailable "etcdserver: request timed out" after `timeout` (but not if it needs
  // nobody else any more, see Replica::OutlivesTimeout), or with
  // Unavailable "etcdserver: server stopped" when the node halts or stops. A request
  // that failed with Unavailable may still take effect.
  // `credentials`: who makes it, as far as the caller can tell.
  CallId Call(RequestKind kind, Bytes body, Duration timeout, ReplyCallback done,
              engine::Credentials credentials = {});
  // The caller no longer wants the answer; `done` is not called any more.
  void Abandon(CallId call) override;

  WatchStream OpenWatch(WatchSink* sink, engine::Credentials credentials = {});

  void OnPeerMessage(raft::Message message) override;
  void OnSnapshot(raft::Message message, engine::StateImage image) override;
  void OnPeerConnected(MemberId peer, bool up) override;
  void ReportUnreachable(MemberId peer) override;
  void ReportSnapshotSent(MemberId peer, bool ok) override;
  CallId OnForwarded(RequestKind kind, Bytes body, Duration timeout, ForwardCallback done) override;

  // Hands leadership to `target` if this member leads; the outcome shows in status().
  void TransferLeadership(MemberId target);

  // Ends service in order: as a halt with this reason, but on_halt is not called.
  void Stop(const absl::Status& reason);

  engine::ReplicaStatus status() const { return replica_.status(); }
  std::vector<engine::MemberInfo> members() const { return replica_.members(); }
  // See Replica::MatchOf.
  LogIndex MatchOf(MemberId member) const { return replica_.MatchOf(member); }
  // Whether this member is one of the cluster's no longer.
  bool removed() const { return replica_.IsRemoved(member_id()); }
  std::vector<alarm::Alarm> alarms() const { return replica_.alarms(); }
  std::string cluster_version() const { return replica_.cluster_version(); }
  std::string downgrade_target() const { return replica_.downgrade_target(); }
  // OK while the node runs; else why it does not.
  const absl::Status& halted() const { return halted_; }
  const NodeCounters& counters() const { return counters_; }
  const Times& times() const { return times_; }
  const Trace& trace() const { return trace_; }
  size_t pending_calls() const { return calls_.size(); }
  Duration request_timeout() const { return options_.request_timeout; }
  MemberId member_id() const { return options_.replica.member_id; }
  ClusterId cluster_id() const { return options_.replica.cluster_id; }
  storage::Wal* wal() { return wal_.get(); }
  const storage::Wal* wal() const { return wal_.get(); }
  // Null if there are none.
  const storage::Checkpoints* checkpoints() const { return checkpoints_.get(); }
  // A checkpoint is to be taken now, even if nothing is new: a file of the newest is damaged.
  void WantCheckpoint();
  // Free space as last seen, and what is wrong with the disk.
  const DiskWatch& disk_watch() const { return disk_watch_; }
  // For oracles and read-only inspection.
  const engine::Replica& replica() const { return replica_; }

 private:
  friend class WatchStream;

  template <typename Event>
  void StepEvent(Event&& event);
  void EndTurn();
  Instant Measured() const {
    return options_.stopwatch == nullptr ? Instant() : options_.stopwatch();
  }
  void NoteEnd(CallId call, bool read, bool ok, Instant now);
  void ScheduleTurn();
  void RunTurn();
  void HandOut();
  void SendForwards(const std::vector<engine::Forward>& forwards);
  void WritePersists(std::vector<engine::Persist>* persists);
  void WritePersist(engine::Persist persist);
  void InstallNext();
  void OnInstalled(const absl::Status& status);
  void WriteCheckpoint(engine::StateImage image);
  void OnPersisted(engine::PersistTicket ticket, const absl::Status& status);
  void AnswerCalls(std::vector<engine::Response>* responses);
  void DeliverWatchReplies(std::vector<engine::WatchReply>* replies);
  void EndWatches(const std::vector<engine::WatchEnd>& ends);
  void ArmWake(Instant when);
  void ArmCallTimer();
  void OnWake();
  void OnCallTimeout();
  void NoticeLeadership();
  void NoticeMembers();
  void OnDiskState(const engine::DiskState& state);
  void NoticeCompactions();
  void Halt(const absl::Status& why);
  void EndService();

  io::Env env_;
  Options options_;
  PeerTransport* transport_;
  engine::Replica replica_;
  std::unique_ptr<storage::Wal> wal_;
  std::unique_ptr<storage::Checkpoints> checkpoints_;
  DiskWatch disk_watch_;
  engine::DiskState seen_disk_;
  // Units that wait until the state in the first of them is the newest checkpoint.
  std::deque<engine::Persist> installing_;

  // Outputs gather in *out_ during a turn; *handing_out_ is what the end of the turn is
  // working through, so that callbacks may step again. They change places.
  std::array<engine::Output, 2> outputs_;
  engine::Output* out_ = &outputs_[0];
  engine::Output* handing_out_ = &outputs_[1];
  bool turn_scheduled_ = false;

  CallTable calls_;
  absl::flat_hash_map<engine::StreamToken, WatchSink*> watch_sinks_;  // lookup only
  uint64_t last_stream_token_ = 0;

  std::unique_ptr<io::Timer> wake_timer_;
  Instant wake_at_ = Instant::Infinite();
  std::unique_ptr<io::Timer> call_timer_;
  Instant call_timer_at_ = Instant::Infinite();
  std::unique_ptr<io::Timer> continue_timer_;

  MemberId seen_leader_;
  Term seen_term_;
  engine::Role seen_role_ = engine::Role::kFollower;
  uint64_t seen_members_ = 0;
  uint64_t seen_compactions_ = 0;

  absl::Status halted_;
  NodeCounters counters_;
  Times times_;
  Trace trace_;
  // Units that the log is writing, and since when.
  std::deque<std::pair<engine::PersistTicket, Instant>> writing_;
  // What handles and deferred callbacks hold of this node; expires with it.
  std::shared_ptr<Node*> self_;
};

}  // namespace quorate::node

#endif  // QUORATE_SERVER_NODE_NODE_H_
