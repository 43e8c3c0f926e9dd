// Gathers what a turn of the loop produces: each session with something to send is
// flushed once, after everybody else has had the turn.
#ifndef QUORATE_SERVER_HTTP2_FLUSH_QUEUE_H_
#define QUORATE_SERVER_HTTP2_FLUSH_QUEUE_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "io/loop.h"

namespace quorate::http2 {

class Session;

// Shared by the sessions of one server or channel; must outlive them.
class FlushQueue {
 public:
  explicit FlushQueue(io::Loop* loop);
  FlushQueue(const FlushQueue&) = delete;
  FlushQueue& operator=(const FlushQueue&) = delete;
  ~FlushQueue();

  // Session::Flush will be called once in this turn. Repeated requests are one.
  void Schedule(Session* session);
  // Forgets a session that is about to be destroyed.
  void Remove(Session* session);

 private:
  void DeferAgain();
  void Run();

  io::Loop* const loop_;
  bool scheduled_ = false;
  std::vector<Session*> dirty_;
  std::vector<Session*> running_;
  std::shared_ptr<bool> alive_;
};

}  // namespace quorate::http2

#endif  // QUORATE_SERVER_HTTP2_FLUSH_QUEUE_H_
