// Linearizable reads on their way (Raft thesis, section 6.4): gathered during a turn,
// confirmed together by one read-index round, executed once the state machine has
// applied up to the round's index.
//
// A round that gets no answer (lost messages, a leader that changed) is asked again
// with the same context; an answer to any attempt is good, since all of its reads
// arrived before the first.
#ifndef QUORATE_ENGINE_REPLICA_READS_H_
#define QUORATE_ENGINE_REPLICA_READS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/strong_int.h"
#include "base/time.h"
#include "engine/replica/input.h"

namespace quorate::engine {

// Rounds under way at once. More would only cost messages: what arrives meanwhile
// gathers for the next.
inline constexpr size_t kMaxReadRounds = 4;
// etcd's wait before it asks for a read index again.
inline constexpr Duration kReadRetryInterval = Milliseconds(500);

class Reads {
 public:
  // Contexts of rounds count up from `first_context`, unique among members and runs.
  explicit Reads(uint64_t first_context) : next_context_(first_context) {}

  void Add(ClientRequest request) { gathered_.push_back(std::move(request)); }
  // Removes a read wherever it is; false if it is not here.
  bool Abandon(RequestToken token);

  // Whether a new round would start.
  bool CanStartRound() const { return !gathered_.empty() && rounds_.size() < kMaxReadRounds; }
  // Moves what has gathered into a new round; the context to ask raft with.
  Bytes StartRound(Instant now);
  // Contexts of the rounds that have waited too long, to be asked again.
  std::vector<Bytes> TakeDue(Instant now);
  // Every round is to be asked again at once: the leader is another.
  void RetryAll(Instant now);
  Instant next_retry() const;

  // A round was confirmed at `index`. Unknown contexts are ignored.
  void Confirm(const Bytes& context, LogIndex index);
  // Whether some confirmed read can be executed once `applied` is reached.
  bool HasReady(LogIndex applied) const;
  // Takes those reads, in order of confirmation, and adds them to *out.
  void TakeReady(LogIndex applied, std::deque<ClientRequest>* out);

  size_t pending() const;
  // Rounds that had waited too long; reads given up before they were confirmed.
  uint64_t slow() const { return slow_; }
  uint64_t failed() const { return failed_; }

 private:
  struct Round {
    uint64_t context = 0;
    Instant retry_at;
    bool leader_changed = false;
    std::vector<ClientRequest> reads;
  };
  struct Confirmed {
    LogIndex index;
    std::vector<ClientRequest> reads;
  };

  uint64_t next_context_;
  std::vector<ClientRequest> gathered_;
  std::deque<Round> rounds_;
  std::deque<Confirmed> confirmed_;
  uint64_t slow_ = 0;
  uint64_t failed_ = 0;
};

}  // namespace quorate::engine

#endif  // QUORATE_ENGINE_REPLICA_READS_H_
