#include "sim/study/judge.h"

#include <algorithm>
#include <utility>

#include "base/prng.h"

namespace quorate::sim::study {

void Judge::OnState(const raft::Raft& member, Instant /*at*/) {
  if (member.role() != raft::Role::kLeader) return;
  ++leader_changes_;
  const auto [at, first] = leader_of_.emplace(member.term().value(), member.id().value());
  if (!first && at->second != member.id().value()) two_leaders_ = true;
}

void Judge::OnCommitted(MemberId /*member*/, const raft::Entry& entry, Instant at) {
  const std::pair<uint64_t, uint64_t> what = {entry.term.value(), HashName(entry.data.view())};
  const auto [known, first] = committed_.emplace(entry.index.value(), what);
  if (!first) {
    if (known->second != what) conflict_ = true;
    return;
  }
  if (entry.type != raft::EntryType::kNormal) ++configurations_;
  if (entry.type != raft::EntryType::kNormal || entry.data.empty()) return;
  ++commits_;
  longest_ = std::max(longest_, at - last_commit_);
  last_commit_ = at;
}

void Judge::Start(Instant now) {
  commits_ = 0;
  leader_changes_ = 0;
  longest_ = Duration();
  last_commit_ = now;
}

}  // namespace quorate::sim::study
