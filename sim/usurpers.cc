// Leaders that come and go: one is cut off with what its clients still give it, another one is
// elected, and just when that one has begun to commit, the first is let in again and its
// successor cut off. What the logs then hold, tails of several terms of which each is on a few
// members only, is what the rules for votes, for truncation and for the commit index are about
// (Raft paper, figures 7 and 8).
#include <utility>

#include "engine/raft/message.h"
#include "sim/faults.h"

namespace quorate::sim {
namespace {

// A successor that takes longer than this is not waited for, in election timeouts.
constexpr int64_t kPatienceTimeouts = 6;
constexpr int64_t kAsksPerTimeout = 200;

}  // namespace

// Nobody's entries arrive: whoever is elected meanwhile keeps its own for itself.
void Nemesis::Mute(bool on) {
  if (std::exchange(muted_, on) == on) return;
  const uint64_t types =
      on ? Bit(raft::MessageType::kApp) | Bit(raft::MessageType::kSnap) : uint64_t{0};
  for (size_t a = 1; a <= cluster_->size(); ++a) {
    for (size_t b = 1; b <= cluster_->size(); ++b) {
      network_->SetTypeFilter(cluster_->host_id(a), cluster_->host_id(b), types);
    }
  }
}

void Nemesis::Usurp() {
  if (usurping_ || cluster_->Leader() == 0) return;
  usurping_ = true;
  // Asks for longer than until the next action: with draws of its own.
  usurper_prng_ = Prng(prng(FaultClass::kUsurp).Next());
  CutOffLeader(1 + usurper_prng_.Below(5), {});
}

// The leader keeps the company of some others, mostly fewer than half: they get its tail.
void Nemesis::CutOffLeader(uint64_t hops, Edges before) {
  Prng& draw = usurper_prng_;
  const size_t leader = cluster_->Leader();
  std::vector<bool> left(cluster_->size() + 1, false);
  for (size_t m = 1; m <= cluster_->size(); ++m) left[m] = draw.Chance(1, 5);
  Restore(before, true);
  if (leader == 0 || hops == 0) {
    usurping_ = false;
    return;
  }
  left[leader] = true;
  Edges edges;
  for (size_t a = 1; a <= cluster_->size(); ++a) {
    for (size_t b = a + 1; b <= cluster_->size(); ++b) {
      if (left[a] != left[b]) edges.emplace_back(cluster_->host_id(a), cluster_->host_id(b));
    }
  }
  Cut(edges, true);
  // To the one that is cut off little time seems to pass until the others elect.
  if (plan(FaultClass::kClock).on && draw.Chance(2, 3)) RunClocksApart(leader);
  Mute(draw.Chance(1, 3));
  AwaitSuccessor(leader, hops, std::move(edges),
                 context_.now() + options_.election_timeout * kPatienceTimeouts);
}

void Nemesis::AwaitSuccessor(size_t leader, uint64_t hops, Edges cut, VirtualTime deadline) {
  Prng& draw = usurper_prng_;
  const size_t now = cluster_->Leader();
  Duration wait = options_.election_timeout / kAsksPerTimeout;
  const bool usurped = now != 0 && now != leader;
  if (usurped) {
    context_.Inject(Fault::kLeaderUsurped, cluster_->host_id(leader), now);
    // It may commit something first, or nothing at all.
    static constexpr int64_t kShares[] = {200, 20, 5, 1};
    wait = draw.Exponential(options_.election_timeout / kShares[draw.Below(4)]);
  }
  const bool over = usurped || context_.now() >= deadline;
  context_.scheduler->After(
      wait, [this, over, usurped, leader, hops, cut = std::move(cut), deadline]() mutable {
        if (!active_) return;
        if (!over) return AwaitSuccessor(leader, hops, std::move(cut), deadline);
        Mute(false);
        CutOffLeader(usurped ? hops - 1 : 0, std::move(cut));
      });
}

}  // namespace quorate::sim
