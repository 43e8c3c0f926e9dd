// Raft's safety properties, watched from outside while members run (Raft paper,
// figure 3; simulation rules R1 to R9).
//
// Observe() looks at one member after each of its turns and costs a few loads when
// nothing changed. The oracle keeps a shadow of every member's log as a hash chain, so
// that "equal up to index i" is one comparison, and the one canonical log of all that
// anybody ever committed, which outlives every member.
#ifndef QUORATE_SIM_ORACLE_RAFT_H_
#define QUORATE_SIM_ORACLE_RAFT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/strong_int.h"
#include "engine/raft/message.h"
#include "engine/raft/types.h"
#include "engine/replica/inspector.h"
#include "sim/oracle/judge.h"
#include "sim/scheduler.h"

namespace quorate::sim {

class RaftOracle {
 public:
  // Gets every committed entry once, in order of index, when the first member has
  // committed it.
  using CommitSink = std::function<void(VirtualTime when, const raft::Entry& entry)>;

  // What a committed entry makes of the configuration before it; nothing if it changes none.
  // Called for each entry that may, in order.
  using ConfigRule = std::function<std::optional<raft::ConfState>(const raft::ConfState& before,
                                                                  const raft::Entry& entry)>;

  // Members are 1 .. ids.size(), with these identities; 0 = not known yet. The first
  // `founders` of them write the first entries of the log, each by itself. Without a rule
  // the configuration never changes.
  RaftOracle(Judge* judge, std::vector<MemberId> ids, size_t founders, CommitSink on_commit,
             ConfigRule rule);

  // The configuration before the first entry, where no entries make it: before anybody starts.
  void SetFirstConfig(raft::ConfState state) { configs_.front().state = std::move(state); }
  // Before the member's first start.
  void SetId(size_t member, MemberId id) { members_[member].id = id; }

  // A member as it is now. The first call with a new incarnation is a restart: the log
  // is what its disk gave back.
  // `repaired`: this life began with the state of another member, since the disk had lost what
  // was acknowledged. Then promises may be forgotten that nothing can come of any more, and no
  // others: see ForgetVoid.
  void Observe(VirtualTime when, size_t member, uint64_t incarnation,
               const engine::ReplicaInspector& inspector, bool repaired = false);
  // The member sends a message (observe it first). Promises in it are held against the
  // member for ever: votes, acknowledged entries, terms.
  void OnSend(VirtualTime when, size_t member, const raft::Message& message);

  // A message of `from` is about to be given to a member, and has been: R10.
  struct Before {
    bool removed = false;  // the member has applied the removal of `from`
    raft::HardState state;
    MemberId leader;
    LogIndex last;
  };
  Before BeforeMessage(const raft::Message& message,
                       const engine::ReplicaInspector& inspector) const;
  void AfterMessage(VirtualTime when, size_t member, const raft::Message& message,
                    const Before& before, const engine::ReplicaInspector& inspector);

  uint64_t leaders_elected() const { return elections_; }
  LogIndex committed() const { return LogIndex(canonical_.size() - 1); }
  Term highest_term() const { return highest_term_; }

 private:
  // One position of a log.
  struct Link {
    Term term;
    uint64_t chain = 0;  // over everything up to and including this entry
  };
  struct Committed {
    Link link;
    Term in_term;  // of the member that showed it first
    size_t member = 0;
    VirtualTime when;
  };
  struct Leader {
    size_t member = 0;
    VirtualTime when;
  };
  struct Member {
    MemberId id;
    uint64_t incarnation = 0;
    std::vector<Link> log;  // [index]; [0] is before the first entry
    Term term;
    LogIndex commit;
    LogIndex applied;
    size_t config_seen = 0;  // in configs_, the one that was compared last
    bool leads = false;
    bool stands = false;  // for election
    Term led_term;
    LogIndex last_change;  // of the configuration, in the log; may be one that was cut off
    // What the member promised to others, over all its lives.
    Term promised_term;
    Term acknowledged_term;  // of those promises, to leaders
    LogIndex acknowledged;
    // Of this life: where leaders of which terms cut the log.
    std::map<Term, LogIndex> cuts;
    std::map<Term, std::pair<MemberId, VirtualTime>> votes;
  };

  std::string Name(size_t member) const;
  std::string NameOf(MemberId id) const;
  void Restarted(VirtualTime when, size_t member, const engine::ReplicaInspector& inspector,
                 bool repaired);
  void ForgetVoid(VirtualTime when, size_t member, const std::vector<Link>& before,
                  const raft::HardState& state);
  void CheckPromises(VirtualTime when, size_t member, const engine::ReplicaInspector& inspector);
  void CheckQuorumHolds(VirtualTime when, size_t member);
  void Acknowledge(VirtualTime when, size_t member, Term term, LogIndex index);
  void FollowLog(VirtualTime when, size_t member, const engine::ReplicaInspector& inspector);
  bool FollowCut(VirtualTime when, size_t member, const engine::ReplicaInspector& inspector);
  void Truncate(VirtualTime when, size_t member, size_t size, Term term);
  void AppendTo(VirtualTime when, size_t member, const raft::Entry& entry);
  void CheckOneChange(VirtualTime when, size_t member, const raft::Entry& change, LogIndex applied);
  void CheckCandidate(VirtualTime when, size_t member, const engine::ReplicaInspector& inspector);
  void CheckMonotonic(VirtualTime when, size_t member, const raft::HardState& state,
                      LogIndex applied);
  void CheckLeader(VirtualTime when, size_t member, Term term);
  void CheckCompleteness(VirtualTime when, size_t member, Term term);
  void AdvanceCommit(VirtualTime when, size_t member, LogIndex commit,
                     const engine::ReplicaInspector& inspector);
  void CheckCommitted(VirtualTime when, size_t member, LogIndex index);
  void CheckQuorumAcknowledged(VirtualTime when, size_t member, LogIndex index);
  // The configuration that the entry at `index` and those after it are subject to.
  size_t ConfigAt(LogIndex index) const;
  // Whether a majority of the voters that decided about `index` is among the holders.
  bool IsQuorum(LogIndex index, const std::function<bool(const Member&)>& holds) const;
  void FollowConfig(const raft::Entry& entry);
  void CheckConfig(VirtualTime when, size_t member, const engine::ReplicaInspector& inspector);
  void CheckAppliedChain(VirtualTime when, size_t member, LogIndex applied, uint64_t chain);
  bool Holds(const Member& member, LogIndex index, uint64_t chain) const;
  void Vote(VirtualTime when, size_t member, Term term, MemberId candidate);

  Judge* const judge_;
  const CommitSink on_commit_;
  const ConfigRule rule_;
  std::vector<Member> members_;       // [0] unused
  std::vector<Committed> canonical_;  // [index]
  const size_t founders_;
  // Raft's configuration after each committed entry that changed it; [0]: before the first.
  struct Config {
    LogIndex index;
    raft::ConfState state;
  };
  std::vector<Config> configs_ = std::vector<Config>(1);
  std::map<Term, Leader> leaders_;
  absl::flat_hash_map<std::pair<LogIndex, Term>, uint64_t> chains_;            // lookup only
  absl::flat_hash_map<LogIndex, std::pair<uint64_t, size_t>> applied_chains_;  // lookup only
  uint64_t elections_ = 0;
  Term highest_term_;
  bool saw_sends_ = false;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_ORACLE_RAFT_H_
