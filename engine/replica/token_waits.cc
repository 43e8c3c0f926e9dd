#include "engine/replica/token_waits.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace quorate::engine {

size_t TokenWaits::BytesOf(const Request& request) {
  return std::visit([](const auto& r) { return r.body.size(); }, request);
}

void TokenWaits::Add(Request request, LogIndex index, Instant now) {
  CHECK(!full());
  lowest_index_ = std::min(lowest_index_, index);
  bytes_ += BytesOf(request);
  waiting_.push_back({std::move(request), index, now + patience_});
}

bool TokenWaits::Abandon(RequestToken token) {
  const auto it = std::find_if(waiting_.begin(), waiting_.end(), [token](const Waiting& w) {
    const auto* request = std::get_if<ClientRequest>(&w.request);
    return request != nullptr && request->token == token;
  });
  if (it == waiting_.end()) return false;
  bytes_ -= BytesOf(it->request);
  waiting_.erase(it);
  return true;
}

void TokenWaits::Close(StreamToken stream) {
  std::erase_if(waiting_, [this, stream](const Waiting& w) {
    const auto* request = std::get_if<WatchRequestBytes>(&w.request);
    if (request == nullptr || request->stream != stream) return false;
    bytes_ -= request->body.size();
    return true;
  });
}

Instant TokenWaits::next_deadline() const {
  return waiting_.empty() ? Instant::Infinite() : waiting_.front().deadline;
}

void TokenWaits::TakeReady(LogIndex applied, Instant now, std::vector<Request>* out) {
  std::deque<Waiting> left;
  lowest_index_ = kNone;
  for (Waiting& waiting : waiting_) {
    if (waiting.index <= applied || waiting.deadline <= now) {
      bytes_ -= BytesOf(waiting.request);
      out->push_back(std::move(waiting.request));
    } else {
      lowest_index_ = std::min(lowest_index_, waiting.index);
      left.push_back(std::move(waiting));
    }
  }
  waiting_ = std::move(left);
}

}  // namespace quorate::engine
