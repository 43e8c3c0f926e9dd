#include "sim/explore/member.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/coding.h"
#include "base/prng.h"
#include "engine/raft/codec.h"
#include "engine/raft/invariants.h"

namespace quorate::sim::explore {

namespace {

constexpr Duration kHeartbeat = Milliseconds(1);
constexpr Duration kElection = Seconds(1);
static_assert(kHeartbeat * kMaxCount < kElection, "heartbeats never make an election timeout");
// Past any deadline that a follower can have drawn.
constexpr Duration kAnyElection = kElection * 2;

void PutNumber(uint64_t value, std::string* out) {
  char bytes[kMaxVarint64Bytes];
  out->append(bytes, static_cast<size_t>(StoreVarint(bytes, value) - bytes));
}

void PutText(absl::string_view text, std::string* out) {
  PutNumber(text.size(), out);
  out->append(text.data(), text.size());
}

void PutEntries(const std::vector<raft::Entry>& entries, std::string* out) {
  PutNumber(entries.size(), out);
  for (const raft::Entry& entry : entries) PutText(raft::EncodeToBytes(entry), out);
}

Link LinkAfter(uint64_t chain, const raft::Entry& entry) {
  chain = Mix64(chain ^ entry.term.value());
  return {entry.term, Mix64(chain ^ HashName(entry.data.view()))};
}

}  // namespace

Member::Member(MemberId id, const Bounds* bounds, const PlantedFaults* faults)
    : id_(id), bounds_(bounds), faults_(faults) {
  Start();
}

Member::Member(const Member& other)
    : id_(other.id_),
      bounds_(other.bounds_),
      faults_(other.faults_),
      raft_(other.raft_->Clone()),
      now_(other.now_),
      written_(other.written_),
      synced_(other.synced_),
      entries_(other.entries_),
      units_(other.units_) {}

std::unique_ptr<Member> Member::Clone() const { return std::unique_ptr<Member>(new Member(*this)); }

void Member::Start() {
  raft::Config config;
  config.id = id_;
  config.election_timeout = kElection;
  config.heartbeat_interval = kHeartbeat;
  config.pre_vote = bounds_->pre_vote;
  config.check_quorum = bounds_->check_quorum;
  if (bounds_->one_entry_appends) config.max_append_bytes = 0;
  // Clients propose to the leader: a forwarded proposal is one that arrives there late.
  config.disable_proposal_forwarding = true;
  config.async_storage_writes = true;
  raft::DurableLog recovered;
  recovered.hard_state = synced_;
  recovered.entries = entries_;
  for (uint64_t id = 1; id <= bounds_->members; ++id) {
    recovered.snapshot.conf_state.voters.push_back(MemberId(id));
  }
  raft_ = std::make_unique<raft::Raft>(config, std::move(recovered), now_);
}

void Member::Report(Rule rule, std::string text, Outcome* outcome) const {
  if (outcome->violation.has_value()) return;
  outcome->violation = Violation{rule, VirtualTime(), std::move(text), {}};
}

std::array<LogIndex, kMaxMembers> Member::Matches() const {
  std::array<LogIndex, kMaxMembers> matches = {};
  if (raft_->role() != raft::Role::kLeader) return matches;
  for (const raft::Member& member : raft_->tracker().members()) {
    matches[member.id.value() - 1] = member.progress.match;
  }
  return matches;
}

// Every call of raft is judged by itself.
void Member::Do(Outcome* outcome, const std::function<void()>& action) {
  const raft::StateView before = raft::ViewOf(*raft_);
  const auto matches_before = Matches();
  action();
  if (raft_->role() == raft::Role::kLeader && raft_->term() == before.hard_state.term) {
    const auto matches = Matches();
    for (size_t i = 0; i < kMaxMembers; ++i) {
      if (matches[i] >= matches_before[i]) continue;
      Report(Rule::kAssertion,
             absl::StrCat("member ", id_.value(), " forgets what member ", i + 1,
                          " is known to match"),
             outcome);
    }
  }
  absl::Status status = raft::CheckTransition(before, *raft_);
  if (status.ok()) status = raft::CheckState(*raft_);
  if (!status.ok()) Report(Rule::kAssertion, std::string(status.message()), outcome);
}

void Member::Drain(Outcome* outcome) {
  while (raft_->HasReady()) {
    raft_->TakeReady(&ready_);
    for (raft::Message& message : ready_.messages) Send(std::move(message), outcome);
    ready_.messages.clear();
    for (const raft::ReadState& read : ready_.read_states) {
      uint64_t number = 0;
      CHECK(absl::SimpleAtoi(read.context.view(), &number));
      outcome->reads.push_back({number, read.index});
    }
    if (ready_.HasUnit()) {
      Unit& unit = units_.emplace_back();
      ready_.entries.CopyTo(&unit.entries);
      unit.hard_state = ready_.hard_state;
      unit.must_sync = ready_.must_sync;
      unit.responses = std::move(ready_.responses);
      ready_.responses.clear();
      if (faults_->acknowledge_before_write) Acknowledge(&unit, outcome);
    }
    if (!ready_.committed_entries.empty()) {
      const LogIndex last = ready_.committed_entries.last_index();
      Do(outcome, [&] { raft_->AppliedTo(last, now_); });
    }
    // What need not be synced is durable as soon as everything before it is.
    while (!units_.empty() && (bounds_->instant_disk || !units_.front().must_sync)) {
      CompleteFirst(outcome);
    }
  }
  CheckStable(outcome);
}

// What raft takes for durable, and may apply, is on the disk: an acknowledgement of
// entries that were replaced since does not count.
void Member::CheckStable(Outcome* outcome) const {
  const raft::Log& log = raft_->log();
  for (LogIndex at(1); at <= log.stable(); ++at) {
    if (at.value() <= entries_.size() && entries_[at.value() - 1] == log.EntryAt(at)) continue;
    Report(Rule::kCommitDurability,
           absl::StrCat("member ", id_.value(), " takes index ", at.value(), " of term ",
                        log.EntryAt(at).term.value(), " for durable, but its disk holds ",
                        at.value() <= entries_.size()
                            ? absl::StrCat("term ", entries_[at.value() - 1].term.value())
                            : "nothing",
                        " there"),
           outcome);
    return;
  }
}

void Member::Write(const Unit& unit, Outcome* outcome) {
  if (!unit.entries.empty()) {
    CHECK_LE(unit.entries.front().index.value(), entries_.size() + 1);
    entries_.resize(unit.entries.front().index.value() - 1);
    entries_.insert(entries_.end(), unit.entries.begin(), unit.entries.end());
  }
  if (unit.hard_state.has_value()) written_ = *unit.hard_state;
  const bool same_term = written_.term == synced_.term;
  const bool new_vote = synced_.vote != raft::kNobody && written_.vote != synced_.vote;
  if (written_.term < synced_.term || (same_term && new_vote)) {
    Report(Rule::kVoteDurability,
           absl::StrCat("on member ", id_.value(), "'s disk term ", synced_.term.value(),
                        " with a vote for ", synced_.vote.value(), " becomes term ",
                        written_.term.value(), " with a vote for ", written_.vote.value()),
           outcome);
  }
  if (unit.must_sync) synced_ = written_;
}

void Member::Acknowledge(Unit* unit, Outcome* outcome) {
  unit->acknowledged = true;
  std::vector<raft::Message> responses;
  responses.swap(unit->responses);
  for (raft::Message& message : responses) {
    if (message.to == id_) {
      if (message.type == raft::MessageType::kVoteResp) CheckPromise(message, outcome);
      Do(outcome, [&] { raft_->StepLocal(std::move(message), now_).IgnoreError(); });
    } else {
      Send(std::move(message), outcome);
    }
  }
}

void Member::CompleteFirst(Outcome* outcome) {
  Unit unit = std::move(units_.front());
  units_.pop_front();
  Write(unit, outcome);
  if (!unit.acknowledged) Acknowledge(&unit, outcome);
}

void Member::Send(raft::Message message, Outcome* outcome) {
  CheckPromise(message, outcome);
  if (faults_->tamper != nullptr) faults_->tamper(&message);
  outcome->sent.push_back(std::move(message));
}

// Figure 2, "updated on stable storage before responding to RPCs": R6 and R7 at the
// moment at which a promise leaves. Write() sees to it that the disk keeps to it.
void Member::CheckPromise(const raft::Message& message, Outcome* outcome) const {
  const auto text = [&](const auto&... parts) {
    return absl::StrCat("member ", id_.value(), " ", parts..., " in term ", message.term.value(),
                        ", but its disk holds term ", synced_.term.value(), ", a vote for ",
                        synced_.vote.value(), " and ", entries_.size(), " entries");
  };
  switch (message.type) {
    case raft::MessageType::kVoteResp:
      if (message.reject || synced_.term > message.term) return;
      if (synced_.term == message.term && synced_.vote == message.to) return;
      Report(Rule::kVoteDurability, text("votes for member ", message.to.value()), outcome);
      return;
    case raft::MessageType::kVote:
      if (synced_.term >= message.term) return;
      Report(Rule::kVoteDurability, text("asks for votes"), outcome);
      return;
    case raft::MessageType::kAppResp:
      if (message.reject) return;
      if (synced_.term >= message.term && message.index.value() <= entries_.size()) return;
      Report(Rule::kCommitDurability, text("acknowledges index ", message.index.value()), outcome);
      return;
    default:
      return;
  }
}

void Member::Deliver(const raft::Message& message, bool late, Outcome* outcome) {
  if (late) now_ = now_ + kElection;
  Do(outcome, [&] { raft_->Step(message, now_).IgnoreError(); });
  Drain(outcome);
}

void Member::FireElectionTimer(Outcome* outcome) {
  now_ = now_ + kAnyElection;
  Do(outcome, [&] { raft_->Tick(now_); });
  Drain(outcome);
}

void Member::FireHeartbeatTimer(Outcome* outcome) {
  now_ = now_ + kHeartbeat;
  Do(outcome, [&] { raft_->Tick(now_); });
  Drain(outcome);
}

void Member::Propose(uint64_t proposal, Outcome* outcome) {
  const Bytes payload = Bytes::Copy(absl::StrCat(proposal));
  Do(outcome, [&] { raft_->Propose(absl::MakeConstSpan(&payload, 1), now_).IgnoreError(); });
  Drain(outcome);
}

void Member::Read(uint64_t read, Outcome* outcome) {
  Do(outcome, [&] { raft_->ReadIndex(Bytes::Copy(absl::StrCat(read)), now_).IgnoreError(); });
  Drain(outcome);
}

void Member::Transfer(MemberId target, Outcome* outcome) {
  Do(outcome, [&] { raft_->TransferLeader(target, now_); });
  Drain(outcome);
}

void Member::CompleteUnit(Outcome* outcome) {
  CHECK(!units_.empty());
  CompleteFirst(outcome);
  // Those behind it that need no sync of their own.
  while (!units_.empty() && !units_.front().must_sync) CompleteFirst(outcome);
  Drain(outcome);
}

void Member::Crash(size_t kept, bool keep_commit, Outcome* outcome) {
  CHECK_LE(kept, units_.size());
  for (size_t i = 0; i < kept; ++i) Write(units_[i], outcome);
  units_.clear();
  if (keep_commit) synced_ = written_;
  written_ = synced_;
  Start();
  const absl::Status status = raft::CheckState(*raft_);
  if (!status.ok()) Report(Rule::kAssertion, std::string(status.message()), outcome);
  Drain(outcome);
}

MemberView Member::View() const {
  MemberView view;
  view.id = id_;
  view.role = raft_->role();
  view.term = raft_->term();
  view.vote = raft_->vote();
  view.leader = raft_->leader();
  view.transferee = raft_->transferee();
  view.commit = raft_->log().committed();
  view.durable_term = synced_.term;
  uint64_t chain = 0;
  for (const raft::Entry& entry : raft_->log().Range(LogIndex(1), raft_->log().last_index())) {
    view.log.push_back(LinkAfter(chain, entry));
    chain = view.log.back().chain;
  }
  chain = 0;
  for (const raft::Entry& entry : entries_) {
    view.durable.push_back(LinkAfter(chain, entry));
    chain = view.durable.back().chain;
  }
  view.match = Matches();
  view.units = units_.size();
  view.promotable = raft_->IsPromotable();
  view.unsynced_commit = written_ != synced_;
  return view;
}

void Member::AppendCanonical(raft::CanonicalState::Renaming rename, std::string* out) const {
  raft::CanonicalState::Append(*raft_, rename, out);
  // Commit indexes on the disk show only after a crash.
  const bool commits = bounds_->crashes > 0;
  const auto put_state = [&](const raft::HardState& state) {
    PutNumber(state.term.value(), out);
    PutNumber(rename(state.vote).value(), out);
    PutNumber(commits ? state.commit.value() : 0, out);
  };
  put_state(synced_);
  PutNumber(commits ? written_.commit.value() : 0, out);
  PutEntries(entries_, out);
  PutNumber(units_.size(), out);
  for (const Unit& unit : units_) {
    PutEntries(unit.entries, out);
    PutNumber(unit.hard_state.has_value() ? 1 : 0, out);
    if (unit.hard_state.has_value()) put_state(*unit.hard_state);
    PutNumber((unit.must_sync ? 1 : 0) | (unit.acknowledged ? 2 : 0), out);
    // Those to others go to a network without order, the others are delivered in order.
    std::vector<std::string> local;
    std::vector<std::string> remote;
    for (raft::Message message : unit.responses) {
      message.to = rename(message.to);
      message.from = rename(message.from);
      const bool mine = message.to == rename(id_);
      (mine ? local : remote).emplace_back(raft::EncodeToBytes(message).view());
    }
    std::sort(remote.begin(), remote.end());
    for (const std::vector<std::string>* list : {&local, &remote}) {
      PutNumber(list->size(), out);
      for (const std::string& message : *list) PutText(message, out);
    }
  }
}

}  // namespace quorate::sim::explore
