#include "sim/cluster.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/coding.h"
#include "base/crc32c.h"
#include "engine/raft/codec.h"
#include "server/bootstrap.h"
#include "server/peer/snapshot_chunks.h"
#include "sim/describe_message.h"
#include "sim/oracle/membership.h"
#include "sim/story.h"
#include "storage/wal.h"

namespace quorate::sim {
namespace {

constexpr TraceKind kReady("ready", "incarnation");
constexpr TraceKind kRemoved("removed", "incarnation");
constexpr TraceKind kFailed("failed", "incarnation");
constexpr TraceKind kLeads("leads", "term");
constexpr TraceKind kChecksum("frame-checksum-mismatch", "bytes");

constexpr size_t kChecksumBytes = 4;
// Without a word from the receiver a snapshot counts as lost.
constexpr Duration kSnapshotPatience = Seconds(1);

// Types of datagrams beyond raft's, for filters.
constexpr DatagramType kForwardType = 43;
constexpr DatagramType kForwardedType = 44;
// What a message weighs besides its body, and how long the one asked may take.
constexpr size_t kForwardOverheadBytes = 64;
constexpr Duration kForwardTimeout = Seconds(1);

// checksum, message; and perhaps a field of a later version: number 1000, two bytes.
Bytes Frame(const raft::Message& message, bool unknown_field) {
  static constexpr absl::string_view kUnknownField = "\xc2\x3e\x02??";
  BytesBuilder out(kChecksumBytes + raft::EncodedSize(message) + kUnknownField.size());
  out.Grow(kChecksumBytes);
  raft::EncodeMessage(message, &out);
  if (unknown_field) out.Append(kUnknownField);
  StoreLe32(out.data(), Crc32c(out.view().substr(kChecksumBytes)));
  return std::move(out).Finish();
}

// How much later one member can see an election timeout end than another: one clock at the
// slowest rate that the nemesis gives, the other at the fastest; and a bit for rounding.
Duration ClockDriftBound(const Options& options) {
  const FaultPlan& clocks = options.plan(FaultClass::kClock);
  if (!clocks.on || options.plan(FaultClass::kUnderstatedDrift).on) return Microseconds(1);
  const auto ppm = static_cast<int64_t>(clocks.ppm);
  return options.election_timeout * (ppm + SlowestClockPpm(ppm)) / (1'000'000 + ppm) +
         Microseconds(1);
}

config::Url UrlOf(size_t member, uint16_t port) {
  return config::Url{"http", Cluster::HostName(member), port};
}

// What sim/settings.cc changes.
std::vector<uint64_t> SettingsOf(const config::Config& flags) {
  return {flags.max_append_bytes,         flags.max_apply_entries,   flags.snapshot_count,
          flags.snapshot_catchup_entries, flags.store_segment_bytes, flags.checkpoint_pack_bytes,
          flags.watch_reply_bytes,        flags.max_turn_work,       flags.pre_vote ? 1U : 0U};
}

}  // namespace

// What one process of a member sends through in typed mode.
class Cluster::Transport final : public node::PeerTransport {
 public:
  Transport(Cluster* cluster, size_t member) : cluster_(cluster), member_(member) {}

  void Send(absl::Span<raft::Message> messages) override { cluster_->Send(member_, messages); }
  void Forward(MemberId to, engine::RequestKind kind, const Bytes& body,
               node::ForwardCallback done) override {
    cluster_->Forward(member_, to, kind, body, std::move(done));
  }
  void SendSnapshot(raft::Message message, engine::StateImage image) override {
    cluster_->SendSnapshot(member_, std::move(message), std::move(image));
  }
  std::string PeerVersion(MemberId peer) const override {
    const size_t number = cluster_->NumberOf(peer);
    return number == 0 ? config::kServerVersion : cluster_->At(number).announced;
  }

