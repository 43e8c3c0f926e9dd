// One remote member: the stream that we receive on (dialled by us), the stream that we
// send on (dialled by it), single POSTs while that one is not up, and requests passed on.
#ifndef QUORATE_SERVER_PEER_PEER_H_
#define QUORATE_SERVER_PEER_PEER_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/strong_int.h"
#include "engine/raft/message.h"
#include "server/http1/server.h"
#include "server/peer/context.h"
#include "server/peer/forwarder.h"
#include "server/peer/frame.h"
#include "server/peer/pipeline.h"
#include "server/peer/prober.h"
#include "server/peer/snapshot_chunks.h"
#include "server/peer/snapshot_sender.h"
#include "server/peer/stream_dialer.h"

namespace quorate::peer {

class Peer {
 public:
  // `on_unreachable` is called, from anywhere, when something for the peer was lost;
  // `on_connected` when we begin to receive from it, and when that ends by itself.
  Peer(const Context* context, MemberId id, const std::vector<std::string>& addresses,
       std::function<void(MemberId)> on_unreachable,
       std::function<void(MemberId, bool)> on_snapshot_sent,
       std::function<void(MemberId, bool)> on_connected);
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer();

  MemberId id() const { return id_; }
  const std::vector<std::string>& addresses() const { return addresses_; }
  void StartDialing() { dialer_.Start(); }

  // Gathers a message for the next Flush.
  void Add(const raft::Message& message);
  // Sends what was gathered, in one write; drops it if too much is waiting already.
  void Flush();

  // Sends a snapshot beside everything else; on_snapshot_sent tells how it went.
  void SendSnapshot(raft::Message message, engine::StateImage image) {
    snapshots_.Start(std::move(message), std::move(image));
  }
  bool sending_snapshot() const { return snapshots_.busy(); }
  // What the peer sends of a snapshot of its own.
  SnapshotAssembler* assembler() { return &assembler_; }
  bool receiving_snapshot() const { return assembler_.busy(); }
  // A chunk was taken; since when the transfer is under way.
  Instant NoteChunk(Instant now) {
    if (assembler_.chunks() == 1) snapshot_begun_ = now;
    return snapshot_begun_;
  }

  // The peer has dialled: from now on we send on this stream, and no more on an earlier one.
  void Attach(http1::ExchangePtr stream);
  // Shows on the stream, if one is up, that it is alive.
  void SendLinkHeartbeat();

  // For requests that this peer should answer.
  Forwarder* forwarder() { return &forwarder_; }

  bool sending() const { return stream_ != nullptr; }
  bool receiving() const { return dialer_.connected(); }
  // The version it announced lately; empty if it never did.
  std::string version() const;
  void set_announced_version(std::string version) { announced_version_ = std::move(version); }
  const PeerStats& stats() const { return stats_; }
  PeerStats* mutable_stats() { return &stats_; }

 private:
  void Lose(uint64_t messages);
  void Detach();

  const Context* const context_;
  const MemberId id_;
  const std::vector<std::string> addresses_;
  const std::function<void(MemberId)> on_unreachable_;
  PeerStats stats_;
  StreamDialer dialer_;
  Pipeline pipeline_;
  Forwarder forwarder_;
  Prober prober_;
  SnapshotSender snapshots_;
  SnapshotAssembler assembler_;
  Instant snapshot_begun_;
  http1::ExchangePtr stream_;
  FrameWriter writer_;
  uint64_t gathered_ = 0;  // messages in writer_
  std::string announced_version_;
};

}  // namespace quorate::peer

#endif  // QUORATE_SERVER_PEER_PEER_H_
