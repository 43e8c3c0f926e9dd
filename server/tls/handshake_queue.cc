#include "server/tls/handshake_queue.h"

#include <deque>
#include <utility>

namespace quorate::tls {

struct HandshakeQueue::State {
  struct Item {
    std::function<void()> work;
    std::function<void()> done;
  };
  io::Compute* compute = nullptr;
  size_t max_running = 1;
  size_t running = 0;
  std::deque<Item> waiting;
};

HandshakeQueue::HandshakeQueue(io::Compute* compute, size_t max_running)
    : state_(std::make_shared<State>()) {
  state_->compute = compute;
  state_->max_running = max_running;
}

HandshakeQueue::~HandshakeQueue() { state_->waiting.clear(); }

void HandshakeQueue::Run(std::function<void()> work, std::function<void()> done) {
  state_->waiting.push_back({std::move(work), std::move(done)});
  StartNext(state_);
}

void HandshakeQueue::StartNext(const std::shared_ptr<State>& state) {
  while (state->running < state->max_running && !state->waiting.empty()) {
    State::Item item = std::move(state->waiting.front());
    state->waiting.pop_front();
    ++state->running;
    state->compute->Run(std::move(item.work), [state, done = std::move(item.done)] {
      --state->running;
      done();
      StartNext(state);
    });
  }
}

}  // namespace quorate::tls
