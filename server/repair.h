// For a member that finds damaged what it had acknowledged: asks the other members for a state that
// covers it all. Our own protocol between Quorate members, before raft begins (see
// docs/ARCHITECTURE.md). What makes such a state good enough is in engine/replica/repair.cc.
#ifndef QUORATE_SERVER_REPAIR_H_
#define QUORATE_SERVER_REPAIR_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/strong_int.h"
#include "engine/membership/membership.h"
#include "io/env.h"
#include "server/config/config.h"
#include "server/gate_listener.h"
#include "server/join.h"
#include "server/log/logger.h"
#include "server/node/peer_transport.h"
#include "server/peer_port.h"
#include "server/secure_ports.h"
#include "storage/identity.h"
#include "storage/recovery.h"

namespace quorate::server {

class Repair final : public node::PeerSink {
 public:
  struct Options {
    storage::Identity self;
    // All borrowed.
    const config::Config* config = nullptr;
    log::Logger* log = nullptr;
    SecurePorts* secure_ports = nullptr;
    GateListener* gate = nullptr;  // of the peers' port
    // What others tell a member that joins; null: they are asked.
    const JoinPoint* join = nullptr;
    // Delivers here; null: a port of its own does, behind the gate.
    node::PeerTransport* transport = nullptr;
  };
  using Callback = std::function<void(absl::StatusOr<storage::RepairState>)>;

  // `done` comes once, later, and may destroy this object. FailedPrecondition if this member was
  // removed from the cluster; Unavailable if nobody answers for a quarter of a minute, or there can
  // be no quorum without it.
  Repair(const io::Env& env, Options options, Callback done);
  Repair(const Repair&) = delete;
  Repair& operator=(const Repair&) = delete;
  ~Repair() override;

  void OnPeerMessage(raft::Message) override {}
  void OnSnapshot(raft::Message message, engine::StateImage image) override;
  void OnPeerConnected(MemberId, bool) override {}
  void ReportUnreachable(MemberId) override {}
  void ReportSnapshotSent(MemberId, bool) override {}
  engine::RequestToken OnForwarded(engine::RequestKind kind, Bytes body, Duration timeout,
                                   node::ForwardCallback done) override;
  void Abandon(engine::RequestToken request) override;

 private:
  void OpenPort();
  void FindPeers();
  void TakePeers(const std::vector<membership::Member>& members);
  void Ask();
  void OnAnswer(MemberId peer, const absl::Status& status, const Bytes& body);
  void AskAgainIn(Duration wait);
  void Settle();
  void Finish(absl::StatusOr<storage::RepairState> result);
  void Refuse(engine::RequestToken request);

  const io::Env env_;
  const Options options_;
  Callback done_;
  std::unique_ptr<PeerPort> port_;
  node::PeerTransport* transport_;  // the port's or the injected one
  std::unique_ptr<Inquiry> inquiry_;
  std::vector<MemberId> peers_;
  size_t next_ = 0;
  Instant give_up_;
  Duration patience_;  // for a state to arrive
  // Of the answers so far the least: a state as of any of them will do.
  std::optional<LogIndex> barrier_;
  std::optional<storage::RepairState> arrived_;  // the newest
  absl::btree_map<engine::RequestToken, node::ForwardCallback> refused_;
  engine::RequestToken last_token_;
  std::unique_ptr<io::Timer> timer_;
  std::shared_ptr<Repair*> self_;  // what deferred callbacks hold
};

}  // namespace quorate::server

#endif  // QUORATE_SERVER_REPAIR_H_
