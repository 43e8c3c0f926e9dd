#include "engine/lease/lessor.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include "base/check.h"

namespace quorate::lease {
namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;
// Before a revocation that an alarm refused is proposed again.
constexpr Duration kRevokeRetryInterval = Seconds(3);

// Erases the first elements; how many.
template <typename Container>
size_t EraseSome(Container* container, size_t max) {
  const size_t count = std::min(max, container->size());
  container->erase(container->begin(),
                   std::next(container->begin(), static_cast<ptrdiff_t>(count)));
  return count;
}

static_assert(kMaxTtl <= std::numeric_limits<int64_t>::max() / kNanosPerSecond);

}  // namespace

// The longest leases outlive what an Instant can hold.
Instant Lessor::After(Instant from, int64_t seconds) {
  const Duration span = Seconds(seconds);
  return span >= Instant::Infinite() - from ? Instant::Infinite() : from + span;
}

// ---- leadership ----

void Lessor::Promote(Term term, Instant now) {
  CHECK(!primary_);
  primary_ = true;
  term_ = term;
  promoted_at_ = now;
  if (!leases_->all().empty()) walk_ = leases_->all().begin()->first;
}

void Lessor::Demote() {
  primary_ = false;
  walk_.reset();
  if (!live_.timers.empty()) retired_.push_back(std::exchange(live_, Timers()));
  revoking_ = 0;
  grants_.clear();
  granting_.clear();
}

// The deadline of a lease that nobody has renewed since this member leads.
Instant Lessor::BaseDeadline(const Lease& lease) const {
  const int64_t left = lease.remaining > 0 ? lease.remaining : lease.ttl;
  return After(promoted_at_ + options_.extend, std::max(left, options_.min_ttl));
}

Lessor::Timer& Lessor::TimerOf(LeaseId id) {
  const auto [at, fresh] = live_.timers.try_emplace(id);
  if (fresh) {
    const Lease* const lease = leases_->Find(id);
    CHECK(lease != nullptr);
    at->second.deadline = BaseDeadline(*lease);
    live_.deadlines.emplace(at->second.deadline, id);
    ScheduleCheckpoint(id, &at->second, promoted_at_);
  }
  return at->second;
}

void Lessor::ForgetRetired(size_t max) {
  Timers* const old = &retired_.back();
  max -= EraseSome(&old->timers, max);
  max -= EraseSome(&old->deadlines, max);
  EraseSome(&old->checkpoints, max);
  const bool empty = old->timers.empty() && old->deadlines.empty() && old->checkpoints.empty();
  if (empty) retired_.pop_back();
}

void Lessor::Walk(size_t max) {
  if (!retired_.empty()) return ForgetRetired(max);
  if (!walk_.has_value()) return;
  auto at = leases_->all().lower_bound(*walk_);
  for (; at != leases_->all().end() && max > 0; ++at, --max) TimerOf(at->first);
  if (at == leases_->all().end()) {
    walk_.reset();
  } else {
    walk_ = at->first;
  }
}

// ---- timers ----

void Lessor::SetDeadline(LeaseId id, Timer* timer, Instant deadline) {
  if (!timer->revoking) live_.deadlines.erase({timer->deadline, id});
  timer->deadline = deadline;
  if (!timer->revoking) live_.deadlines.emplace(deadline, id);
}

void Lessor::ScheduleCheckpoint(LeaseId id, Timer* timer, Instant now) {
  CancelCheckpoint(id, timer);
  if (options_.checkpoint_interval == Duration::Infinite()) return;
  // One shortly before the end would tell nothing new.
  if (timer->deadline - now <= options_.checkpoint_interval) return;
  timer->checkpoint_at = now + options_.checkpoint_interval;
  live_.checkpoints.emplace(timer->checkpoint_at, id);
}

void Lessor::CancelCheckpoint(LeaseId id, Timer* timer) {
  if (timer->checkpoint_at == Instant::Infinite()) return;
  live_.checkpoints.erase({timer->checkpoint_at, id});
  timer->checkpoint_at = Instant::Infinite();
}

void Lessor::Forget(LeaseId id) {
  const auto at = live_.timers.find(id);
  if (at == live_.timers.end()) return;
  Timer* const timer = &at->second;
  CancelCheckpoint(id, timer);
  if (timer->revoking) {
    --revoking_;
  } else {
    live_.deadlines.erase({timer->deadline, id});
  }
  live_.timers.erase(at);
}

// ---- what was applied ----

