// The longest step of a member on a store of a million keys: deletes and revocations of all
// of them, HashKV, ranges without a limit, compaction, images. CPU time of single calls of
// Replica::Step, so that other work on the machine does not count.
#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/rpc.pb.h"
#include "base/check.h"
#include "base/prng.h"
#include "engine/replica/replica.h"

namespace quorate::engine {
namespace {

constexpr uint64_t kKeys = 1'000'000;
constexpr int64_t kLease = 77;

int64_t CpuNanos() {
  timespec t = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec * 1'000'000'000 + t.tv_nsec;
}

std::string Key(uint64_t i) {
  static constexpr char kDigits[] = "0123456789abcdef";
  uint64_t x = Mix64(i);
  std::string key(16, '0');
  for (char& c : key) {
    c = kDigits[x & 15];
    x >>= 4;
  }
  return key;
}

// A cluster of one, whose disk is done at once.
class Member {
 public:
  Member() {
    Config config;
    config.cluster_id = ClusterId(1);
    config.member_id = MemberId(1);
    config.raft.seed = 1;
    config.server_version = "3.7.1";
    config.run_id = 1;
    replica_ = std::make_unique<Replica>(
        config, Replica::Bootstrap({{MemberId(1), "m", {"http://127.0.0.1:1"}}}), now_);
    Step(TimePassed{});
    Settle();  // it is alone: it leads at once
    CHECK(replica_->status().role == Role::kLeader);
    grant_.set_id(kLease);
    grant_.set_ttl(100'000);
    Call(RequestKind::kLeaseGrant, grant_.SerializeAsString());
  }

  void Fill(bool attached) {
    etcdserverpb::PutRequest put;
    put.set_value(std::string(256, 'v'));
    if (attached) put.set_lease(kLease);
    for (uint64_t i = 0; i < kKeys; ++i) {
      put.set_key(Key(i));
      Send(RequestKind::kPut, put.SerializeAsString());
      if (i % 1000 == 999) Settle();
    }
    Settle();
    CHECK_EQ(replica_->status().keys, kKeys);
  }

  void Send(RequestKind kind, const std::string& body) {
    Step(ClientRequest{RequestToken(++token_), kind, Bytes::Copy(body), {}});
  }
  // Until nothing is left to do.
  void Settle() {
    while (out_.turn_end_wanted) Step(TurnEnd{});
  }
  void Call(RequestKind kind, const std::string& body) {
    answered_ = false;
    Send(kind, body);
    Settle();
    CHECK(answered_);
  }

  struct Steps {
    int64_t longest = 0;
    int64_t total = 0;
    uint64_t count = 0;
    uint64_t over_2ms = 0;
  };
  Steps Take() { return std::exchange(steps_, Steps()); }
  const Replica& replica() const { return *replica_; }

 private:
  void Step(decltype(Input::event) event) {
    Input input{now_, WallTime(), std::move(event)};
    const int64_t begin = CpuNanos();
    replica_->Step(std::move(input), &out_);
    const int64_t took = CpuNanos() - begin;
    steps_.longest = std::max(steps_.longest, took);
    steps_.total += took;
    ++steps_.count;
    if (took > 2'000'000) ++steps_.over_2ms;
    CHECK_MSG(out_.fatal.ok(), out_.fatal.ToString());
    for (const Response& response : out_.responses) {
      CHECK_MSG(response.status.ok(), response.status.ToString());
      answered_ = true;
    }
    const PersistTicket ticket =
        out_.persists.empty() ? PersistTicket() : out_.persists.back().ticket;
    const LogIndex checkpoint = out_.checkpoint.has_value() ? out_.checkpoint->index : LogIndex();
    const bool turn = out_.turn_end_wanted;
    out_.Clear();
    out_.turn_end_wanted = turn;
    if (ticket != PersistTicket()) Step(Persisted{ticket});
    if (checkpoint != LogIndex()) Step(Checkpointed{checkpoint, true});
  }

  etcdserverpb::LeaseGrantRequest grant_;
  Instant now_ = Instant::FromNanos(1'000'000'000);
  std::unique_ptr<Replica> replica_;
  Output out_;
  uint64_t token_ = 0;
  bool answered_ = false;
  Steps steps_;
};

Member* Shared() {
  static const std::unique_ptr<Member> member = std::make_unique<Member>();
  return member.get();
}

void Report(Member* member, benchmark::State& state) {
  const Member::Steps steps = member->Take();
  state.counters["longest_us"] = static_cast<double>(steps.longest) / 1e3;
  state.counters["cpu_ms"] = static_cast<double>(steps.total) / 1e6;
  state.counters["over_2ms"] = static_cast<double>(steps.over_2ms);
  state.counters["steps"] = static_cast<double>(steps.count);
}

void Run(benchmark::State& state, bool attached, const std::function<void(Member*)>& work) {
  Member* const member = Shared();
  if (member->replica().status().keys < kKeys || attached) member->Fill(attached);
  member->Take();
  for (auto _ : state) work(member);
  Report(member, state);
}

etcdserverpb::RangeRequest All() {
  etcdserverpb::RangeRequest request;
  request.set_key(std::string(1, '\0'));
  request.set_range_end(std::string(1, '\0'));
  return request;
}

void BM_StepFill(benchmark::State& state) {
  Member* const member = Shared();
  for (auto _ : state) member->Fill(false);
  Report(member, state);
}
BENCHMARK(BM_StepFill)->Iterations(1)->Unit(benchmark::kMillisecond);

void BM_StepHashKv(benchmark::State& state) {
  Run(state, false, [](Member* member) { member->Call(RequestKind::kHashKv, ""); });
}
BENCHMARK(BM_StepHashKv)->Iterations(1)->Unit(benchmark::kMillisecond);

void BM_StepUnlimitedRange(benchmark::State& state) {
  Run(state, false,
      [](Member* member) { member->Call(RequestKind::kRange, All().SerializeAsString()); });
}
BENCHMARK(BM_StepUnlimitedRange)->Iterations(1)->Unit(benchmark::kMillisecond);

void BM_StepSortedRange(benchmark::State& state) {
  etcdserverpb::RangeRequest range = All();
  range.set_sort_target(etcdserverpb::RangeRequest::MOD);
  range.set_sort_order(etcdserverpb::RangeRequest::DESCEND);
  Run(state, false,
      [&](Member* member) { member->Call(RequestKind::kRange, range.SerializeAsString()); });
}
BENCHMARK(BM_StepSortedRange)->Iterations(1)->Unit(benchmark::kMillisecond);

// All keys anew, with the checkpoints that fall due, and the old ones given up.
void BM_StepOverwriteAndCompact(benchmark::State& state) {
  Run(state, false, [](Member* member) {
    member->Fill(true);
    etcdserverpb::CompactionRequest compact;
    compact.set_revision(member->replica().status().revision.value());
    compact.set_physical(true);
    member->Call(RequestKind::kCompact, compact.SerializeAsString());
  });
}
BENCHMARK(BM_StepOverwriteAndCompact)->Iterations(1)->Unit(benchmark::kMillisecond);

void BM_StepRevoke(benchmark::State& state) {
  etcdserverpb::LeaseRevokeRequest revoke;
  revoke.set_id(kLease);
  Run(state, true, [&](Member* member) {
    member->Call(RequestKind::kLeaseRevoke, revoke.SerializeAsString());
    CHECK_EQ(member->replica().status().keys, uint64_t{0});
  });
}
BENCHMARK(BM_StepRevoke)->Iterations(1)->Unit(benchmark::kMillisecond);

void BM_StepDelete(benchmark::State& state) {
  etcdserverpb::DeleteRangeRequest del;
  del.set_key(std::string(1, '\0'));
  del.set_range_end(std::string(1, '\0'));
  Run(state, false, [&](Member* member) {
    member->Call(RequestKind::kDeleteRange, del.SerializeAsString());
    CHECK_EQ(member->replica().status().keys, uint64_t{0});
  });
}
BENCHMARK(BM_StepDelete)->Iterations(1)->Unit(benchmark::kMillisecond);

// Everything is dead: what a compaction then takes away.
void BM_StepCompactAllAway(benchmark::State& state) {
  Member* const member = Shared();
  member->Take();
  for (auto _ : state) {
    etcdserverpb::CompactionRequest compact;
    compact.set_revision(member->replica().status().revision.value());
    compact.set_physical(true);
    member->Call(RequestKind::kCompact, compact.SerializeAsString());
  }
  Report(member, state);
}
BENCHMARK(BM_StepCompactAllAway)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace quorate::engine
