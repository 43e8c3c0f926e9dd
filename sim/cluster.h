// The members of a simulated cluster: whole servers on hosts of their own, started,
// crashed and restarted from outside.
//
// In stream mode members listen and speak etcd's protocols over byte streams. In typed
// mode the cluster itself carries raft messages, encoded and with a checksum, as
// datagrams, and clients call the node.
#ifndef QUORATE_SIM_CLUSTER_H_
#define QUORATE_SIM_CLUSTER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "base/prng.h"
#include "base/strong_int.h"
#include "engine/replica/hindrance.h"
#include "server/config/config.h"
#include "server/config/version.h"
#include "server/node/node.h"
#include "server/node/peer_transport.h"
#include "server/server.h"
#include "sim/env.h"
#include "sim/fault.h"
#include "sim/network.h"
#include "sim/oracle/judge.h"
#include "sim/oracle/raft.h"
#include "sim/scheduler.h"
#include "sim/sometimes.h"
#include "sim/swarm.h"
#include "storage/checkpoints.h"

namespace quorate::sim {

// Ports of every member's host, whose name is HostName(member).
inline constexpr uint16_t kClientPort = 2379;
inline constexpr uint16_t kPeerPort = 2380;

// Members are numbered 1 .. size(): the founders first, then spare hosts, which may become
// members while the cluster runs. Those that are members now are active.
class Cluster {
 public:
  // All borrowed. `on_commit` as in RaftOracle.
  Cluster(const Context& context, Network* network, const Options& options, Judge* judge,
          RaftOracle::CommitSink on_commit);
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;
  // Ends all processes.
  ~Cluster();

  size_t size() const { return members_.size(); }
  // In ascending order; never empty.
  const std::vector<size_t>& active() const { return active_; }
  bool IsActive(size_t member) const;
  size_t PickActive(Prng* prng) const { return active_[prng->Below(active_.size())]; }
  static std::string HostName(size_t member);
  HostId host_id(size_t member) const { return At(member).host->id(); }
  Host& host(size_t member) { return *At(member).host; }

  void Start(size_t member);
  // The process or machine dies now, and starts again after `downtime` (never, if
  // infinite). From an event of the world only. Nothing happens to one that is down.
  void Crash(size_t member, CrashKind kind, Duration downtime);
  // The process is asked to stop, as by SIGTERM, and starts again when it has.
  void RestartInOrder(size_t member, Duration downtime);
  // Starts whoever is active and down, and ends whoever is not active any more.
  void StartAll();

  bool running(size_t member) const { return At(member).server != nullptr; }
  // Serves clients.
  bool ready(size_t member) const;
  // Has found damage, and not got the state of another member yet.
  bool lacks_data(size_t member) const;
  // Counts processes of this member; 0 before the first.
  uint64_t incarnation(size_t member) const { return At(member).host->incarnation(); }
  // Null while the member is down or recovering, or has failed.
  node::Node* node(size_t member);
  // The leader of the highest term in which somebody leads; 0 if nobody does.
  size_t Leader();

  // Shows the oracle every member that has had a turn since the last call.
  void Observe();

  // --- For the nemesis ---
  // Chance that a raft datagram has a bit flipped on its way.
  void SetCorruption(uint32_t ppm) { corrupt_ppm_ = ppm; }
  // What the others learn of this member's version; of a later one than ours, half of the raft
  // messages have a field that the others do not know.
  void AnnounceVersion(size_t member, const std::string& version);
  // From its next start on the member must stop for want of its own directory and say so in these
  // words; it may not come to have a node. Empty: as usual.
  void ExpectRefusal(size_t member, std::string words) { At(member).refusal = std::move(words); }
  // Whether all members serve clients, and each knows where this one does.
  bool KnownToAll(size_t member);
  // It leaves this stage of its work undone, or does it again; it, and those that start after it.
  void Hinder(size_t member, engine::Stage stage, bool on) {
    At(member).hindrance.held[static_cast<size_t>(stage)] = on;
  }
  void HinderNoLonger(size_t member) { At(member).hindrance.held = {}; }
  // Its flags, from its next start on.
  config::Config& flags(size_t member) { return At(member).config; }
  // Tells the leader, if there is one, to hand over to a member.
  void TransferLeadership(size_t to);

