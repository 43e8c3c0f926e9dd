#include "server/server.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/status.h"
#include "server/auto_compaction.h"
#include "server/bootstrap.h"
#include "server/client_port.h"
#include "server/config/ids.h"
#include "server/corruption.h"
#include "server/disk_log.h"
#include "server/gate_listener.h"
#include "server/http1/server.h"
#include "server/log/logger.h"
#include "server/peer_list.h"
#include "server/peer_port.h"
#include "server/publisher.h"
#include "server/repair.h"
#include "server/replica_config.h"
#include "server/secure_ports.h"
#include "server/start_log.h"
#include "server/storage_metrics.h"
#include "server/work_log.h"

namespace quorate::server {
namespace {

// How often the transport's peers are compared with the members that the node knows.
constexpr Duration kMembersCheckInterval = Milliseconds(500);
// Before a removed member ends, so that what it had to tell can leave (etcd's).
constexpr Duration kRemovalDelay = Seconds(1);
// How long clients may take to read their last answers when we stop.
constexpr Duration kDrainTimeout = Milliseconds(500);
constexpr Duration kDrainPollInterval = Milliseconds(10);
// Connections that are rejected because there are too many are logged this often at most.
constexpr Duration kRejectionNoticeInterval = Seconds(1);

log::Level LevelOf(const config::Config& config) {
  const absl::StatusOr<log::Level> level = log::ParseLevel(config.log_level);
  return level.ok() ? *level : log::Level::kInfo;
}

}  // namespace

class Server::Impl {
 public:
  Impl(const io::Env& env, config::Config config, Options options)
      : env_(env),
        config_(std::move(config)),
        options_(std::move(options)),
        log_(env.log, env.loop, LevelOf(config_),
             config_.log_format == "console" ? log::Format::kConsole : log::Format::kJson),
        secure_ports_(env, &log_, config_),
        members_timer_(env.loop->NewTimer([this] { CheckMembers(); })),
        stop_timer_(env.loop->NewTimer([this] { OnStopTimer(); })),
        removal_timer_(env.loop->NewTimer([this] { EndRemoved(); })),
        self_(std::make_shared<Impl*>(this)) {}

  // What has handlers in others' hands goes first; services and node live until the
  // last call has ended.
  ~Impl() {
    CloseClientGates();
    peer_gate_.Close();
    client_acceptor_.reset();
    metrics_acceptor_.reset();
    auto_compactor_.reset();
    corruption_monitor_.reset();
    version_monitor_.reset();
    publisher_.reset();
    client_port_.reset();
    scrubber_.reset();
    node_.reset();
    peer_port_.reset();
    repair_.reset();
  }

  void Start();
  void Stop(std::function<void()> done);

  void ToggleDebugLog() {
    log_.set_level(log_.level() == log::Level::kDebug ? LevelOf(config_) : log::Level::kDebug);
    LOG_WARN(&log_, "log level changed", {"log-level", log::LevelName(log_.level())});
  }

  State state() const { return state_; }
  node::Node* node() { return node_.get(); }
  node::PeerSink* peer_sink() {
    return node_ != nullptr ? static_cast<node::PeerSink*>(node_.get()) : repair_.get();
  }
  bool repaired() const { return repaired_; }
  MemberId member_id() const { return member_id_; }
  ClusterId cluster_id() const { return cluster_id_; }
  const config::Config& config() const { return config_; }

