#include "sim/oracle/raft.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/prng.h"
#include "engine/raft/codec.h"
#include "engine/raft/conf_change.h"
#include "sim/describe_time.h"

namespace quorate::sim {
namespace {

constexpr uint64_t kChainStart = 0x6b5d1f0a9c3e7245ULL;

uint64_t Fold(uint64_t hash, uint64_t word) {
  const auto product = static_cast<unsigned __int128>(hash ^ word) * 0x9e3779b97f4a7c15ULL;
  return (static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64)) +
         0xd1b54a32d192ed03ULL;
}

uint64_t ChainOf(uint64_t before, const raft::Entry& entry) {
  uint64_t hash = Fold(before, entry.term.value());
  hash = Fold(hash, (uint64_t{entry.data.size()} << 8) | static_cast<uint64_t>(entry.type));
  const char* at = entry.data.data();
  size_t left = entry.data.size();
  for (; left >= 8; left -= 8, at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, at, 8);
    hash = Fold(hash, word);
  }
  uint64_t rest = 0;
  if (left > 0) std::memcpy(&rest, at, left);
  return Mix64(Fold(hash, rest));
}

}  // namespace

RaftOracle::RaftOracle(Judge* judge, std::vector<MemberId> ids, size_t founders,
                       CommitSink on_commit, ConfigRule rule)
    : judge_(judge),
      on_commit_(std::move(on_commit)),
      rule_(std::move(rule)),
      members_(ids.size() + 1),
      founders_(founders) {
  for (size_t i = 0; i < ids.size(); ++i) members_[i + 1].id = ids[i];
  for (Member& member : members_) member.log.push_back(Link{Term(0), kChainStart});
  canonical_.push_back(Committed{Link{Term(0), kChainStart}, Term(0), 0, VirtualTime()});
}

std::string RaftOracle::Name(size_t member) const { return absl::StrCat("member ", member); }

std::string RaftOracle::NameOf(MemberId id) const {
  for (size_t m = 1; m < members_.size(); ++m) {
    if (members_[m].id == id) return Name(m);
  }
  return absl::StrCat("unknown member ", id.value());
}

void RaftOracle::Observe(VirtualTime when, size_t member, uint64_t incarnation,
                         const engine::ReplicaInspector& inspector, bool repaired) {
  CHECK(member >= 1 && member < members_.size());
  Member& m = members_[member];
  if (m.incarnation != incarnation) {
    m.incarnation = incarnation;
    Restarted(when, member, inspector, repaired);
  }
  FollowLog(when, member, inspector);
  const raft::HardState state = inspector.hard_state();
  const LogIndex applied = inspector.applied();
  CheckMonotonic(when, member, state, applied);
  m.leads = inspector.role() == engine::Role::kLeader;
  const bool stood = std::exchange(m.stands, inspector.role() == engine::Role::kCandidate ||
                                                 inspector.role() == engine::Role::kPreCandidate);
  if (m.stands && !stood) CheckCandidate(when, member, inspector);
  if (m.leads && m.led_term != state.term) CheckLeader(when, member, state.term);
  if (state.commit > m.commit) AdvanceCommit(when, member, state.commit, inspector);
  if (applied > m.applied) {
    m.applied = applied;
    CheckAppliedChain(when, member, applied, inspector.applied_chain());
    if (ConfigAt(applied) != m.config_seen) CheckConfig(when, member, inspector);
  }
}

void RaftOracle::OnSend(VirtualTime when, size_t member, const raft::Message& message) {
  saw_sends_ = true;
  Member& m = members_[member];
  switch (message.type) {
    case raft::MessageType::kAppResp:
      if (message.reject) break;
      m.promised_term = std::max(m.promised_term, message.term);
      // What tells the leader of an earlier term of a later one names no entry.
      if (message.index > LogIndex(0)) {
        m.acknowledged_term = std::max(m.acknowledged_term, message.term);
      }
      Acknowledge(when, member, message.term, message.index);
      break;
    case raft::MessageType::kVoteResp:
      m.promised_term = std::max(m.promised_term, message.term);
      if (!message.reject) Vote(when, member, message.term, message.to);
      break;
    case raft::MessageType::kApp:
    case raft::MessageType::kHeartbeat:
      if (m.led_term != message.term) CheckLeader(when, member, message.term);
      break;
    default:
      break;
  }
}

