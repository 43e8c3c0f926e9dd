#include "engine/replica/lease_calls.h"

#include "base/check.h"

namespace quorate::engine {

LeaseCall& LeaseCalls::Add(RequestToken token, LeaseCall call) {
  const auto [at, fresh] = calls_.emplace(token, std::move(call));
  CHECK_MSG(fresh, "a request token was used twice");
  return at->second;
}

LeaseCall* LeaseCalls::Find(RequestToken token) {
  const auto at = calls_.find(token);
  return at == calls_.end() ? nullptr : &at->second;
}

bool LeaseCalls::Erase(RequestToken token) {
  const auto at = calls_.find(token);
  if (at == calls_.end()) return false;
  Reset(token, &at->second);
  calls_.erase(at);
  return true;
}

void LeaseCalls::Reset(RequestToken token, LeaseCall* call) {
  RetryAt(token, call, Instant::Infinite());
  awaiting_.erase({call->lease, token});
  call->state = LeaseCall::State::kWaiting;
}

void LeaseCalls::RetryAt(RequestToken token, LeaseCall* call, Instant when) {
  if (call->retry_at != Instant::Infinite()) retries_.erase({call->retry_at, token});
  call->retry_at = when;
  if (when != Instant::Infinite()) retries_.emplace(when, token);
}

std::vector<RequestToken> LeaseCalls::TakeDue(Instant now) {
  std::vector<RequestToken> due;
  while (!retries_.empty() && retries_.begin()->first <= now) {
    due.push_back(retries_.begin()->second);
    RetryAt(due.back(), Find(due.back()), Instant::Infinite());
  }
  return due;
}

void LeaseCalls::AwaitRevocation(RequestToken token, LeaseCall* call) {
  call->state = LeaseCall::State::kRevoking;
  awaiting_.emplace(call->lease, token);
}

std::vector<RequestToken> LeaseCalls::TakeAwaiting(LeaseId lease) {
  std::vector<RequestToken> tokens;
  auto at = awaiting_.lower_bound({lease, RequestToken()});
  while (at != awaiting_.end() && at->first == lease) {
    tokens.push_back(at->second);
    at = awaiting_.erase(at);
  }
  return tokens;
}

std::vector<RequestToken> LeaseCalls::Unsettled() const {
  std::vector<RequestToken> tokens;
  for (const auto& [token, call] : calls_) {
    if (call.state != LeaseCall::State::kConfirming) tokens.push_back(token);
  }
  return tokens;
}

}  // namespace quorate::engine
