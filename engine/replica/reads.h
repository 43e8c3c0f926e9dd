// Linearizable reads on their way (Raft thesis, section 6.4): gathered during a turn,
// confirmed together by one read-index round, executed once the state machine has
// applied up to the round's index.
//
// A round that gets no answer (lost messages, a leader that changed) is asked again
// with the same context; an answer to any attempt is good, since all of its reads
// arrived before the first.
//
// Without a quorum any number of reads waits, and all of them lose patience at about the
// same time: adding, abandoning and taking one costs O(1), or O(log n) of the rounds.
#ifndef QUORATE_ENGINE_REPLICA_READS_H_
#define QUORATE_ENGINE_REPLICA_READS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "base/bytes.h"
#include "base/strong_int.h"
#include "base/time.h"
#include "engine/replica/input.h"

namespace quorate::engine {

// Rounds under way at once. More would only cost messages: what arrives meanwhile
// gathers for the next.
inline constexpr size_t kMaxReadRounds = 4;
// Reads of a member that may wait: for a quorum's word, or for their turn among the long ones.
// Above it they get ResourceExhausted "etcdserver: too many requests".
inline constexpr size_t kMaxPendingReads = 50'000;
// etcd's wait before it asks for a read index again.
inline constexpr Duration kReadRetryInterval = Milliseconds(500);

class Reads {
 public:
  // Contexts of rounds count up from `first_context`, unique among members and runs.
  explicit Reads(uint64_t first_context) : next_context_(first_context) {}

  // Tokens differ, but for the replica's own (0), which is not abandoned.
  void Add(ClientRequest request);
  // Removes a read wherever it is; false if it is not here.
  bool Abandon(RequestToken token);

  // Whether a new round would start.
  bool CanStartRound() const {
    return !gathered_->reads.empty() && rounds_.size() < kMaxReadRounds;
  }
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
  bool HasReady(LogIndex applied) const {
    return !confirmed_.empty() && confirmed_.begin()->first.first <= applied;
  }
  // Whether it is one of those.
  bool IsReady(RequestToken token, LogIndex applied) const;
  // Takes the next of those, in order of their indexes and of confirmation. Only if there is one.
  ClientRequest TakeReady();

  size_t pending() const { return pending_; }
  // Rounds that had waited too long; reads given up before they were confirmed.
  uint64_t slow() const { return slow_; }
  uint64_t failed() const { return failed_; }

 private:
  // Reads that share a round. It stays where it is in memory for as long as it has any.
  struct Batch {
    uint64_t context = 0;
    Instant retry_at;
    bool leader_changed = false;
    std::pair<LogIndex, uint64_t> confirmed;  // its key in confirmed_, once it is there
    std::list<ClientRequest> reads;
  };
  struct Place {
    Batch* batch = nullptr;
    std::list<ClientRequest>::iterator at;
  };

  void DropIfEmpty(Batch* batch);

  uint64_t next_context_;
  uint64_t confirmations_ = 0;
  size_t pending_ = 0;
  std::unique_ptr<Batch> gathered_ = std::make_unique<Batch>();
  std::deque<std::unique_ptr<Batch>> rounds_;
  absl::btree_map<std::pair<LogIndex, uint64_t>, std::unique_ptr<Batch>> confirmed_;
  absl::flat_hash_map<RequestToken, Place> places_;  // lookup only
  uint64_t slow_ = 0;
  uint64_t failed_ = 0;
};

}  // namespace quorate::engine

#endif  // QUORATE_ENGINE_REPLICA_READS_H_
