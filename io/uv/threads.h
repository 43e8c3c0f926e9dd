// Work on other threads, completed on the loop.
#ifndef QUORATE_IO_UV_THREADS_H_
#define QUORATE_IO_UV_THREADS_H_

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "io/uv/loop.h"

namespace quorate::io::uv {

// Run() on some thread, then Complete() on the loop, then destroyed there.
class Work : public Completion {
 public:
  virtual void Run() = 0;
};

// Up to `threads` threads with one queue, started as work comes in.
class Pool {
 public:
  using Job = std::function<void()>;

  explicit Pool(int threads) : limit_(static_cast<size_t>(threads)) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool() { Stop(); }

  // Runs what is queued, then joins the threads. Jobs that come later are dropped.
  void Stop();

  void Submit(Job job);

 private:
  void Main();

  const size_t limit_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  std::vector<std::thread> threads_;
  size_t idle_ = 0;
  bool stopping_ = false;  // no more threads; those there end when the queue is empty
  bool stopped_ = false;
};

// A queue of work whose items run one after another on a pool, each completed on
// the loop as soon as it has run. Work that was queued runs even if the owner lets go
// of the queue.
class SerialQueue : public std::enable_shared_from_this<SerialQueue> {
 public:
  SerialQueue(Loop* loop, Pool* pool) : loop_(loop), pool_(pool) {}

  void Submit(std::unique_ptr<Work> work);

 private:
  void RunOne();

  Loop* const loop_;
  Pool* const pool_;
  std::mutex mutex_;
  std::deque<std::unique_ptr<Work>> queue_;
  bool running_ = false;  // a job for the head of queue_ is with the pool
};

}  // namespace quorate::io::uv

#endif  // QUORATE_IO_UV_THREADS_H_
