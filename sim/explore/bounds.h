// How far an exploration goes. Everything is finite: every kind of event is counted
// along a run, and no run may hold more of a kind than its bound.
#ifndef QUORATE_SIM_EXPLORE_BOUNDS_H_
#define QUORATE_SIM_EXPLORE_BOUNDS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "engine/raft/message.h"

namespace quorate::sim::explore {

inline constexpr size_t kMaxMembers = 5;
// Of every bound that is counted: counts are kept in a byte.
inline constexpr uint64_t kMaxCount = 200;

struct Bounds {
  uint64_t members = 3;
  // Nobody stands for election in a later term than this.
  uint64_t terms = 2;
  // Proposals by clients, to whoever leads.
  uint64_t entries = 1;
  // Crashes, each with an immediate restart from what the disk held. (A member that
  // stays down for a while is one that restarts and to which nothing happens.)
  uint64_t crashes = 0;
  // Deliveries after which the message is still in flight. No value: any number, of
  // any message; what was sent once can then arrive for ever.
  std::optional<uint64_t> duplicates = 0;
  // Messages that are lost for good. A message that is never delivered is as good as
  // lost, so that 0 leaves no reachable member state out.
  uint64_t drops = 0;
  // Firings of leaders' heartbeat timers.
  uint64_t heartbeats = 0;
  // Firings of election timers: followers' and candidates' campaigns, leaders' checks
  // for a quorum (with check_quorum) and ends of transfers. No value: as many as
  // `terms` leaves room for; only where each of them raises a term.
  std::optional<uint64_t> timeouts;
  // Linearizable reads by clients, of any member.
  uint64_t reads = 0;
  // Leadership transfers that operators ask the leader for.
  uint64_t transfers = 0;

  bool pre_vote = false;
  bool check_quorum = false;
  // An append carries at most one entry, as with large entries: so that entries of
  // earlier terms travel, and could be committed, alone (Raft paper, figure 8).
  bool one_entry_appends = false;
  // Every write is durable as soon as it is handed out. Otherwise when a write
  // completes is a choice, and a crash keeps any prefix of those under way.
  bool instant_disk = false;
  // Whether states that differ only in who is called what count as one.
  bool symmetry = true;

  // InvalidArgument, naming the bound.
  absl::Status Validate() const;
  // The command line that asks for it.
  std::string CommandLine() const;
};

// Mistakes put in between the real code and its surroundings, for tests which show that
// the explorer finds them.
struct PlantedFaults {
  // Sees every message on its way, after the sender was judged by it, and may change
  // it. A pure function.
  std::function<void(raft::Message* message)> tamper;
  // The disk acknowledges a write when it begins.
  bool acknowledge_before_write = false;
};

}  // namespace quorate::sim::explore

#endif  // QUORATE_SIM_EXPLORE_BOUNDS_H_
