#include <initializer_list>

#include "sim/profile.h"

namespace quorate::sim {
namespace {

constexpr size_t At(FaultClass c) { return static_cast<size_t>(c); }

constexpr uint32_t kMillion = 1'000'000;

std::array<uint32_t, kFaultClasses> All(uint32_t percent) {
  std::array<uint32_t, kFaultClasses> out;
  out.fill(percent);
  for (const FaultClass c :
       {FaultClass::kAmnesia, FaultClass::kAgedDirectory, FaultClass::kUnderstatedDrift}) {
    out[At(c)] = 0;
  }
  return out;
}

std::array<uint32_t, kFaultClasses> Only(
    std::initializer_list<std::pair<FaultClass, uint32_t>> classes) {
  std::array<uint32_t, kFaultClasses> out = All(0);
  for (const auto& [fault_class, percent] : classes) out[At(fault_class)] = percent;
  return out;
}

// What "default" mixes, with weights.
constexpr std::pair<const char*, uint32_t> kDefaultMix[] = {
    {"swarm", 60},         {"uniform", 8},    {"leader-kill", 10},    {"partitions", 6},
    {"stale-messages", 6}, {"disk", 6},       {"usurpers", 10},       {"quiet", 4},
    {"membership", 5},     {"clocks", 13},    {"garbled-clients", 3}, {"amnesia", 2},
    {"double-clocks", 3},  {"exhaustion", 3},
};

}  // namespace

std::array<uint32_t, kFaultClasses> AllClasses(uint32_t percent) { return All(percent); }

absl::Span<const std::pair<const char*, uint32_t>> DefaultMix() { return kDefaultMix; }

std::vector<Profile> MakeProfiles() {
  std::vector<Profile> out;
  out.push_back({"swarm", "every class of faults on in half of the seeds", All(50)});
  out.push_back({"uniform", "all faults at once, always", All(100)});
  out.push_back({"quiet", "no faults", All(0)});
  Profile leader_kill{"leader-kill", "leaders die again and again, in short terms",
                      Only({{FaultClass::kKill, 50},
                            {FaultClass::kPowerLoss, 100},
                            {FaultClass::kDelay, 50},
                            {FaultClass::kReorder, 30},
                            {FaultClass::kOneWay, 50},
                            {FaultClass::kSettings, 30},
                            {FaultClass::kSlowDisk, 30}})};
  leader_kill.sizes = {3, 3, 5};
  leader_kill.tempo_percent = 300;
  leader_kill.leader_percent = 90;
  leader_kill.one_entry_percent = 50;
  out.push_back(leader_kill);
  Profile partitions{"partitions", "all shapes of partitions, one-way ones too",
                     Only({{FaultClass::kPartition, 90},
                           {FaultClass::kOneWay, 60},
                           {FaultClass::kLoss, 30},
                           {FaultClass::kDelay, 30},
                           {FaultClass::kTransfer, 30}})};
  partitions.sizes = {3, 4, 5, 6, 7};
  out.push_back(partitions);
  Profile usurpers{"usurpers", "leaders come and go by the half second, with tails nobody else has",
                   Only({{FaultClass::kUsurp, 100},
                         {FaultClass::kLoss, 60},
                         {FaultClass::kKill, 30},
                         {FaultClass::kPowerLoss, 30},
                         {FaultClass::kDelay, 50},
                         {FaultClass::kReorder, 30},
                         {FaultClass::kClock, 40},
                         {FaultClass::kPartition, 30}})};
  usurpers.lease_reads_percent = 50;
  usurpers.sizes = {3, 3, 4, 5, 5};
  usurpers.tempo_percent = 300;
  usurpers.one_entry_percent = 50;
  out.push_back(usurpers);
  out.push_back({"crashes", "kills, power losses and restarts, one member to all",
                 Only({{FaultClass::kKill, 70},
                       {FaultClass::kPowerLoss, 100},
                       {FaultClass::kSlowDisk, 50},
                       {FaultClass::kPause, 30}})});
  out.push_back({"disk", "slow, full and failing disks, power losses",
                 Only({{FaultClass::kSlowDisk, 80},
                       {FaultClass::kFullDisk, 60},
                       {FaultClass::kDiskError, 60},
                       {FaultClass::kSyncFailure, 80},
                       {FaultClass::kPowerLoss, 80},
                       {FaultClass::kBitRot, 60},
                       {FaultClass::kKill, 30}})});
  Profile clocks{"clocks", "clocks at wrong rates, pauses, delays, leaders that are cut off",
                 Only({{FaultClass::kClock, 100},
                       {FaultClass::kUsurp, 90},
                       {FaultClass::kPause, 50},
                       {FaultClass::kDelay, 50},
                       {FaultClass::kPartition, 30}})};
  clocks.sizes = {1, 2, 3, 3, 4, 5, 5};
  // What rests on time alone.
  clocks.lease_reads_percent = 80;
  clocks.tempo_percent = 300;
  // Some that are not yet waiting for an answer when a leader has just been replaced.
  clocks.many_clients_percent = 75;
  out.push_back(clocks);
  Profile doubled = clocks;
  doubled.name = "double-clocks";
  doubled.about = "clocks at twice and at half the rate, and leases that allow for it";
  doubled.clock_ppm = kMillion;
  out.push_back(doubled);
  Profile understated = doubled;
  understated.name = "understated-drift";
  understated.about = "the same, and leases that allow for no drift: stale reads must be noticed";
  understated.on_percent[At(FaultClass::kUnderstatedDrift)] = 100;
  understated.lease_reads_percent = 100;
  understated.sizes = {3, 3, 5};
  out.push_back(understated);
  Profile membership{"membership", "members come and go, with crashes and partitions meanwhile",
                     Only({{FaultClass::kMembership, 100},
                           {FaultClass::kPartition, 40},
                           {FaultClass::kKill, 40},
                           {FaultClass::kPowerLoss, 40},
                           {FaultClass::kDelay, 40},
                           {FaultClass::kReorder, 30},
                           {FaultClass::kTransfer, 40},
                           {FaultClass::kHindrance, 50},
                           {FaultClass::kSettings, 30},
                           {FaultClass::kRolling, 30}})};
  membership.tempo_percent = 200;
  membership.sizes = {1, 2, 3, 3, 4, 5};
  out.push_back(membership);
  Profile stale{"stale-messages", "messages late by several elections, and twice",
                Only({{FaultClass::kDelay, 100},
                      {FaultClass::kReorder, 100},
                      {FaultClass::kDuplicate, 100},
                      {FaultClass::kLoss, 50},
                      {FaultClass::kPartition, 50},
                      {FaultClass::kPowerLoss, 50}})};
  stale.streams_percent = 0;
  stale.sizes = {3, 4, 5};
  out.push_back(stale);
  Profile garbled{"garbled-clients",
                  "bits flip on clients' streams: answers do not count, members do",
                  Only({{FaultClass::kCorruption, 100},
                        {FaultClass::kStreamReset, 30},
                        {FaultClass::kLoss, 30},
                        {FaultClass::kPartition, 30},
                        {FaultClass::kPowerLoss, 30}})};
  garbled.streams_percent = 100;
  garbled.garbled_clients = true;
  out.push_back(garbled);
  Profile amnesia{"amnesia", "founders start without their data, while the others can tell them so",
                  Only({{FaultClass::kAmnesia, 100},
                        {FaultClass::kTransfer, 50},
                        {FaultClass::kUpkeep, 50},
                        {FaultClass::kSlowDisk, 50}})};
  amnesia.sizes = {2, 3, 3, 4, 5};
  amnesia.streams_percent = 50;
  amnesia.tempo_percent = 200;
  out.push_back(amnesia);
  Profile aged{"aged-directory",
               "members come back with an earlier state of their disk, which must be noticed",
               Only({{FaultClass::kAgedDirectory, 100},
                     {FaultClass::kTransfer, 50},
                     {FaultClass::kKill, 50},
                     {FaultClass::kDelay, 30}})};
  aged.sizes = {2, 3, 3, 4, 5};
  // Promises are seen where messages are.
  aged.streams_percent = 0;
  aged.tempo_percent = 300;
  out.push_back(aged);
  out.push_back({"exhaustion", "few descriptors, full disks, slow links, small queues",
                 Only({{FaultClass::kDescriptors, 100},
                       {FaultClass::kFullDisk, 60},
                       {FaultClass::kBandwidth, 50},
                       {FaultClass::kSlowDisk, 50},
                       {FaultClass::kStreamReset, 50},
                       {FaultClass::kKill, 30}})});
  Profile streams{"streams", "byte streams only: gRPC and etcd's peer protocol", All(50)};
  streams.streams_percent = 100;
  out.push_back(streams);
  return out;
}

}  // namespace quorate::sim
