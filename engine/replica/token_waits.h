// Requests whose token this member cannot judge yet: the command that gave it out is in
// the log before what is applied here. They wait for it, but not for long: the index in
// a token is the client's word.
//
// Each operation costs O(log n) of those that wait: anybody can send such a token.
#ifndef QUORATE_ENGINE_REPLICA_TOKEN_WAITS_H_
#define QUORATE_ENGINE_REPLICA_TOKEN_WAITS_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <variant>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
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
  // Whether a request of this stream waits: the next one must not overtake it.
  bool Holds(StreamToken stream) const;
  // Not when full.
  void Add(Request request, LogIndex index, Instant now);
  // False if it is not here.
  bool Abandon(RequestToken token);
  void Close(StreamToken stream);

  // When somebody has waited long enough.
  Instant next_deadline() const;
  // Whether TakeReady would give something.
  bool HasReady(LogIndex applied, Instant now) const;
  // Takes one whose index is applied or who has waited long enough, if HasReady. Those with one
  // token come in the order in which they were added.
  Request TakeReady(Instant now);

 private:
  struct Waiting {
    Request request;
    LogIndex index;
    Instant deadline;
  };
  using Numbered = absl::btree_map<uint64_t, Waiting>;

  Request Take(Numbered::iterator at);

  const Duration patience_;
  const size_t limit_;
  uint64_t last_number_ = 0;
  Numbered waiting_;  // in order of arrival, which is that of their deadlines
  absl::btree_set<std::pair<LogIndex, uint64_t>> by_index_;
  absl::btree_set<std::pair<StreamToken, uint64_t>> by_stream_;
  absl::flat_hash_map<RequestToken, uint64_t> by_token_;  // lookup only
  size_t bytes_ = 0;                                      // of their bodies
};

}  // namespace quorate::engine

#endif  // QUORATE_ENGINE_REPLICA_TOKEN_WAITS_H_
