// An operator who starts members anew with other flags, one at a time: how much is sent, applied or
// written at once, how often checkpoints are taken, whether there is PreVote. Members of one
// cluster then differ in them, as in the midst of any change of settings, and each lives on with
// what the one before wrote.
#include <algorithm>
#include <utility>
#include <vector>

#include "sim/faults.h"

namespace quorate::sim {
namespace {

template <typename T>
void Change(Prng* draw, const std::vector<T>& choices, T* setting) {
  const T choice = choices[draw->Below(choices.size())];
  if (draw->Chance(1, 2)) *setting = choice;
}

}  // namespace

void Nemesis::ChangeSettings() {
  Prng& draw = prng(FaultClass::kSettings);
  const size_t member = cluster_->PickActive(&draw);
  const Duration downtime = Lasts(FaultClass::kSettings);
  config::Config& flags = cluster_->flags(member);
  // One entry a message only where messages keep their order (sim/swarm).
  const bool in_order = !plan(FaultClass::kDelay).on && !plan(FaultClass::kReorder).on;
  Change<uint64_t>(&draw, {in_order ? 0U : 256U, 256, 4096, 1 << 20}, &flags.max_append_bytes);
  if (flags.max_inflight_bytes.value_or(0) > 0) {
    flags.max_inflight_bytes = std::max(*flags.max_inflight_bytes, flags.max_append_bytes);
  }
  Change<size_t>(&draw, {1, 16, 4096}, &flags.max_apply_entries);
  Change<size_t>(&draw, {5, 20, 200, 10'000}, &flags.snapshot_count);
  Change<size_t>(&draw, {0, 5, 50, 5'000}, &flags.snapshot_catchup_entries);
  Change<size_t>(&draw, {512, 4096, 1 << 18}, &flags.store_segment_bytes);
  Change<uint64_t>(&draw, {4096, 65'536, 1 << 26}, &flags.checkpoint_pack_bytes);
  Change<size_t>(&draw, {1, 500, 1 << 20}, &flags.watch_reply_bytes);
  // Slowest turns beside hashes of everything leave nothing for anybody else (sim/swarm).
  if (options_.corrupt_check_interval == Duration()) {
    Change<uint64_t>(&draw, {32, 300, 2000}, &flags.max_turn_work);
  }
  flags.pre_vote = draw.Chance(2, 3);
  // Of one that is down the next start takes them. The cluster counts those that serve with them.
  if (cluster_->ready(member)) cluster_->RestartInOrder(member, downtime);
}

}  // namespace quorate::sim
