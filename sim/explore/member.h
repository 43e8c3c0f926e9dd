// One member of an explored cluster: the real raft::Raft, driven as a server drives it,
// over a disk that is two lists.
//
// Time is abstract. The member's clock stands still but where a timer is said to fire
// or a message to be late; then it jumps past whatever that needs. Heartbeats are so
// much more frequent than elections that any number of them within the bounds fits
// into one election timeout: the two timers of a leader are independent.
#ifndef QUORATE_SIM_EXPLORE_MEMBER_H_
#define QUORATE_SIM_EXPLORE_MEMBER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/strong_int.h"
#include "engine/raft/canonical_state.h"
#include "engine/raft/raft.h"
#include "sim/explore/bounds.h"
#include "sim/oracle/judge.h"

namespace quorate::sim::explore {

// A read that a member was told it may serve.
struct ReadAnswer {
  uint64_t read = 0;
  LogIndex index;
};

// What a member did in one step.
struct Outcome {
  std::vector<raft::Message> sent;
  std::vector<ReadAnswer> reads;
  // The first rule that the member broke by itself.
  std::optional<Violation> violation;
};

// One position of a log; `chain` is a hash over everything up to and including it.
struct Link {
  Term term;
  uint64_t chain = 0;
};

// What the rules about whole clusters look at, and what says which inputs make sense.
struct MemberView {
  MemberId id;
  raft::Role role = raft::Role::kFollower;
  Term term;
  MemberId vote;
  MemberId leader;
  MemberId transferee;
  LogIndex commit;
  Term durable_term;
  std::vector<Link> log;      // [i] is index i + 1
  std::vector<Link> durable;  // the log on the disk
  // On a leader: [id - 1], how far each member is known to match.
  std::array<LogIndex, kMaxMembers> match = {};
  size_t units = 0;  // writes under way
  bool promotable = false;
  // The disk holds a later commit index than it has synced.
  bool unsynced_commit = false;
};

class Member {
 public:
  // A member of a cluster of `bounds.members`, with an empty disk. Both outlive it.
  Member(MemberId id, const Bounds* bounds, const PlantedFaults* faults);
  Member& operator=(const Member&) = delete;
  std::unique_ptr<Member> Clone() const;

  // Each input adds what came of it to *outcome.

  // `late`: an election timeout after the member last heard of its leader.
  void Deliver(const raft::Message& message, bool late, Outcome* outcome);
  void FireElectionTimer(Outcome* outcome);
  void FireHeartbeatTimer(Outcome* outcome);
  void Propose(uint64_t proposal, Outcome* outcome);
  void Read(uint64_t read, Outcome* outcome);
  void Transfer(MemberId target, Outcome* outcome);
  // The oldest write under way is durable.
  void CompleteUnit(Outcome* outcome);
  // Of the writes under way the first `kept` have reached the disk. `keep_commit`: so
  // has a commit index that was written without waiting for it.
  void Crash(size_t kept, bool keep_commit, Outcome* outcome);

  MemberView View() const;
  // All that decides what the member will do, and what rules will see of it.
  void AppendCanonical(raft::CanonicalState::Renaming rename, std::string* out) const;

 private:
  // For the disk, in order.
  struct Unit {
    std::vector<raft::Entry> entries;
    std::optional<raft::HardState> hard_state;
    bool must_sync = false;
    bool acknowledged = false;
    std::vector<raft::Message> responses;
  };

  Member(const Member& other);
  void Start();
  void Do(Outcome* outcome, const std::function<void()>& action);
  std::array<LogIndex, kMaxMembers> Matches() const;
  void Drain(Outcome* outcome);
  void Acknowledge(Unit* unit, Outcome* outcome);
  void CompleteFirst(Outcome* outcome);
  void Write(const Unit& unit, Outcome* outcome);
  void Send(raft::Message message, Outcome* outcome);
  void CheckPromise(const raft::Message& message, Outcome* outcome) const;
  void CheckStable(Outcome* outcome) const;
  void Report(Rule rule, std::string text, Outcome* outcome) const;

  const MemberId id_;
  const Bounds* const bounds_;
  const PlantedFaults* const faults_;
  std::unique_ptr<raft::Raft> raft_;
  Instant now_;
  raft::Ready ready_;

  // The disk. What it has written and what it has synced differ by a commit index only.
  raft::HardState written_;
  raft::HardState synced_;
  std::vector<raft::Entry> entries_;
  std::deque<Unit> units_;
};

}  // namespace quorate::sim::explore

#endif  // QUORATE_SIM_EXPLORE_MEMBER_H_
