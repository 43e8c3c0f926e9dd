#include "server/node/node.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "storage/checkpoints.h"
#include "storage/wal.h"

namespace quorate::node {
namespace {

// Calls that time out in one go of the loop, at a few microseconds each.
constexpr size_t kTimeoutsAtOnce = 256;

// Texts that clients match on.
absl::Status ServerStopped() { return absl::UnavailableError("etcdserver: server stopped"); }
absl::Status TimedOut() { return absl::UnavailableError("etcdserver: request timed out"); }

// A start must be able to fall back to the checkpoint before the newest.
void CutLog(LogIndex index, const storage::Checkpoints* checkpoints, storage::Wal* wal) {
  if (checkpoints != nullptr) index = std::min(index, checkpoints->fallback_index());
  wal->Cut(index);
}

}  // namespace

WatchStream::WatchStream(WatchStream&& other) noexcept
    : node_(std::move(other.node_)), token_(std::exchange(other.token_, engine::StreamToken())) {
  other.node_.reset();
}

WatchStream& WatchStream::operator=(WatchStream&& other) noexcept {
  if (this == &other) return *this;
  Close();
  node_ = std::move(other.node_);
  token_ = std::exchange(other.token_, engine::StreamToken());
  other.node_.reset();
  return *this;
}

WatchStream::~WatchStream() { Close(); }

Node* WatchStream::node() const {
  const std::shared_ptr<Node*> node = node_.lock();
  return node == nullptr ? nullptr : *node;
}

void WatchStream::Request(Bytes body) {
  if (Node* n = node()) n->StepEvent(engine::WatchRequestBytes{token_, std::move(body)});
}

void WatchStream::SetWritable(bool writable) {
  if (Node* n = node()) n->StepEvent(engine::WatchWritable{token_, writable});
}

void WatchStream::Close() {
  Node* n = node();
  node_.reset();
  if (n == nullptr) return;
  n->watch_sinks_.erase(token_);
  n->StepEvent(engine::WatchClose{token_});
}

Node::Node(const io::Env& env, Options options, engine::Recovered recovered,
           std::unique_ptr<storage::Wal> wal, std::unique_ptr<storage::Checkpoints> checkpoints,
           PeerTransport* transport)
    : env_(env),
      options_(std::move(options)),
      transport_(transport),
      replica_(options_.replica, std::move(recovered), env.loop->Now()),
      wal_(std::move(wal)),
      checkpoints_(std::move(checkpoints)),
      disk_watch_(env, options_.disk, wal_.get(),
                  [this](const engine::DiskState& state) { OnDiskState(state); }),
      calls_(options_.request_timeout),
      self_(std::make_shared<Node*>(this)) {
  CHECK(transport_ != nullptr);
  CHECK(wal_ != nullptr);
  CHECK(options_.max_turn_ends > 0);
  wake_timer_ = env_.loop->NewTimer([this] { OnWake(); });
  call_timer_ = env_.loop->NewTimer([this] { OnCallTimeout(); });
  continue_timer_ = env_.loop->NewTimer([this] { ScheduleTurn(); });
  StepEvent(engine::TimePassed{});
}

Node::~Node() = default;

CallId Node::Call(RequestKind kind, Bytes body, Duration timeout, ReplyCallback done,
                  engine::Credentials credentials) {
  ++counters_.calls;
  const CallId id = calls_.Add(env_.loop->Now(), timeout, std::move(done), kind);
  if (!halted_.ok()) {
    ScheduleTurn();  // which answers it
    return id;
  }
  ArmCallTimer();
  StepEvent(engine::ClientRequest{id, kind, std::move(body), std::move(credentials)});
  return id;
}

void Node::NoteEnd(CallId call, bool read, bool ok, Instant now) {
  const CallTable::Beginning* const beginning = calls_.Find(call);
  if (beginning != nullptr) times_.AddRequest(beginning->kind, read, ok, now - beginning->at);
}

void Node::Abandon(CallId call) {
  NoteEnd(call, /*read=*/false, /*ok=*/false, env_.loop->Now());
  if (calls_.Take(call) != nullptr) StepEvent(engine::AbandonRequest{call});
}

WatchStream Node::OpenWatch(WatchSink* sink, engine::Credentials credentials) {
  const engine::StreamToken token(++last_stream_token_);
  watch_sinks_.emplace(token, sink);
  StepEvent(engine::WatchOpen{token, std::move(credentials)});
  if (!halted_.ok()) ScheduleTurn();  // which ends it
  return WatchStream(self_, token);
}

// As etcd's members do, on whichever way it came: a connection may be older than the removal.
void Node::OnPeerMessage(raft::Message message) {
  ++counters_.messages_received;
  if (replica_.IsRemoved(message.from)) return;
  StepEvent(engine::PeerMessage{std::move(message)});
}

void Node::OnSnapshot(raft::Message message, engine::StateImage image) {
  ++counters_.messages_received;
  if (checkpoints_ == nullptr || replica_.IsRemoved(message.from)) return;
  StepEvent(engine::SnapshotReceived{std::move(message), std::move(image)});
}

void Node::OnPeerConnected(MemberId peer, bool up) { StepEvent(engine::PeerConnected{peer, up}); }

void Node::ReportUnreachable(MemberId peer) { StepEvent(engine::PeerUnreachable{peer}); }

void Node::ReportSnapshotSent(MemberId peer, bool ok) { StepEvent(engine::SnapshotSent{peer, ok}); }

CallId Node::OnForwarded(RequestKind kind, Bytes body, Duration timeout, ForwardCallback done) {
  engine::Credentials credentials;
  if (kind == RequestKind::kHashKv) credentials = engine::OwnCredentials();
  return Call(kind, std::move(body), timeout, std::move(done), std::move(credentials));
}

void Node::TransferLeadership(MemberId target) { StepEvent(engine::TransferLeadership{target}); }

void Node::Stop(const absl::Status& reason) {
  CHECK(!reason.ok());
  if (!halted_.ok()) return;
  halted_ = reason;
  ScheduleTurn();
}

template <typename Event>
void Node::StepEvent(Event&& event) {
  if (!halted_.ok()) return;
  replica_.Step(engine::Input{env_.loop->Now(), env_.loop->WallNow(), std::forward<Event>(event)},
                out_);
  ScheduleTurn();
}

void Node::ScheduleTurn() {
  if (turn_scheduled_) return;
  turn_scheduled_ = true;
  env_.loop->Defer([self = std::weak_ptr<Node*>(self_)] {
    if (const std::shared_ptr<Node*> node = self.lock()) (*node)->RunTurn();
  });
}

void Node::EndTurn() {
  ++counters_.turn_ends;
  const Instant begun = Measured();
  const uint64_t before = replica_.done().all;
  replica_.Step(engine::Input{env_.loop->Now(), env_.loop->WallNow(), engine::TurnEnd{}}, out_);
  const Duration took = Measured() - begun;
  const uint64_t done = replica_.done().all - before;
  times_.AddTurn(replica_.done(), took);
  const bool is_long = options_.long_turn > Duration() && took > options_.long_turn;
  if (is_long && done > 0 && options_.on_long_turn != nullptr) options_.on_long_turn(took, done);
  trace_.NoteTurn(env_.loop->Now(), took);
}

void Node::RunTurn() {
  turn_scheduled_ = false;
  if (!halted_.ok()) return EndService();
  ++counters_.turns;
  int turn_ends = 0;
  do {
    if (out_->turn_end_wanted) {
      EndTurn();
    }
    HandOut();
    if (!halted_.ok()) return;
  } while (out_->turn_end_wanted && !out_->only_long_work && ++turn_ends < options_.max_turn_ends);
  // More is left than one turn may take: let the loop do its I/O first.
  if (out_->turn_end_wanted) continue_timer_->Set(env_.loop->Now());
  ArmWake(out_->next_wake);
  NoticeLeadership();
  NoticeMembers();
  NoticeCompactions();
}

// The one place where effects happen, in the order that engine/replica/output.h asks for:
// messages wait for nothing that is not durable, so they leave first; the log's units
// follow in ticket order; answers come last.
void Node::HandOut() {
  std::swap(out_, handing_out_);
  out_->turn_end_wanted = handing_out_->turn_end_wanted;
  out_->only_long_work = handing_out_->only_long_work;
  out_->next_wake = handing_out_->next_wake;
  if (!handing_out_->fatal.ok()) return Halt(handing_out_->fatal);

  if (!handing_out_->messages.empty()) {
    counters_.messages_sent += handing_out_->messages.size();
    transport_->Send(absl::MakeSpan(handing_out_->messages));
  }
  SendForwards(handing_out_->forwards);
  for (engine::SnapshotToSend& snapshot : handing_out_->snapshots) {
    transport_->SendSnapshot(std::move(snapshot.message), std::move(snapshot.image));
  }
  WritePersists(&handing_out_->persists);
  if (handing_out_->checkpoint.has_value()) WriteCheckpoint(*std::move(handing_out_->checkpoint));
  if (handing_out_->log_cut > LogIndex(0))
    CutLog(handing_out_->log_cut, checkpoints_.get(), wal_.get());
  AnswerCalls(&handing_out_->responses);
  DeliverWatchReplies(&handing_out_->watch_replies);
  EndWatches(handing_out_->watch_ends);
  handing_out_->Clear();
}

void Node::SendForwards(const std::vector<engine::Forward>& forwards) {
  for (const engine::Forward& forward : forwards) {
    transport_->Forward(forward.to, forward.kind, forward.body,
                        [weak = std::weak_ptr<Node*>(self_), token = forward.token,
                         attempt = forward.attempt](absl::Status status, Bytes body) {
                          if (const std::shared_ptr<Node*> node = weak.lock()) {
                            (*node)->StepEvent(engine::Forwarded{token, attempt, std::move(status),
                                                                 std::move(body)});
                          }
                        });
  }
}

void Node::WritePersists(std::vector<engine::Persist>* persists) {
  for (engine::Persist& persist : *persists) {
    ++counters_.persist_units;
    if (installing_.empty() && !persist.install.has_value()) {
      WritePersist(std::move(persist));
      continue;
    }
    installing_.push_back(std::move(persist));
    if (installing_.size() == 1) InstallNext();
  }
}

void Node::WritePersist(engine::Persist persist) {
  writing_.emplace_back(persist.ticket, env_.loop->Now());
  const raft::HardState* hard_state =
      persist.hard_state.has_value() ? &*persist.hard_state : nullptr;
  wal_->Append(
      persist.entries, hard_state, persist.must_sync,
      [this, ticket = persist.ticket](const absl::Status& status) { OnPersisted(ticket, status); });
}

// A leader's state becomes our newest checkpoint before the log goes on behind it: a
// crash between the two finds a checkpoint that is ahead of the log.
void Node::InstallNext() {
  checkpoints_->Write(*installing_.front().install, storage::Checkpoints::Origin::kPeer,
                      [this](const absl::Status& status) { OnInstalled(status); });
}

void Node::OnInstalled(const absl::Status& status) {
  if (!status.ok()) return Halt(status);
  if (!halted_.ok()) return;
  const engine::StateImage& image = *installing_.front().install;
  wal_->BeginAnew(image.index, image.term);
  if (options_.on_installed != nullptr) options_.on_installed(image.index);
  do {
    engine::Persist persist = std::move(installing_.front());
    installing_.pop_front();
    // The log begins anew with this unit, so it must not wait for another: raft gives a
    // commit index with every snapshot that it accepts.
    CHECK(!persist.install.has_value() || (persist.hard_state.has_value() && persist.must_sync));
    WritePersist(std::move(persist));
  } while (!installing_.empty() && !installing_.front().install.has_value());
  if (!installing_.empty()) InstallNext();
}

void Node::WriteCheckpoint(engine::StateImage image) {
  const LogIndex index = image.index;
  if (checkpoints_ == nullptr) return StepEvent(engine::Checkpointed{index, false});
  checkpoints_->Write(std::move(image), storage::Checkpoints::Origin::kLocal,
                      [this, index](const absl::Status& status) {
                        if (!status.ok() && options_.on_checkpoint_failure != nullptr) {
                          options_.on_checkpoint_failure(status);
                        }
                        if (status.ok() && options_.on_checkpoint != nullptr) {
                          options_.on_checkpoint(index);
                        }
                        StepEvent(engine::Checkpointed{index, status.ok()});
                      });
}

void Node::OnPersisted(engine::PersistTicket ticket, const absl::Status& status) {
  if (!status.ok()) return Halt(status);
  for (; !writing_.empty() && writing_.front().first <= ticket; writing_.pop_front()) {
    trace_.NoteWrite(writing_.front().second, env_.loop->Now());
  }
  StepEvent(engine::Persisted{ticket});
}

void Node::AnswerCalls(std::vector<engine::Response>* responses) {
  if (responses->empty()) return;
  const Instant now = env_.loop->Now();
  for (engine::Response& response : *responses) {
    NoteEnd(response.token, response.read, response.status.ok(), now);
    const ReplyCallback done = calls_.Take(response.token);
    if (done != nullptr) done(std::move(response.status), std::move(response.body));
  }
}

void Node::DeliverWatchReplies(std::vector<engine::WatchReply>* replies) {
  for (engine::WatchReply& reply : *replies) {
    const auto sink = watch_sinks_.find(reply.stream);
    if (sink == watch_sinks_.end()) continue;  // closed meanwhile
    sink->second->OnWatchReply(std::move(reply.head), std::move(reply.events));
  }
}

void Node::EndWatches(const std::vector<engine::WatchEnd>& ends) {
  for (const engine::WatchEnd& end : ends) {
    const auto at = watch_sinks_.find(end.stream);
    if (at == watch_sinks_.end()) continue;  // closed meanwhile
    WatchSink* const sink = at->second;
    watch_sinks_.erase(at);
    sink->OnWatchEnd(end.status);
  }
}

// The timer is only ever moved to an earlier moment: deadlines that move away (a
// follower's election deadline does with every heartbeat) cost one early wake-up.
void Node::ArmWake(Instant when) {
  if (when >= wake_at_) return;
  wake_at_ = when;
  wake_timer_->Set(when);
}

void Node::OnWake() {
  wake_at_ = Instant::Infinite();
  StepEvent(engine::TimePassed{});
}

void Node::ArmCallTimer() {
  const Instant when = calls_.next_deadline();
  if (when >= call_timer_at_) return;
  call_timer_at_ = when;
  call_timer_->Set(when);
}

// Without a quorum nearly all of very many calls may be due at once.
void Node::OnCallTimeout() {
  call_timer_at_ = Instant::Infinite();
  const Instant now = env_.loop->Now();
  size_t ended = 0;
  for (CallId id = calls_.Due(now); id != CallId(0); id = calls_.Due(now)) {
    if (++ended > kTimeoutsAtOnce) break;  // the timer is due again at once
    if (replica_.OutlivesTimeout(id)) {
      calls_.Prolong(id, now + options_.request_timeout);
      continue;
    }
    ++counters_.calls_timed_out;
    NoteEnd(id, /*read=*/false, /*ok=*/false, now);
    const ReplyCallback done = calls_.Take(id);
    StepEvent(engine::AbandonRequest{id});
    done(TimedOut(), Bytes());
  }
  ArmCallTimer();
}

void Node::NoticeLeadership() {
  if (options_.on_leadership_change == nullptr) return;
  const engine::ReplicaStatus now = replica_.status();
  if (now.leader == seen_leader_ && now.term == seen_term_ && now.role == seen_role_) return;
  seen_leader_ = now.leader;
  seen_term_ = now.term;
  seen_role_ = now.role;
  trace_.NoteLeader(env_.loop->Now(), now.leader != MemberId(0));
  options_.on_leadership_change();
}

void Node::NoticeMembers() {
  const uint64_t version = replica_.members_version();
  if (version == seen_members_) return;
  seen_members_ = version;
  if (options_.on_members_change != nullptr) options_.on_members_change();
}

void Node::WantCheckpoint() { StepEvent(engine::CheckpointWanted{}); }

void Node::OnDiskState(const engine::DiskState& state) {
  StepEvent(state);
  const bool changed =
      state.low_space != seen_disk_.low_space || state.stalled != seen_disk_.stalled;
  seen_disk_ = state;
  if (changed && options_.on_disk_state != nullptr) {
    options_.on_disk_state(state, disk_watch_.free_bytes());
  }
}

void Node::NoticeCompactions() {
  const uint64_t compactions = replica_.done().compactions;
  if (compactions == std::exchange(seen_compactions_, compactions)) return;
  if (options_.on_compacted != nullptr) options_.on_compacted(replica_.statistics());
}

void Node::Halt(const absl::Status& why) {
  if (!halted_.ok()) return;
  halted_ = why;
  EndService();
  if (options_.on_halt != nullptr) options_.on_halt(why);
}

void Node::EndService() {
  wake_timer_->Cancel();
  call_timer_->Cancel();
  continue_timer_->Cancel();
  disk_watch_.Stop();
  out_->Clear();
  // Taken out first: a callback may call again, which is answered in a later turn.
  std::vector<ReplyCallback> callbacks;
  for (CallId id = calls_.First(); id != CallId(0); id = calls_.First()) {
    callbacks.push_back(calls_.Take(id));
  }
  std::vector<std::pair<engine::StreamToken, WatchSink*>> sinks(watch_sinks_.begin(),
                                                                watch_sinks_.end());
  std::sort(sinks.begin(), sinks.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const ReplyCallback& done : callbacks) done(ServerStopped(), Bytes());
  for (const auto& [token, sink] : sinks) {
    // Closed by an earlier callback?
    if (watch_sinks_.erase(token) > 0) sink->OnWatchEnd(ServerStopped());
  }
}

}  // namespace quorate::node
