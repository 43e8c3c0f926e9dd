// What a seed draws: the cluster, its surroundings, which faults may happen and how
// often, and the workload.
//
// Swarm testing (Groce et al., 2012): each class of faults is off in about half of the
// seeds, since faults hide each other's effects; what is on has its own parameters.
// Every draw is keyed by (seed, purpose), so that adding an option shifts no other.
#ifndef QUORATE_SIM_SWARM_H_
#define QUORATE_SIM_SWARM_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/time.h"
#include "engine/mvcc/segment_pins.h"
#include "sim/disk.h"
#include "sim/fault.h"
#include "sim/loop.h"
#include "sim/network.h"
#include "sim/workload/kind.h"

namespace quorate::sim {

// What the nemesis may do. Each is switched on or off as a whole for a seed.
enum class FaultClass : uint8_t {
  kLoss,         // messages lost (on streams: sent again late)
  kDuplicate,    // messages delivered twice
  kDelay,        // some messages much later than the rest
  kCorruption,   // bits flipped in flight; checksums must catch them
  kPartition,    // one member alone, two halves, a bridge, a star
  kOneWay,       // some directions cut, the opposite ones open
  kStreamReset,  // connections reset at some byte
  kKill,         // processes killed; the page cache survives
  kPowerLoss,    // machines down; unsynced writes lost as drawn; also all at once
  kPause,        // processes stopped for a while
  kClock,        // clocks at a wrong rate, wall clocks jumping
  kSlowDisk,     // disks 10 or 100 times slower, or not answering for a while
  kSyncFailure,  // a sync fails, with Linux' semantics; the member must stop
  kTransfer,     // an operator moves leadership about
  kUsurp,        // leaders cut off until another one leads, let in as that one is cut off, ...
  kTypeDrop,     // messages of some types only are lost on some edges
  kBitRot,       // a bit of a file is wrong until somebody restores the sector
  kMembership,   // an operator adds, promotes, removes and replaces members
  kRolling,      // an operator restarts all members in order, one after another
  kFullDisk,     // no space left for a while; writes are refused, nothing is lost
  kDiskError,    // writes fail for a while, or a sector cannot be read; the member must stop
  kBandwidth,    // a member's links carry few bytes a second
  kUpkeep,       // an operator raises alarms and puts them out, defragments, compares hashes, ...
  kWrongDirectory,    // members started with the directory of another one; they must refuse
  kVersions,          // members announce other versions, and say what the others do not know
  kReorder,           // for a while each datagram finds a way of its own
  kSettings,          // an operator starts members with other sizes, and with or without PreVote
  kAmnesia,           // members started without their data; they must refuse
  kHindrance,         // members that apply, answer or tell nothing for a while
  kDescriptors,       // processes that may open few more files and connections for a while, or none
  kAgedDirectory,     // members started with what their disk held before: promises are forgotten
  kUnderstatedDrift,  // leases for reads count on clocks that are better than they are
};
inline constexpr size_t kFaultClasses = static_cast<size_t>(FaultClass::kUnderstatedDrift) + 1;

// "power-loss"; stable.
absl::string_view FaultClassName(FaultClass fault_class);
// What must have been injected in a campaign in which the class was on. `streams`,
// `datagrams`: whether seeds of that mode had it on.
std::vector<Fault> FaultsOf(FaultClass fault_class, bool streams, bool datagrams);

// One class in one seed.
struct FaultPlan {
  bool on = false;
  // Between two actions of the nemesis, on average.
  Duration interval;
  // How long an action lasts: at least, and on average.
  Duration duration_min;
  Duration duration_mean;
  // Strength, in parts per million: of messages, or of actions that hit the leader.
  uint32_t ppm = 0;
  // kBandwidth.
  uint64_t bytes_per_second = 0;
};

struct WorkloadOptions {
  size_t clients = 3;
  // Requests a second of all clients together, as long as they are answered at once.
  uint64_t rate = 100;
  // Keys are "g<group>/k<key>"; a request stays within one group.
  size_t groups = 6;
  size_t keys = 4;
  size_t value_bytes_max = 64;
  Duration request_timeout = Seconds(2);
  // Weights of the kinds of requests.
  uint32_t put = 40;
  uint32_t get = 30;
  uint32_t serializable = 10;
  uint32_t remove = 8;
  uint32_t txn = 20;
  uint32_t compact = 0;
  // Grants, renewals, questions, revocations and puts that attach keys, together.
  uint32_t lease = 0;
  // Longest time to live that is asked for, in seconds.
  int64_t lease_ttl_max = 4;
  // Chance, in percent, that an attempt of unknown outcome is repeated.
  uint32_t retry_percent = 70;
  size_t watchers = 2;
  // Somebody manages users and roles meanwhile.
  bool administrator = false;
  // Clients must say who they are, and an administrator changes what they may
  // (sim/workload/access.h).
  bool auth = false;
  // Chance, in percent, that a call is given up before its time; that a watcher stops reading
  // for a while, at each of its ticks.
  uint32_t cancel_percent = 0;
  uint32_t slow_reader_percent = 0;
  // That a request is sent to a second member if the first does not answer at once; the answer
  // that comes first counts, and the other one is still judged.
  uint32_t hedge_percent = 0;
  // Leases of each client.
  size_t lease_ids = 2;
  // Workloads with an invariant of their own that are on (sim/workload/workload.h), and the
  // share of requests, in percent, that they make.
  std::array<bool, kWorkloadKinds> kinds = {};
  uint32_t kinds_percent = 0;
};

// What is left of a seed's run when not everything that it draws shall happen (sim/schedule).
// Actions and requests are numbered from 1 as they come up; each has draws of its own, so that
// leaving some out changes none of the others.
struct Reduction {
  std::array<std::optional<std::set<uint64_t>>, kFaultClasses> actions;  // nullopt: all
  std::map<uint32_t, std::set<uint64_t>> requests;                       // not there: all

