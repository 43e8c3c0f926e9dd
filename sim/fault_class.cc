// What the classes of faults are called, and what each of them injects.
#include "sim/swarm.h"

namespace quorate::sim {

absl::string_view FaultClassName(FaultClass fault_class) {
  static constexpr const char* kNames[] = {
      "loss",           "duplicate",        "delay",        "corruption",      "partition",
      "one-way",        "stream-reset",     "kill",         "power-loss",      "pause",
      "clock",          "slow-disk",        "sync-failure", "transfer",        "usurp",
      "type-drop",      "bit-rot",          "membership",   "rolling",         "full-disk",
      "disk-error",     "bandwidth",        "upkeep",       "wrong-directory", "versions",
      "reorder",        "settings",         "amnesia",      "hindrance",       "descriptors",
      "aged-directory", "understated-drift"};
  static_assert(std::size(kNames) == kFaultClasses);
  return kNames[static_cast<size_t>(fault_class)];
}

std::vector<Fault> FaultsOf(FaultClass fault_class, bool streams, bool datagrams) {
  std::vector<Fault> out;
  const auto add = [&out](bool wanted, std::initializer_list<Fault> faults) {
    if (wanted) out.insert(out.end(), faults);
  };
  switch (fault_class) {
    case FaultClass::kLoss:
      add(streams, {Fault::kStreamLoss});
      add(datagrams, {Fault::kDatagramLoss});
      break;
    case FaultClass::kDuplicate:
      add(datagrams, {Fault::kDatagramDuplicate});
      break;
    case FaultClass::kDelay:
      add(datagrams, {Fault::kDatagramTail});
      break;
    case FaultClass::kCorruption:
      add(streams, {Fault::kStreamCorrupt});
      add(datagrams, {Fault::kDatagramCorrupt, Fault::kDatagramCut});
      break;
    case FaultClass::kPartition:
      add(true, {Fault::kPartition});
      add(streams, {Fault::kStreamStall, Fault::kStreamTimeout});
      add(datagrams, {Fault::kDatagramBlocked});
      break;
    case FaultClass::kOneWay:
      add(true, {Fault::kOneWayPartition});
      break;
    case FaultClass::kStreamReset:
      add(streams, {Fault::kStreamReset});
      break;
    case FaultClass::kKill:
      add(true, {Fault::kProcessKill, Fault::kRestart});
      add(datagrams, {Fault::kDatagramNobody});
      add(streams, {Fault::kConnectRefused});
      break;
    case FaultClass::kPowerLoss:
      add(true, {Fault::kPowerLoss, Fault::kRestart, Fault::kDiskLostSector, Fault::kDiskTornWrite,
                 Fault::kDiskLostName, Fault::kDiskLostSize, Fault::kDiskCutOperation});
      add(streams, {Fault::kStreamHalfOpen});
      break;
    case FaultClass::kPause:
      add(true, {Fault::kProcessPause});
      break;
    case FaultClass::kClock:
      add(true, {Fault::kClockDrift, Fault::kClockWallJump});
      break;
    case FaultClass::kSlowDisk:
      add(true, {Fault::kDiskStall, Fault::kDiskSlow});
      break;
    case FaultClass::kSyncFailure:
      add(true, {Fault::kDiskSyncError, Fault::kDiskSyncLie});
      break;
    case FaultClass::kFullDisk:
      add(true, {Fault::kDiskFull});
      break;
    case FaultClass::kDiskError:
      add(true, {Fault::kDiskWriteError, Fault::kDiskReadError});
      break;
    case FaultClass::kTransfer:
      add(true, {Fault::kLeaderTransfer});
      break;
    case FaultClass::kUsurp:
      add(true, {Fault::kLeaderUsurped});
      break;
    case FaultClass::kTypeDrop:
      add(datagrams, {Fault::kDatagramTypeDrop});
      break;
    case FaultClass::kBitRot:
      add(true, {Fault::kDiskBitRot, Fault::kDiskLostWrite, Fault::kDiskMisdirectedWrite});
      break;
    case FaultClass::kMembership:
      add(true, {Fault::kMemberAdd, Fault::kLearnerAdd, Fault::kMemberPromote, Fault::kMemberRemove,
                 Fault::kMemberReplace});
      break;
    case FaultClass::kRolling:
      add(true, {Fault::kRollingRestart});
      break;
    case FaultClass::kBandwidth:
      add(true, {Fault::kSlowLink});
      add(datagrams, {Fault::kLinkOverflow});
      break;
    case FaultClass::kUpkeep:
      add(true, {Fault::kAlarmRaise, Fault::kAlarmDisarm, Fault::kDefragment,
                 Fault::kCheckpointOutOfTurn, Fault::kHashCheck});
      break;
    case FaultClass::kWrongDirectory:
      add(true, {Fault::kDirectoryExchanged, Fault::kDirectoryCopied, Fault::kDirectoryOfCluster,
                 Fault::kDirectoryRefused});
      break;
    case FaultClass::kVersions:
      add(datagrams, {Fault::kVersionAnnounced, Fault::kUnknownField});
      break;
    case FaultClass::kReorder:
      add(datagrams, {Fault::kDatagramReorder});
      break;
    case FaultClass::kSettings:
      add(true, {Fault::kSettingsChanged});
      break;
    case FaultClass::kAmnesia:
      add(true, {Fault::kDirectoryLost, Fault::kDirectoryRefused, Fault::kLogLost,
                 Fault::kCheckpointsLost});
      break;
    case FaultClass::kHindrance:
      add(true, {Fault::kApplyHeld, Fault::kReadsHeld, Fault::kWatchesHeld});
      break;
    case FaultClass::kDescriptors:
      add(true, {Fault::kDescriptorsShort, Fault::kOpenRefused});
      add(streams, {Fault::kAcceptRefused, Fault::kConnectExhausted});
      break;
    case FaultClass::kAgedDirectory:
      add(true, {Fault::kDirectoryAged, Fault::kLossDetected});
      break;
    case FaultClass::kUnderstatedDrift:
      add(true, {Fault::kLossDetected});
      break;
  }
  return out;
}

}  // namespace quorate::sim
