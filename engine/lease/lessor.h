// The leader's clockwork: when leases end, and what is to be proposed about it.
//
// Only the leader keeps deadlines, from the moment at which it has applied everything
// that earlier leaders committed (Promote) until it leads no more (Demote). A new leader
// cannot know of the last renewals, so each lease gets all of its time again, or what the
// last checkpoint says is left of it, and `extend` on top (etcd: an election timeout).
//
//   lessor.Promote(term, now);
//   for (LeaseId id : lessor.Expired(now, 100)) {
//     propose to revoke it; lessor.OnRevokeProposed(id);
//   }
//   ...
//   lessor.OnRevoked(id);            // the entry was applied
//
// Nothing here decides alone: a lease ends when the entry that revokes it is applied.
// Between proposal and application it cannot be renewed (Revoking), since nobody knows
// yet whether it will be there.
//
// All work is in bounded steps: Promote is O(1), and Walk then gives deadlines to so many
// leases at a time; a lease that was not reached yet has the same deadline anyway. Demote
// is O(1), too, and Walk gives the memory back.
#ifndef QUORATE_ENGINE_LEASE_LESSOR_H_
#define QUORATE_ENGINE_LEASE_LESSOR_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "base/strong_int.h"
#include "base/time.h"
#include "engine/lease/leases.h"

namespace quorate::lease {

struct LessorOptions {
  // Seconds; shorter leases last that long (etcd: 1.5 election timeouts, rounded up).
  int64_t min_ttl = 1;
  // On top of what is left when this member becomes leader.
  Duration extend = Seconds(1);
  // How often what is left of a lease that lasts longer than this is written into the log,
  // so that a new leader does not begin anew. Infinite = never.
  Duration checkpoint_interval = Seconds(300);
};

class Lessor {
 public:
  // `leases` is borrowed.
  Lessor(const Leases* leases, const LessorOptions& options) : leases_(leases), options_(options) {}
  Lessor(const Lessor&) = delete;
  Lessor& operator=(const Lessor&) = delete;

  // ---- leadership ----
  // This member leads in `term` and has applied all that was committed before.
  void Promote(Term term, Instant now);
  // It leads no more. Forgets all deadlines and what was proposed.
  void Demote();
  bool primary() const { return primary_; }
  // Of the last Promote.
  Term term() const { return term_; }

  // ---- what was applied; ignored unless primary ----
  void OnGranted(LeaseId id, Instant now);
  void OnRevoked(LeaseId id) { Forget(id); }
  // An entry that revokes the lease was applied, yet it is still there (an alarm refuses).
  // It is tried again after a while.
  void OnRevokeRefused(LeaseId id, Instant now);
  // A checkpoint of what is left (more than nothing) was applied.
  void OnCheckpointed(LeaseId id);

  // ---- clients; only on a primary, and only for leases that exist ----
  // What the lease is granted for, in seconds.
  int64_t GrantedTtl(LeaseId id) const;
  // What is left of it; not positive once it is due.
  Duration Remaining(LeaseId id, Instant now) const;
  // An entry that revokes it is under way: whether it can be renewed is not known.
  bool Revoking(LeaseId id) const;
  // Before it is renewed, an entry must say that all of its time is left: the log holds, or
  // will hold, a checkpoint with less.
  bool NeedsClear(LeaseId id) const;
  void Renew(LeaseId id, Instant now);

  // ---- work ----
  // Forgets at most `max` deadlines of the time before the last Demote, or else gives
  // deadlines to at most `max` leases that have waited for one since Promote.
  void Walk(size_t max);
  bool walking() const { return walk_.has_value() || !retired_.empty(); }
  // When the next deadline or checkpoint is due; may be in the past.
  Instant next_deadline() const { return Earliest(live_.deadlines); }
  Instant next_checkpoint() const { return Earliest(live_.checkpoints); }

  // An entry that grants `id` was appended to the log at `index`: what then expires is not
  // the lease that this entry makes.
  void OnGrantProposed(LeaseId id, LogIndex index);
  void OnApplied(LogIndex index);

  // Leases whose deadline is at or before `at`, the longest overdue first, at most `max`.
  // Not those that an entry in the log is about to revoke or to grant.
  std::vector<LeaseId> Expired(Instant at, size_t max) const;
  void OnRevokeProposed(LeaseId id);
  size_t revoking() const { return revoking_; }

  struct Checkpoint {
    LeaseId id;
    int64_t remaining = 0;  // seconds, rounded up
  };
  // Checkpoints that are due; they are proposed now, and due again an interval later. At
  // most `max` leases are looked at.
  std::vector<Checkpoint> TakeCheckpoints(Instant now, size_t max);

  // By which leases are listed, those of one rank by id: on a primary when they end, what is
  // being revoked first; otherwise nothing.
  Instant RankOf(LeaseId id) const;

 private:
  struct Timer {
    Instant deadline;
    Instant checkpoint_at = Instant::Infinite();
    uint32_t checkpoints_proposed = 0;  // and not yet applied
    bool revoking = false;
  };
  using Queue = absl::btree_set<std::pair<Instant, LeaseId>>;
  struct Timers {
    absl::btree_map<LeaseId, Timer> timers;
    Queue deadlines;  // of leases that are not being revoked
    Queue checkpoints;
  };

  static Instant Earliest(const Queue& queue) {
    return queue.empty() ? Instant::Infinite() : queue.begin()->first;
  }
  static Instant After(Instant from, int64_t seconds);
  Instant BaseDeadline(const Lease& lease) const;
  Timer& TimerOf(LeaseId id);
  void SetDeadline(LeaseId id, Timer* timer, Instant deadline);
  void ScheduleCheckpoint(LeaseId id, Timer* timer, Instant now);
  void CancelCheckpoint(LeaseId id, Timer* timer);
  void Forget(LeaseId id);
  void ForgetRetired(size_t max);

  const Leases* const leases_;
  const LessorOptions options_;
  bool primary_ = false;
  Term term_;
  Instant promoted_at_;
  // The next lease that Walk looks at.
  std::optional<LeaseId> walk_;
  Timers live_;
  std::vector<Timers> retired_;  // of earlier times as a leader, not yet given back
  size_t revoking_ = 0;
  // Grants in the log that are not applied: by index, and the last one of each lease.
  std::deque<std::pair<LogIndex, LeaseId>> grants_;
  absl::btree_map<LeaseId, LogIndex> granting_;
};

}  // namespace quorate::lease

#endif  // QUORATE_ENGINE_LEASE_LESSOR_H_