void RaftOracle::Acknowledge(VirtualTime when, size_t member, Term term, LogIndex index) {
  Member& m = members_[member];
  // An answer to an old leader that waited for the disk while a later one cut the log: what
  // was cut is committed nowhere, or the later one could not lead (R4), and nobody counts on it.
  for (auto cut = m.cuts.upper_bound(term); cut != m.cuts.end(); ++cut) {
    index = std::min(index, cut->second - 1);
  }
  // The same, where both leaders' entries came in one event, after a pause: what was cut was never
  // seen here (seed 988042636335).
  if (term < m.term) index = std::min(index, LogIndex(m.log.size() - 1));
  if (index.value() >= m.log.size()) {
    judge_->Report(Rule::kCommitDurability, when,
                   absl::StrCat(Name(member), " acknowledges index ", index.value(),
                                " but its log ends at index ", m.log.size() - 1));
    return;
  }
  m.acknowledged = std::max(m.acknowledged, index);
}

void RaftOracle::Restarted(VirtualTime when, size_t member,
                           const engine::ReplicaInspector& inspector, bool repaired) {
  Member& m = members_[member];
  // Whatever it had in memory only is gone; the log is read anew.
  const std::vector<Link> before = std::move(m.log);
  m.log.assign(1, Link{Term(0), kChainStart});
  m.term = Term(0);
  m.commit = LogIndex(0);
  m.applied = LogIndex(0);
  m.config_seen = 0;
  m.leads = false;
  m.stands = false;
  m.led_term = Term(0);
  m.cuts.clear();
  FollowLog(when, member, inspector);
  if (repaired) ForgetVoid(when, member, before, inspector.hard_state());
  CheckPromises(when, member, inspector);
  judge_->Checked(Rule::kCommitDurability);
  const size_t acknowledged = m.acknowledged.value();
  if (acknowledged > 0 &&
      (m.log.size() <= acknowledged || m.log[acknowledged].chain != before[acknowledged].chain)) {
    judge_->Report(
        Rule::kCommitDurability, when,
        absl::StrCat(Name(member), " acknowledged its log up to index ", acknowledged, " (term ",
                     before[acknowledged].term.value(), ") to a leader, but after a restart ",
                     m.log.size() <= acknowledged
                         ? absl::StrCat("its log ends at index ", m.log.size() - 1)
                         : absl::StrCat("holds term ", m.log[acknowledged].term.value(), " there"),
                     ": what is acknowledged must be durable"));
  }
  CheckQuorumHolds(when, member);
}

// A member that was given the state of another (engine/replica/repair.cc says why this is safe).
// Entries that it acknowledged are void if a leader of a later term went on without them: nobody
// can commit them any more. A vote in a term that it has not come back to is void, since that
// candidate will not be elected; but no leader of such a term can have got an acknowledgement.
// In the term that it has come back to it must not vote.
void RaftOracle::ForgetVoid(VirtualTime when, size_t member, const std::vector<Link>& before,
                            const raft::HardState& state) {
  Member& m = members_[member];
  judge_->Checked(Rule::kVoteDurability);
  if (state.term < m.acknowledged_term) {
    judge_->Report(
        Rule::kVoteDurability, when,
        absl::StrCat(Name(member), " acknowledged entries in term ", m.acknowledged_term.value(),
                     " but was repaired into term ", state.term.value()));
  }
  m.promised_term = std::min(m.promised_term, state.term);
  m.votes.erase(m.votes.upper_bound(state.term), m.votes.end());
  m.votes[state.term] = {state.vote, when};
  size_t index = m.acknowledged.value();
  if (index == 0 || before[index].term >= m.log.back().term) return;
  const bool committed =
      index < canonical_.size() && canonical_[index].link.chain == before[index].chain;
  if (committed) return;
  while (index >= m.log.size() || m.log[index].chain != before[index].chain) --index;
  m.acknowledged = LogIndex(index);
}