void Lessor::OnGranted(LeaseId id, Instant now) {
  if (!primary_) return;
  CHECK(!live_.timers.contains(id));
  Timer& timer = TimerOf(id);
  SetDeadline(id, &timer, After(now, GrantedTtl(id)));
  ScheduleCheckpoint(id, &timer, now);
}

void Lessor::OnRevokeRefused(LeaseId id, Instant now) {
  const auto at = live_.timers.find(id);
  if (at == live_.timers.end() || !at->second.revoking) return;
  at->second.revoking = false;
  --revoking_;
  at->second.deadline = now + kRevokeRetryInterval;
  live_.deadlines.emplace(at->second.deadline, id);
}

void Lessor::OnCheckpointed(LeaseId id) {
  const auto at = live_.timers.find(id);
  if (at != live_.timers.end() && at->second.checkpoints_proposed > 0) {
    --at->second.checkpoints_proposed;
  }
}

// ---- clients ----

int64_t Lessor::GrantedTtl(LeaseId id) const {
  const Lease* const lease = leases_->Find(id);
  CHECK(lease != nullptr);
  return std::max(lease->ttl, options_.min_ttl);
}

Duration Lessor::Remaining(LeaseId id, Instant now) const {
  CHECK(primary_);
  const auto at = live_.timers.find(id);
  if (at != live_.timers.end()) return at->second.deadline - now;
  const Lease* const lease = leases_->Find(id);
  CHECK(lease != nullptr);
  return BaseDeadline(*lease) - now;
}

bool Lessor::Revoking(LeaseId id) const {
  const auto at = live_.timers.find(id);
  return at != live_.timers.end() && at->second.revoking;
}

bool Lessor::NeedsClear(LeaseId id) const {
  const Lease* const lease = leases_->Find(id);
  CHECK(lease != nullptr);
  if (lease->remaining > 0) return true;
  const auto at = live_.timers.find(id);
  return at != live_.timers.end() && at->second.checkpoints_proposed > 0;
}

void Lessor::Renew(LeaseId id, Instant now) {
  CHECK(primary_);
  Timer& timer = TimerOf(id);
  CHECK(!timer.revoking);
  SetDeadline(id, &timer, After(now, GrantedTtl(id)));
  if (timer.checkpoint_at == Instant::Infinite()) ScheduleCheckpoint(id, &timer, now);
}

// ---- work ----

void Lessor::OnGrantProposed(LeaseId id, LogIndex index) {
  grants_.emplace_back(index, id);
  granting_[id] = index;
}

void Lessor::OnApplied(LogIndex index) {
  while (!grants_.empty() && grants_.front().first <= index) {
    const auto at = granting_.find(grants_.front().second);
    if (at != granting_.end() && at->second <= index) granting_.erase(at);
    grants_.pop_front();
  }
}

std::vector<LeaseId> Lessor::Expired(Instant at, size_t max) const {
  std::vector<LeaseId> out;
  for (const auto& [deadline, id] : live_.deadlines) {
    if (deadline > at || out.size() == max) break;
    if (!granting_.contains(id)) out.push_back(id);
  }
  return out;
}

void Lessor::OnRevokeProposed(LeaseId id) {
  Timer& timer = TimerOf(id);
  CHECK(!timer.revoking);
  live_.deadlines.erase({timer.deadline, id});
  CancelCheckpoint(id, &timer);
  timer.revoking = true;
  ++revoking_;
}

std::vector<Lessor::Checkpoint> Lessor::TakeCheckpoints(Instant now, size_t max) {
  std::vector<Checkpoint> out;
  for (; max > 0 && next_checkpoint() <= now; --max) {
    const LeaseId id = live_.checkpoints.begin()->second;
    Timer& timer = TimerOf(id);
    const Duration left = timer.deadline - now;
    ScheduleCheckpoint(id, &timer, now);
    const int64_t seconds = (left.nanos() + kNanosPerSecond - 1) / kNanosPerSecond;
    // Nothing to tell of one that is due, or that has just been renewed.
    if (left <= Duration() || seconds >= GrantedTtl(id)) continue;
    ++timer.checkpoints_proposed;
    out.push_back({id, seconds});
  }
  return out;
}

Instant Lessor::RankOf(LeaseId id) const {
  if (!primary_ || walking()) return Instant();
  const auto at = live_.timers.find(id);
  return at == live_.timers.end() || at->second.revoking ? Instant() : at->second.deadline;
}

}  // namespace quorate::lease
