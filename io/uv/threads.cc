#include "io/uv/threads.h"

#include <utility>

namespace quorate::io::uv {

void Pool::Stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  std::lock_guard<std::mutex> lock(mutex_);
  stopped_ = true;
}

void Pool::Submit(Job job) {
  bool wake = false;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (stopped_) return;
    jobs_.push_back(std::move(job));
    if (idle_ >= jobs_.size()) {
      wake = true;
    } else if (threads_.size() < limit_ && !stopping_) {
      threads_.emplace_back([this] { Main(); });
    }
  }
  // Outside the lock: the woken thread must not run into it.
  if (wake) wake_.notify_one();
}

void Pool::Main() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    while (jobs_.empty()) {
      if (stopping_) return;
      ++idle_;
      wake_.wait(lock);
      --idle_;
    }
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    job = nullptr;
    lock.lock();
  }
}

void SerialQueue::Submit(std::unique_ptr<Work> work) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    queue_.push_back(std::move(work));
    if (running_) return;
    running_ = true;
  }
  pool_->Submit([self = shared_from_this()] { self->RunOne(); });
}

void SerialQueue::RunOne() {
  std::unique_ptr<Work> work;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    work = std::move(queue_.front());
    queue_.pop_front();
  }
  work->Run();
  loop_->PostCompletion(std::move(work));
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (queue_.empty()) {
      running_ = false;
      return;
    }
  }
  // To the back of the pool's queue: other files get their turn.
  pool_->Submit([self = shared_from_this()] { self->RunOne(); });
}

}  // namespace quorate::io::uv
