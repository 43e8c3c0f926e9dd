#include "sim/explore/rules.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/coding.h"

namespace quorate::sim::explore {

namespace {

std::string Name(const MemberView& member) { return absl::StrCat("member ", member.id.value()); }

Violation Broken(Rule rule, std::string text) {
  return Violation{rule, VirtualTime(), std::move(text), {}};
}

// Whether a log holds the first `count` of what was chosen.
bool Holds(const std::vector<Link>& log, const std::vector<Chosen>& chosen, size_t count) {
  if (count == 0) return true;
  return log.size() >= count && log[count - 1].chain == chosen[count - 1].link.chain;
}

}  // namespace

void History::AppendCanonical(raft::CanonicalState::Renaming rename, std::string* out) const {
  const auto put = [out](uint64_t value) {
    char bytes[kMaxVarint64Bytes];
    out->append(bytes, static_cast<size_t>(StoreVarint(bytes, value) - bytes));
  };
  put(leaders.size());
  for (const MemberId leader : leaders) put(rename(leader).value());
  put(chosen.size());
  for (const Chosen& entry : chosen) {
    put(entry.link.chain);
    put(entry.in_term.value());
  }
  for (const LogIndex index : reads_from) put(index.value());
}

bool Rules::IsNews(size_t changed, const History& history) const {
  const MemberView& member = *members_[changed];
  const size_t term = member.term.value();
  const bool new_leader = member.role == raft::Role::kLeader &&
                          (history.leaders.size() < term || history.leaders[term - 1] != member.id);
  return new_leader || member.commit.value() > history.chosen.size();
}

std::optional<Violation> Rules::OnReaction(size_t changed, absl::Span<const ReadAnswer> answers,
                                           History* history) const {
  const MemberView& member = *members_[changed];
  if (member.role == raft::Role::kLeader) {
    if (auto broken = CheckLeader(member, history)) return broken;
  }
  if (auto broken = CheckCommitted(member, *history)) return broken;
  for (size_t i = history->chosen.size(); i < member.commit.value(); ++i) {
    history->chosen.push_back({member.log[i], member.term});
  }
  for (const ReadAnswer& answer : answers) {
    const LogIndex needed = history->reads_from.at(answer.read);
    if (answer.index >= needed) continue;
    return Broken(Rule::kReadSafety,
                  absl::StrCat(Name(member), " serves read ", answer.read, " from index ",
                               answer.index.value(), ", but index ", needed.value(),
                               " was committed before it was asked for"));
  }
  return std::nullopt;
}

std::optional<Violation> Rules::CheckLeader(const MemberView& leader, History* history) const {
  const size_t term = leader.term.value();
  if (history->leaders.size() < term) history->leaders.resize(term);
  MemberId& known = history->leaders[term - 1];
  if (known == leader.id) return std::nullopt;
  if (known != MemberId(0)) {
    return Broken(Rule::kElectionSafety, absl::StrCat("two leaders in term ", term, ": member ",
                                                      known.value(), " and ", Name(leader)));
  }
  known = leader.id;
  return std::nullopt;
}

// What was committed in this term or a later one may well be missing: votes of a past
// election can arrive late.
std::optional<Violation> Rules::CheckCompleteness(const MemberView& leader,
                                                  const History& history) const {
  size_t count = history.chosen.size();
  while (count > 0 && history.chosen[count - 1].in_term >= leader.term) --count;
  if (Holds(leader.log, history.chosen, count)) return std::nullopt;
  return Broken(
      Rule::kLeaderCompleteness,
      absl::StrCat(Name(leader), " leads term ", leader.term.value(), " without the entry of term ",
                   history.chosen[count - 1].link.term.value(), " at index ", count,
                   ", which was committed in term ", history.chosen[count - 1].in_term.value()));
}

std::optional<Violation> Rules::CheckCommitted(const MemberView& member,
                                               const History& history) const {
  const size_t commit = member.commit.value();
  CHECK_LE(commit, member.log.size());
  if (Holds(member.log, history.chosen, std::min(commit, history.chosen.size()))) {
    return std::nullopt;
  }
  size_t first = 1;
  while (Holds(member.log, history.chosen, first)) ++first;
  return Broken(
      Rule::kStateMachineSafety,
      absl::StrCat(Name(member), " committed an entry of term ", member.log[first - 1].term.value(),
                   " at index ", first, ", where one of term ",
                   history.chosen[first - 1].link.term.value(), " had been committed"));
}

std::optional<Violation> Rules::OnState(size_t changed, const History& history) const {
  if (auto broken = CheckCommitted(*members_[changed], history)) return broken;
  for (size_t i = 0; i < members_.size(); ++i) {
    if (members_[i]->role == raft::Role::kLeader) {
      if (auto broken = CheckCompleteness(*members_[i], history)) return broken;
    }
    if (i == changed) continue;
    if (auto broken = CheckLogMatching(*members_[changed], *members_[i])) return broken;
  }
  return CheckQuorumHolds(history);
}

std::optional<Violation> Rules::CheckLogMatching(const MemberView& one,
                                                 const MemberView& other) const {
  // From the end: where the chains are equal, everything before is.
  for (size_t i = std::min(one.log.size(), other.log.size()); i > 0; --i) {
    if (one.log[i - 1].chain == other.log[i - 1].chain) return std::nullopt;
    if (one.log[i - 1].term != other.log[i - 1].term) continue;
    return Broken(Rule::kLogMatching, absl::StrCat("the logs of ", Name(one), " and ", Name(other),
                                                   " both have term ", one.log[i - 1].term.value(),
                                                   " at index ", i, " but differ there or before"));
  }
  return std::nullopt;
}

std::optional<Violation> Rules::CheckQuorumHolds(const History& history) const {
  const size_t count = history.chosen.size();
  const auto holders = static_cast<size_t>(std::count_if(
      members_.begin(), members_.end(),
      [&](const MemberView* member) { return Holds(member->durable, history.chosen, count); }));
  if (holders > members_.size() / 2) return std::nullopt;
  return Broken(
      Rule::kCommitDurability,
      absl::StrCat("index ", count, " of term ", history.chosen[count - 1].link.term.value(),
                   " was committed, but only ", holders, " of ", members_.size(),
                   " disks hold it: that is no majority"));
}

}  // namespace quorate::sim::explore
