// What a seed draws: the cluster, its surroundings, which faults may happen and how
// often, and the workload.
//
// Swarm testing (Groce et al., 2012): each class of faults is off in about half of the
// seeds, since faults hide each other's effects; what is on has its own parameters.
// Every draw is keyed by (seed, purpose), so that adding an option shifts no other.
#ifndef QUORATE_SIM_SWARM_H_
#define QUORATE_SIM_SWARM_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/time.h"
#include "sim/disk.h"
#include "sim/fault.h"
#include "sim/loop.h"
#include "sim/network.h"

namespace quorate::sim {

// What the nemesis may do. Each is switched on or off as a whole for a seed.
enum class FaultClass : uint8_t {
  kLoss,         // messages lost (on streams: sent again late)
  kDuplicate,    // messages delivered twice
  kDelay,        // some messages much later than the rest; so messages overtake each other
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
  kFullDisk,     // no space left for a while; writes are refused, nothing is lost
  kTransfer,     // an operator moves leadership about
};
inline constexpr size_t kFaultClasses = static_cast<size_t>(FaultClass::kTransfer) + 1;

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
};

struct Options {
  uint64_t seed = 0;
  std::string profile;
  size_t members = 3;
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
  Duration lease_checkpoint_interval = Seconds(300);
  // The safety phase: anything may break.
  Duration duration = Seconds(30);
  TurnOptions turns;
  DiskOptions disk;
  LinkOptions link;  // with no fault on
  StreamOptions stream;
  std::array<FaultPlan, kFaultClasses> faults;
  WorkloadOptions workload;

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

// "members=5 mode=typed election=300ms faults=[loss 2%, ...] ..."; one line.
std::string Describe(const Options& options);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_SWARM_H_
