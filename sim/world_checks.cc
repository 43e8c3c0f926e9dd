// What is checked when a world has come to rest: that nothing has piled up, and that the disks
// alone bring back what is there.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "sim/world.h"
#include "storage/wal.h"

namespace quorate::sim {
namespace {

// Of a member that nobody asks anything any more. Requests of the member itself may be open.
constexpr uint64_t kProposalsMax = 32;
constexpr size_t kUnsyncedBytesMax = 64 * 1024;
// Of the whole world: timers, and messages on their way.
constexpr size_t kEventsMax = 20'000;

// How long members may take to read their disks and to agree again.
constexpr int64_t kRecoveryTimeouts = 20;
constexpr Duration kRecoverySlack = Seconds(15);

}  // namespace

void World::CheckNothingPiledUp() {
  judge_.Checked(Rule::kBounded);
  for (const size_t m : cluster_->active()) {
    node::Node* const node = cluster_->node(m);
    const uint64_t proposals = node->status().proposals_pending;
    const size_t unsynced = node->wal()->unsynced_bytes();
    if (proposals <= kProposalsMax && unsynced <= kUnsyncedBytesMax) continue;
    judge_.Report(Rule::kBounded, scheduler_.now(),
                  absl::StrCat("all clients have their answers, but member ", m, " keeps ",
                               proposals, " proposals and ", unsynced, " bytes for its disk"));
  }
  if (scheduler_.pending_events() <= kEventsMax) return;
  judge_.Report(Rule::kBounded, scheduler_.now(),
                absl::StrCat("the world is at rest, but ", scheduler_.pending_events(),
                             " events are to come"));
}

// All machines lose their power at once: what they agree on afterwards is what their disks hold.
void World::CheckRecovery() {
  if (Broken()) return;
  judge_.Checked(Rule::kRecovery);
  const engine::Replica& replica = cluster_->node(cluster_->active().front())->replica();
  const uint64_t digest = replica.StateDigest();
  const int64_t revision = replica.status().revision.value();
  for (size_t m = 1; m <= cluster_->size(); ++m) {
    cluster_->Crash(m, CrashKind::kPowerLoss, Duration::Infinite());
  }
  cluster_->StartAll();
  Expect(options_.election_timeout * kRecoveryTimeouts + kRecoverySlack,
         "after a loss of all power the members did not come back to one state",
         [this] { return HasLeader(cluster_->active()) && Converged(); });
  if (Broken()) return;
  for (const size_t m : cluster_->active()) {
    const engine::Replica& back = cluster_->node(m)->replica();
    if (back.StateDigest() == digest) continue;
    judge_.Report(
        Rule::kRecovery, scheduler_.now(),
        absl::StrCat("member ", m, " came back from its disk with another state: revision ",
                     back.status().revision.value(), ", and it was ", revision));
  }
}

}  // namespace quorate::sim
