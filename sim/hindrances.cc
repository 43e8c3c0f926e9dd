// Members that leave work lying, at the places that production code marks for it
// (engine/replica/hindrance.h): entries that are committed and not applied over an election or two,
// reads and watches that lag behind what is applied.
#include "engine/replica/hindrance.h"
#include "sim/faults.h"

namespace quorate::sim {
namespace {

constexpr Fault kFaults[] = {Fault::kApplyHeld, Fault::kReadsHeld, Fault::kWatchesHeld};
static_assert(std::size(kFaults) == engine::kStages);

}  // namespace

void Nemesis::Hinder() {
  Prng& draw = prng(FaultClass::kHindrance);
  const size_t member = Victim(FaultClass::kHindrance);
  const size_t stage = draw.Below(engine::kStages);
  if (!cluster_->ready(member)) return;
  context_.Inject(kFaults[stage], cluster_->host_id(member));
  cluster_->Hinder(member, static_cast<engine::Stage>(stage), true);
  UndoLater(FaultClass::kHindrance, [this, member, stage] {
    cluster_->Hinder(member, static_cast<engine::Stage>(stage), false);
  });
}

}  // namespace quorate::sim
