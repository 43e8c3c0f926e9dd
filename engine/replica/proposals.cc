#include "engine/replica/proposals.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace quorate::engine {
namespace {

constexpr uint64_t kRunBits = 40;
constexpr uint64_t kCounterBits = 8;

uint64_t FirstId(MemberId member, uint64_t run_id) {
  const uint64_t run = run_id & ((uint64_t{1} << kRunBits) - 1);
  const uint64_t first = member.value() << (kRunBits + kCounterBits) | run << kCounterBits;
  return first == 0 ? 1 : first;  // 0 is no id
}

}  // namespace

Proposals::Proposals(MemberId member, uint64_t run_id)
    : run_first_id_(FirstId(member, run_id)), first_id_(run_first_id_) {}

bool Proposals::IsOfThisMember(uint64_t id) const {
  constexpr uint64_t kMemberShift = kRunBits + kCounterBits;
  return id >> kMemberShift == run_first_id_ >> kMemberShift;
}

uint64_t Proposals::TakeId() {
  const uint64_t id = next_id();
  slots_.push_back({RequestToken(), false, Term()});
  DropAnswered();
  return id;
}

void Proposals::AddUnawaited(Bytes payload) {
  queued_ids_.push_back(TakeId());
  queued_.push_back(std::move(payload));
}

void Proposals::Add(RequestToken token, Bytes payload) {
  const uint64_t id = next_id();
  CHECK_MSG(by_token_.emplace(token, id).second, "a request token was used twice");
  slots_.push_back({token, true, Term()});
  queued_.push_back(std::move(payload));
  queued_ids_.push_back(id);
}

void Proposals::QueuedWereProposed(Term term) {
  for (const uint64_t id : queued_ids_) {
    if (id >= first_id_) slots_[id - first_id_].proposed = term;  // else nobody awaits it
  }
  queued_.clear();
  queued_ids_.clear();
}

void Proposals::DropAnswered() {
  while (!slots_.empty() && !slots_.front().awaited) {
    slots_.pop_front();
    ++first_id_;
  }
}

std::optional<RequestToken> Proposals::Take(uint64_t id) {
  if (id < first_id_ || id - first_id_ >= slots_.size()) return std::nullopt;
  Slot& slot = slots_[id - first_id_];
  if (!slot.awaited) return std::nullopt;
  const RequestToken token = slot.token;
  slot.awaited = false;
  by_token_.erase(token);
  DropAnswered();
  return token;
}

std::vector<RequestToken> Proposals::TakeOvertaken(Term term) {
  std::vector<RequestToken> overtaken;
  // Proposed in order, and terms only grow: they are the first ones.
  for (Slot& slot : slots_) {
    if (slot.awaited && (slot.proposed == Term() || slot.proposed >= term)) break;
    if (!std::exchange(slot.awaited, false)) continue;
    by_token_.erase(slot.token);
    overtaken.push_back(slot.token);
  }
  DropAnswered();
  return overtaken;
}

bool Proposals::Abandon(RequestToken token) {
  const auto it = by_token_.find(token);
  if (it == by_token_.end()) return false;
  const uint64_t id = it->second;
  const auto queued = std::lower_bound(queued_ids_.begin(), queued_ids_.end(), id);
  if (queued != queued_ids_.end() && *queued == id) {
    queued_.erase(queued_.begin() + (queued - queued_ids_.begin()));
    queued_ids_.erase(queued);
  }
  CHECK(Take(id).has_value());
  return true;
}

}  // namespace quorate::engine
