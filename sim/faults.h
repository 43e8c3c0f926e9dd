// The nemesis: injects what a seed's plans allow while the safety phase lasts, and
// takes everything back when it ends.
//
// Each class of faults is a process of its own: it waits about plan.interval, acts, waits,
// acts again. Each action has draws of its own, and a reduction may leave it out. What an
// action does ends by itself after a drawn time. Nothing here goes beyond what the protocol
// promises to survive: any member or all of them may be down, cut off, slow or amnesic about what
// they never synced.
#ifndef QUORATE_SIM_FAULTS_H_
#define QUORATE_SIM_FAULTS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "base/time.h"
#include "engine/raft/message.h"
#include "sim/caretaker.h"
#include "sim/cluster.h"
#include "sim/fault.h"
#include "sim/network.h"
#include "sim/operator.h"
#include "sim/swarm.h"

namespace quorate::sim {

// Of raft's types, in a filter (Network::SetTypeFilter).
constexpr uint64_t Bit(raft::MessageType type) { return uint64_t{1} << static_cast<int>(type); }

class Nemesis {
 public:
  // All borrowed. Clients' links are `clients` x members; they share the members'
  // weather but nothing on them is duplicated or corrupted.
  Nemesis(const Context& context, Cluster* cluster, Network* network, Operator* membership,
          Caretaker* caretaker, const Options& options, std::vector<HostId> clients);
  Nemesis(const Nemesis&) = delete;
  Nemesis& operator=(const Nemesis&) = delete;
  ~Nemesis();

  // Begins.
  void Start();
  // No more actions; heals links, disks and clocks; starts all members.
  void Heal();

  uint64_t actions(FaultClass c) const { return actions_[static_cast<size_t>(c)]; }

 private:
  // What is wrong on a disk.
  struct Rot {
    struct Sector {
      uint64_t offset = 0;
      std::string was;
      std::string is;
    };
    size_t member = 0;
    std::string path;
    uint64_t offset = 0;  // of the bit that flipped
    int bit = 0;
    std::string sector;           // with it
    std::vector<Sector> sectors;  // of a write that was lost; empty: it is a bit
  };

  using Edges = std::vector<std::pair<HostId, HostId>>;

  const FaultPlan& plan(FaultClass c) const { return options_.plan(c); }
  Prng& prng(FaultClass c) { return prngs_[static_cast<size_t>(c)]; }
  Duration Lasts(FaultClass c);
  void Plan(FaultClass c);
  void Act(FaultClass c);
  // A member; the leader with the class's chance.
  size_t Victim(FaultClass c);
  // Runs `undo` after a drawn time, or at Heal().
  void UndoLater(FaultClass c, Task undo);

  void SetWeather(bool storm);
  LinkOptions Weather(bool storm, bool to_client) const;
  void Storm(FaultClass c);
  void Partition();
  void OneWay();
  // Cuts edges for a drawn time; `both`: their opposites too.
  void CutFor(FaultClass c, Edges edges, bool both);
  void Cut(const Edges& edges, bool both);
  void Restore(const Edges& edges, bool both);
  void CrashSome(FaultClass c);
  void Pause();
  void SkewClocks();
  void SkewClock(size_t victim);
  void SetDrift(size_t member, int64_t ppm);
  // One member's clock as slow as may be, all others as fast.
  void RunClocksApart(size_t slow);
  void SlowDisk();
  void FailSync();
  void FillDisk();
  void GiveSpaceBack(Host* host);
  void FailDisk();
  void MendDisk(size_t member);
  void ResetStreams();
  void Transfer();
  void DropTypes();
  // bit_rot.cc.
  void RotBits();
  bool SomebodyLacksData() const;
  void RepairRot();
  // At the end of all faults: what could not be repaired in its time, too.
  void RepairAllRot();
  bool Restore(const Rot& rot);
  // lost_writes.cc. False if the file holds no write that may be missing.
  bool LoseWrite(Disk* disk, const std::string& path, Prng* draw, Rot* rot);
  bool GiveWriteBack(const Rot& rot);
  std::string FileToDamage(const Disk& disk, FaultClass c);
  // usurpers.cc. Cuts off whoever leads now, `hops` times, each time as soon as the one
  // before has a successor; then restores what is cut last.
  void Usurp();
  void Mute(bool on);
  void CutOffLeader(uint64_t hops, Edges before);
  void AwaitSuccessor(size_t leader, uint64_t hops, Edges cut, VirtualTime deadline);
  // slow_links.cc.
  void LimitBandwidth();
  void ApplyLimits();
  // wrong_directories.cc.
  std::vector<size_t> FoundersThatRun() const;
  void MisplaceDirectories();
  void Exchange(size_t one, size_t other, CrashKind kind, bool copied);
  void MistakeCluster(size_t member, CrashKind kind);
  void LoseDirectory();
  void LosePart(size_t member, CrashKind kind, bool log);
  void TakeAway(size_t member);
  void GiveDirectoriesBack();
  // With what its disk held at an earlier time.
  void AgeDirectory();
  // descriptors.cc.
  void TakeDescriptors();
  void GiveDescriptorsBack(size_t member);
  // hindrances.cc.
  void Hinder();
  // settings.cc.
  void ChangeSettings();
  void AnnounceVersion();
  void RestartAll();
  void RestartNext(std::vector<size_t> rest, size_t last);

  const Context context_;
  Cluster* const cluster_;
  Network* const network_;
  Operator* const membership_;
  Caretaker* const caretaker_;
  const Options options_;
  const std::vector<HostId> clients_;
  std::vector<Prng> prngs_;
  std::array<EventId, kFaultClasses> next_;
  std::array<uint64_t, kFaultClasses> actions_ = {};
  // How many actions cut each edge now: [from * hosts + to].
  std::vector<uint32_t> cuts_;
  size_t hosts_;
  bool active_ = false;
  bool rolling_ = false;
  uint64_t storms_ = 0;
  std::optional<Rot> rot_;  // the bit that is wrong now
  std::vector<Rot> unrepaired_;
  std::map<std::pair<HostId, HostId>, uint64_t> limits_;  // bytes a second of edges; 0: none
  // Whose directories are elsewhere, and what was in them.
  std::vector<std::pair<size_t, std::unique_ptr<Disk>>> displaced_;
  // Of somebody's directory a part is lost; what the member had.
  std::optional<size_t> without_part_;
  bool aging_ = false;
  bool usurping_ = false;
  bool muted_ = false;
  Prng usurper_prng_{0};
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_FAULTS_H_
