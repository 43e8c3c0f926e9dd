// What etcd promises to holders of leases (simulation rule H5).
//
// Which leases exist follows from the committed log, so whatever an answer says about one
// can be checked against the moments between its invocation and its return:
//
//   - a renewal that succeeded, or a lease whose time was told: it was there at some moment;
//   - "no such lease": at some moment it was not;
//   - nothing ends a lease before its time, counted from the invocation of the last grant
//     or renewal that succeeded, is over, by a clock that may be as wrong as the world's;
//     only a client's own wish does.
//
// Once nobody renews anything all leases must end (Standing()). That a lease's keys go
// with it, once and in one revision, is what the Model makes of the entry, and all other
// oracles compare with that.
#ifndef QUORATE_SIM_ORACLE_LEASE_H_
#define QUORATE_SIM_ORACLE_LEASE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "engine/raft/types.h"
#include "sim/history.h"
#include "sim/model/store.h"
#include "sim/oracle/judge.h"

namespace quorate::sim {

class LeaseOracle {
 public:
  // `history` is where the attempts are; both are borrowed. Clocks run too fast or too slow
  // by `drift_ppm` at most.
  LeaseOracle(Judge* judge, const History* history, uint32_t drift_ppm)
      : judge_(judge), history_(history), drift_ppm_(drift_ppm) {}

  // An entry is committed; in order of index.
  void OnCommit(VirtualTime when, const raft::Entry& entry);
  // The same for a command that is already plain.
  void OnCommand(VirtualTime when, const Request& request);

  // An attempt was just added to / ended in the history. Those that are not about leases
  // are none of its business.
  void OnInvoke(History::Id id);
  void OnReturn(History::Id id);

  // Leases that exist by the committed log.
  size_t standing() const { return standing_; }
  // The longest time that any of them was granted for.
  Duration longest() const { return Seconds(longest_ttl_); }
  uint64_t expired() const { return expired_; }

 private:
  // One lease from its grant to its end; an id may come again.
  struct Life {
    VirtualTime granted;
    VirtualTime ended = VirtualTime::Infinite();
    int64_t ttl = 0;
    // Not before this may it end by itself, because of that attempt.
    VirtualTime promised;
    History::Id promised_by = 0;
    // A client's revocation that may have ended it.
    std::optional<History::Id> wish;
  };
  struct Lease {
    std::vector<Life> lives;
    // Attempts to revoke it that may end a life and have not been taken for that: each
    // ends one at most.
    std::vector<History::Id> wishes;
  };

  void End(VirtualTime when, int64_t id, Lease* lease);
  void OnRevoked(const Call& call, History::Id id, Lease* lease);
  void CheckFound(const Call& call, History::Id id, Lease* lease);
  void CheckMissing(const Call& call, const Lease& lease);
  void Promise(const Call& call, History::Id id, int64_t lease_id, Lease* lease, Life* life);
  void CheckPromise(VirtualTime when, int64_t id, Lease* lease, Life* life);
  VirtualTime Earliest(const Call& call) const;

  Judge* const judge_;
  const History* const history_;
  const uint32_t drift_ppm_;
  std::map<int64_t, Lease> leases_;
  size_t standing_ = 0;
  int64_t longest_ttl_ = 0;
  uint64_t expired_ = 0;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_ORACLE_LEASE_H_
