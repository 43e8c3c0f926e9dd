// Data directories at the wrong place: two that were exchanged, or one that was copied to another
// member, as by a script that restores the wrong backup: both would vote, in the name of somebody
// who may be voting as well. Or the directory of one cluster under the flags of another one. Or an
// empty one, in which nobody could see what the member has promised.
// Whoever is started like that must say so and stop; later it gets its own back.
#include <utility>

#include "sim/faults.h"

namespace quorate::sim {
namespace {

constexpr char kToken[] = "etcd-cluster";
constexpr char kOtherToken[] = "another-cluster";
constexpr char kOfAnotherMember[] = " of this cluster, but --name ";
constexpr char kOfAnotherCluster[] = "--initial-cluster-token name cluster ";
constexpr char kLogDirectory[] = "/data/member/log";
constexpr char kCheckpointDirectory[] = "/data/member/checkpoint";
constexpr char kBootstrapped[] = " has already been bootstrapped";

}  // namespace

// Who joined later takes its identity from the directory: the flags do not say who it is. Who has
// yet to found has none, and another one's would be as good.
std::vector<size_t> Nemesis::FoundersThatRun() const {
  std::vector<size_t> out;
  for (const size_t m : cluster_->active()) {
    const bool founded = cluster_->running(m) && cluster_->node(m) != nullptr;
    if (m <= options_.members && founded) out.push_back(m);
  }
  return out;
}

void Nemesis::MisplaceDirectories() {
  Prng& draw = prng(FaultClass::kWrongDirectory);
  const uint64_t how = draw.Below(3);
  const Duration lasts = Lasts(FaultClass::kWrongDirectory);
  const CrashKind kind = draw.Chance(1, 2) ? CrashKind::kKill : CrashKind::kPowerLoss;
  std::vector<size_t> founders = FoundersThatRun();
  if (!displaced_.empty() || rot_.has_value() || SomebodyLacksData() || founders.size() < 2) return;
  const size_t at = draw.Below(founders.size());
  const size_t one = founders[at];
  founders.erase(founders.begin() + static_cast<std::ptrdiff_t>(at));
  const size_t other = founders[draw.Below(founders.size())];
  if (how == 0) {
    MistakeCluster(one, kind);
  } else {
    Exchange(one, other, kind, /*copied=*/how == 1);
  }
  context_.scheduler->After(lasts, [this] {
    if (active_) GiveDirectoriesBack();
  });
}

// Both have stood still for a moment: nothing is copied that is being written.
void Nemesis::Exchange(size_t one, size_t other, CrashKind kind, bool copied) {
  for (const size_t m : {one, other}) cluster_->Crash(m, kind, Duration::Infinite());
  TakeAway(one);
  if (!copied) TakeAway(other);
  cluster_->host(one).disk().CloneFrom(cluster_->host(other).disk());
  if (!copied) cluster_->host(other).disk().CloneFrom(*displaced_.front().second);
  context_.Inject(copied ? Fault::kDirectoryCopied : Fault::kDirectoryExchanged,
                  cluster_->host_id(one), other);
  for (const auto& [member, disk] : displaced_) cluster_->ExpectRefusal(member, kOfAnotherMember);
  for (const size_t m : {one, other}) cluster_->Start(m);
}

void Nemesis::MistakeCluster(size_t member, CrashKind kind) {
  cluster_->Crash(member, kind, Duration::Infinite());
  TakeAway(member);
  context_.Inject(Fault::kDirectoryOfCluster, cluster_->host_id(member));
  cluster_->flags(member).initial_cluster_token = kOtherToken;
  cluster_->ExpectRefusal(member, kOfAnotherCluster);
  cluster_->Start(member);
}

// The others know it and tell it so. Only where they always can: a founder that reaches nobody
// is taken for one that has yet to begin, by anybody.
void Nemesis::LoseDirectory() {
  Prng& draw = prng(FaultClass::kAmnesia);
  const Duration lasts = Lasts(FaultClass::kAmnesia);
  const CrashKind kind = draw.Chance(1, 2) ? CrashKind::kKill : CrashKind::kPowerLoss;
  const size_t member = Victim(FaultClass::kAmnesia);
  const uint64_t how = draw.Below(3);
  if (without_part_.has_value() && cluster_->ready(*without_part_)) without_part_.reset();
  if (!displaced_.empty() || without_part_.has_value() || !cluster_->KnownToAll(member)) return;
  if (how != 0 && cluster_->active().size() >= 3) return LosePart(member, kind, how == 1);
  cluster_->Crash(member, kind, Duration::Infinite());
  TakeAway(member);
  Host& host = cluster_->host(member);
  host.disk().CloneFrom(Disk(context_, host.id(), host.disk().options()));
  context_.Inject(Fault::kDirectoryLost, host.id());
  cluster_->ExpectRefusal(member, kBootstrapped);
  cluster_->Start(member);
  context_.scheduler->After(lasts, [this] {
    if (active_) GiveDirectoriesBack();
  });
}

// Its log or its checkpoints. It gets its state from the others, who are a quorum without it and
// all there; that it does not go on by what is left is what the rules on promises see to.
void Nemesis::LosePart(size_t member, CrashKind kind, bool log) {
  cluster_->Crash(member, kind, Duration::Infinite());
  Host& host = cluster_->host(member);
  if (host.disk().Forget(log ? kLogDirectory : kCheckpointDirectory)) {
    context_.Inject(log ? Fault::kLogLost : Fault::kCheckpointsLost, host.id());
  }
  without_part_ = member;
  cluster_->Start(member);
}

// As from a backup of the machine: what was acknowledged since is forgotten, and a vote may be
// given twice. Nobody can notice that alone, here as in etcd; the oracles must.
void Nemesis::AgeDirectory() {
  const size_t member = Victim(FaultClass::kAgedDirectory);
  const Duration age = Lasts(FaultClass::kAgedDirectory);
  if (aging_ || !cluster_->ready(member)) return;
  aging_ = true;
  Host& host = cluster_->host(member);
  auto kept = std::make_shared<Disk>(context_, host.id(), host.disk().options());
  kept->CloneFrom(host.disk());
  context_.scheduler->After(age, [this, member, kept = std::move(kept)] {
    aging_ = false;
    if (!active_ || !cluster_->IsActive(member)) return;
    cluster_->Crash(member, CrashKind::kPowerLoss, Duration::Infinite());
    kept->LosePower();
    cluster_->host(member).disk().CloneFrom(*kept);
    context_.Inject(Fault::kDirectoryAged, cluster_->host_id(member));
    cluster_->Start(member);
  });
}

// Keeps what the member's disk holds; the disk itself is free for something else.
void Nemesis::TakeAway(size_t member) {
  Host& host = cluster_->host(member);
  auto kept = std::make_unique<Disk>(context_, host.id(), host.disk().options());
  kept->CloneFrom(host.disk());
  displaced_.emplace_back(member, std::move(kept));
}

void Nemesis::GiveDirectoriesBack() {
  for (const auto& [member, disk] : displaced_) {
    cluster_->Crash(member, CrashKind::kKill, Duration::Infinite());
    cluster_->host(member).disk().CloneFrom(*disk);
    cluster_->flags(member).initial_cluster_token = kToken;
    cluster_->ExpectRefusal(member, "");
    if (cluster_->IsActive(member)) cluster_->Start(member);
  }
  displaced_.clear();
}

}  // namespace quorate::sim
