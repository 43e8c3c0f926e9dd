#include "io/uv/loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <utility>

#include "base/check.h"

namespace quorate::io::uv {

TurnHook::~TurnHook() {
  if (list_ == nullptr) return;
  if (index_ < list_->hooks_.size() && list_->hooks_[index_] == this) {
    list_->hooks_[index_] = nullptr;
    --list_->size_;
  } else {
    list_->running_[index_] = nullptr;
  }
}

void TurnList::Add(TurnHook* hook) {
  if (hook->list_ != nullptr) return;
  hook->list_ = this;
  hook->index_ = hooks_.size();
  hooks_.push_back(hook);
  ++size_;
}

void TurnList::RunAll() {
  hooks_.swap(running_);
  size_ = 0;
  for (size_t i = 0; i < running_.size(); ++i) {  // a hook may take out a later one
    TurnHook* hook = running_[i];
    if (hook == nullptr) continue;
    hook->list_ = nullptr;
    hook->run_(hook->owner_);
  }
  running_.clear();
}

// A 4-ary heap by deadline, ties by the order of setting.
class Loop::TimerHeap {
 public:
  struct Node {
    Instant when;
    uint64_t sequence = 0;
    size_t position = kNowhere;
  };
  static constexpr size_t kNowhere = ~size_t{0};

  bool empty() const { return nodes_.empty(); }
  Node* first() const { return nodes_[0]; }
  // Of the timer set last.
  uint64_t sequence() const { return sequence_; }

  void Insert(Node* node, Instant when) {
    Remove(node);
    node->when = when;
    node->sequence = ++sequence_;
    nodes_.push_back(node);
    SiftUp(nodes_.size() - 1);
  }

  void Remove(Node* node) {
    if (node->position == kNowhere) return;
    const size_t hole = node->position;
    node->position = kNowhere;
    Node* last = nodes_.back();
    nodes_.pop_back();
    if (last == node) return;
    Place(hole, last);
    SiftUp(hole);
    SiftDown(last->position);
  }

 private:
  static constexpr size_t kArity = 4;

  static bool Before(const Node* a, const Node* b) {
    return a->when != b->when ? a->when < b->when : a->sequence < b->sequence;
  }
  void Place(size_t position, Node* node) {
    nodes_[position] = node;
    node->position = position;
  }
  void SiftUp(size_t position) {
    Node* node = nodes_[position];
    while (position > 0) {
      const size_t parent = (position - 1) / kArity;
      if (!Before(node, nodes_[parent])) break;
      Place(position, nodes_[parent]);
      position = parent;
    }
    Place(position, node);
  }
  void SiftDown(size_t position) {
    Node* node = nodes_[position];
    for (;;) {
      const size_t first_child = position * kArity + 1;
      if (first_child >= nodes_.size()) break;
      size_t best = first_child;
      for (size_t i = first_child + 1; i < first_child + kArity && i < nodes_.size(); ++i) {
        if (Before(nodes_[i], nodes_[best])) best = i;
      }
      if (!Before(nodes_[best], node)) break;
      Place(position, nodes_[best]);
      position = best;
    }
    Place(position, node);
  }

  std::vector<Node*> nodes_;
  uint64_t sequence_ = 0;
};

class LoopTimer final : public Timer, public Loop::TimerHeap::Node {
 public:
  LoopTimer(Loop* loop, std::function<void()> callback)
      : loop_(loop), callback_(std::make_shared<std::function<void()>>(std::move(callback))) {}
  ~LoopTimer() override { loop_->timers_->Remove(this); }

  void Set(Instant when) override {
    if (when == Instant::Infinite()) return Cancel();
    loop_->timers_->Insert(this, when);
    loop_->ArmTimer();
  }
  // libuv's timer stays armed: it may wake the loop for nothing once, which is
  // cheaper than arming it anew for every timer that is cancelled or put off.
  void Cancel() override { loop_->timers_->Remove(this); }

  void Fire() {
    const std::shared_ptr<std::function<void()>> callback = callback_;  // it may destroy us
    (*callback)();
  }