  bool Keeps(FaultClass c, uint64_t number) const {
    const auto& kept = actions[static_cast<size_t>(c)];
    return !kept.has_value() || kept->count(number) > 0;
  }
  bool Keeps(uint32_t client, uint64_t number) const {
    const auto kept = requests.find(client);
    return kept == requests.end() || kept->second.count(number) > 0;
  }
  friend bool operator==(const Reduction&, const Reduction&) = default;
};

struct Options {
  uint64_t seed = 0;
  std::string profile;
  size_t members = 3;
  // Hosts that may become members later.
  size_t spares = 0;
  bool strict_reconfig_check = true;
  Duration reconfig_health_window = Seconds(1);
  // True: clients speak gRPC and members speak etcd's peer protocol over byte streams.
  // False: requests are function calls, raft messages are datagrams.
  bool streams = false;
  Duration heartbeat_interval = Milliseconds(30);
  Duration election_timeout = Milliseconds(300);
  bool pre_vote = true;
  // See config::Config.
  uint64_t wal_segment_bytes = 256 * 1024;
  uint64_t wal_first_segment_bytes = 64 * 1024;
  // Entries between checkpoints and kept behind one; time between two (0 = any); bytes
  // of segments in a file.
  size_t snapshot_count = 10'000;
  size_t snapshot_catchup_entries = 5'000;
  Duration checkpoint_interval;
  size_t store_segment_bytes = 256 * 1024;
  uint64_t checkpoint_pack_bytes = 64 * 1024 * 1024;
  uint64_t max_append_bytes = 1024 * 1024;
  size_t max_apply_entries = 4096;
  size_t max_inflight_messages = 512;
  uint64_t max_inflight_bytes = 0;
  uint64_t max_uncommitted_bytes = 256 * 1024 * 1024;
  size_t max_pending_proposals = 5'000;
  size_t max_pending_lease_calls = 20'000;
  size_t watch_reply_bytes = 1024 * 1024;
  uint64_t copied_answer_bytes = mvcc::SegmentPins::kCopiedBytes;
  uint64_t max_dead_answer_bytes = mvcc::SegmentPins::kMaxDeadBytes;
  Duration watch_progress_interval = Seconds(600);
  // Reads by the leader's lease, with the drift that the seed's clocks can have as margin.
  bool lease_reads = false;
  uint64_t max_turn_work = 2000;
  Duration lease_checkpoint_interval = Seconds(300);
  // How long a member knows a token after its last use.
  Duration auth_token_ttl = Seconds(300);
  // How often the leader compares all members' data; 0 = never.
  Duration corrupt_check_interval;
  // The safety phase: anything may break.
  Duration duration = Seconds(30);
  // After it: a majority must go on alone before the others come back; a follower that is cut off
  // from the leader alone, once all is calm, must not depose it.
  bool core_first = false;
  bool cut_from_leader = false;
  TurnOptions turns;
  DiskOptions disk;
  LinkOptions link;  // with no fault on
  StreamOptions stream;
  std::array<FaultPlan, kFaultClasses> faults;
  WorkloadOptions workload;
  Reduction reduction;

  const FaultPlan& plan(FaultClass c) const { return faults[static_cast<size_t>(c)]; }
};

// Names of all profiles, with a line about each.
struct ProfileInfo {
  std::string name;
  std::string about;
};
std::vector<ProfileInfo> Profiles();

// The options of a seed. InvalidArgument, listing the names, for an unknown profile.
absl::StatusOr<Options> DrawOptions(absl::string_view profile, uint64_t seed);

// How much a clock may be too slow where one may be too fast by so much: at least it has half the
// rate.
inline int64_t SlowestClockPpm(int64_t fastest_ppm) {
  return std::min<int64_t>(fastest_ppm, 500'000);
}

// What clients and members say to each other may be garbled: nobody knows what was asked.
inline bool Garbled(const Options& options) {
  return options.streams && options.plan(FaultClass::kCorruption).on;
}

// "members=5 mode=typed election=300ms faults=[loss 2%, ...] ..."; one line.
std::string Describe(const Options& options);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_SWARM_H_
