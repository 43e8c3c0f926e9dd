#include "sim/study/cluster.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "engine/raft/conf_change.h"

namespace quorate::sim::study {
namespace {

using raft::Entry;
using raft::EntryType;
using raft::Message;
using raft::MessageType;

// Purposes of draws.
constexpr uint64_t kWaitDraw = HashName("election wait");
constexpr uint64_t kLatencyDraw = HashName("latency");
constexpr uint64_t kWriteDraw = HashName("write");
constexpr uint64_t kMemberSeed = HashName("member");

bool IsAnswer(MessageType type) {
  return type == MessageType::kAppResp || type == MessageType::kVoteResp ||
         type == MessageType::kPreVoteResp || type == MessageType::kHeartbeatResp;
}

uint64_t BytesOf(const Message& message) {
  uint64_t bytes = 0;
  for (const Entry& entry : message.entries) bytes += entry.data.size();
  if (message.snapshot != nullptr) bytes += message.snapshot->data.size();
  return bytes;
}

}  // namespace

Cluster::Cluster(ClusterOptions options) : options_(std::move(options)), members_(kMaxMembers + 1) {
  OpenAllLinks();
}

void Cluster::AddMember(MemberId id, raft::DurableLog log) {
  CHECK(id.value() >= 1 && id.value() <= kMaxMembers);
  Member& member = At(id);
  CHECK_MSG(member.raft == nullptr, "there is such a member");
  raft::Config config;
  config.id = id;
  config.election_timeout = options_.timeout.low;
  config.heartbeat_interval =
      options_.heartbeat > Duration() ? options_.heartbeat : options_.timeout.low / 2;
  if (id.value() <= options_.delays.size()) {
    config.election_delay = options_.delays[id.value() - 1];
  }
  config.pre_vote = options_.pre_vote;
  config.check_quorum = options_.check_quorum;
  config.async_storage_writes = true;
  config.vote_request_guard =
      options_.parallel_vote ? raft::VoteRequestGuard::kEnvironment : raft::VoteRequestGuard::kRaft;
  config.step_down_on_removal = options_.step_down_on_removal;
  config.disable_conf_change_validation = !options_.check_conf_changes;
  config.quorum = options_.quorum;
  config.seed = NamedDraw(options_.seed, id.value(), kMemberSeed, 0);
  member.raft = std::make_unique<raft::Raft>(config, std::move(log), now_);
  member.up = true;
  member.term = member.raft->term();
  ids_.push_back(id);
  for (Observer* observer : observers_) observer->OnState(*member.raft, now_);
  Settle(id);
}

void Cluster::AddVoters(uint64_t voters) {
  raft::DurableLog log;
  for (uint64_t id = 1; id <= voters; ++id) {
    log.snapshot.conf_state.voters.push_back(MemberId(id));
  }
  for (uint64_t id = 1; id <= voters; ++id) AddMember(MemberId(id), log);
}

void Cluster::Push(Instant at, Kind kind, uint32_t what) {
  events_.push(Event{at.nanos(), sequence_++, kind, what});
}

void Cluster::RunUntil(Instant end) {
  RunUntil(end, [] { return false; });
}

bool Cluster::RunUntil(Instant end, const std::function<bool()>& done) {
  if (done()) return true;
  while (!events_.empty() && events_.top().at <= end.nanos()) {
    const Event event = events_.top();
    events_.pop();
    now_ = Instant::FromNanos(event.at);
    Handle(event);
    if (done()) return true;
  }
  now_ = end;
  return false;
}

void Cluster::Schedule(Instant at, std::function<void()> action) {
  actions_.push_back(std::move(action));
  Push(at, Kind::kAction, static_cast<uint32_t>(actions_.size() - 1));
}

void Cluster::Handle(const Event& event) {
  ++events_run_;
  switch (event.kind) {
    case Kind::kTimer: {
      Member& member = members_[event.what];
      if (!member.up || member.timer != now_) {  // superseded
        --events_run_;
        return;
      }
      member.timer = Instant::Infinite();
      if (now_ >= member.raft->NextDeadline()) member.raft->Tick(now_);
      Settle(MemberId(event.what));
      return;
    }
    case Kind::kMessage: {
      Message message = std::move(messages_[event.what]);
      free_messages_.push_back(event.what);
      if (IsOpen(message.from, message.to)) Deliver(std::move(message));
      return;
    }
    case Kind::kDisk:
      if (members_[event.what].up) Written(MemberId(event.what));
      return;
    case Kind::kAction:
      actions_[event.what]();
      return;
  }
}

void Cluster::Deliver(Message message) {
  Member& member = At(message.to);
  if (!member.up) return;
  const MemberId to = message.to;
  // Refused are strangers' answers and proposals without a leader: as on a real network.
  member.raft->Step(std::move(message), now_).IgnoreError();
  Settle(to);
}

void Cluster::Settle(MemberId id) {
  Member& member = At(id);
  if (member.wait != member.raft->randomized_election_timeout()) DrawWait(id);
  while (member.raft->HasReady()) TakeReady(id);
  const Instant deadline = member.raft->NextDeadline();
  // An earlier event only looks again when it fires.
  if (deadline < member.timer && deadline != Instant::Infinite()) {
    member.timer = std::max(deadline, now_);
    Push(member.timer, Kind::kTimer, static_cast<uint32_t>(id.value()));
  }
}

// Raft has drawn a wait of its own, from [low, 2 low): ours takes its place.
void Cluster::DrawWait(MemberId id) {
  Member& member = At(id);
  // One that stood in this term and lost is a follower again, as etcd's, but still waits
  // for its next try.
  const raft::Raft& raft = *member.raft;
  const bool candidate =
      raft.role() == raft::Role::kCandidate ||
      (raft.role() == raft::Role::kFollower && raft.vote() == id && raft.leader() == raft::kNobody);
  const WaitRange& range =
      candidate && options_.candidate_timeout ? *options_.candidate_timeout : options_.timeout;
  Prng prng(NamedDraw(options_.seed, id.value(), kWaitDraw, member.waits_drawn++));
  member.wait = prng.Between(range.low, range.high) + member.raft->config().election_delay;
  member.raft->SetRandomizedElectionTimeout(member.wait);
}

void Cluster::TakeReady(MemberId id) {
  Member& member = At(id);
  raft::Raft& raft = *member.raft;
  raft.TakeReady(&ready_);
  if (member.role != raft.role() || member.term != raft.term()) {
    member.role = raft.role();
    member.term = raft.term();
    for (Observer* observer : observers_) observer->OnState(raft, now_);
  }
  for (Message& message : ready_.messages) Send(std::move(message));
  ready_.messages.clear();
  if (options_.activate_on_append) {
    for (const Entry& entry : ready_.entries) Activate(id, entry);
  }
  if (ready_.HasUnit()) {
    for (Message& message : ready_.responses) member.queued.push_back(std::move(message));
    ready_.responses.clear();
    Write(id, ready_.must_sync);
  }
  if (!ready_.committed_entries.empty()) Apply(id, ready_.committed_entries);
  if (member.wait != raft.randomized_election_timeout()) DrawWait(id);
}

void Cluster::Apply(MemberId id, const raft::EntryRange& entries) {
  raft::Raft& raft = *At(id).raft;
  const LogIndex last = entries.last_index();
  std::vector<Entry> applied;
  entries.CopyTo(&applied);
  for (const Entry& entry : applied) {
    for (Observer* observer : observers_) observer->OnCommitted(id, entry, now_);
    if (!options_.activate_on_append) Activate(id, entry);
  }
  raft.AppliedTo(last, now_);
}

void Cluster::Activate(MemberId id, const Entry& entry) {
  if (entry.type == EntryType::kNormal) return;
  raft::Raft& raft = *At(id).raft;
  const absl::StatusOr<raft::ConfChangeV2> change = raft::DecodeChange(entry);
  if (!change.ok() || !raft.ApplyConfChange(*change, now_).ok()) return;
  for (Observer* observer : observers_) observer->OnConfig(raft, now_);
}

// A unit that need not be synced is as durable as those before it.
void Cluster::Write(MemberId id, bool must_sync) {
  Member& member = At(id);
  if (member.writing) return;
  if (!must_sync || (options_.write.IsNone() && member.slowness == 1)) {
    std::vector<Message> responses = std::move(member.queued);
    member.queued.clear();
    Release(id, &responses);
    return;
  }
  StartWrite(id);
}

void Cluster::StartWrite(MemberId id) {
  Member& member = At(id);
  member.writing = true;
  member.written.swap(member.queued);
  Prng prng(NamedDraw(options_.seed, id.value(), kWriteDraw, member.writes_drawn++));
  Push(now_ + options_.write.Draw(&prng) * member.slowness, Kind::kDisk,
       static_cast<uint32_t>(id.value()));
}

void Cluster::Written(MemberId id) {
  Member& member = At(id);
  member.writing = false;
  std::vector<Message> responses = std::move(member.written);
  member.written.clear();
  if (!member.queued.empty()) StartWrite(id);
  Release(id, &responses);
  Settle(id);
}

void Cluster::Release(MemberId id, std::vector<Message>* responses) {
  for (Message& message : *responses) {
    if (message.to != id) {
      Send(std::move(message));
      continue;
    }
    // NotFound if the member was removed meanwhile: no harm.
    At(id).raft->StepLocal(std::move(message), now_).IgnoreError();
  }
}

Duration Cluster::Delay(const Message& message) {
  const uint64_t from = message.from.value();
  const uint64_t to = message.to.value();
  const DelayModel& model = options_.answer_latency && IsAnswer(message.type)
                                ? *options_.answer_latency
                                : options_.latency;
  const uint64_t link = from * (kMaxMembers + 1) + to;
  Prng prng(NamedDraw(options_.seed, link, kLatencyDraw, sent_on_[from][to]++));
  return model.Draw(&prng) * std::max(At(message.from).slowness, At(message.to).slowness);
}

void Cluster::Send(Message message) {
  ++messages_sent_;
  const MemberId from = message.from;
  const MemberId to = message.to;
  CHECK(to.value() <= kMaxMembers);
  Instant leaves = now_;
  if (options_.bandwidth != 0) {
    // Large messages queue on the link; small ones go beside them, on a stream of their own.
    if (const uint64_t bytes = BytesOf(message); bytes > 0) {
      Instant& free = link_free_[from.value()][to.value()];
      const auto nanos = static_cast<unsigned __int128>(bytes) * 1'000'000'000 / options_.bandwidth;
      free = std::max(free, now_) + Nanoseconds(static_cast<int64_t>(nanos));
      leaves = free;
    }
  }
  const Instant arrival = leaves + Delay(message);
  const bool lost = !IsOpen(from, to);
  for (Observer* observer : observers_) {
    observer->OnSent(message, now_, lost ? Instant::Infinite() : arrival);
  }
  if (lost) return;
  uint32_t slot = 0;
  if (free_messages_.empty()) {
    slot = static_cast<uint32_t>(messages_.size());
    messages_.push_back(std::move(message));
  } else {
    slot = free_messages_.back();
    free_messages_.pop_back();
    messages_[slot] = std::move(message);
  }
  Push(arrival, Kind::kMessage, slot);
}

void Cluster::Crash(MemberId id) {
  At(id).up = false;
  for (Observer* observer : observers_) observer->OnCrashed(id, now_);
}

void Cluster::SetLink(MemberId from, MemberId to, bool open) {
  open_[from.value()][to.value()] = open;
}

void Cluster::OpenAllLinks() {
  for (auto& row : open_) std::fill(std::begin(row), std::end(row), true);
}

void Cluster::Isolate(MemberId id) {
  for (uint64_t other = 0; other <= kMaxMembers; ++other) {
    if (other == id.value()) continue;
    open_[id.value()][other] = false;
    open_[other][id.value()] = false;
  }
}

void Cluster::Partition(const std::vector<std::vector<MemberId>>& groups) {
  for (auto& row : open_) std::fill(std::begin(row), std::end(row), false);
  for (const std::vector<MemberId>& group : groups) {
    for (const MemberId from : group) {
      for (const MemberId to : group) SetLink(from, to, true);
    }
  }
}

void Cluster::SetSlowness(MemberId id, int64_t factor) { At(id).slowness = factor; }

void Cluster::Note(absl::string_view text) {
  for (Observer* observer : observers_) observer->OnNote(text, now_);
}

void Cluster::Campaign(MemberId id) {
  At(id).raft->Campaign(now_);
  Settle(id);
}

absl::Status Cluster::Propose(MemberId id, Bytes payload) {
  const absl::Status status = At(id).raft->Propose({payload}, now_);
  Settle(id);
  return status;
}

absl::Status Cluster::ProposeChange(MemberId id, const raft::ConfChangeV2& change) {
  const absl::Status status = At(id).raft->ProposeConfChange(change, now_);
  Settle(id);
  return status;
}

void Cluster::SetSnapshot(MemberId id, std::shared_ptr<const raft::Snapshot> snapshot) {
  At(id).raft->SetSnapshot(std::move(snapshot));
}

void Cluster::Compact(MemberId id, LogIndex index) { CHECK(At(id).raft->Compact(index).ok()); }

bool Cluster::IsUp(MemberId id) const { return At(id).up; }

const raft::Raft& Cluster::member(MemberId id) const { return *At(id).raft; }

MemberId Cluster::Leader() const {
  MemberId leader = raft::kNobody;
  Term term;
  for (const MemberId id : ids_) {
    const Member& member = At(id);
    if (!member.up || member.raft->role() != raft::Role::kLeader) continue;
    if (leader == raft::kNobody || member.raft->term() > term) {
      leader = id;
      term = member.raft->term();
    }
  }
  return leader;
}

Term Cluster::LatestTerm() const {
  Term term;
  for (const MemberId id : ids_) {
    if (At(id).up) term = std::max(term, At(id).raft->term());
  }
  return term;
}

}  // namespace quorate::sim::study
