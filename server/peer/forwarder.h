// Requests to a peer that leads, as etcd's members ask each other:
// about leases by POST /leases and /leases/internal, promotions by POST /members/promote/ID.
// And to any peer, for the hash of its data: GET /members/hashkv with a body of JSON; for its
// state: POST /quorate/repair.
#ifndef QUORATE_SERVER_PEER_FORWARDER_H_
#define QUORATE_SERVER_PEER_FORWARDER_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "base/bytes.h"
#include "engine/replica/input.h"
#include "server/http1/client.h"
#include "server/peer/context.h"

namespace quorate::peer {

inline constexpr char kLeasePath[] = "/leases";
inline constexpr char kLeaseInternalPath[] = "/leases/internal";
inline constexpr char kPromotePrefix[] = "/members/promote/";  // and a decimal id
inline constexpr char kHashPath[] = "/members/hashkv";
inline constexpr char kRepairPath[] = "/quorate/repair";  // between Quorate members only

class Forwarder {
 public:
  // All borrowed.
  Forwarder(const Context* context, const std::vector<std::string>& addresses);
  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;

  // `kind` is kLeaseKeepAlive, kLeaseTimeToLive, kMemberPromote, kHashKv or kPeerRepair. What does
  // not fit into the queue is dropped, and `done` is never called: whoever asks has patience of its
  // own.
  void Send(engine::RequestKind kind, const Bytes& body, node::ForwardCallback done);

 private:
  struct Item {
    std::string target;
    Bytes body;
    engine::RequestKind kind;
    node::ForwardCallback done;
  };
  struct Post {
    Item item;
    std::unique_ptr<http1::ClientExchange> exchange;
  };

  // One for each of the peer's addresses.
  using Clients = std::vector<std::unique_ptr<http1::Client>>;

  const Clients& ClientsFor(engine::RequestKind kind) const;
  void SendQueued();
  void OnAnswer(uint64_t id, const absl::StatusOr<http1::Client::WholeResponse>& answer);

  const Context* const context_;
  Clients clients_;
  Clients promotion_clients_;  // more patient
  Clients hash_clients_;       // and more
  size_t next_client_ = 0;
  std::deque<Item> queue_;
  uint64_t last_id_ = 0;
  absl::btree_map<uint64_t, Post> posts_;
};

}  // namespace quorate::peer

#endif  // QUORATE_SERVER_PEER_FORWARDER_H_