 private:
  void OnOpened(absl::StatusOr<StartPoint> start);
  absl::Status TakePorts();
  void OpenDirectory(std::optional<storage::RepairState> repair);
  void BeginRepair(const storage::Identity& self, const absl::Status& damage);
  void FinishRepair(absl::StatusOr<storage::RepairState> state, const absl::Status& damage);
  void StartScrubbing(storage::Checkpoints* checkpoints, storage::Wal* wal);
  void StartNode(StartPoint start);
  node::Options NodeOptions();
  void StartPeers();
  peer::RaftHttp* rafthttp() const {
    return peer_port_ == nullptr ? nullptr : peer_port_->transport();
  }
  void CheckMembersLater();
  void CheckMembers();
  void OnRemoved(Duration delay);
  void EndRemoved();
  void OnLeadershipChange();
  void OnPublished();
  void ServeClients();
  void AcceptClient(std::unique_ptr<io::Stream> stream, bool secure);
  void AcceptHttp(std::unique_ptr<io::Stream> stream, bool secure);
  void AcceptMetrics(std::unique_ptr<io::Stream> stream, bool secure);
  size_t ClientConnections() const;
  void CloseClientGates() {
    client_gate_.Close();
    http_gate_.Close();
    metrics_gate_.Close();
  }
  void Fail(const absl::Status& why);
  void OnStopTimer();
  bool TransferLeadership();
  bool IsInReach(MemberId peer) const;
  void FinishStop();

  const io::Env env_;
  const config::Config config_;
  const Options options_;
  log::Logger log_;
  State state_ = State::kNew;
  MemberId member_id_;
  ClusterId cluster_id_;

  std::unique_ptr<io::DirectoryLock> directory_lock_;  // goes after the node
  std::unique_ptr<DataDirectory> data_directory_;      // while recovering
  SecurePorts secure_ports_;                           // goes after whoever calls peers
  GateListener client_gate_;
  GateListener http_gate_;     // --listen-client-http-urls
  GateListener metrics_gate_;  // --listen-metrics-urls
  GateListener peer_gate_;
  std::unique_ptr<Repair> repair_;  // while it asks the others for the state
  bool repaired_ = false;
  std::unique_ptr<PeerPort> peer_port_;       // none if a transport was injected
  node::PeerTransport* transport_ = nullptr;  // the port's or the injected one
  std::unique_ptr<node::Node> node_;
  std::unique_ptr<storage::Scrubber> scrubber_;  // of the node's checkpoints
  std::unique_ptr<ClientPort> client_port_;
  std::unique_ptr<tls::Acceptor> client_acceptor_;
  std::unique_ptr<tls::Acceptor> metrics_acceptor_;
  std::unique_ptr<AttributesPublisher> publisher_;
  std::unique_ptr<VersionMonitor> version_monitor_;
  std::unique_ptr<AutoCompactor> auto_compactor_;
  std::unique_ptr<CorruptionMonitor> corruption_monitor_;

  // Whom a member that joins listens to until it knows the others from its log.
  std::vector<membership::Member> joined_members_;

