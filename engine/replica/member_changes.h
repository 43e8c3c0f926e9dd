// Changes of the membership that this member was asked for, on their way into the log: each
// waits until raft takes it, is then proposed once, and ends when its entry is applied, when
// a later leader's first entry shows that it was lost, or when nobody waits for it any more.
//
// A promotion has a way to go before that: only the leader knows whether the learner has
// caught up, so other members pass it on (see Forward in output.h).
#ifndef QUORATE_ENGINE_REPLICA_MEMBER_CHANGES_H_
#define QUORATE_ENGINE_REPLICA_MEMBER_CHANGES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/container/btree_map.h"
#include "base/bytes.h"
#include "base/strong_int.h"
#include "base/time.h"
#include "engine/raft/types.h"
#include "engine/replica/input.h"

namespace quorate::engine {

struct MemberChange {
  RequestToken token;
  RequestKind kind = RequestKind::kMemberAdd;
  raft::ConfChange change;
  Term proposed;  // 0 while raft has not taken it
};

// A promotion that is not a change yet.
struct Promotion {
  Bytes body;
  bool forwarded = false;  // another member is asked
  uint64_t attempt = 0;    // the number of the last time
  Instant retry_at = Instant::Infinite();
};

class MemberChanges {
 public:
  // `change.id` is greater than those of all earlier ones.
  void Add(MemberChange change);
  // In order of their ids; null if raft has taken all of them. Valid until the next call.
  MemberChange* FirstUnproposed();
  bool HasUnproposed() const;
  // The change behind an applied entry, if it is one of ours; it is forgotten then.
  std::optional<MemberChange> Take(uint64_t id);
  // Forgets those that were proposed before `term`, whose entries are all applied by now
  // unless they are lost.
  std::vector<RequestToken> TakeOvertaken(Term term);

  Promotion& AddPromotion(RequestToken token, Bytes body);
  // Null if it is not here.
  Promotion* FindPromotion(RequestToken token);
  void ErasePromotion(RequestToken token) { promotions_.erase(token); }
  // Those that nobody was asked about, or that are due again.
  std::vector<RequestToken> PromotionsToDispatch(Instant now) const;
  Instant next_promotion() const;

  // False if it is not here. What raft has taken may still take effect.
  bool Abandon(RequestToken token);
  size_t size() const { return changes_.size() + promotions_.size(); }

 private:
  absl::btree_map<uint64_t, MemberChange> changes_;  // by change.id
  absl::btree_map<RequestToken, Promotion> promotions_;
};

}  // namespace quorate::engine

#endif  // QUORATE_ENGINE_REPLICA_MEMBER_CHANGES_H_
