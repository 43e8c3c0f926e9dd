#include "sim/shrink.h"

#include <algorithm>
#include <utility>

namespace quorate::sim {
namespace {

// The safety phase may end this long after the event that broke the rule.
constexpr Duration kAfterViolation = Milliseconds(1);

}  // namespace

bool Shrinker::Try(const Schedule& candidate) {
  if (candidate == best_ || !options_.may_go_on()) return false;
  ++runs_;
  SeedReport report = options_.run(candidate);
  if (report.violations.empty() || report.violations[0].rule != rule_) return false;
  best_ = candidate;
  report_ = std::move(report);
  options_.on_progress(best_);
  return true;
}

// What follows the violation is of no interest. A rule that breaks after the safety phase
// takes trying.
void Shrinker::ShrinkTime() {
  const VirtualTime broken = report_.violations[0].when;
  Schedule candidate = best_;
  if (broken < VirtualTime() + best_.duration) {
    candidate.duration = broken - VirtualTime() + kAfterViolation;
    Try(candidate);
    return;
  }
  for (int64_t parts = 16; parts >= 2; parts /= 2) {
    candidate = best_;
    candidate.duration = best_.duration / parts;
    if (candidate.duration > Duration() && Try(candidate)) return ShrinkTime();
  }
}

void Shrinker::ShrinkWorld() {
  for (size_t members = 1; members < best_.members; ++members) {
    Schedule candidate = best_;
    candidate.members = members;
    if (Try(candidate)) break;
  }
  for (const size_t clients : {size_t{1}, size_t{2}, size_t{4}, best_.clients / 2}) {
    if (clients == 0 || clients >= best_.clients) continue;
    Schedule candidate = best_;
    candidate.clients = clients;
    std::erase_if(candidate.reduction.requests,
                  [clients](const auto& kept) { return kept.first > clients; });
    if (Try(candidate)) break;
  }
  for (size_t watchers = 0; watchers < best_.watchers; ++watchers) {
    Schedule candidate = best_;
    candidate.watchers = watchers;
    if (Try(candidate)) break;
  }
  Schedule candidate = best_;
  candidate.administrator = false;
  Try(candidate);
  // All at once first: their requests may be gone already.
  candidate = best_;
  candidate.kinds.fill(false);
  if (Try(candidate)) return;
  for (size_t i = 0; i < kWorkloadKinds; ++i) {
    candidate = best_;
    candidate.kinds[i] = false;
    Try(candidate);
  }
}

void Shrinker::ShrinkClasses() {
  for (size_t i = 0; i < kFaultClasses; ++i) {
    if (!best_.classes[i]) continue;
    Schedule candidate = best_;
    candidate.classes[i] = false;
    candidate.reduction.actions[i].reset();
    Try(candidate);
  }
}

// Names every action and request that came up, so that they can be left out one by one.
void Shrinker::ListAtoms() {
  for (size_t i = 0; i < kFaultClasses; ++i) {
    auto& kept = best_.reduction.actions[i];
    if (!best_.classes[i] || kept.has_value()) continue;
    kept.emplace();
    for (uint64_t n = 1; n <= report_.actions[i]; ++n) kept->insert(n);
  }
  for (size_t i = 0; i < report_.numbered.size(); ++i) {
    const auto [kept, fresh] = best_.reduction.requests.try_emplace(static_cast<uint32_t>(i) + 1);
    if (!fresh) continue;
    for (uint64_t n = 1; n <= report_.numbered[i]; ++n) kept->second.insert(n);
  }
}

// Leaves out ever smaller pieces; true if anything went.
bool Shrinker::ShrinkAtoms(bool requests) {
  std::vector<Atom> atoms;
  if (requests) {
    for (const auto& [client, kept] : best_.reduction.requests) {
      for (const uint64_t number : kept) atoms.push_back({true, client, number});
    }
  } else {
    for (size_t i = 0; i < kFaultClasses; ++i) {
      if (!best_.reduction.actions[i].has_value()) continue;
      for (const uint64_t number : *best_.reduction.actions[i]) {
        atoms.push_back({false, i, number});
      }
    }
  }
  const size_t before = atoms.size();
  const auto without = [this](const std::vector<Atom>& gone) {
    Schedule out = best_;
    for (const Atom& atom : gone) {
      if (atom.request) {
        out.reduction.requests[static_cast<uint32_t>(atom.who)].erase(atom.number);
      } else {
        out.reduction.actions[atom.who]->erase(atom.number);
      }
    }
    return out;
  };
  for (size_t piece = atoms.size(); piece >= 1 && !atoms.empty(); piece /= 2) {
    for (size_t begin = 0; begin < atoms.size();) {
      const size_t end = std::min(atoms.size(), begin + piece);
      const auto first = atoms.begin() + static_cast<ptrdiff_t>(begin);
      const auto last = atoms.begin() + static_cast<ptrdiff_t>(end);
      if (Try(without({first, last}))) {
        atoms.erase(first, last);
      } else {
        begin = end;
      }
    }
  }
  return atoms.size() < before;
}

Schedule Shrinker::Shrink(const Schedule& whole) {
  best_ = whole;
  ++runs_;
  report_ = options_.run(best_);
  broken_ = !report_.violations.empty();
  if (!broken_) return whole;
  rule_ = report_.violations[0].rule;
  ShrinkTime();
  ShrinkWorld();
  ShrinkClasses();
  ShrinkTime();
  ListAtoms();
  bool smaller = true;
  while (smaller && options_.may_go_on()) {
    const bool fewer_faults = ShrinkAtoms(false);
    const bool fewer_requests = ShrinkAtoms(true);
    smaller = fewer_faults || fewer_requests;
    // What the rest needed may be needless now.
    if (smaller) ShrinkWorld();
    ShrinkClasses();
    ShrinkTime();
  }
  report_ = options_.run(best_);
  if (!report_.violations.empty()) {
    best_.expected_rule = std::string(RuleName(report_.violations[0].rule));
  }
  best_.expected_digest = report_.digest;
  // A process that dies leaves no digest behind.
  if (rule_ == Rule::kAssertion) best_.expected_digest.reset();
  return best_;
}

}  // namespace quorate::sim
