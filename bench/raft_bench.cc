// The consensus core alone: messages go from member to member in memory, disks are
// instant. Entries a second through a leader with 2 and 4 followers, by the number of
// entries in flight; and elections a second.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "engine/raft/raft.h"

namespace quorate::raft {
namespace {

class Cluster {
 public:
  explicit Cluster(uint64_t members) : readies_(members) {
    ConfState voters;
    for (uint64_t id = 1; id <= members; ++id) voters.voters.push_back(MemberId(id));
    for (uint64_t id = 1; id <= members; ++id) {
      Config config;
      config.id = MemberId(id);
      config.pre_vote = false;
      config.check_quorum = false;
      config.async_storage_writes = true;
      config.max_uncommitted_bytes = 0;
      config.seed = id;
      DurableLog log;
      log.snapshot.conf_state = voters;
      members_.push_back(std::make_unique<Raft>(config, std::move(log), Instant()));
    }
  }

  Raft& member(size_t i) { return *members_[i]; }
  uint64_t steps() const { return steps_; }

  bool Elect(size_t i) {
    members_[i]->Campaign(Instant());
    Exchange();
    return members_[i]->role() == Role::kLeader;
  }

  // Until nobody has anything to do.
  void Exchange() {
    for (bool worked = true; worked;) {
      worked = false;
      for (size_t i = 0; i < members_.size(); ++i) {
        while (members_[i]->HasReady()) {
          worked = true;
          Carry(i);
        }
      }
    }
  }

  void Compact() {
    for (auto& member : members_) {
      if (!member->Compact(member->log().applied()).ok()) std::abort();
    }
  }

 private:
  void Carry(size_t i) {
    Raft& raft = *members_[i];
    Ready& ready = readies_[i];
    raft.TakeReady(&ready);
    for (Message& m : ready.messages) Deliver(std::move(m));
    for (Message& m : ready.responses) Deliver(std::move(m));
    if (!ready.committed_entries.empty()) {
      raft.AppliedTo(ready.committed_entries.last_index(), Instant());
    }
  }

  void Deliver(Message m) {
    ++steps_;
    Raft& to = *members_[m.to.value() - 1];
    const bool local = m.from == m.to || m.from == kLocalAppendThread;
    (local ? to.StepLocal(std::move(m), Instant()) : to.Step(std::move(m), Instant()))
        .IgnoreError();
  }

  std::vector<std::unique_ptr<Raft>> members_;
  std::vector<Ready> readies_;
  uint64_t steps_ = 0;
};

// Args: followers, entries in flight. Each entry is a proposal of 128 bytes, all that
// are in flight go in one batch, as in one turn of the server's loop.
void BM_Replicate(benchmark::State& state) {
  Cluster cluster(static_cast<uint64_t>(state.range(0)) + 1);
  if (!cluster.Elect(0)) {
    state.SkipWithError("no leader");
    return;
  }
  static constexpr char kPayload[128] = {};
  const std::vector<Bytes> batch(static_cast<size_t>(state.range(1)),
                                 Bytes::Static(absl::string_view(kPayload, sizeof(kPayload))));
  const uint64_t first_steps = cluster.steps();
  uint64_t since_compaction = 0;
  for (auto _ : state) {
    if (!cluster.member(0).Propose(batch, Instant()).ok()) {
      state.SkipWithError("proposal dropped");
      return;
    }
    cluster.Exchange();
    since_compaction += batch.size();
    if (since_compaction >= 8192) {
      since_compaction = 0;
      cluster.Compact();
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(1));
  state.counters["steps"] = benchmark::Counter(static_cast<double>(cluster.steps() - first_steps),
                                               benchmark::Counter::kIsRate);
}
BENCHMARK(BM_Replicate)->ArgsProduct({{2, 4}, {1, 64, 1024}})->ArgNames({"followers", "inflight"});

// Args: members. Leadership goes round, with all votes and the first entry of the term.
void BM_Elect(benchmark::State& state) {
  const auto members = static_cast<size_t>(state.range(0));
  Cluster cluster(members);
  size_t next = 0;
  uint64_t elections = 0;
  for (auto _ : state) {
    if (!cluster.Elect(next)) {
      state.SkipWithError("no leader");
      return;
    }
    next = (next + 1) % members;
    if (++elections % 1024 == 0) cluster.Compact();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Elect)->Arg(3)->Arg(5)->ArgName("members");

}  // namespace
}  // namespace quorate::raft

BENCHMARK_MAIN();