 private:
  Loop* const loop_;
  const std::shared_ptr<std::function<void()>> callback_;
};

Loop::Loop()
    : completed_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      timers_(std::make_unique<TimerHeap>()),
      read_buffer_(new char[kReadBufferBytes]) {
  CHECK_MSG(completed_fd_ >= 0, "the system gives no eventfd");
  CHECK_EQ(uv_loop_init(&uv_), 0);
  uv_prepare_init(&uv_, &prepare_);
  uv_check_init(&uv_, &check_);
  uv_idle_init(&uv_, &idle_);
  uv_idle_init(&uv_, &due_);
  uv_timer_init(&uv_, &timer_);
  prepare_.data = check_.data = idle_.data = due_.data = timer_.data = this;
  CHECK_EQ(uv_poll_init(&uv_, &completed_, completed_fd_), 0);
  completed_.data = this;
  const auto run = [](uv_poll_t* h, int, int) { static_cast<Loop*>(h->data)->RunCompletions(); };
  CHECK_EQ(uv_poll_start(&completed_, UV_READABLE, run), 0);
  uv_prepare_start(&prepare_, [](uv_prepare_t* h) { static_cast<Loop*>(h->data)->EndTurn(); });
  uv_check_start(&check_, [](uv_check_t* h) { static_cast<Loop*>(h->data)->EndTurn(); });
  BeginCallback();
}

Loop::~Loop() {
  for (uv_handle_t* handle :
       {reinterpret_cast<uv_handle_t*>(&prepare_), reinterpret_cast<uv_handle_t*>(&check_),
        reinterpret_cast<uv_handle_t*>(&idle_), reinterpret_cast<uv_handle_t*>(&due_),
        reinterpret_cast<uv_handle_t*>(&timer_), reinterpret_cast<uv_handle_t*>(&completed_)}) {
    uv_close(handle, nullptr);
  }
  uv_run(&uv_, UV_RUN_DEFAULT);
  CHECK_MSG(uv_loop_close(&uv_) == 0, "a stream, listener or timer outlived its loop");
  close(completed_fd_);
}

WallTime Loop::WallNow() const {
  timespec time;
  CHECK_EQ(clock_gettime(CLOCK_REALTIME, &time), 0);
  return WallTime::FromUnixNanos(int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec);
}

std::unique_ptr<Timer> Loop::NewTimer(std::function<void()> callback) {
  return std::make_unique<LoopTimer>(this, std::move(callback));
}

void Loop::Post(TurnHook* hook) {
  posted_.Add(hook);
  // An active idle handle keeps the loop from waiting for I/O.
  uv_idle_start(&idle_, [](uv_idle_t* h) { static_cast<Loop*>(h->data)->RunPosted(); });
}

void Loop::RunPosted() {
  BeginCallback();
  posted_.RunAll();
  if (posted_.empty()) uv_idle_stop(&idle_);
}

void Loop::PostCompletion(std::unique_ptr<Completion> completion) {
  bool first;
  {
    std::lock_guard<std::mutex> lock(completions_mutex_);
    first = completions_.empty();
    completions_.push_back(std::move(completion));
  }
  if (!first) return;
  const uint64_t one = 1;
  ssize_t written;
  do {
    written = write(completed_fd_, &one, sizeof(one));
  } while (written < 0 && errno == EINTR);
  CHECK_EQ(written, static_cast<ssize_t>(sizeof(one)));
}

void Loop::RunCompletions() {
  BeginCallback();
  // Before the list is taken: what is posted after that writes anew. What is posted in between is
  // taken now, and its number stays: the next call finds that to read, and an empty list.
  uint64_t count;
  (void)!read(completed_fd_, &count, sizeof(count));
  {
    std::lock_guard<std::mutex> lock(completions_mutex_);
    completions_.swap(completing_);
  }
  for (std::unique_ptr<Completion>& completion : completing_) completion->Complete();
  completing_.clear();
}

void Loop::DropPending() {
  std::vector<std::unique_ptr<Completion>> completions;
  {
    std::lock_guard<std::mutex> lock(completions_mutex_);
    completions.swap(completions_);
  }
  completions.clear();
  deferred_.clear();
}

void Loop::EndTurn() {
  if (deferred_.empty() && turn_end_.empty()) return;
  BeginCallback();
  while (!deferred_.empty() || !turn_end_.empty()) {
    while (!deferred_.empty()) {
      flushing_.swap(deferred_);
      for (std::function<void()>& callback : flushing_) callback();
      flushing_.clear();
    }
    turn_end_.RunAll();
  }
}

void Loop::ArmTimer() {
  if (timers_->empty() || timers_->first()->when >= armed_for_) return;
  armed_for_ = timers_->first()->when;
  // Work that goes on in pieces comes back at once: I/O is looked at in between, not waited for.
  // (libuv's own timers would cost it a millisecond, or, with none left to wait for, no I/O at
  // all.)
  if (armed_for_ <= now_) {
    uv_idle_start(&due_, [](uv_idle_t* h) { static_cast<Loop*>(h->data)->RunTimers(); });
    return;
  }
  // libuv counts the same monotonic clock in whole milliseconds.
  const int64_t nanos = armed_for_.nanos() < 0 ? 0 : armed_for_.nanos();
  const uint64_t due_ms = (static_cast<uint64_t>(nanos) + 999'999) / 1'000'000;
  const uint64_t now_ms = uv_now(&uv_);
  uv_timer_start(
      &timer_, [](uv_timer_t* h) { static_cast<Loop*>(h->data)->RunTimers(); },
      due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

void Loop::RunTimers() {
  BeginCallback();
  armed_for_ = Instant::Infinite();
  uv_idle_stop(&due_);
  // A timer that is set in here waits for the next round, even when it is due.
  const uint64_t last = timers_->sequence();
  while (!timers_->empty()) {
    TimerHeap::Node* node = timers_->first();
    if (node->when > now_ || node->sequence > last) break;
    timers_->Remove(node);
    static_cast<LoopTimer*>(node)->Fire();
  }
  ArmTimer();
}

}  // namespace quorate::io::uv
