#include "engine/replica/token_waits.h"

#include "base/check.h"

namespace quorate::engine {
namespace {

size_t BytesOf(const TokenWaits::Request& request) {
  return std::visit([](const auto& r) { return r.body.size(); }, request);
}

}  // namespace

bool TokenWaits::Holds(StreamToken stream) const {
  const auto at = by_stream_.lower_bound({stream, 0});
  return at != by_stream_.end() && at->first == stream;
}

void TokenWaits::Add(Request request, LogIndex index, Instant now) {
  CHECK(!full());
  const uint64_t number = ++last_number_;
  bytes_ += BytesOf(request);
  by_index_.emplace(index, number);
  if (const auto* client = std::get_if<ClientRequest>(&request)) {
    by_token_.insert_or_assign(client->token, number);
  } else {
    by_stream_.emplace(std::get<WatchRequestBytes>(request).stream, number);
  }
  waiting_.emplace(number, Waiting{std::move(request), index, now + patience_});
}

TokenWaits::Request TokenWaits::Take(Numbered::iterator at) {
  const uint64_t number = at->first;
  Request request = std::move(at->second.request);
  bytes_ -= BytesOf(request);
  by_index_.erase({at->second.index, number});
  if (const auto* client = std::get_if<ClientRequest>(&request)) {
    by_token_.erase(client->token);
  } else {
    by_stream_.erase({std::get<WatchRequestBytes>(request).stream, number});
  }
  waiting_.erase(at);
  return request;
}

bool TokenWaits::Abandon(RequestToken token) {
  const auto at = by_token_.find(token);
  if (at == by_token_.end()) return false;
  Take(waiting_.find(at->second));
  return true;
}

void TokenWaits::Close(StreamToken stream) {
  while (Holds(stream)) Take(waiting_.find(by_stream_.lower_bound({stream, 0})->second));
}

Instant TokenWaits::next_deadline() const {
  return waiting_.empty() ? Instant::Infinite() : waiting_.begin()->second.deadline;
}

bool TokenWaits::HasReady(LogIndex applied, Instant now) const {
  return !waiting_.empty() && (by_index_.begin()->first <= applied || next_deadline() <= now);
}

TokenWaits::Request TokenWaits::TakeReady(Instant now) {
  if (next_deadline() <= now) return Take(waiting_.begin());
  return Take(waiting_.find(by_index_.begin()->second));
}

}  // namespace quorate::engine
