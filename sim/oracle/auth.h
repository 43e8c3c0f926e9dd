// What authentication promises (simulation rule H8): nobody gets what it may not have, and
// nobody is refused what it may.
//
// Which users, roles and permissions there are follows from the committed log, so the oracle
// knows them as they were at every index (AuthModel). Then
//
//   - a committed command is refused where it is applied if its asker may not do all of it
//     there, or was found to be that user at another auth revision: it must have no effect
//     (Refuses(): no other oracle is told of it), and its client must not be told that it had;
//   - a write that was acknowledged stands in the log in its client's name;
//   - a read, or a transaction that changed nothing, was allowed at an index at which the
//     store had the revision that it shows: a linearizable one at no index before the last
//     change of which the administrator had been told when it began;
//   - what members decide by what they have applied so far (compaction, keep-alives, watches)
//     was allowed at some index between what the member had applied when it was asked and
//     what was committed when it answered;
//   - who is refused was, at some index of the same kind, somebody who may not.
//
// A token that a member does not know (it forgets them when it restarts) is no refusal: the
// client says again who it is.
#ifndef QUORATE_SIM_ORACLE_AUTH_H_
#define QUORATE_SIM_ORACLE_AUTH_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/strong_int.h"
#include "engine/raft/types.h"
#include "sim/auth_wire.h"
#include "sim/history.h"
#include "sim/model/auth.h"
#include "sim/model/store.h"
#include "sim/oracle/judge.h"
#include "sim/wire.h"

namespace quorate::sim {

class AuthOracle {
 public:
  // How far a member has applied the log now; 0 = not known.
  using AppliedOf = std::function<LogIndex(size_t member)>;

  // `model` is what the commands that are not refused make, KvOracle's. All borrowed.
  AuthOracle(Judge* judge, const History* history, const Model* model, AppliedOf applied_of);
  AuthOracle(const AuthOracle&) = delete;
  AuthOracle& operator=(const AuthOracle&) = delete;

  // An entry is committed; in order of index, before any other oracle hears of it. True if it
  // has no effect.
  bool Refuses(VirtualTime when, const raft::Entry& entry);

  // An attempt was just added to / ended in the history; before other oracles hear of it.
  void OnInvoke(History::Id id);
  void OnReturn(History::Id id);

  // A watch as it was asked for, and the answer to that.
  struct Watch {
    std::string user;
    std::string key;
    std::string range_end;
    LogIndex low;  // Low() when it was asked for
  };
  void OnWatchAnswer(VirtualTime when, const Watch& watch, const WatchAnswer& answer);
  // What the member had applied.
  LogIndex Low(size_t member) const { return applied_of_(member); }

  // The administrator was told that a change was made, which it asked for when committed()
  // was `since`.
  void OnAcknowledged(VirtualTime when, const AuthChange& change, LogIndex since);
  LogIndex committed() const { return committed_; }

  // The world has settled: the users that a member has.
  void CheckUsers(VirtualTime when, size_t member, const std::vector<std::string>& users);

  const AuthModel& present() const { return states_.back().auth; }
  uint64_t changes() const { return changes_.size(); }
  uint64_t refused() const { return refused_count_; }  // commands
  uint64_t denied() const { return denied_; }          // answers that said so

 private:
  // From this index on, until that of the next one.
  struct State {
    LogIndex since;
    AuthModel auth;
  };
  struct Keys {
    LogIndex since;
    std::set<std::string> keys;
  };
  // The command that made a revision.
  struct Maker {
    LogIndex index;
    std::string user;
    std::string fingerprint;
  };
  struct Revocation {
    LogIndex index;
    std::string user;
    bool enabled = false;
    bool refused = false;
  };
  struct Refused {
    LogIndex index;
    VirtualTime when;
    std::string why;
  };
  struct Change {
    LogIndex index;
    AuthChange change;
    std::string error;
  };
  using KeySets = std::vector<std::set<std::string>>;

  bool RefusesRequest(VirtualTime when, const AuthCommand& command, const Request& request);
  // Takes over what the entry before has made of the model.
  void Sync();
  LogIndex MadeAt(int64_t revision) const;
  // Whether `holds` for some state in force once an index from `low` to `high` was applied.
  bool Ever(LogIndex low, LogIndex high, const std::function<bool(const AuthModel&)>& holds) const;
  // What keys were attached to a lease then, and what was between two such sets.
  KeySets KeysOf(int64_t lease, LogIndex low, LogIndex high) const;

  void CheckAllowed(const Call& call, History::Id id, LogIndex low);
  void CheckWritten(const Call& call);
  void CheckRead(const Call& call, History::Id id, LogIndex low);
  void CheckRevoked(const Call& call, LogIndex low);
  void CheckRenewed(const Call& call, LogIndex low);
  void CheckDenied(const Call& call, History::Id id, LogIndex low);
  // Whether the request, or anything of it, may be denied to its user in some such state.
  bool CouldBeDenied(const Call& call, LogIndex low, LogIndex floor) const;
  void Report(VirtualTime when, std::string text, const Call& call);

  Judge* const judge_;
  const History* const history_;
  const Model* const model_;
  const AppliedOf applied_of_;
  LogIndex committed_;
  std::vector<State> states_;
  std::vector<Maker> makers_;  // [revision - 2]
  Maker last_;                 // of the entry at committed_
  size_t lease_changes_seen_ = 0;
  std::map<int64_t, std::vector<Keys>> keys_;               // by lease
  std::map<std::string, std::vector<Refused>> refused_;     // by fingerprint
  std::map<int64_t, std::vector<Revocation>> revocations_;  // by lease
  std::vector<Change> changes_;
  LogIndex floor_;                // of the last change that the administrator was told of
  std::vector<LogIndex> lows_;    // [attempt]
  std::vector<LogIndex> floors_;  // [attempt]
  uint64_t refused_count_ = 0;
  uint64_t denied_ = 0;
};

// Why `user`, known since `revision` of the auth store, may not do all of a request about keys
// or a revocation; empty if it may. `attached`: the keys of the leases that the request attaches
// to or revokes.
std::string RefusalOf(const AuthModel& auth, const std::string& user, uint64_t revision,
                      const Request& request,
                      const std::function<std::set<std::string>(int64_t lease)>& attached);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_ORACLE_AUTH_H_
