#include "engine/replica/reads.h"

#include <algorithm>

#include "base/coding.h"

namespace quorate::engine {
namespace {

Bytes EncodeContext(uint64_t context) {
  char bytes[8];
  StoreBe64(bytes, context);
  return Bytes::Copy(absl::string_view(bytes, sizeof(bytes)));
}

bool Remove(std::vector<ClientRequest>* reads, RequestToken token) {
  const auto it = std::find_if(reads->begin(), reads->end(),
                               [token](const ClientRequest& r) { return r.token == token; });
  if (it == reads->end()) return false;
  reads->erase(it);
  return true;
}

}  // namespace

bool Reads::Abandon(RequestToken token) {
  if (Remove(&gathered_, token)) {
    ++failed_;
    return true;
  }
  for (auto it = rounds_.begin(); it != rounds_.end(); ++it) {
    if (!Remove(&it->reads, token)) continue;
    if (it->reads.empty()) rounds_.erase(it);
    ++failed_;
    return true;
  }
  for (Confirmed& confirmed : confirmed_) {
    if (Remove(&confirmed.reads, token)) return true;
  }
  return false;
}

Bytes Reads::StartRound(Instant now) {
  Round round;
  round.context = next_context_++;
  round.retry_at = now + kReadRetryInterval;
  round.reads = std::move(gathered_);
  gathered_.clear();
  rounds_.push_back(std::move(round));
  return EncodeContext(rounds_.back().context);
}

std::vector<Bytes> Reads::TakeDue(Instant now) {
  std::vector<Bytes> due;
  for (Round& round : rounds_) {
    if (round.retry_at > now) continue;
    round.retry_at = now + kReadRetryInterval;
    if (!round.leader_changed) ++slow_;
    round.leader_changed = false;
    due.push_back(EncodeContext(round.context));
  }
  return due;
}

void Reads::RetryAll(Instant now) {
  for (Round& round : rounds_) {
    round.retry_at = now;
    round.leader_changed = true;
  }
}

Instant Reads::next_retry() const {
  Instant next = Instant::Infinite();
  for (const Round& round : rounds_) next = std::min(next, round.retry_at);
  return next;
}

void Reads::Confirm(const Bytes& context, LogIndex index) {
  if (context.size() != 8) return;
  const uint64_t number = LoadBe64(context.data());
  const auto it = std::find_if(rounds_.begin(), rounds_.end(),
                               [number](const Round& r) { return r.context == number; });
  if (it == rounds_.end()) return;
  confirmed_.push_back({index, std::move(it->reads)});
  rounds_.erase(it);
}

bool Reads::HasReady(LogIndex applied) const {
  return std::any_of(confirmed_.begin(), confirmed_.end(),
                     [applied](const Confirmed& c) { return c.index <= applied; });
}

void Reads::TakeReady(LogIndex applied, std::deque<ClientRequest>* out) {
  for (auto it = confirmed_.begin(); it != confirmed_.end();) {
    if (it->index > applied) {
      ++it;
      continue;
    }
    std::move(it->reads.begin(), it->reads.end(), std::back_inserter(*out));
    it = confirmed_.erase(it);
  }
}

size_t Reads::pending() const {
  size_t n = gathered_.size();
  for (const Round& round : rounds_) n += round.reads.size();
  for (const Confirmed& confirmed : confirmed_) n += confirmed.reads.size();
  return n;
}

}  // namespace quorate::engine