void RaftOracle::CheckPromises(VirtualTime when, size_t member,
                               const engine::ReplicaInspector& inspector) {
  Member& m = members_[member];
  const raft::HardState state = inspector.hard_state();
  judge_->Checked(Rule::kVoteDurability);
  if (state.term < m.promised_term) {
    judge_->Report(Rule::kVoteDurability, when,
                   absl::StrCat(Name(member), " answered in term ", m.promised_term.value(),
                                " but came back from its disk in term ", state.term.value()));
  }
  const auto vote = m.votes.find(state.term);
  if (vote != m.votes.end() && vote->second.first != state.vote) {
    judge_->Report(
        Rule::kVoteDurability, when,
        absl::StrCat(Name(member), " voted for ", NameOf(vote->second.first), " in term ",
                     state.term.value(), " but came back from its disk with ",
                     state.vote == MemberId(0) ? std::string("no vote")
                                               : absl::StrCat("a vote for ", NameOf(state.vote))),
        {absl::StrCat(Describe(vote->second.second), " ", Name(member), " voted for ",
                      NameOf(vote->second.first))});
  }
}

// After a restart: is everything committed still on a quorum? Members that are down
// count with what they had.
void RaftOracle::CheckQuorumHolds(VirtualTime when, size_t member) {
  const Committed& last = canonical_.back();
  const LogIndex index(canonical_.size() - 1);
  if (index.value() <= founders_) return;  // what the founders write by themselves
  if (IsQuorum(index, [&](const Member& m) { return Holds(m, index, last.link.chain); })) return;
  judge_->Report(Rule::kCommitDurability, when,
                 absl::StrCat("entry ", index.value(), " (term ", last.link.term.value(),
                              ") was committed, but after the restart of ", Name(member),
                              " no majority of the voters holds it"),
                 {absl::StrCat(Describe(last.when), " ", Name(last.member), " committed index ",
                               index.value())});
}

bool RaftOracle::Holds(const Member& member, LogIndex index, uint64_t chain) const {
  return index.value() < member.log.size() && member.log[index.value()].chain == chain;
}

// Brings the shadow up to date: back to where it still agrees, then forward. Going by
// terms is enough, since equal (index, term) means equal entries (which R3 checks).
void RaftOracle::FollowLog(VirtualTime when, size_t member,
                           const engine::ReplicaInspector& inspector) {
  Member& m = members_[member];
  if (m.leads) judge_->Checked(Rule::kLeaderAppendOnly);
  const size_t last = inspector.last_index().value();
  const size_t base = inspector.first_index().value() - 1;
  if (base > 0 && !FollowCut(when, member, inspector)) return;
  size_t same = std::min(last, m.log.size() - 1);
  if (last + 1 == m.log.size() &&
      (last == 0 || inspector.TermAt(LogIndex(last)) == m.log[last].term)) {
    return;
  }
  while (same > base && inspector.TermAt(LogIndex(same)) != m.log[same].term) --same;
  if (same + 1 < m.log.size()) Truncate(when, member, same + 1, inspector.hard_state().term);
  for (size_t i = same + 1; i <= last; ++i) {
    const std::optional<raft::Entry> entry = inspector.EntryAt(LogIndex(i));
    if (!entry.has_value()) {
      judge_->Report(Rule::kLogMatching, when,
                     absl::StrCat(Name(member), "'s log has a gap at index ", i));
      return;
    }
    AppendTo(when, member, *entry);
    if (entry->type != raft::EntryType::kNormal) {
      CheckOneChange(when, member, *entry, inspector.applied());
    }
  }
}