  std::unique_ptr<io::Timer> members_timer_;
  std::unique_ptr<io::Timer> stop_timer_;
  std::unique_ptr<io::Timer> removal_timer_;
  bool removed_ = false;
  std::function<void()> stopped_;
  Instant stop_deadline_;
  Instant next_rejection_notice_;
  bool handing_over_ = false;
  std::shared_ptr<Impl*> self_;  // what deferred callbacks hold
};

void Server::Impl::Start() {
  CHECK(state_ == State::kNew);
  state_ = State::kRecovering;
  LogStart(config_, &log_);
  const absl::Status ports = TakePorts();
  if (!ports.ok()) return Fail(ports);
  secure_ports_.Prepare([this](const absl::Status& status) {
    if (state_ != State::kRecovering) return;  // stopped meanwhile
    status.ok() ? OpenDirectory(std::nullopt) : Fail(status);
  });
}

void Server::Impl::OpenDirectory(std::optional<storage::RepairState> repair) {
  data_directory_ = std::make_unique<DataDirectory>(
      env_, secure_ports_.peer_network(), config_, &log_,
      options_.join.has_value() ? &*options_.join : nullptr, &peer_gate_, std::move(repair),
      [this](absl::StatusOr<StartPoint> start) { OnOpened(std::move(start)); });
}

// Before anything is written: a port that is taken leaves no trace in the data directory.
absl::Status Server::Impl::TakePorts() {
  if (options_.peer_transport == nullptr) {
    absl::Status status =
        peer_gate_.Listen(env_.network, config_.listen_peer_urls, config_.max_peer_connections);
    if (!status.ok()) return status;
    LOG_INFO(&log_, "listening for peer traffic",
             {"listen-peer-urls", config::UrlStrings(config_.listen_peer_urls)});
  }
  if (!options_.listen_for_clients) return absl::OkStatus();
  RETURN_IF_ERROR(client_gate_.Listen(env_.network, config_.listen_client_urls,
                                      config_.max_client_connections));
  RETURN_IF_ERROR(http_gate_.Listen(env_.network, config_.listen_client_http_urls,
                                    config_.max_client_connections));
  return metrics_gate_.Listen(env_.network, config_.listen_metrics_urls,
                              config_.max_client_connections);
}

void Server::Impl::OnOpened(absl::StatusOr<StartPoint> start) {
  const storage::Identity found = data_directory_->found();
  data_directory_.reset();
  if (state_ != State::kRecovering) return;  // stopped meanwhile
  if (absl::IsDataLoss(start.status()) && found.member_id != MemberId(0) && !repaired_ &&
      !config_.force_new_cluster) {
    return BeginRepair(found, start.status());
  }
  if (!start.ok()) return Fail(start.status());
  directory_lock_ = std::move(start->lock);
  member_id_ = start->member_id;
  cluster_id_ = start->cluster_id;
  LOG_INFO(
      &log_, start->founded || start->joins ? "starting local member" : "restarting local member",
      {"local-member-id", config::HexId(member_id_)}, {"cluster-id", config::HexId(cluster_id_)},
      {"commit-index", start->recovered.hard_state.commit.value()},
      {"checkpoint-index",
       start->recovered.checkpoint.has_value() ? start->recovered.checkpoint->index.value() : 0},
      {"entries", start->recovered.entries.size()});
  joined_members_ = std::move(start->members);
  state_ = State::kJoining;
  StartPeers();
  StartNode(*std::move(start));
  if (peer_port_ != nullptr) rafthttp()->Start(node_.get());
  version_monitor_ = std::make_unique<VersionMonitor>(env_.loop, &log_, node_.get(), transport_);
  const auto auto_compaction = config_.ParsedAutoCompaction();
  if (auto_compaction.ok() && auto_compaction->enabled()) {
    auto_compactor_ =
        std::make_unique<AutoCompactor>(env_.loop, &log_, node_.get(), *auto_compaction);
  }
  corruption_monitor_ =
      std::make_unique<CorruptionMonitor>(env_.loop, &log_, node_.get(), transport_, config_);
  publisher_ = std::make_unique<AttributesPublisher>(env_.loop, &log_, node_.get(), config_,
                                                     [this] { OnPublished(); });
  publisher_->Start();
  // After the node's first turn, which applies the configuration that the log holds.
  CheckMembersLater();
}

void Server::Impl::StartPeers() {
  transport_ = options_.peer_transport;
  if (transport_ != nullptr) return;
  peer_port_ = std::make_unique<PeerPort>(
      env_, &log_, &secure_ports_, config_, storage::Identity{cluster_id_, member_id_},
      peer::Information{[this] { return node_->members(); },
                        [this] { return node_->cluster_version(); },
                        [this] { return !node_->downgrade_target().empty(); },
                        [this](MemberId id) { return node_->replica().IsRemoved(id); }});
  rafthttp()->set_on_removed([this](const absl::Status&) { OnRemoved(Duration()); });
  transport_ = rafthttp();
}

void Server::Impl::BeginRepair(const storage::Identity& self, const absl::Status& damage) {
  LOG_WARN(&log_, "acknowledged data is damaged; asking the other members for theirs", {damage});
  Repair::Options options{self, &config_, &log_, &secure_ports_, &peer_gate_};
  if (options_.join.has_value()) options.join = &*options_.join;
  options.transport = options_.peer_transport;
  repair_ = std::make_unique<Repair>(env_, std::move(options),
                                     [this, damage](absl::StatusOr<storage::RepairState> state) {
                                       FinishRepair(std::move(state), damage);
                                     });
}

void Server::Impl::FinishRepair(absl::StatusOr<storage::RepairState> state,
                                const absl::Status& damage) {
  repair_.reset();
  if (state_ != State::kRecovering) return;  // stopped meanwhile
  if (!state.ok()) {
    LOG_WARN(&log_, "the state could not be had from another member", {state.status()});
    return Fail(damage);
  }
  LOG_WARN(&log_, "going on from the state of another member",
           {"index", state->image.index.value()}, {"term", state->term.value()},
           {"bytes", state->image.bytes()});
  repaired_ = true;
  OpenDirectory(*std::move(state));
}

// What a damaged file holds is in memory, too: the next checkpoint has it.
void Server::Impl::StartScrubbing(storage::Checkpoints* checkpoints, storage::Wal* wal) {
  scrubber_ = std::make_unique<storage::Scrubber>(
      env_.loop, env_.disk,
      storage::ScrubOptions{config_.DataDir(), config_.scrub_bytes_per_second}, checkpoints, wal,
      [this, checkpoints, wal](const storage::ScrubDamage& damage) {
        node_->WantCheckpoint();
        if (damage.segment == 0) {
          damage.pack != 0 ? checkpoints->GiveUp(damage.pack) : checkpoints->GiveUpManifest();
          LOG_WARN(&log_, "a file of the checkpoint is damaged; the next checkpoint writes it anew",
                   {damage.what});
        } else {
          wal->GiveUp(damage.segment);
          LOG_WARN(&log_, "a segment of the log is damaged; the next checkpoint stands for it",
                   {damage.what});
        }
      });
}

void Server::Impl::StartNode(StartPoint start) {
  StartScrubbing(start.checkpoints.get(), start.wal.get());
  node_ =
      std::make_unique<node::Node>(env_, NodeOptions(), std::move(start.recovered),
                                   std::move(start.wal), std::move(start.checkpoints), transport_);
  client_port_ = std::make_unique<ClientPort>(
      env_, &log_, node_.get(), config_,
      metrics::Sources{node_.get(), nullptr, rafthttp(), options_.process_stats,
                       config_.QuotaBytes(), config_.extensive_metrics,
                       config::FeatureGates(config_)});
  client_acceptor_ = secure_ports_.NewClientAcceptor(
      [this](tls::Accepted accepted) { client_port_->AcceptSecure(std::move(accepted)); });
  metrics_acceptor_ = secure_ports_.NewClientAcceptor(
      [this](tls::Accepted accepted) { client_port_->AcceptMetrics(std::move(accepted.stream)); });
  AddStorageMetrics(client_port_->registry(), &node_->disk_watch(), node_->wal(),
                    node_->checkpoints(), scrubber_.get(), repaired_);
  node_->wal()->SetSyncObserver(
      [this](Duration time) { client_port_->metrics()->ObserveWalWrite(time); });
  // From now on: who watches a member wants to know why it is not ready yet.
  metrics_gate_.Open([this](std::unique_ptr<io::Stream> stream, bool secure) {
    AcceptMetrics(std::move(stream), secure);
  });
  if (peer_port_ == nullptr) return;
  rafthttp()->set_on_round_trip([this](MemberId peer, Duration time) {
    client_port_->metrics()->ObservePeerRoundTrip(peer, time);
  });
  peer_gate_.Open([this](std::unique_ptr<io::Stream> stream, bool secure) {
    peer_port_->Accept(std::move(stream), secure);
  });
}

node::Options Server::Impl::NodeOptions() {
  node::Options options;
  options.request_timeout = config_.RequestTimeout();
  options.on_halt = [this](const absl::Status& why) { Fail(why); };
  options.on_checkpoint_failure = [this](const absl::Status& why) {
    LOG_WARN(&log_, "could not write a checkpoint; the log is kept until one succeeds",
             {"data-dir", config_.DataDir()}, {why});
  };
  options.on_leadership_change = [this] { OnLeadershipChange(); };
  LogWork(
      &log_, config_.warning_apply_duration, [this] { return node_->status(); }, &options);
  options.on_members_change = [this] {
    CheckMembersLater();
    if (node_->removed()) OnRemoved(kRemovalDelay);
  };
  WatchDisk(config_, &log_, &options);
  options.stopwatch = options_.stopwatch;
  options.replica = ReplicaConfig(config_);
  options.replica.hindrance = options_.hindrance;
  options.replica.cluster_id = cluster_id_;
  options.replica.member_id = member_id_;
  options.replica.run_id = static_cast<uint64_t>(env_.loop->WallNow().unix_millis());
  options.replica.raft.seed = env_.random->Next64();
  return options;
}

// At the end of the turn: peers must not go while their messages are handed out.
void Server::Impl::CheckMembersLater() {
  env_.loop->Defer([weak = std::weak_ptr<Impl*>(self_)] {
    if (const std::shared_ptr<Impl*> self = weak.lock()) (*self)->CheckMembers();
  });
}

// Tells the transport who the other members are. A log that does not know this member yet is
// behind what the cluster told when this member joined.
void Server::Impl::CheckMembers() {
  if (!node_->halted().ok() || peer_port_ == nullptr) return;
  PeerList peers;
  const std::vector<engine::MemberInfo> members = node_->members();
  const bool known = std::any_of(members.begin(), members.end(),
                                 [this](const auto& m) { return m.id == member_id_; });
  if (known) joined_members_.clear();
  for (const membership::Member& member : joined_members_) {
    peers.Set(member.id, member.peer_urls);
  }
  for (const engine::MemberInfo& member : members) peers.Set(member.id, member.peer_urls);
  rafthttp()->SetPeers(peers.Without(member_id_));
  members_timer_->Set(env_.loop->Now() + kMembersCheckInterval);
}

void Server::Impl::OnRemoved(Duration delay) {
  if (std::exchange(removed_, true) || state_ == State::kStopping) return;
  removal_timer_->Set(env_.loop->Now() + delay);
}

// As after Stop, but nobody asked for it.
void Server::Impl::EndRemoved() {
  if (state_ != State::kJoining && state_ != State::kReady) return;
  LOG_WARN(
      &log_, "server error",
      {absl::FailedPreconditionError("the member has been permanently removed from the cluster")});
  LOG_WARN(&log_, "data-dir used by this member must be removed", {"data-dir", config_.DataDir()});
  Stop([weak = std::weak_ptr<Impl*>(self_)] {
    const std::shared_ptr<Impl*> self = weak.lock();
    if (self != nullptr && (*self)->options_.on_removed != nullptr) (*self)->options_.on_removed();
  });
}

void Server::Impl::OnLeadershipChange() {
  const engine::ReplicaStatus status = node_->status();
  LOG_INFO(&log_, "raft leadership changed", {"local-member-id", config::HexId(member_id_)},
           {"leader", config::HexId(status.leader)}, {"term", status.term.value()});
  if (version_monitor_ != nullptr) version_monitor_->Check();
  client_port_->OnLeadershipChange();
  // Not from here: stopping may end in our owner destroying us and this node.
  if (state_ == State::kStopping && handing_over_) stop_timer_->Set(env_.loop->Now());
}

void Server::Impl::OnPublished() {
  if (state_ != State::kJoining) return;
  LOG_INFO(&log_, "published local member to cluster through raft",
           {"local-member-id", config::HexId(member_id_)},
           {"cluster-id", config::HexId(cluster_id_)}, {"name", config_.name},
           {"advertise-client-urls", config::UrlStrings(config_.advertise_client_urls)});
  corruption_monitor_->Start([this](const absl::Status& status) {
    if (state_ == State::kJoining) status.ok() ? ServeClients() : Fail(status);
  });
}

void Server::Impl::ServeClients() {
  state_ = State::kReady;
  LOG_INFO(&log_, "ready to serve client requests");
  client_gate_.Open([this](std::unique_ptr<io::Stream> stream, bool secure) {
    AcceptClient(std::move(stream), secure);
  });
  http_gate_.Open([this](std::unique_ptr<io::Stream> stream, bool secure) {
    AcceptHttp(std::move(stream), secure);
  });
  const std::vector<std::string> addresses = client_gate_.addresses();
  for (size_t i = 0; i < addresses.size(); ++i) {
    LOG_INFO(&log_,
             config_.listen_client_urls[i].secure()
                 ? "serving client traffic securely"
                 : "serving client traffic insecurely; this is strongly discouraged!",
             {"traffic", "grpc+http"}, {"address", addresses[i]});
  }
  if (options_.on_ready != nullptr) options_.on_ready();
}

size_t Server::Impl::ClientConnections() const {
  return client_port_->connections() + client_acceptor_->connections();
}

void Server::Impl::AcceptHttp(std::unique_ptr<io::Stream> stream, bool secure) {
  if (!secure) return client_port_->AcceptHttp(std::move(stream));
  if (ClientConnections() < config_.max_client_connections) {
    client_acceptor_->Accept(std::move(stream));
  }
}

void Server::Impl::AcceptMetrics(std::unique_ptr<io::Stream> stream, bool secure) {
  if (!secure) return client_port_->AcceptMetrics(std::move(stream));
  if (ClientConnections() < config_.max_client_connections) {
    metrics_acceptor_->Accept(std::move(stream));
  }
}

void Server::Impl::AcceptClient(std::unique_ptr<io::Stream> stream, bool secure) {
  if (ClientConnections() < config_.max_client_connections) {
    if (secure) return client_acceptor_->Accept(std::move(stream));
    if (config_.listen_client_http_urls.empty()) return client_port_->Accept(std::move(stream));
    return client_port_->AcceptGrpc(std::move(stream));
  }
  const Instant now = env_.loop->Now();
  if (now < next_rejection_notice_) return;
  next_rejection_notice_ = now + kRejectionNoticeInterval;
  LOG_WARN(&log_, "rejected connection on client endpoint", {"remote-addr", stream->peer_address()},
           {"connections", ClientConnections()}, {"error", "too many connections"});
}

void Server::Impl::Fail(const absl::Status& why) {
  if (state_ == State::kFailed || state_ == State::kStopped) return;
  const bool stopping = state_ == State::kStopping;
  state_ = State::kFailed;
  QUORATE_LOG(&log_, log::Level::kFatal, "the server cannot go on", {"name", config_.name},
              {"data-dir", config_.DataDir()}, {why});
  CloseClientGates();
  peer_gate_.Close();
  members_timer_->Cancel();
  stop_timer_->Cancel();
  removal_timer_->Cancel();
  if (client_port_ != nullptr) client_port_->Drain();
  if (scrubber_ != nullptr) scrubber_->Stop();
  if (node_ != nullptr) node_->Stop(why);
  // Its owner may destroy this server from there.
  env_.loop->Defer([weak = std::weak_ptr<Impl*>(self_), why, stopping] {
    const std::shared_ptr<Impl*> self = weak.lock();
    if (self == nullptr) return;
    if (stopping) return (*self)->FinishStop();
    if ((*self)->options_.on_failure != nullptr) (*self)->options_.on_failure(why);
  });
}

void Server::Impl::Stop(std::function<void()> done) {
  // It may be on its way already, since it was removed from the cluster.
  const bool ending = removed_ && (state_ == State::kStopping || state_ == State::kStopped);
  CHECK(ending || (state_ != State::kStopping && state_ != State::kStopped));
  stopped_ = std::move(done);
  if (ending) {
    if (state_ == State::kStopped) stop_timer_->Set(env_.loop->Now());
    return;
  }
  if (state_ == State::kFailed || node_ == nullptr) {
    stop_deadline_ = env_.loop->Now();
    stop_timer_->Set(stop_deadline_);
    if (state_ != State::kFailed) state_ = State::kStopping;
    return;
  }
  state_ = State::kStopping;
  handing_over_ = TransferLeadership();
  stop_deadline_ = env_.loop->Now();
  if (handing_over_) stop_deadline_ = stop_deadline_ + config_.election_timeout;
  stop_timer_->Set(stop_deadline_);
}

bool Server::Impl::IsInReach(MemberId peer) const {
  if (peer_port_ == nullptr) return !transport_->PeerVersion(peer).empty();
  const auto found = rafthttp()->peers().find(peer);
  if (found == rafthttp()->peers().end()) return false;
  return found->second->sending() && found->second->receiving();
}

// True if there is a leadership to hand over and somebody to take it: whoever has most of our log
// has to wait least before it can lead.
bool Server::Impl::TransferLeadership() {
  if (node_->status().role != engine::Role::kLeader) return false;
  std::optional<MemberId> heir;
  for (const engine::MemberInfo& member : node_->members()) {
    if (member.id == member_id_ || member.is_learner || !IsInReach(member.id)) continue;
    if (!heir.has_value() || node_->MatchOf(member.id) > node_->MatchOf(*heir)) heir = member.id;
  }
  if (!heir.has_value()) return false;
  LOG_INFO(&log_, "leadership transfer starting", {"local-member-id", config::HexId(member_id_)},
           {"transferee-member-id", config::HexId(*heir)});
  node_->TransferLeadership(*heir);
  return true;
}

void Server::Impl::OnStopTimer() {
  const Instant now = env_.loop->Now();
  if (handing_over_) {
    const engine::ReplicaStatus status = node_->status();
    const bool done = status.leader != member_id_ && status.leader != MemberId(0);
    if (!done && now < stop_deadline_) return stop_timer_->Set(stop_deadline_);
    handing_over_ = false;
    LOG_INFO(&log_, done ? "leadership transfer completed" : "leadership transfer timed out",
             {"leader", config::HexId(status.leader)});
  }
  CloseClientGates();
  if (node_ == nullptr || state_ != State::kStopping) return FinishStop();
  if (node_->halted().ok()) {
    scrubber_->Stop();
    node_->Stop(absl::CancelledError("the server was asked to stop"));
    client_port_->Drain();
    stop_deadline_ = now + kDrainTimeout;
  }
  if (client_port_->connections() == 0 || now >= stop_deadline_) return FinishStop();
  stop_timer_->Set(now + kDrainPollInterval);
}

void Server::Impl::FinishStop() {
  peer_gate_.Close();
  members_timer_->Cancel();
  stop_timer_->Cancel();
  removal_timer_->Cancel();
  if (state_ == State::kStopping) state_ = State::kStopped;
  LOG_INFO(&log_, "stopped the server", {"name", config_.name});
  // Last: its owner may destroy this server from there.
  if (stopped_ != nullptr) {
    const std::function<void()> stopped = std::exchange(stopped_, nullptr);
    stopped();
  }
}

Server::Server(const io::Env& env, config::Config config, Options options)
    : impl_(std::make_unique<Impl>(env, std::move(config), std::move(options))) {}
Server::~Server() = default;
void Server::Start() { impl_->Start(); }
void Server::Stop(std::function<void()> done) { impl_->Stop(std::move(done)); }
void Server::ToggleDebugLog() { impl_->ToggleDebugLog(); }
State Server::state() const { return impl_->state(); }
node::Node* Server::node() { return impl_->node(); }
node::PeerSink* Server::peer_sink() { return impl_->peer_sink(); }
bool Server::repaired() const { return impl_->repaired(); }
MemberId Server::member_id() const { return impl_->member_id(); }
ClusterId Server::cluster_id() const { return impl_->cluster_id(); }
const config::Config& Server::config() const { return impl_->config(); }

}  // namespace quorate::server
