// What a node needs of the thing that carries raft messages between members, and
// what that thing gives back. Two implementations: peer::RaftHttp (etcd's peer
// protocol over io::Network) and the simulator's typed one.
#ifndef QUORATE_SERVER_NODE_PEER_TRANSPORT_H_
#define QUORATE_SERVER_NODE_PEER_TRANSPORT_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/strong_int.h"
#include "engine/image/image.h"
#include "engine/raft/message.h"
#include "engine/replica/input.h"

namespace quorate::node {

// The answer to a request that one member passed on to another.
using ForwardCallback = std::function<void(absl::Status, Bytes)>;

// Where a transport delivers. Implemented by Node. Everything may be called at any
// time on the loop, but never from inside PeerTransport::Send.
class PeerSink {
 public:
  virtual ~PeerSink() = default;

  // A decoded message from a peer; anything may be in it.
  virtual void OnPeerMessage(raft::Message message) = 0;
  // A snapshot and the state that goes with it, whole.
  virtual void OnSnapshot(raft::Message message, engine::StateImage image) = 0;
  // The transport receives from this peer from now on, or no longer does.
  virtual void OnPeerConnected(MemberId peer, bool up) = 0;
  // Something for this peer was dropped or could not be delivered lately.
  virtual void ReportUnreachable(MemberId peer) = 0;
  // The outcome of sending a snapshot to this peer.
  virtual void ReportSnapshotSent(MemberId peer, bool ok) = 0;
  // A peer passes a client's request on, `kind` is then one of the kPeer... kinds; or it asks for
  // the hash of our data (kHashKv). `done` is called once, later, after `timeout` at the latest,
  // unless the request is abandoned.
  virtual engine::RequestToken OnForwarded(engine::RequestKind kind, Bytes body, Duration timeout,
                                           ForwardCallback done) = 0;
  // Nobody wants that answer any more; `done` is not called. Nothing if it was answered.
  virtual void Abandon(engine::RequestToken request) = 0;
};

class PeerTransport {
 public:
  virtual ~PeerTransport() = default;

  // Sends one turn's messages; for each destination they leave in this order, in as
  // few writes as possible. Takes what it wants out of the messages (they are dead
  // afterwards). May drop anything (bounded queues, no connection), which it tells by
  // PeerSink::ReportUnreachable later.
  virtual void Send(absl::Span<raft::Message> messages) = 0;

  // Passes a client's request (kLeaseKeepAlive, kLeaseTimeToLive, kMemberPromote) on to a
  // member that should answer it, or asks it for the hash of its data (kHashKv) or for its state
  // (kPeerRepair). `done` is called at most once, later, never from inside; with NotFound if that
  // member knows no such lease or member, with FailedPrecondition if it refuses a promotion or
  // knows that this member was removed, with another error if it could not be asked. What is lost
  // on the way may stay without an answer.
  virtual void Forward(MemberId to, engine::RequestKind kind, const Bytes& body,
                       ForwardCallback done) = 0;

  // Sends a snapshot (kSnap, without data) and the state that goes with it, beside the
  // other messages and without delaying them. The outcome comes as
  // PeerSink::ReportSnapshotSent, later and always: arrived whole, or given up.
  virtual void SendSnapshot(raft::Message message, engine::StateImage image) = 0;

  // The server version that this peer announced lately ("3.7.1"); empty if it never
  // did. Decides the cluster version.
  virtual std::string PeerVersion(MemberId peer) const = 0;
};

}  // namespace quorate::node

#endif  // QUORATE_SERVER_NODE_PEER_TRANSPORT_H_
