// Keep-alives and questions for a lease's time on their way. Only the leader can answer
// them, and only after it has made sure, after they arrived, that it still leads. A call
// goes through these states, back to the first whenever the leader is another:
//
//   kWaiting      no leader is known, or the one that was asked did not answer
//   kForwarded    another member is asked
//   kConfirming   this member leads; a read-index round is under way
//   kRevoking     the lease is being revoked: whether it will be there is not known yet
//   kClearing     an entry is under way that makes the lease's checkpoint void
#ifndef QUORATE_ENGINE_REPLICA_LEASE_CALLS_H_
#define QUORATE_ENGINE_REPLICA_LEASE_CALLS_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "base/bytes.h"
#include "base/strong_int.h"
#include "base/time.h"
#include "engine/replica/input.h"

namespace quorate::engine {

struct LeaseCall {
  enum class State : uint8_t { kWaiting, kForwarded, kConfirming, kRevoking, kClearing };

  RequestKind kind = RequestKind::kLeaseKeepAlive;
  LeaseId lease;
  bool keys = false;           // kLeaseTimeToLive: tell the attached keys too
  Bytes body;                  // as it came
  uint64_t auth_revision = 0;  // at which the client was found to be permitted
  // The store's revision when it arrived: what a keep-alive's answer names, since the lease
  // was there at that revision or later.
  Revision revision;

  State state = State::kWaiting;
  Term term;             // kConfirming and later: in which this member leads
  uint64_t attempt = 0;  // kForwarded: the number of the last one
  Instant retry_at = Instant::Infinite();

  bool keep_alive() const {
    return kind == RequestKind::kLeaseKeepAlive || kind == RequestKind::kPeerLeaseKeepAlive;
  }
  bool from_peer() const {
    return kind == RequestKind::kPeerLeaseKeepAlive || kind == RequestKind::kPeerLeaseTimeToLive;
  }
};

class LeaseCalls {
 public:
  LeaseCall& Add(RequestToken token, LeaseCall call);
  // Null if it is not here.
  LeaseCall* Find(RequestToken token);
  bool Contains(RequestToken token) const { return calls_.contains(token); }
  // False if it was not here.
  bool Erase(RequestToken token);

  // Calls Due() once `when` has come; Infinite = never.
  void RetryAt(RequestToken token, LeaseCall* call, Instant when);
  std::vector<RequestToken> TakeDue(Instant now);
  Instant next_retry() const {
    return retries_.empty() ? Instant::Infinite() : retries_.begin()->first;
  }

  // Back to kWaiting, for nothing.
  void Reset(RequestToken token, LeaseCall* call);
  // The call waits in kRevoking; takes all that wait for this lease.
  void AwaitRevocation(RequestToken token, LeaseCall* call);
  std::vector<RequestToken> TakeAwaiting(LeaseId lease);

  // All that a new leader changes something for: in every state but kConfirming.
  std::vector<RequestToken> Unsettled() const;

  size_t size() const { return calls_.size(); }

 private:
  absl::btree_map<RequestToken, LeaseCall> calls_;
  absl::btree_set<std::pair<Instant, RequestToken>> retries_;
  absl::btree_set<std::pair<LeaseId, RequestToken>> awaiting_;
};

}  // namespace quorate::engine

#endif  // QUORATE_ENGINE_REPLICA_LEASE_CALLS_H_
