// etcd's peer protocol over HTTP/1.1: members dial each other's
// message streams and receive on them.
//
//   peer::RaftHttp transport(env, log, identity, options);
//   transport.AddRoutes(&peer_port, information);  // an http1::Server
//   node::Node node(..., &transport);
//   transport.Start(&node);
//   transport.SetPeers({{id, {"10.0.0.2:2380"}}}); // dials; again at every change
//
// Anything malformed from a peer costs that peer its stream, a log line and a count.
#ifndef QUORATE_SERVER_PEER_RAFTHTTP_H_
#define QUORATE_SERVER_PEER_RAFTHTTP_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "engine/replica/replica.h"
#include "io/env.h"
#include "server/http1/server.h"
#include "server/log/logger.h"
#include "server/log/throttle.h"
#include "server/node/peer_transport.h"
#include "server/peer/context.h"
#include "server/peer/hash_desk.h"
#include "server/peer/peer.h"

namespace quorate::peer {

// What peers may ask about this member besides raft.
struct Information {
  std::function<std::vector<engine::MemberInfo>()> members;
  std::function<std::string()> cluster_version;
  std::function<bool()> downgrading;
  // Whether somebody was a member once and is none any more.
  std::function<bool(MemberId)> is_removed;
};

struct PeerAddresses {
  MemberId id;
  std::vector<std::string> addresses;  // as NewClient takes them, at least one
};

class RaftHttp final : public node::PeerTransport {
 public:
  RaftHttp(const io::Env& env, log::Logger* log, Identity self, const Options& options);
  ~RaftHttp() override;
  RaftHttp(const RaftHttp&) = delete;
  RaftHttp& operator=(const RaftHttp&) = delete;

  // /raft, /raft/stream/message/, /raft/probing, /leases, /leases/internal, /version,
  // /members, /members/promote/, /members/hashkv, /downgrade/enabled. Once this object is gone
  // the server may only be destroyed.
  void AddRoutes(http1::Server* server, Information information);
  // Called when a peer says that this member was removed from the cluster.
  void set_on_removed(std::function<void(const absl::Status&)> callback) {
    context_.on_removed = std::move(callback);
  }
  // Used for addresses that ask for TLS. Borrowed; before SetPeers.
  void set_secure_network(io::Network* network) { context_.secure_network = network; }
  // Called with each measured round trip to a peer.
  void set_on_round_trip(std::function<void(MemberId, Duration)> callback) {
    context_.on_round_trip = std::move(callback);
  }
  // Begins to deliver.
  void Start(node::PeerSink* sink);
  // The other members, from now on. Dials the new ones, drops those that are gone, and
  // begins anew with those whose addresses have changed. Not from inside Send.
  void SetPeers(const std::vector<PeerAddresses>& peers);

  void Send(absl::Span<raft::Message> messages) override;
  void Forward(MemberId to, engine::RequestKind kind, const Bytes& body,
               node::ForwardCallback done) override;
  void SendSnapshot(raft::Message message, engine::StateImage image) override;
  std::string PeerVersion(MemberId peer) const override;

  const absl::btree_map<MemberId, std::unique_ptr<Peer>>& peers() const { return peers_; }
  // Streams that we send on / receive on.
  size_t sending_streams() const;
  size_t receiving_streams() const;

 private:
  Peer* FindPeer(MemberId id) const;
  std::unique_ptr<Peer> NewPeer(const PeerAddresses& addresses);
  void NoteRemote(MemberId id, absl::string_view peer_urls);
  bool IsRemoved(MemberId id) const;
  void OnStreamRequest(const http1::ExchangePtr& exchange);
  void OnPost(const http1::ExchangePtr& exchange);
  void OnLeasePost(const http1::ExchangePtr& exchange);
  void OnLeaseInternalPost(const http1::ExchangePtr& exchange);
  void AnswerLease(const http1::ExchangePtr& exchange, engine::RequestKind kind, Bytes body);
  void OnSnapshotChunk(const http1::ExchangePtr& exchange);
  void OnPromote(const http1::ExchangePtr& exchange);
  void OnHash(const http1::ExchangePtr& exchange);
  void OnRepair(const http1::ExchangePtr& exchange);
  void AnswerMembers(const http1::ExchangePtr& exchange);
  // The headers' checks; answers and gives false when they fail.
  bool Admit(const http1::ExchangePtr& exchange);
  void Refuse(const http1::ExchangePtr& exchange, int status, absl::string_view text);
  // Reports at the end of the turn: transports may not call the sink from inside Send.
  void ReportLater(MemberId peer);
  void ReportSnapshotLost(MemberId peer);
  void ScheduleReports();
  void ReportNow();
  void OnHeartbeatTimer();

  Context context_;
  HashDesk hash_desk_;
  log::Throttle refusals_;
  Information information_;
  absl::btree_map<MemberId, std::unique_ptr<Peer>> peers_;
  // Of those, the ones that are no members (Options::max_remotes).
  absl::btree_set<MemberId> remotes_;
  absl::btree_set<MemberId> unreachable_;
  absl::btree_set<MemberId> lost_snapshots_;  // to be reported, like those
  std::unique_ptr<io::Timer> heartbeat_timer_;
  PeerStats unknown_peers_;
  std::shared_ptr<RaftHttp*> self_;  // what deferred callbacks hold
};

}  // namespace quorate::peer

#endif  // QUORATE_SERVER_PEER_RAFTHTTP_H_
