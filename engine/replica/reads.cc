#include "engine/replica/reads.h"

#include <algorithm>

#include "base/check.h"
#include "base/coding.h"

namespace quorate::engine {
namespace {

Bytes EncodeContext(uint64_t context) {
  char bytes[8];
  StoreBe64(bytes, context);
  return Bytes::Copy(absl::string_view(bytes, sizeof(bytes)));
}

}  // namespace

void Reads::Add(ClientRequest request) {
  const RequestToken token = request.token;
  gathered_->reads.push_back(std::move(request));
  ++pending_;
  if (token == RequestToken()) return;
  places_.insert_or_assign(token, Place{gathered_.get(), std::prev(gathered_->reads.end())});
}

bool Reads::Abandon(RequestToken token) {
  const auto it = places_.find(token);
  if (it == places_.end()) return false;
  Batch* const batch = it->second.batch;
  if (batch->confirmed.second == 0) ++failed_;
  batch->reads.erase(it->second.at);
  places_.erase(it);
  --pending_;
  DropIfEmpty(batch);
  return true;
}

// A round that nobody waits for any more makes room for another.
void Reads::DropIfEmpty(Batch* batch) {
  if (!batch->reads.empty() || batch == gathered_.get()) return;
  if (batch->confirmed.second != 0) {
    confirmed_.erase(std::pair(batch->confirmed));
    return;
  }
  const auto it = std::find_if(rounds_.begin(), rounds_.end(),
                               [batch](const auto& round) { return round.get() == batch; });
  CHECK(it != rounds_.end());
  rounds_.erase(it);
}

Bytes Reads::StartRound(Instant now) {
  rounds_.push_back(std::exchange(gathered_, std::make_unique<Batch>()));
  Batch& round = *rounds_.back();
  round.context = next_context_++;
  round.retry_at = now + kReadRetryInterval;
  return EncodeContext(round.context);
}

std::vector<Bytes> Reads::TakeDue(Instant now) {
  std::vector<Bytes> due;
  for (const auto& round : rounds_) {
    if (round->retry_at > now) continue;
    round->retry_at = now + kReadRetryInterval;
    if (!round->leader_changed) ++slow_;
    round->leader_changed = false;
    due.push_back(EncodeContext(round->context));
  }
  return due;
}

void Reads::RetryAll(Instant now) {
  for (const auto& round : rounds_) {
    round->retry_at = now;
    round->leader_changed = true;
  }
}

Instant Reads::next_retry() const {
  Instant next = Instant::Infinite();
  for (const auto& round : rounds_) next = std::min(next, round->retry_at);
  return next;
}

void Reads::Confirm(const Bytes& context, LogIndex index) {
  if (context.size() != 8) return;
  const uint64_t number = LoadBe64(context.data());
  const auto it = std::find_if(rounds_.begin(), rounds_.end(),
                               [number](const auto& r) { return r->context == number; });
  if (it == rounds_.end()) return;
  const std::pair key(index, ++confirmations_);
  (*it)->confirmed = key;
  confirmed_.emplace(key, std::move(*it));
  rounds_.erase(it);
}

bool Reads::IsReady(RequestToken token, LogIndex applied) const {
  const auto place = places_.find(token);
  if (place == places_.end()) return false;
  const auto& [index, number] = place->second.batch->confirmed;
  return number > 0 && index <= applied;
}

ClientRequest Reads::TakeReady() {
  Batch* const batch = confirmed_.begin()->second.get();
  ClientRequest request = std::move(batch->reads.front());
  batch->reads.pop_front();
  places_.erase(request.token);
  --pending_;
  DropIfEmpty(batch);
  return request;
}

}  // namespace quorate::engine
