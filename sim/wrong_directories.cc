// Data directories at the wrong member: two that were exchanged, or one that was copied to another
// member, as by a script that restores the wrong backup. Both would vote, in the name of somebody
// who may be voting as well. Whoever is started with another one's directory must say so and stop;
// later it gets its own back.
#include <utility>

#include "sim/faults.h"

namespace quorate::sim {

// Who joined later takes its identity from the directory: the flags do not say who it is.
std::vector<size_t> Nemesis::FoundersThatRun() const {
  std::vector<size_t> out;
  for (const size_t m : cluster_->active()) {
    if (m <= options_.members && cluster_->running(m)) out.push_back(m);
  }
  return out;
}

void Nemesis::MisplaceDirectories() {
  Prng& draw = prng(FaultClass::kWrongDirectory);
  const bool copied = draw.Chance(1, 2);
  const Duration lasts = Lasts(FaultClass::kWrongDirectory);
  const CrashKind kind = draw.Chance(1, 2) ? CrashKind::kKill : CrashKind::kPowerLoss;
  std::vector<size_t> founders = FoundersThatRun();
  if (!displaced_.empty() || rot_.has_value() || SomebodyLacksData() || founders.size() < 2) return;
  const size_t at = draw.Below(founders.size());
  const size_t one = founders[at];
  founders.erase(founders.begin() + static_cast<std::ptrdiff_t>(at));
  const size_t other = founders[draw.Below(founders.size())];
  // Each has stood still for a moment: nothing is copied that is being written.
  for (const size_t m : {one, other}) cluster_->Crash(m, kind, Duration::Infinite());
  TakeAway(one);
  if (!copied) TakeAway(other);
  cluster_->host(one).disk().CloneFrom(cluster_->host(other).disk());
  if (!copied) cluster_->host(other).disk().CloneFrom(*displaced_.front().second);
  context_.Inject(copied ? Fault::kDirectoryCopied : Fault::kDirectoryExchanged,
                  cluster_->host_id(one), other);
  for (const auto& [member, disk] : displaced_) cluster_->MisplaceDirectory(member, true);
  for (const size_t m : {one, other}) cluster_->Start(m);
  context_.scheduler->After(lasts, [this] {
    if (active_) GiveDirectoriesBack();
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
    cluster_->MisplaceDirectory(member, false);
    if (cluster_->IsActive(member)) cluster_->Start(member);
  }
  displaced_.clear();
}

}  // namespace quorate::sim