// R9 (thesis, section 4.1). Quorums of neighbouring configurations meet, those of others need
// not. What was cut off does not count.
void RaftOracle::CheckOneChange(VirtualTime when, size_t member, const raft::Entry& change,
                                LogIndex applied) {
  Member& m = members_[member];
  const LogIndex before = std::exchange(m.last_change, change.index);
  if (!m.leads || m.led_term != change.term) return;
  judge_->Checked(Rule::kOneChange);
  if (before >= change.index || before <= applied) return;
  judge_->Report(Rule::kOneChange, when,
                 absl::StrCat(Name(member), ", leader of term ", change.term.value(),
                              ", begins a change of the configuration at index ",
                              change.index.value(), " while that at index ", before.value(),
                              " is not applied (it has applied index ", applied.value(), ")"));
}

// The same rule at an election, where a configuration counts from when it is applied: who stands by
// one that it knows to be replaced may be elected by those that the change has removed, beside the
// leader of the others.
void RaftOracle::CheckCandidate(VirtualTime when, size_t member,
                                const engine::ReplicaInspector& inspector) {
  judge_->Checked(Rule::kOneChange);
  const LogIndex applied = inspector.applied();
  for (LogIndex at = inspector.hard_state().commit; at > applied; at = at - 1) {
    const std::optional<raft::Entry> entry = inspector.EntryAt(at);
    if (!entry.has_value() || entry->type == raft::EntryType::kNormal) continue;
    judge_->Report(Rule::kOneChange, when,
                   absl::StrCat(Name(member), " stands for election after term ",
                                inspector.hard_state().term.value(),
                                " though it knows the change of the configuration at index ",
                                at.value(), " to be committed and has not applied it"));
    return;
  }
}

// What is cut from a log is in a checkpoint: it was committed, and by somebody before this
// member had it. The shadow of a log that begins behind what it held before (a restart, a
// snapshot) goes on from the canonical one; the chain of what was applied is checked apart.
bool RaftOracle::FollowCut(VirtualTime when, size_t member,
                           const engine::ReplicaInspector& inspector) {
  const size_t base = inspector.first_index().value() - 1;
  const std::optional<Term> term = inspector.TermAt(LogIndex(base));
  Member& m = members_[member];
  judge_->Checked(Rule::kLogMatching);
  if (base >= canonical_.size() || canonical_[base].link.term != term) {
    judge_->Report(
        Rule::kStateMachineSafety, when,
        absl::StrCat(
            Name(member), "'s log was cut up to index ", base,
            base >= canonical_.size()
                ? ", which nobody has committed"
                : absl::StrCat(" of term ", term.value_or(Term(0)).value(), ", where term ",
                               canonical_[base].link.term.value(), " is committed")));
    return false;
  }
  if (base < m.log.size() && m.log[base].chain == canonical_[base].link.chain) return true;
  // A snapshot in place of a log that it contradicts: what was cut does not count any more.
  if (m.log.size() > base + 1) {
    Truncate(when, member, base + 1, inspector.hard_state().term);
  }
  m.log.clear();
  for (size_t i = 0; i <= base; ++i) m.log.push_back(canonical_[i].link);
  return true;
}

void RaftOracle::Truncate(VirtualTime when, size_t member, size_t size, Term term) {
  Member& m = members_[member];
  if (m.leads && m.led_term == term) {
    judge_->Report(Rule::kLeaderAppendOnly, when,
                   absl::StrCat(Name(member), " leads term ", term.value(),
                                " and removed its log from index ", size, " on"));
  }
  if (m.commit.value() >= size) {
    judge_->Report(Rule::kStateMachineSafety, when,
                   absl::StrCat(Name(member), " had committed index ", m.commit.value(),
                                " and replaced its log from index ", size, " on"));
  }
  m.log.resize(size);
  m.last_change = std::min(m.last_change, LogIndex(size - 1));
  const auto cut = m.cuts.try_emplace(term, size).first;
  cut->second = std::min(cut->second, LogIndex(size));
  m.acknowledged = std::min(m.acknowledged, LogIndex(size - 1));
}