  // --- For the operator ---
  // A host that was never a member; 0 if there is none.
  size_t FindSpare() const;
  MemberId id(size_t member) const { return At(member).id; }
  const std::vector<config::Url>& peer_urls(size_t member) const {
    return At(member).config.initial_advertise_peer_urls;
  }
  // The members have taken this one in, under this id: it starts, and joins them.
  void Admit(size_t member, MemberId id);
  // The member dies and never comes back, though it is still one of the configuration.
  void Lose(size_t member);
  // It is in the configuration no longer: its process may go on for a while, and never comes
  // back.
  void Retire(size_t member, Duration after);

  const RaftOracle& oracle() const { return *oracle_; }
  // Of all members and all their lives.
  struct Checkpointing {
    uint64_t taken = 0;
    uint64_t installed = 0;     // that came from a leader
    uint64_t restarts = 0;      // from a checkpoint
    uint64_t repairs = 0;       // of those, from one of another member's after damage
    uint64_t segments_cut = 0;  // of logs
  };
  const Checkpointing& checkpoints() const { return checkpoints_; }
  // Of all members and all their lives so far.
  SometimesCounts Sometimes();
  // Counts one that only shows outside of the members.
  void AddSometimes(size_t property) { ++sometimes_[property]; }
  // Why members stopped by themselves, for the report.
  const std::vector<std::string>& failures() const { return failures_; }

 private:
  class Transport;
  struct HeldStages final : engine::Hindrance {
    Instant HeldUntil(engine::Stage stage, Instant now) override {
      return held[static_cast<size_t>(stage)] ? now + Milliseconds(5) : now;
    }
    std::array<bool, engine::kStages> held = {};
  };
  struct Member {
    size_t number = 0;
    MemberId id;
    std::unique_ptr<Host> host;
    config::Config config;
    std::unique_ptr<Transport> transport;  // outlives the server
    HeldStages hindrance;                  // so does this
    std::unique_ptr<server::Server> server;
    // Of the last process that served clients (SettingsOf in cluster.cc).
    std::vector<uint64_t> settings;
    uint64_t turns_seen = 0;
    uint64_t incarnation_seen = 0;
    EventId restart;
    bool retired = false;
    std::string refusal;  // of its directory, that is expected
    std::string announced = config::kServerVersion;
    bool newer = false;  // than ours, as it says
    // Whom this process has heard of, as a connection would tell it.
    std::set<MemberId> heard;
    // Forwarded proposals that arrived: those that are carried twice are taken once, as
    // over a stream. (All other messages may come twice.)
    std::set<uint64_t> proposals;
    // What was counted of the process of that incarnation.
    uint64_t checkpoints_of = 0;
    storage::CheckpointStats checkpoints_seen;
    uint64_t cut_seen = 0;
  };

  Member& At(size_t member) { return *members_[member - 1]; }
  const Member& At(size_t member) const { return *members_[member - 1]; }
  config::Config ConfigOf(size_t member, size_t members, const Options& options) const;
  void ObserveNow(Member* member);
  void Join(Member* member, server::Options* options);
  std::vector<engine::MemberInfo> KnownWith(const Member& member);
  server::JoinPoint WhatOthersTell(size_t number);
  void Disconnect(size_t member);
  void OnFailure(size_t member, const absl::Status& why);
  void Send(size_t from, absl::Span<raft::Message> messages);
  Bytes Corrupted(const Bytes& frame, HostId from);
  // The message with number frames_, for the story.
  void Tell(size_t from, size_t to, const raft::Message& message);
  void Deliver(size_t to, uint64_t number, const Bytes& frame);
  void Forward(size_t from, MemberId to, engine::RequestKind kind, const Bytes& body,
               node::ForwardCallback done);
  void SendSnapshot(size_t from, raft::Message message, engine::StateImage image);
  void DeliverSnapshot(size_t to, const std::vector<Bytes>& chunks);
  void ReportSnapshot(size_t from, uint64_t incarnation, MemberId to, bool ok);
  void CountCheckpoints(Member* member, const node::Node* n);
  void CountRareEvents(Member* member);
  size_t NumberOf(MemberId id) const;

  const Context context_;
  Network* const network_;
  const bool streams_;
  std::vector<std::unique_ptr<Member>> members_;
  std::vector<size_t> active_;
  std::set<size_t> configured_;  // those, and who is lost but not yet removed
  ClusterId cluster_id_;
  std::unique_ptr<RaftOracle> oracle_;
  uint32_t corrupt_ppm_ = 0;
  Prng corrupt_prng_;
  Prng restart_prng_;
  Prng unknown_field_prng_;
  Judge* const judge_;
  std::vector<std::string> failures_;
  Checkpointing checkpoints_;
  SometimesCounts sometimes_ = {};  // of processes that have ended
  uint64_t frames_ = 0;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CLUSTER_H_
