// The consensus core alone, beside C-Raft's (libraft), both driven by the same loop over
// memory (raft_core.h):
//   Leader    steps a second of a leader whose followers agree at once: each proposal of
//             one entry is sent and written by itself. A step is a proposal, a follower's
//             message or a completed write that is handed to the leader.
//   Cluster   entries a second through a cluster of real members; what is in flight is
//             one proposal, as in one turn of the server's loop.
//   Election  elections a second among real members: a transfer of leadership with all
//             votes, up to a committed entry of the new term.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>

#include "bench/raft_core.h"

namespace quorate::bench {
namespace {

using Factory = std::unique_ptr<RaftCore> (*)(size_t, RaftCore::Followers);
constexpr Factory kQuorate = NewQuorateCore;
constexpr Factory kCRaft = NewCRaftCore;

// Args: followers, entries in flight.
template <Factory factory>
void Leader(benchmark::State& state) {
  const auto core = factory(static_cast<size_t>(state.range(0)) + 1, RaftCore::Followers::kStandIn);
  const auto in_flight = static_cast<size_t>(state.range(1));
  if (!core->ElectFirst()) return state.SkipWithError("no leader");
  const uint64_t first_step = core->leader_steps();
  const uint64_t first_entry = core->Applied(0);
  for (auto _ : state) {
    core->Propose(in_flight, 1);
    core->Exchange();
  }
  const uint64_t entries = core->Applied(0) - first_entry;
  if (entries != state.iterations() * in_flight) return state.SkipWithError("entries are missing");
  state.SetItemsProcessed(static_cast<int64_t>(core->leader_steps() - first_step));
  state.counters["entries"] =
      benchmark::Counter(static_cast<double>(entries), benchmark::Counter::kIsRate);
}

// Args: followers, entries in flight.
template <Factory factory>
void Cluster(benchmark::State& state) {
  const auto members = static_cast<size_t>(state.range(0)) + 1;
  const auto core = factory(members, RaftCore::Followers::kReal);
  if (!core->ElectFirst()) return state.SkipWithError("no leader");
  const uint64_t first_entry = core->Applied(0);
  for (auto _ : state) {
    core->Propose(1, static_cast<size_t>(state.range(1)));
    core->Exchange();
  }
  const uint64_t entries = core->Applied(0) - first_entry;
  if (entries != static_cast<uint64_t>(state.iterations() * state.range(1))) {
    return state.SkipWithError("entries are missing");
  }
  state.SetItemsProcessed(static_cast<int64_t>(entries));
}

// Args: members.
template <Factory factory>
void Election(benchmark::State& state) {
  const auto members = static_cast<size_t>(state.range(0));
  const auto core = factory(members, RaftCore::Followers::kReal);
  if (!core->ElectFirst()) return state.SkipWithError("no leader");
  size_t leader = 0;
  for (auto _ : state) {
    const size_t next = (leader + 1) % members;
    if (!core->Transfer(leader, next)) return state.SkipWithError("no leader");
    leader = next;
  }
  state.SetItemsProcessed(state.iterations());
}

void InFlight(benchmark::internal::Benchmark* bench) {
  bench->ArgsProduct({{2, 4}, {1, 64, 1024}})->ArgNames({"followers", "inflight"});
}
void Members(benchmark::internal::Benchmark* bench) { bench->Arg(3)->Arg(5)->ArgName("members"); }

BENCHMARK_TEMPLATE(Leader, kQuorate)->Apply(InFlight);
BENCHMARK_TEMPLATE(Leader, kCRaft)->Apply(InFlight);
BENCHMARK_TEMPLATE(Cluster, kQuorate)->Apply(InFlight);
BENCHMARK_TEMPLATE(Cluster, kCRaft)->Apply(InFlight);
BENCHMARK_TEMPLATE(Election, kQuorate)->Apply(Members);
BENCHMARK_TEMPLATE(Election, kCRaft)->Apply(Members);

}  // namespace
}  // namespace quorate::bench

BENCHMARK_MAIN();
