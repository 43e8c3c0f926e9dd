// Requests whose token this member cannot judge yet: the command that gave it out is in
// the log before what is applied here. They wait for it, but not for long: the index in
// a token is the client's word.
#ifndef QUORATE_ENGINE_REPLICA_TOKEN_WAITS_H_
#define QUORATE_ENGINE_REPLICA_TOKEN_WAITS_H_

#include <cstddef>
#include <deque>
#include <variant>
#include <vector>

#include "base/limits.h"
#include "base/strong_int.h"
#include "base/time.h"
#include "engine/replica/input.h"

namespace quorate::engine {

class TokenWaits {
 public:
  using Request = std::variant<ClientRequest, WatchRequestBytes>;

  // Of bodies; above it no more are taken.
  static constexpr size_t kMaxBytes = 64 * limits::kMiB;

  TokenWaits(Duration patience, size_t limit) : patience_(patience), limit_(limit) {}

  bool empty() const { return waiting_.empty(); }
  bool full() const { return waiting_.size() >= limit_ || bytes_ >= kMaxBytes; }
  // Not when full.
  void Add(Request request, LogIndex index, Instant now);
  // False if it is not here.
  bool Abandon(RequestToken token);
  void Close(StreamToken stream);

  // When somebody has waited long enough.
  Instant next_deadline() const;
  // Whether TakeReady would give something.
  bool HasReady(LogIndex applied, Instant now) const {
    return applied >= lowest_index_ || now >= next_deadline();
  }
  // Takes those whose index is applied or who have waited long enough, in the order in
  // which they came.
  void TakeReady(LogIndex applied, Instant now, std::vector<Request>* out);

 private:
  struct Waiting {
    Request request;
    LogIndex index;
    Instant deadline;
  };

  static size_t BytesOf(const Request& request);

  static constexpr LogIndex kNone{~uint64_t{0}};

  const Duration patience_;
  const size_t limit_;
  std::deque<Waiting> waiting_;    // by deadline
  size_t bytes_ = 0;               // of their bodies
  LogIndex lowest_index_ = kNone;  // no higher than any of theirs
};

}  // namespace quorate::engine

#endif  // QUORATE_ENGINE_REPLICA_TOKEN_WAITS_H_