void RaftOracle::AppendTo(VirtualTime when, size_t member, const raft::Entry& entry) {
  Member& m = members_[member];
  const Link link{entry.term, ChainOf(m.log.back().chain, entry)};
  judge_->Checked(Rule::kLogMatching);
  const LogIndex index(m.log.size());
  if (entry.index != index || entry.term < m.log.back().term) {
    judge_->Report(Rule::kLogMatching, when,
                   absl::StrCat(Name(member), "'s log holds entry (index ", entry.index.value(),
                                ", term ", entry.term.value(), ") at index ", index.value(),
                                " after term ", m.log.back().term.value()));
  }
  const auto [known, fresh] = chains_.emplace(std::make_pair(index, entry.term), link.chain);
  if (!fresh && known->second != link.chain) {
    judge_->Report(Rule::kLogMatching, when,
                   absl::StrCat(Name(member), " holds an entry with index ", index.value(),
                                " and term ", entry.term.value(),
                                " whose log up to there differs from that of another member with "
                                "the same index and term"));
  }
  m.log.push_back(link);
}

void RaftOracle::CheckMonotonic(VirtualTime when, size_t member, const raft::HardState& state,
                                LogIndex applied) {
  Member& m = members_[member];
  judge_->Checked(Rule::kMonotonicity);
  const auto report = [&](absl::string_view what, uint64_t from, uint64_t to) {
    judge_->Report(Rule::kMonotonicity, when,
                   absl::StrCat(Name(member), "'s ", what, " went from ", from, " to ", to));
  };
  if (state.term < m.term) report("term", m.term.value(), state.term.value());
  if (state.commit < m.commit) report("commit index", m.commit.value(), state.commit.value());
  if (applied < m.applied) report("applied index", m.applied.value(), applied.value());
  if (applied > state.commit) {
    judge_->Report(Rule::kMonotonicity, when,
                   absl::StrCat(Name(member), " applied index ", applied.value(),
                                " with commit index ", state.commit.value()));
  }
  m.term = state.term;
  highest_term_ = std::max(highest_term_, state.term);
}

void RaftOracle::CheckLeader(VirtualTime when, size_t member, Term term) {
  Member& m = members_[member];
  m.led_term = term;
  judge_->Checked(Rule::kElectionSafety);
  const auto [known, fresh] = leaders_.emplace(term, Leader{member, when});
  if (!fresh) {
    if (known->second.member == member) return;
    judge_->Report(
        Rule::kElectionSafety, when,
        absl::StrCat("two leaders in term ", term.value(), ": ", Name(known->second.member),
                     " and ", Name(member)),
        {absl::StrCat(Describe(known->second.when), " ", Name(known->second.member), " leads"),
         absl::StrCat(Describe(when), " ", Name(member), " leads")});
    return;
  }
  ++elections_;
  // A leader counted its own vote, so that one must be durable too.
  if (saw_sends_) Vote(when, member, term, m.id);
  CheckCompleteness(when, member, term);
}

// R4. What was committed in this term or a later one may well be missing: votes of a
// past election can arrive late.
void RaftOracle::CheckCompleteness(VirtualTime when, size_t member, Term term) {
  const Member& m = members_[member];
  size_t index = canonical_.size() - 1;
  while (index > 0 && canonical_[index].in_term >= term) --index;
  judge_->Checked(Rule::kLeaderCompleteness);
  const Committed& committed = canonical_[index];
  if (Holds(m, LogIndex(index), committed.link.chain)) return;
  judge_->Report(
      Rule::kLeaderCompleteness, when,
      absl::StrCat(Name(member), " became leader of term ", term.value(),
                   " without the committed entry at index ", index, " (term ",
                   committed.link.term.value(), "): its log ",
                   index < m.log.size()
                       ? absl::StrCat("has term ", m.log[index].term.value(), " there")
                       : absl::StrCat("ends at index ", m.log.size() - 1)),
      {absl::StrCat(Describe(committed.when), " ", Name(committed.member), " committed index ",
                    index, " in term ", committed.in_term.value())});
}

