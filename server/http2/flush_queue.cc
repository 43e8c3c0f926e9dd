#include "server/http2/flush_queue.h"

#include <algorithm>
#include <utility>

#include "server/http2/session.h"

namespace quorate::http2 {

FlushQueue::FlushQueue(io::Loop* loop) : loop_(loop), alive_(std::make_shared<bool>(true)) {}

FlushQueue::~FlushQueue() { *alive_ = false; }

void FlushQueue::Schedule(Session* session) {
  dirty_.push_back(session);
  if (scheduled_) return;
  scheduled_ = true;
  // Deferred twice: what input scheduled comes after all that the same input made others
  // defer (a member's step that produces the answers), so that both leave in one write.
  loop_->Defer([this, alive = alive_] {
    if (*alive) DeferAgain();
  });
}

void FlushQueue::DeferAgain() {
  loop_->Defer([this, alive = alive_] {
    if (*alive) Run();
  });
}

void FlushQueue::Remove(Session* session) {
  std::replace(dirty_.begin(), dirty_.end(), session, static_cast<Session*>(nullptr));
  std::replace(running_.begin(), running_.end(), session, static_cast<Session*>(nullptr));
}

void FlushQueue::Run() {
  scheduled_ = false;
  std::swap(dirty_, running_);
  const std::shared_ptr<bool> alive = alive_;
  for (size_t i = 0; i < running_.size(); ++i) {
    if (running_[i] == nullptr) continue;
    std::exchange(running_[i], nullptr)->Flush();
    if (!*alive) return;  // the flush's consequences destroyed our owner
  }
  running_.clear();
}

}  // namespace quorate::http2
