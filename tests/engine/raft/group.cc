#include "tests/engine/raft/group.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "engine/raft/invariants.h"

namespace quorate::raft::test {

namespace {

constexpr int kSettleRounds = 2000;

ConfState InitialConfig(const GroupOptions& options) {
  ConfState config;
  for (uint64_t id = 1; id <= options.voters; ++id) config.voters.push_back(MemberId(id));
  for (uint64_t id = 1; id <= options.learners; ++id) {
    config.learners.push_back(MemberId(options.voters + id));
  }
  return config;
}

ConfChangeV2 Single(ConfChangeType type, uint64_t id) {
  ConfChangeV2 change;
  change.changes.push_back({type, MemberId(id)});
  return change;
}

}  // namespace

ConfChangeV2 AddVoter(uint64_t id) { return Single(ConfChangeType::kAddNode, id); }
ConfChangeV2 AddLearner(uint64_t id) { return Single(ConfChangeType::kAddLearnerNode, id); }
ConfChangeV2 RemoveMember(uint64_t id) { return Single(ConfChangeType::kRemoveNode, id); }

Group::Group(GroupOptions options) : options_(std::move(options)) {
  for (uint64_t id = 1; id <= options_.voters + options_.learners; ++id) {
    Peer& peer = peers_[MemberId(id)];
    peer.durable_snapshot.conf_state = InitialConfig(options_);
    if (options_.term > 0) peer.durable_state.term = Term(options_.term);
    const auto log = options_.terms_of_logs.find(id);
    if (log != options_.terms_of_logs.end()) {
      LogIndex index;
      for (const uint64_t term : log->second) {
        ++index;
        peer.durable_entries.push_back({.term = Term(term), .index = index});
        peer.durable_state.term = std::max(peer.durable_state.term, Term(term));
      }
    }
    Start(id);
  }
}

Config Group::ConfigOf(uint64_t id) const {
  Config config;
  config.id = MemberId(id);
  config.election_timeout = kElection;
  config.heartbeat_interval = kHeartbeat;
  config.pre_vote = options_.pre_vote;
  config.check_quorum = options_.check_quorum;
  config.read_only = options_.read_only;
  config.max_clock_drift = kClockDrift;
  config.async_storage_writes = true;
  config.seed = options_.seed * 1000 + id;
  if (options_.tune != nullptr) options_.tune(&config);
  return config;
}

void Group::Start(uint64_t id) {
  Peer& peer = this->peer(id);
  peer.config = ConfigOf(id);
  peer.config.applied = peer.durable_snapshot.index;
  peer.applied = peer.durable_snapshot.index;
  peer.applied_config = peer.durable_snapshot.conf_state;
  peer.reads.clear();
  peer.raft = std::make_unique<Raft>(
      peer.config, DurableLog{peer.durable_state, peer.durable_snapshot, peer.durable_entries},
      peer.now);
  if (peer.durable_snapshot.index > LogIndex(0)) {
    peer.raft->SetSnapshot(std::make_shared<Snapshot>(Snapshot{peer.durable_snapshot, {}}));
  }
}

std::vector<uint64_t> Group::ids() const {
  std::vector<uint64_t> ids;
  for (const auto& [id, peer] : peers_) ids.push_back(id.value());
  return ids;
}

void Group::AddStranger(uint64_t id) {
  // It knows the first configuration, as if that were in the log that it will get.
  peers_[MemberId(id)].durable_snapshot.conf_state = InitialConfig(options_);
  Start(id);
}

void Group::Violate(const std::string& what) {
  if (violation_.empty()) violation_ = what;
}

void Group::Do(uint64_t id, const std::function<void(Raft*)>& action) {
  Raft* raft = peer(id).raft.get();
  if (raft == nullptr) return;
  const StateView before = ViewOf(*raft);
  action(raft);
  for (const absl::Status& status : {CheckState(*raft), CheckTransition(before, *raft)}) {
    if (!status.ok()) Violate(std::string(status.message()));
  }
  CheckLeader(id);
}

void Group::CheckLeader(uint64_t id) {
  const Raft& raft = *peer(id).raft;
  if (raft.role() != Role::kLeader) return;
  const auto [leader, first] = leaders_.emplace(raft.term(), raft.id());
  if (leader->second != raft.id())
    Violate(absl::StrCat("two leaders in term ", raft.term().value()));
  if (!first) return;
  // Leader Completeness: what was applied anywhere is in a new leader's log.
  for (const auto& [index, entry] : chosen_) {
    if (index < raft.log().first_index()) continue;
    if (raft.log().TermAt(index) != entry.term) {
      Violate(absl::StrCat("leader ", id, " of term ", raft.term().value(), " lacks entry ",
                           index.value()));
    }
  }
}

absl::Status Group::Propose(uint64_t id, absl::string_view data) {
  absl::Status status;
  const Bytes bytes = Bytes::Copy(data);
  Do(id, [&](Raft* raft) { status = raft->Propose(absl::MakeSpan(&bytes, 1), peer(id).now); });
  return status;
}

absl::Status Group::ProposeChange(uint64_t id, const ConfChangeV2& change) {
  absl::Status status;
  Do(id, [&](Raft* raft) { status = raft->ProposeConfChange(change, peer(id).now); });
  return status;
}

void Group::Campaign(uint64_t id) {
  Do(id, [&](Raft* raft) { raft->Campaign(peer(id).now); });
}

absl::Status Group::Step(uint64_t id, Message message) {
  absl::Status status;
  Do(id, [&](Raft* raft) { status = raft->Step(std::move(message), peer(id).now); });
  return status;
}

void Group::Elapse(uint64_t id, Duration span) {
  Peer& peer = this->peer(id);
  const Instant end = peer.now + span;
  while (peer.raft != nullptr && peer.raft->NextDeadline() <= end) {
    peer.now = std::max(peer.now, peer.raft->NextDeadline());
    Do(id, [&](Raft* raft) { raft->Tick(peer.now); });
  }
  peer.now = end;
}

void Group::ElapseToDeadline(uint64_t id) {
  Peer& peer = this->peer(id);
  if (peer.raft == nullptr || peer.raft->NextDeadline() == Instant::Infinite()) return;
  peer.now = std::max(peer.now, peer.raft->NextDeadline());
  Do(id, [&](Raft* raft) { raft->Tick(peer.now); });
}

void Group::Pump(uint64_t id) {
  Peer& peer = this->peer(id);
  while (peer.raft != nullptr && peer.raft->HasReady()) {
    Do(id, [&](Raft* raft) { raft->TakeReady(&peer.ready); });
    Ready& ready = peer.ready;
    for (Message& m : ready.messages) messages_.push_back(m);
    for (ReadState& read : ready.read_states) peer.reads.push_back(std::move(read));
    if (ready.HasUnit()) {
      Unit unit{{}, ready.hard_state, ready.snapshot, ready.responses};
      ready.entries.CopyTo(&unit.entries);
      peer.units.push_back(std::move(unit));
    }
    std::vector<Entry> committed;
    ready.committed_entries.CopyTo(&committed);
    for (const Entry& entry : committed) Apply(id, entry);
    if (!committed.empty()) {
      Do(id, [&](Raft* raft) { raft->AppliedTo(committed.back().index, peer.now); });
    }
  }
}

void Group::Apply(uint64_t id, const Entry& entry) {
  Peer& peer = this->peer(id);
  if (entry.index != peer.applied + 1) {
    Violate(absl::StrCat("member ", id, " applies ", entry.index.value(), " after ",
                         peer.applied.value()));
  }
  peer.applied = entry.index;
  const auto [chosen, first] = chosen_.emplace(entry.index, entry);
  if (!(chosen->second == entry)) {
    Violate(absl::StrCat("member ", id, " applies another entry ", entry.index.value()));
  }
  if (entry.type == EntryType::kNormal) return;
  const absl::StatusOr<ConfChangeV2> change = DecodeChange(entry);
  CHECK(change.ok());
  Do(id, [&](Raft* raft) {
    const auto config = raft->ApplyConfChange(*change, peer.now);
    if (config.ok()) peer.applied_config = *config;
  });
}

void Group::Write(Peer* peer, const Unit& unit) {
  if (unit.snapshot != nullptr) InstallSnapshot(peer, *unit.snapshot);
  for (const Entry& entry : unit.entries) {
    if (entry.index <= peer->durable_snapshot.index) continue;
    const size_t at = entry.index - (peer->durable_snapshot.index + 1);
    CHECK_LE(at, peer->durable_entries.size());
    peer->durable_entries.resize(at);
    peer->durable_entries.push_back(entry);
  }
  if (unit.hard_state.has_value()) peer->durable_state = *unit.hard_state;
}

void Group::InstallSnapshot(Peer* peer, const Snapshot& snapshot) {
  if (snapshot.meta.index <= peer->durable_snapshot.index) return;
  peer->durable_snapshot = snapshot.meta;
  peer->durable_entries.clear();
  if (peer->applied < snapshot.meta.index) {
    peer->applied = snapshot.meta.index;
    peer->applied_config = snapshot.meta.conf_state;
  }
}

void Group::CompleteUnit(uint64_t id) {
  Peer& peer = this->peer(id);
  if (peer.raft == nullptr || peer.units.empty()) return;
  const Unit unit = std::move(peer.units.front());
  peer.units.pop_front();
  Write(&peer, unit);
  if (unit.snapshot != nullptr) peer.raft->SetSnapshot(unit.snapshot);
  for (const Message& response : unit.responses) {
    if (response.to == MemberId(id)) {
      Do(id, [&](Raft* raft) { raft->StepLocal(response, peer.now).IgnoreError(); });
    } else {
      messages_.push_back(response);
    }
  }
}

void Group::Crash(uint64_t id, size_t kept) {
  Peer& peer = this->peer(id);
  for (size_t i = 0; i < std::min(kept, peer.units.size()); ++i) Write(&peer, peer.units[i]);
  peer.units.clear();
  peer.raft = nullptr;
}

void Group::Restart(uint64_t id) {
  if (peer(id).raft == nullptr) Start(id);
}

void Group::Compact(uint64_t id, uint64_t keep) {
  Peer& peer = this->peer(id);
  if (peer.raft == nullptr || peer.applied <= peer.durable_snapshot.index + keep) return;
  const LogIndex index = peer.applied - keep;
  if (!peer.units.empty() || index > peer.raft->log().stable()) return;
  // The configuration at `index` is known for the latest applied entry only.
  const std::optional<Term> term = peer.raft->log().TermAt(peer.applied);
  if (!term.has_value() || peer.applied > peer.raft->log().stable()) return;
  const SnapshotMeta meta{peer.applied, *term, peer.applied_config};
  peer.raft->SetSnapshot(std::make_shared<Snapshot>(Snapshot{meta, {}}));
  CHECK(peer.raft->Compact(index).ok());
  const size_t dropped = peer.applied - peer.durable_snapshot.index;
  CHECK_LE(dropped, peer.durable_entries.size());
  peer.durable_entries.erase(peer.durable_entries.begin(),
                             peer.durable_entries.begin() + static_cast<ptrdiff_t>(dropped));
  peer.durable_snapshot = meta;
  peer.durable_state.commit = std::max(peer.durable_state.commit, meta.index);
}

bool Group::IsCut(const Message& m) const {
  return m.type == lost_type || cut_.count({m.from, m.to}) > 0;
}

void Group::Deliver(const Message& m) {
  const auto to = peers_.find(m.to);
  if (to == peers_.end() || IsCut(m)) return;
  Step(m.to.value(), m).IgnoreError();
}

void Group::DeliverAt(size_t i) {
  const Message m = messages_[i];
  DropAt(i);
  Deliver(m);
}

void Group::DropAt(size_t i) { messages_.erase(messages_.begin() + static_cast<ptrdiff_t>(i)); }

void Group::DuplicateAt(size_t i) { messages_.push_back(messages_[i]); }

void Group::Settle() {
  for (int round = 0; round < kSettleRounds; ++round) {
    for (const uint64_t id : ids()) {
      Pump(id);
      while (!peer(id).units.empty()) {
        CompleteUnit(id);
        Pump(id);
      }
    }
    if (messages_.empty()) return;
    std::vector<Message> arriving;
    arriving.swap(messages_);
    for (const Message& m : arriving) Deliver(m);
  }
  Violate("the group does not settle");
}

bool Group::Elect(uint64_t id) {
  Campaign(id);
  Settle();
  return raft(id).role() == Role::kLeader;
}

void Group::Isolate(std::set<uint64_t> isolated) {
  for (const uint64_t a : isolated) {
    for (const uint64_t b : ids()) {
      if (isolated.count(b) > 0) continue;
      cut_.insert({MemberId(a), MemberId(b)});
      cut_.insert({MemberId(b), MemberId(a)});
    }
  }
}

size_t Group::CountMessages(MessageType type, uint64_t to) const {
  return static_cast<size_t>(std::count_if(messages_.begin(), messages_.end(), [&](const auto& m) {
    return m.type == type && m.to == MemberId(to);
  }));
}

std::vector<std::string> Group::Applied(uint64_t id) {
  std::vector<std::string> payloads;
  for (const auto& [index, entry] : chosen_) {
    if (index > peer(id).applied) break;
    if (entry.type == EntryType::kNormal && !entry.data.empty()) {
      payloads.emplace_back(entry.data.data(), entry.data.size());
    }
  }
  return payloads;
}

std::vector<uint64_t> Group::TermsOf(uint64_t id) {
  const Log& log = raft(id).log();
  std::vector<uint64_t> terms;
  for (const Entry& entry : log.Range(log.first_index(), log.last_index())) {
    terms.push_back(entry.term.value());
  }
  return terms;
}

std::vector<uint64_t> Group::Leaders() {
  std::vector<uint64_t> leaders;
  for (const uint64_t id : ids()) {
    if (IsUp(id) && raft(id).role() == Role::kLeader) leaders.push_back(id);
  }
  return leaders;
}

void Group::CheckLogs() {
  for (const uint64_t a : ids()) {
    for (const uint64_t b : ids()) {
      if (b <= a || !IsUp(a) || !IsUp(b)) continue;
      const Log& one = raft(a).log();
      const Log& other = raft(b).log();
      bool matched = false;
      for (LogIndex at = std::min(one.last_index(), other.last_index());
           at >= std::max(one.first_index(), other.first_index()); --at) {
        const bool same = one.EntryAt(at) == other.EntryAt(at);
        if (matched && !same) Violate(absl::StrCat("logs differ below a match, at ", at.value()));
        if (one.EntryAt(at).term == other.EntryAt(at).term) {
          if (!same) Violate(absl::StrCat("one term, two entries at ", at.value()));
          matched = true;
        }
      }
    }
  }
}

}  // namespace quorate::raft::test