void RaftOracle::AdvanceCommit(VirtualTime when, size_t member, LogIndex commit,
                               const engine::ReplicaInspector& inspector) {
  Member& m = members_[member];
  if (commit.value() >= m.log.size()) {
    judge_->Report(Rule::kStateMachineSafety, when,
                   absl::StrCat(Name(member), " has commit index ", commit.value(),
                                " but its log ends at index ", m.log.size() - 1));
    return;
  }
  const size_t known = std::min(static_cast<size_t>(commit.value()), canonical_.size() - 1);
  CheckCommitted(when, member, LogIndex(known));
  for (size_t i = canonical_.size(); i <= commit.value(); ++i) {
    canonical_.push_back(Committed{m.log[i], m.term, member, when});
    const std::optional<raft::Entry> entry = inspector.EntryAt(LogIndex(i));
    if (!entry.has_value()) continue;
    if (entry->type != raft::EntryType::kNormal) FollowConfig(*entry);
    if (on_commit_ != nullptr) on_commit_(when, *entry);
  }
  if (commit.value() > known) CheckQuorumAcknowledged(when, member, commit);
  m.commit = commit;
}

void RaftOracle::FollowConfig(const raft::Entry& entry) {
  if (rule_ == nullptr) return;
  std::optional<raft::ConfState> changed = rule_(configs_.back().state, entry);
  if (changed.has_value()) configs_.push_back({entry.index, *std::move(changed)});
}

size_t RaftOracle::ConfigAt(LogIndex index) const {
  size_t at = configs_.size() - 1;
  while (at > 0 && configs_[at].index > index) --at;
  return at;
}

// A leader counts by the configuration that it has applied: the last one, or that before,
// since only one change may be on its way.
bool RaftOracle::IsQuorum(LogIndex index, const std::function<bool(const Member&)>& holds) const {
  const size_t last = ConfigAt(index);
  for (const size_t at : {last, last == 0 ? last : last - 1}) {
    const std::vector<MemberId>& voters = configs_[at].state.voters;
    const auto holders = std::count_if(members_.begin() + 1, members_.end(), [&](const Member& m) {
      return std::find(voters.begin(), voters.end(), m.id) != voters.end() && holds(m);
    });
    if (static_cast<size_t>(holders) > voters.size() / 2) return true;
  }
  return false;
}

// Members that applied the same entries count by the same configuration.
void RaftOracle::CheckConfig(VirtualTime when, size_t member,
                             const engine::ReplicaInspector& inspector) {
  Member& m = members_[member];
  // Raft has accepted a snapshot and counts by its configuration; the state follows once it
  // is durable.
  if (inspector.first_index() > m.applied + 1) return;
  m.config_seen = ConfigAt(m.applied);
  judge_->Checked(Rule::kStateMachineSafety);
  if (inspector.conf_state() == configs_[m.config_seen].state) return;
  judge_->Report(
      Rule::kStateMachineSafety, when,
      absl::StrCat(Name(member), " has applied index ", m.applied.value(),
                   " and works with configuration ", raft::Describe(inspector.conf_state()),
                   ", but the log makes ", raft::Describe(configs_[m.config_seen].state)));
}

// R5, by the chain: one comparison covers everything up to the index.
void RaftOracle::CheckCommitted(VirtualTime when, size_t member, LogIndex index) {
  const Member& m = members_[member];
  judge_->Checked(Rule::kStateMachineSafety);
  const Committed& committed = canonical_[index.value()];
  if (m.log[index.value()].chain == committed.link.chain) return;
  size_t first = 1;
  while (m.log[first].chain == canonical_[first].link.chain) ++first;
  const Committed& other = canonical_[first];
  judge_->Report(
      Rule::kStateMachineSafety, when,
      absl::StrCat("different entries are committed at index ", first, ": ", Name(member),
                   " has one of term ", m.log[first].term.value(), ", ", Name(other.member),
                   " committed one of term ", other.link.term.value()),
      {absl::StrCat(Describe(other.when), " ", Name(other.member), " committed index ", first,
                    " of term ", other.link.term.value()),
       absl::StrCat(Describe(when), " ", Name(member), " committed index ", first, " of term ",
                    m.log[first].term.value())});
}