 private:
  Cluster* const cluster_;
  const size_t member_;
};

Cluster::Cluster(const Context& context, Network* network, const Options& options, Judge* judge,
                 RaftOracle::CommitSink on_commit)
    : context_(context),
      network_(network),
      streams_(options.streams),
      corrupt_prng_(NamedDraw(context.seed, HashName("cluster"), HashName("corrupt"), 0)),
      restart_prng_(NamedDraw(context.seed, HashName("cluster"), HashName("restart"), 0)),
      unknown_field_prng_(
          NamedDraw(context.seed, HashName("cluster"), HashName("unknown-field"), 0)),
      judge_(judge) {
  std::vector<MemberId> ids;
  for (size_t m = 1; m <= options.members + options.spares; ++m) {
    auto member = std::make_unique<Member>();
    member->number = m;
    member->config = ConfigOf(m, options.members, options);
    if (m <= options.members) {
      const server::Foundation foundation = server::FoundationOf(member->config);
      member->id = foundation.member_id;
      cluster_id_ = foundation.cluster_id;
      active_.push_back(m);
      configured_.insert(m);
    } else {
      member->config.initial_cluster_state = config::ClusterState::kExisting;
    }
    HostOptions host;
    host.turns = options.turns;
    host.disk = options.disk;
    member->host = std::make_unique<Host>(context, network, HostName(m), host);
    ids.push_back(member->id);
    members_.push_back(std::move(member));
  }
  oracle_ = std::make_unique<RaftOracle>(judge, std::move(ids), options.members,
                                         std::move(on_commit), MembershipRule());
}

Cluster::~Cluster() {
  for (auto& member : members_) {
    context_.scheduler->Cancel(member->restart);
    if (member->host->running()) member->host->Exit();
    member->server.reset();
  }
}

std::string Cluster::HostName(size_t member) { return absl::StrCat("m", member); }

config::Config Cluster::ConfigOf(size_t member, size_t members, const Options& options) const {
  config::Config config;
  config.name = HostName(member);
  config.data_dir = "/data";
  config.listen_client_urls = {UrlOf(member, kClientPort)};
  config.advertise_client_urls = config.listen_client_urls;
  config.listen_peer_urls = {UrlOf(member, kPeerPort)};
  config.initial_advertise_peer_urls = config.listen_peer_urls;
  for (size_t m = 1; m <= members; ++m) {
    config.initial_cluster.push_back({HostName(m), {UrlOf(m, kPeerPort)}});
  }
  config.heartbeat_interval = options.heartbeat_interval;
  config.election_timeout = options.election_timeout;
  config.pre_vote = options.pre_vote;
  config.wal_segment_bytes = options.wal_segment_bytes;
  config.wal_first_segment_bytes = options.wal_first_segment_bytes;
  config.disk_reserve_bytes = 4 * options.wal_segment_bytes;
  config.store_segment_bytes = options.store_segment_bytes;
  config.snapshot_count = options.snapshot_count;
  config.snapshot_catchup_entries = options.snapshot_catchup_entries;
  config.checkpoint_interval = options.checkpoint_interval;
  config.checkpoint_pack_bytes = options.checkpoint_pack_bytes;
  config.max_append_bytes = options.max_append_bytes;
  config.max_apply_entries = options.max_apply_entries;
  config.max_inflight_messages = options.max_inflight_messages;
  config.max_inflight_bytes = options.max_inflight_bytes;
  config.max_uncommitted_bytes = options.max_uncommitted_bytes;
  config.max_pending_proposals = options.max_pending_proposals;
  config.max_pending_lease_calls = options.max_pending_lease_calls;
  config.watch_reply_bytes = options.watch_reply_bytes;
  config.copied_answer_bytes = options.copied_answer_bytes;
  config.max_dead_answer_bytes = options.max_dead_answer_bytes;
  config.watch_progress_notify_interval = options.watch_progress_interval;
  if (options.lease_reads) config.lease_read_clock_drift = ClockDriftBound(options);
  config.max_turn_work = options.max_turn_work;
  config.auth_token_ttl = options.auth_token_ttl;
  config.bcrypt_cost = 4;  // the least: nobody is after these passwords
  config.lease_checkpoint_interval = options.lease_checkpoint_interval;
  config.corrupt_check_time = options.corrupt_check_interval;
  config.compact_hash_check = options.corrupt_check_interval > Duration();
  config.compact_hash_check_time = options.corrupt_check_interval;
  config.strict_reconfig_check = options.strict_reconfig_check;
  config.reconfig_health_window = options.reconfig_health_window;
  config.log_level = "error";
  return config;
}

void Cluster::Start(size_t number) {
  Member& member = At(number);
  CHECK(!running(number));
  context_.scheduler->Cancel(member.restart);
  const io::Env env = member.host->Boot();
  member.heard.clear();
  server::Options options;
  if (member.config.initial_cluster_state == config::ClusterState::kExisting) {
    Join(&member, &options);
  } else if (!streams_) {
    options.join = WhatOthersTell(number);
  }
  options.hindrance = &member.hindrance;
  const uint64_t incarnation = member.host->incarnation();
  options.on_ready = [this, &member, incarnation, settings = SettingsOf(member.config)] {
    context_.Record(member.host->id(), kReady, incarnation);
    const bool changed = !member.settings.empty() && member.settings != settings;
    if (changed) context_.Inject(Fault::kSettingsChanged, member.host->id(), incarnation);
    member.settings = settings;
  };
  options.on_failure = [this, number](const absl::Status& why) { OnFailure(number, why); };
  options.on_removed = [this, number, host = member.host->id(), incarnation] {
    context_.Record(host, kRemoved, incarnation);
    context_.scheduler->After(Nanoseconds(0), [this, number, incarnation] {
      if (running(number) && this->incarnation(number) == incarnation) {
        Crash(number, CrashKind::kKill, Duration::Infinite());
      }
    });
  };
  if (!streams_) {
    member.transport = std::make_unique<Transport>(this, number);
    options.peer_transport = member.transport.get();
    options.listen_for_clients = false;
  }
  member.server = std::make_unique<server::Server>(env, member.config, std::move(options));
  member.host->Run([server = member.server.get()] { server->Start(); });
}

void Cluster::RestartInOrder(size_t number, Duration downtime) {
  Member& member = At(number);
  const uint64_t incarnation = member.host->incarnation();
  member.host->Run([this, &member, number, incarnation, downtime] {
    if (!ready(number)) return;  // a process that stood still may be told twice
    member.server->Stop([this, number, incarnation, downtime] {
      context_.scheduler->After(Nanoseconds(0), [this, number, incarnation, downtime] {
        if (running(number) && this->incarnation(number) == incarnation) {
          Crash(number, CrashKind::kKill, downtime);
        }
      });
    });
  });
}

void Cluster::StartAll() {
  for (size_t m = 1; m <= size(); ++m) {
    if (At(m).retired && running(m)) Crash(m, CrashKind::kKill, Duration::Infinite());
    if (IsActive(m) && !running(m)) Start(m);
  }
}

void Cluster::Crash(size_t number, CrashKind kind, Duration downtime) {
  Member& member = At(number);
  if (!running(number)) return;
  CountRareEvents(&member);
  member.host->Crash(kind);
  member.server.reset();
  member.transport.reset();
  if (!streams_) Disconnect(number);
  if (downtime == Duration::Infinite() || member.retired) return;
  member.restart = context_.scheduler->After(downtime, [this, number] { Start(number); });
}

// The others notice that its connections are gone.
void Cluster::Disconnect(size_t number) {
  for (const auto& other : members_) {
    if (other->heard.erase(At(number).id) == 0 || other->server == nullptr) continue;
    other->host->Run([this, number, to = other->number] {
      // A process that stood still may hear of the new one before it hears of the old one's end.
      if (At(to).heard.contains(At(number).id)) return;
      if (node::Node* const n = node(to)) n->OnPeerConnected(At(number).id, false);
    });
  }
}

// The member stopped by itself (a disk that failed, above all). Whoever runs it starts
// it again after a while, as a service manager does.
void Cluster::OnFailure(size_t number, const absl::Status& why) {
  Member& member = At(number);
  context_.Record(member.host->id(), kFailed, member.host->incarnation());
  failures_.push_back(absl::StrCat("member ", number, ": ", why.ToString()));
  if (!member.refusal.empty() && absl::IsFailedPrecondition(why)) {
    if (absl::StrContains(why.message(), member.refusal)) {
      context_.Inject(Fault::kDirectoryRefused, member.host->id());
    } else {
      judge_->Report(Rule::kRecovery, context_.now(),
                     absl::StrCat("member ", number, " stopped for another reason than that '",
                                  member.refusal, "': ", why.message()));
    }
  }
  const Duration downtime = restart_prng_.Between(Milliseconds(10), Seconds(2));
  context_.scheduler->After(Nanoseconds(0),
                            [this, number, downtime, incarnation = member.host->incarnation()] {
                              if (running(number) && this->incarnation(number) == incarnation) {
                                Crash(number, CrashKind::kKill, downtime);
                              }
                            });
}

bool Cluster::ready(size_t member) const {
  const Member& m = At(member);
  return m.server != nullptr && m.server->state() == server::State::kReady;
}

node::Node* Cluster::node(size_t member) {
  Member& m = At(member);
  return m.server == nullptr ? nullptr : m.server->node();
}

size_t Cluster::Leader() {
  size_t leader = 0;
  Term highest;
  for (size_t m = 1; m <= size(); ++m) {
    node::Node* const n = node(m);
    if (n == nullptr) continue;
    const engine::ReplicaInspector& inspector = n->replica().inspector();
    if (inspector.role() != engine::Role::kLeader) continue;
    const Term term = inspector.hard_state().term;
    if (leader == 0 || term > highest) {
      leader = m;
      highest = term;
    }
  }
  return leader;
}

void Cluster::AnnounceVersion(size_t number, const std::string& version) {
  Member& member = At(number);
  member.announced = version;
  member.newer = *config::ParseVersion(version) > *config::ParseVersion(config::kServerVersion);
}

void Cluster::TransferLeadership(size_t to) {
  const size_t from = Leader();
  if (from == 0 || from == to) return;
  context_.Inject(Fault::kLeaderTransfer, At(from).host->id(), to);
  At(from).host->Run([this, from, id = At(to).id] {
    if (node::Node* const n = node(from)) n->TransferLeadership(id);
  });
}

void Cluster::Observe() {
  for (const auto& member : members_) {
    if (member->server == nullptr) continue;
    node::Node* const n = member->server->node();
    if (n == nullptr) continue;
    const uint64_t incarnation = member->host->incarnation();
    if (member->incarnation_seen == incarnation && member->turns_seen == n->counters().turns) {
      continue;
    }
    ObserveNow(member.get());
  }
}

void Cluster::ObserveNow(Member* member) {
  node::Node* const n = member->server->node();
  if (n == nullptr) return;
  if (!member->refusal.empty()) {
    judge_->Report(Rule::kRecovery, context_.now(),
                   absl::StrCat("member ", member->number, " runs, though its data directory '",
                                std::exchange(member->refusal, ""), "'"));
  }
  const uint64_t elections = oracle_->leaders_elected();
  member->incarnation_seen = member->host->incarnation();
  member->turns_seen = n->counters().turns;
  const engine::ReplicaInspector& inspector = n->replica().inspector();
  oracle_->Observe(context_.now(), member->number, member->incarnation_seen, inspector,
                   member->server->repaired());
  CountCheckpoints(member, n);
  if (context_.story != nullptr) {
    const raft::HardState state = inspector.hard_state();
    context_.story->OnState({context_.now(), member->host->id(),
                             static_cast<uint32_t>(inspector.role()), state.term.value(),
                             state.commit.value(), inspector.applied().value(),
                             inspector.last_index().value()});
  }
  if (oracle_->leaders_elected() != elections) {
    context_.Record(member->host->id(), kLeads, inspector.hard_state().term.value());
  }
}

void Cluster::CountCheckpoints(Member* member, const node::Node* n) {
  storage::CheckpointStats now = n->checkpoints()->stats();
  const uint64_t cut = n->wal()->stats().segments_cut;
  if (member->checkpoints_of != member->incarnation_seen) {
    member->checkpoints_of = member->incarnation_seen;
    member->checkpoints_seen = {};
    member->cut_seen = 0;
    if (n->status().checkpoint > LogIndex(0)) ++checkpoints_.restarts;
    if (member->server->repaired()) ++checkpoints_.repairs;
  }
  checkpoints_.taken += now.taken - member->checkpoints_seen.taken;
  checkpoints_.installed += now.installed - member->checkpoints_seen.installed;
  checkpoints_.segments_cut += cut - member->cut_seen;
  member->checkpoints_seen = now;
  member->cut_seen = cut;
}

// Once for each process, when it ends or the run does: nothing that every turn should pay for.
void Cluster::CountRareEvents(Member* member) {
  node::Node* const n = member->server == nullptr ? nullptr : member->server->node();
  if (n == nullptr) return;
  const SometimesCounts now = CountSometimes(*n);
  for (size_t i = 0; i < kSometimes; ++i) sometimes_[i] += now[i];
}

SometimesCounts Cluster::Sometimes() {
  SometimesCounts before = sometimes_;
  for (const auto& member : members_) CountRareEvents(member.get());
  return std::exchange(sometimes_, before);
}

size_t Cluster::NumberOf(MemberId id) const {
  for (const auto& member : members_) {
    if (member->id == id) return member->number;
  }
  return 0;
}

void Cluster::Send(size_t from, absl::Span<raft::Message> messages) {
  Member& sender = At(from);
  ObserveNow(&sender);
  for (const raft::Message& message : messages) {
    oracle_->OnSend(context_.now(), from, message);
    const size_t to = NumberOf(message.to);
    if (to == 0) continue;
    const bool unknown_field = sender.newer && unknown_field_prng_.Chance(1, 2);
    if (unknown_field) context_.Inject(Fault::kUnknownField, sender.host->id());
    Bytes frame = Frame(message, unknown_field);
    if (corrupt_ppm_ > 0 && corrupt_prng_.Chance(corrupt_ppm_, 1'000'000)) {
      frame = Corrupted(frame, sender.host->id());
    }
    const size_t size = frame.size();
    ++frames_;
    Tell(from, to, message);
    network_->Send(
        sender.host->id(), At(to).host->id(), static_cast<DatagramType>(message.type), size,
        [this, to, number = frames_, frame = std::move(frame)] { Deliver(to, number, frame); });
  }
}

// A bit flips, or some of the end is missing.
Bytes Cluster::Corrupted(const Bytes& frame, HostId from) {
  if (corrupt_prng_.Chance(1, 3)) {
    const size_t kept = corrupt_prng_.Below(frame.size());
    context_.Inject(Fault::kDatagramCut, from, kept);
    return frame.Slice(0, kept);
  }
  std::string bytes(frame.data(), frame.size());
  const uint64_t bit = corrupt_prng_.Below(bytes.size() * 8);
  bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
  context_.Inject(Fault::kDatagramCorrupt, from, bit);
  return Bytes::Copy(bytes);
}

void Cluster::Tell(size_t from, size_t to, const raft::Message& message) {
  if (context_.story == nullptr) return;
  Story::Message told;
  told.id = frames_;
  told.from = At(from).host->id();
  told.to = At(to).host->id();
  told.sent = context_.now();
  told.type = std::string(NameOf(message.type));
  told.text = Describe(message);
  context_.story->Sent(std::move(told));
}

// There and back as datagrams; what is lost stays without an answer.
void Cluster::Forward(size_t from, MemberId to_id, engine::RequestKind kind, const Bytes& body,
                      node::ForwardCallback done) {
  const size_t to = NumberOf(to_id);
  if (to == 0) return;
  const auto answer = [this, from, to, done = std::move(done)](absl::Status status, Bytes reply) {
    // Before the reply is moved: a compiler may evaluate the last argument first.
    const size_t size = reply.size() + kForwardOverheadBytes;
    network_->Send(
        At(to).host->id(), At(from).host->id(), kForwardedType, size,
        [done, status = std::move(status), reply = std::move(reply)] { done(status, reply); });
  };
  network_->Send(At(from).host->id(), At(to).host->id(), kForwardType,
                 body.size() + kForwardOverheadBytes, [this, to, kind, body, answer] {
                   node::Node* const n = node(to);
                   if (n == nullptr) return;
                   n->OnForwarded(engine::PeerKindOf(kind), body, kForwardTimeout, answer);
                 });
}

// The chunks of a transfer as one datagram, and one that says that it has arrived.
void Cluster::SendSnapshot(size_t from, raft::Message message, engine::StateImage image) {
  Member& sender = At(from);
  ObserveNow(&sender);
  const MemberId to_id = message.to;
  const size_t to = NumberOf(to_id);
  CHECK(to != 0);
  const size_t size = image.bytes();
  ++frames_;
  Tell(from, to, message);
  peer::SnapshotChunker chunker(frames_, std::move(message), std::move(image));
  const uint64_t number = frames_;
  std::vector<Bytes> chunks;
  while (!chunker.done()) {
    BytesBuilder chunk;
    for (const Bytes& piece : chunker.Next()) chunk.Append(piece);
    chunks.push_back(std::move(chunk).Finish());
  }
  const uint64_t incarnation = sender.host->incarnation();
  const auto reported = std::make_shared<bool>(false);
  constexpr auto kType = static_cast<DatagramType>(raft::MessageType::kSnap);
  const HostId from_host = sender.host->id();
  const HostId to_host = At(to).host->id();
  network_->Send(from_host, to_host, kType, size, [=, this] {
    if (context_.story != nullptr) context_.story->Arrived(number, context_.now());
    DeliverSnapshot(to, chunks);
    network_->Send(to_host, from_host, kType, 64, [=, this] {
      if (std::exchange(*reported, true) || this->incarnation(from) != incarnation) return;
      if (node::Node* const n = node(from)) n->ReportSnapshotSent(to_id, true);
    });
  });
  context_.scheduler->After(kSnapshotPatience, [=, this] {
    if (!std::exchange(*reported, true)) ReportSnapshot(from, incarnation, to_id, false);
  });
}

void Cluster::DeliverSnapshot(size_t to, const std::vector<Bytes>& chunks) {
  server::Server* const server = At(to).server.get();
  node::PeerSink* const sink = server == nullptr ? nullptr : server->peer_sink();
  if (sink == nullptr) return;
  peer::SnapshotAssembler assembler;
  std::optional<peer::SnapshotAssembler::Arrived> arrived;
  for (const Bytes& chunk : chunks) {
    const absl::Status status = assembler.Add(chunk, &arrived);
    CHECK_MSG(status.ok(), status.ToString());
  }
  CHECK(arrived.has_value());
  const node::Node* const n = node(to);
  if (n == nullptr) {
    return sink->OnSnapshot(std::move(arrived->message), std::move(arrived->image));
  }
  const engine::ReplicaInspector& inspector = n->replica().inspector();
  const raft::Message message = arrived->message;
  const RaftOracle::Before before = oracle_->BeforeMessage(message, inspector);
  sink->OnSnapshot(std::move(arrived->message), std::move(arrived->image));
  oracle_->AfterMessage(context_.now(), to, message, before, inspector);
}

void Cluster::ReportSnapshot(size_t from, uint64_t incarnation, MemberId to, bool ok) {
  if (!running(from) || this->incarnation(from) != incarnation) return;
  At(from).host->Run([this, from, to, ok] {
    if (node::Node* const n = node(from)) n->ReportSnapshotSent(to, ok);
  });
}

void Cluster::Deliver(size_t to, uint64_t number, const Bytes& frame) {
  if (context_.story != nullptr) context_.story->Arrived(number, context_.now());
  node::Node* const n = node(to);
  if (n == nullptr) return;  // it is still reading its disk
  const size_t head = std::min(kChecksumBytes, frame.size());
  const Bytes body = frame.Slice(head, frame.size() - head);
  if (head < kChecksumBytes || Crc32c(body) != LoadLe32(frame.data())) {
    context_.Record(At(to).host->id(), kChecksum, frame.size());
    return;
  }
  absl::StatusOr<raft::Message> message = raft::DecodeMessage(body);
  if (!message.ok()) {
    judge_->Report(Rule::kLogMatching, context_.now(),
                   absl::StrCat("member ", to, " cannot decode a message that a member encoded: ",
                                message.status().message()));
    return;
  }
  if (message->type == raft::MessageType::kProp && !At(to).proposals.insert(number).second) return;
  if (At(to).heard.insert(message->from).second) n->OnPeerConnected(message->from, true);
  const engine::ReplicaInspector& inspector = n->replica().inspector();
  const RaftOracle::Before before = oracle_->BeforeMessage(*message, inspector);
  if (!before.removed) return n->OnPeerMessage(*std::move(message));
  n->OnPeerMessage(*message);
  oracle_->AfterMessage(context_.now(), to, *message, before, inspector);
}

}  // namespace quorate::sim
