// Leases by the million: what granting, renewing and attaching cost each, and how long a
// change of leader and a batch of expiries hold a step up.
//
//   bazel run -c opt //bench:lease_bench
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/prng.h"
#include "base/time.h"
#include "engine/lease/leases.h"
#include "engine/lease/lessor.h"
#include "engine/mvcc/store.h"

namespace quorate::lease {
namespace {

constexpr int64_t kLeases = 1'000'000;
// As the replica: engine/replica/leases.cc.
constexpr size_t kWalk = 1000;
constexpr size_t kRevoke = 500;

constexpr Instant kStart = Instant::FromNanos(1'000'000'000);

// A leader with that many leases of about an hour.
struct Leader {
  Leader() {
    lessor.Promote(Term(1), kStart);
    for (int64_t id = 1; id <= kLeases; ++id) Grant(LeaseId(id * 7919));
  }
  void Grant(LeaseId id) {
    leases.Grant(id, 3600).IgnoreError();
    lessor.OnGranted(id, now);
    now = now + Microseconds(1);
  }
  LeaseId Any() { return LeaseId(prng.Between(1, kLeases) * 7919); }

  Prng prng{7};
  Leases leases;
  Lessor lessor{&leases, LessorOptions()};
  Instant now = kStart;
};

Leader* Shared() {
  static Leader* const leader = new Leader();
  return leader;
}

void BM_GrantAndRevoke(benchmark::State& state) {
  Leader* const leader = Shared();
  int64_t id = -1;
  for (auto _ : state) {
    leader->Grant(LeaseId(id));
    leader->leases.Remove(LeaseId(id));
    leader->lessor.OnRevoked(LeaseId(id));
    --id;
  }
}
BENCHMARK(BM_GrantAndRevoke);

void BM_Renew(benchmark::State& state) {
  Leader* const leader = Shared();
  for (auto _ : state) {
    leader->now = leader->now + Microseconds(1);
    leader->lessor.Renew(leader->Any(), leader->now);
  }
}
BENCHMARK(BM_Renew);

void BM_LookUp(benchmark::State& state) {
  Leader* const leader = Shared();
  for (auto _ : state) {
    benchmark::DoNotOptimize(leader->lessor.Remaining(leader->Any(), leader->now));
  }
}
BENCHMARK(BM_LookUp);

void BM_PutAttached(benchmark::State& state) {
  Leader* const leader = Shared();
  // What it attaches stays attached when the bench is run again.
  static mvcc::Store* const store = new mvcc::Store();
  store->set_leases(&leader->leases);
  const std::string value(256, 'v');
  uint64_t n = 0;
  for (auto _ : state) {
    mvcc::WriteTxn txn(store);
    txn.Put(absl::StrCat("key/", n++ % 100'000), value, leader->Any());
    txn.Commit();
  }
}
BENCHMARK(BM_PutAttached);

// One step of the walk that gives all leases their deadlines; of these a change of leader
// takes kLeases / kWalk.
void BM_WalkStep(benchmark::State& state) {
  Leader* const leader = Shared();
  leader->lessor.Demote();
  leader->lessor.Promote(Term(2), leader->now);
  for (auto _ : state) leader->lessor.Walk(kWalk);
  while (leader->lessor.walking()) leader->lessor.Walk(kWalk);
}
BENCHMARK(BM_WalkStep)->Iterations(kLeases / kWalk);

void BM_Demote(benchmark::State& state) {
  Leader* const leader = Shared();
  for (auto _ : state) {
    leader->lessor.Demote();
    state.PauseTiming();
    leader->lessor.Promote(Term(3), leader->now);
    while (leader->lessor.walking()) leader->lessor.Walk(kWalk);
    state.ResumeTiming();
  }
}
BENCHMARK(BM_Demote)->Iterations(3);

// One step of giving the memory back.
void BM_ForgetStep(benchmark::State& state) {
  Leader* const leader = Shared();
  leader->lessor.Demote();
  for (auto _ : state) leader->lessor.Walk(kWalk);
  leader->lessor.Promote(Term(4), leader->now);
  while (leader->lessor.walking()) leader->lessor.Walk(kWalk);
}
BENCHMARK(BM_ForgetStep)->Iterations(kLeases / kWalk);

// One turn's worth of leases that are all due.
void BM_ExpireStep(benchmark::State& state) {
  Leader* const leader = Shared();
  const Instant late = leader->now + Seconds(100'000);
  for (auto _ : state) {
    const std::vector<LeaseId> expired = leader->lessor.Expired(late, kRevoke);
    for (const LeaseId id : expired) leader->lessor.OnRevokeProposed(id);
    state.PauseTiming();
    for (const LeaseId id : expired) leader->lessor.OnRevoked(id);
    state.ResumeTiming();
  }
}
BENCHMARK(BM_ExpireStep)->Iterations(1000);

}  // namespace
}  // namespace quorate::lease

BENCHMARK_MAIN();