RaftOracle::Before RaftOracle::BeforeMessage(const raft::Message& message,
                                             const engine::ReplicaInspector& inspector) const {
  Before before;
  const auto among = [&](size_t at) {
    return raft::IsVoter(configs_[at].state, message.from) ||
           raft::IsLearner(configs_[at].state, message.from);
  };
  size_t at = ConfigAt(inspector.applied());
  if (at == 0 || among(at)) return before;
  while (at > 0 && !among(at)) --at;
  before.removed = among(at);
  before.state = inspector.hard_state();
  before.leader = inspector.leader();
  before.last = inspector.last_index();
  return before;
}

// R10. Time may pass in the same step, so only what comes of the message counts.
void RaftOracle::AfterMessage(VirtualTime when, size_t member, const raft::Message& message,
                              const Before& before, const engine::ReplicaInspector& inspector) {
  if (!before.removed) return;
  judge_->Checked(Rule::kRemoved);
  const raft::HardState state = inspector.hard_state();
  const bool term = state.term > before.state.term && state.term == message.term;
  const bool vote = state.vote == message.from && before.state.vote != message.from;
  const bool leader = inspector.leader() == message.from && before.leader != message.from;
  const bool log = state.commit != before.state.commit || inspector.last_index() != before.last;
  if (!term && !vote && !leader && !log) return;
  judge_->Report(Rule::kRemoved, when,
                 absl::StrCat(Name(member), " has applied the removal of ", NameOf(message.from),
                              ", and yet a message of it changed ",
                              term     ? "its term"
                              : vote   ? "its vote"
                              : leader ? "whom it follows"
                                       : "its log",
                              " in term ", state.term.value()));
}

// R6: an entry becomes committed only once a quorum holds it, and, where messages are
// seen, once a quorum has acknowledged it (the committing leader counts for itself).
void RaftOracle::CheckQuorumAcknowledged(VirtualTime when, size_t member, LogIndex index) {
  judge_->Checked(Rule::kCommitDurability);
  // The founders' entries are committed before anybody else has started.
  if (index.value() <= founders_) return;
  const uint64_t chain = canonical_[index.value()].link.chain;
  const Member* const self = &members_[member];
  const auto holds = [&](const Member& m) {
    const bool acknowledged = !saw_sends_ || m.acknowledged >= index || &m == self;
    return acknowledged && Holds(m, index, chain);
  };
  if (IsQuorum(index, holds)) return;
  judge_->Report(Rule::kCommitDurability, when,
                 absl::StrCat(Name(member), " committed index ", index.value(), " of term ",
                              canonical_[index.value()].link.term.value(),
                              " while no majority of the voters had acknowledged it"));
}

void RaftOracle::CheckAppliedChain(VirtualTime when, size_t member, LogIndex applied,
                                   uint64_t chain) {
  judge_->Checked(Rule::kStateMachineSafety);
  const auto [known, fresh] = applied_chains_.emplace(applied, std::make_pair(chain, member));
  if (fresh || known->second.first == chain) return;
  judge_->Report(Rule::kStateMachineSafety, when,
                 absl::StrCat(Name(member), " and ", Name(known->second.second),
                              " applied different entries up to index ", applied.value()));
}

void RaftOracle::Vote(VirtualTime when, size_t member, Term term, MemberId candidate) {
  Member& m = members_[member];
  judge_->Checked(Rule::kVoteDurability);
  const auto [known, fresh] = m.votes.emplace(term, std::make_pair(candidate, when));
  if (fresh || known->second.first == candidate) return;
  judge_->Report(
      Rule::kVoteDurability, when,
      absl::StrCat(Name(member), " voted twice in term ", term.value(), ": for ",
                   NameOf(known->second.first), " and for ", NameOf(candidate)),
      {absl::StrCat(Describe(known->second.second), " ", Name(member), " voted for ",
                    NameOf(known->second.first)),
       absl::StrCat(Describe(when), " ", Name(member), " voted for ", NameOf(candidate))});
}

}  // namespace quorate::sim
