// The names of all faults that the simulated world injects, and how often each
// happened. A campaign prints them; an enabled fault that was never injected is a
// mistake of the campaign.
#ifndef QUORATE_SIM_FAULT_H_
#define QUORATE_SIM_FAULT_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "sim/scheduler.h"
#include "sim/trace.h"

namespace quorate::sim {

enum class Fault : uint8_t {
  // Network, datagrams.
  kDatagramLoss,
  kDatagramDuplicate,
  kDatagramReorder,   // overtaken by a later one of its type on the same edge
  kDatagramTail,      // held back by the heavy tail of the delay
  kDatagramBlocked,   // lost in a partition
  kDatagramTypeDrop,  // dropped by a per-type filter
  kDatagramNobody,    // the receiver was down
  kDatagramCorrupt,   // a bit flipped; the world's frame checksum must catch it
  kDatagramCut,       // the end of it is missing; the same
  // Network, streams.
  kStreamSplit,     // a write arrived in several pieces
  kStreamLoss,      // a segment had to be sent again: head-of-line delay
  kStreamCorrupt,   // a bit flipped in flight
  kStreamReset,     // reset at some byte
  kStreamStall,     // bytes held back by a partition
  kStreamTimeout,   // given up after a stall
  kStreamHalfOpen,  // one side is gone without telling the other
  kConnectRefused,
  kConnectTimeout,
  kPartition,         // both edges between two hosts became blocked
  kOneWayPartition,   // one edge became blocked, the opposite one did not
  kSlowLink,          // a member's links carry so few bytes a second
  kLinkOverflow,      // a datagram was lost since too many wait for a slow link
  kAcceptRefused,     // a connection was closed at once: its process had no descriptor for it
  kConnectExhausted,  // and none to make one with
  // Disk.
  kDiskLostSector,    // an unsynced sector did not survive a power loss
  kDiskTornWrite,     // some sectors of the unsynced bytes survived, some did not
  kDiskLostName,      // an unsynced create, rename or remove did not survive
  kDiskLostSize,      // an unsynced change of size did not survive
  kDiskCutOperation,  // a crash interrupted an operation
  kDiskSyncError,
  kDiskSyncLie,  // a sync after a failed one said OK without covering its pages
  kDiskReadError,
  kDiskWriteError,
  kDiskFull,
  kDiskStall,
  kDiskSlow,  // all latencies multiplied for a while
  kDiskBitRot,
  kDiskLostWrite,  // acknowledged, even synced, never written
  kDiskMisdirectedWrite,
  kOpenRefused,  // a file could not be opened for want of a descriptor
  // Clock and process.
  kClockDrift,
  kClockWallJump,
  kProcessPause,
  kProcessKill,
  kPowerLoss,
  kRestart,
  kDescriptorsShort,  // a process may open few more files and connections, or none
  kApplyHeld,         // a member does not apply what is committed
  kReadsHeld,         // nor answers reads that are confirmed
  kWatchesHeld,       // nor tells watchers anything
  // Operator.
  kLeaderTransfer,  // a leader was told to hand over
  kLeaderUsurped,   // a leader was cut off until another one led, and then let in again
  kMemberAdd,       // a new voter was added
  kLearnerAdd,      // a learner was
  kMemberPromote,   // and became a voter
  kMemberRemove,    // a member was removed
  kMemberReplace,   // a member was lost with its disk, and another took its place
  kRollingRestart,  // all members were stopped in order, one after another
  kAlarmRaise,      // an alarm was raised that no member has a reason for
  kAlarmDisarm,     // and put out
  kDefragment,
  kCheckpointOutOfTurn,  // a member was told to take one
  kHashCheck,            // all members were asked for their hashes
  kSettingsChanged,      // a member serves with other flags than before
  kDirectoryExchanged,   // two members were started with each other's directory
  kDirectoryCopied,      // a member was started with a copy of another one's
  kDirectoryOfCluster,   // a member was started with flags that name another cluster
  kDirectoryLost,        // a member was started with an empty directory
  kLogLost,              // a member was started without its log
  kCheckpointsLost,      // or without its checkpoints
  kDirectoryAged,        // or with its directory as it was some seconds before
  kLossDetected,         // an oracle noticed what must be lost where a promise is broken on purpose
  kDirectoryRefused,     // and said so
  kVersionAnnounced,     // a member announces another version than its own
  kUnknownField,         // a message had a field that this version does not know
  // Clients.
  kHedgedRequest,  // a request was sent to a second member before the first had answered
  kQueueFull,      // a request was refused since too many wait
  kClientCancel,   // a call was given up long before its time
  kSlowReader,     // a watcher did not read its stream for a while
  kManyWatchers,   // dozens of them, from the beginning to the end
  kLeaseStorm,     // clients grant leases of a second by the hundred
};
inline constexpr size_t kFaultKinds = static_cast<size_t>(Fault::kLeaseStorm) + 1;

// "stream-reset"; stable, used in reports and traces.
absl::string_view FaultName(Fault fault);

// Counts of one world.
class FaultCounters {
 public:
  void Add(Fault fault, uint64_t n = 1) { counts_[static_cast<size_t>(fault)] += n; }
  uint64_t count(Fault fault) const { return counts_[static_cast<size_t>(fault)]; }

 private:
  std::array<uint64_t, kFaultKinds> counts_ = {};
};

class Story;

// What every part of one simulated world shares. Borrowed; outlives the parts.
struct Context {
  uint64_t seed = 0;
  Scheduler* scheduler = nullptr;
  Trace* trace = nullptr;
  FaultCounters* faults = nullptr;
  Story* story = nullptr;  // null: nobody wants to be told

  VirtualTime now() const { return scheduler->now(); }
  void Record(HostId host, const TraceKind& kind, uint64_t a = 0, uint64_t b = 0) const {
    trace->Append(scheduler->now(), host, kind, a, b);
  }
  // Counts a fault and puts it into the trace.
  void Inject(Fault fault, HostId host, uint64_t detail = 0) const;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_FAULT_H_
