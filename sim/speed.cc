#include "sim/speed.h"

#include <algorithm>
#include <array>
#include <iostream>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/prng.h"
#include "sim/exit_status.h"
#include "sim/history.h"
#include "sim/oracle/kv.h"
#include "sim/report.h"
#include "sim/study/cluster.h"
#include "sim/study/judge.h"
#include "sim/swarm.h"
#include "sim/world.h"

namespace quorate::sim {
namespace {

struct Kind {
  const char* name;
  const char* profile;
  const char* aim;
  Options (*change)(Options options);
};

// etcd's own timeouts, nobody who asks anything, an hour.
Options Idle(Options options) {
  Options out;
  out.seed = options.seed;
  out.profile = options.profile;
  out.heartbeat_interval = Milliseconds(100);
  out.election_timeout = Seconds(1);
  out.duration = Seconds(3600);
  out.link.latency_min = Microseconds(100);
  out.link.latency_mean = Microseconds(100);
  out.workload.clients = 0;
  out.workload.watchers = 0;
  return out;
}

Options Five(Options options, uint64_t rate, size_t clients) {
  options.members = 5;
  options.workload.rate = rate;
  options.workload.clients = clients;
  return options;
}

constexpr Kind kKinds[] = {
    {"an idle cluster of three members", "quiet", "10,000 times real time", Idle},
    {"swarm, five members, about 100 requests a second", "swarm", "500 times real time",
     [](Options options) { return Five(std::move(options), 100, 12); }},
    {"swarm, five members, about 1,000 requests a second", "swarm", "100 times real time",
     [](Options options) { return Five(std::move(options), 1000, 100); }},
    {"seeds as the default profile draws them", "default",
     "1,000 seeds a minute, 2,000,000 events a second", [](Options options) { return options; }},
};

// Raft and nothing else: no server, no bytes, no clients. Five members with
// delays and disks, a proposal of 100 bytes every millisecond, and each second
// one of them alone for a while.
struct RaftTotals {
  uint64_t seconds = 0;
  uint64_t events = 0;
  int64_t committed = 0;
  int64_t elections = 0;
  bool safe = true;
};

void RunRaft(uint64_t seed, RaftTotals* totals) {
  constexpr uint64_t kMembers = 5;
  constexpr int64_t kSeconds = 60;
  study::ClusterOptions options;
  options.seed = seed;
  options.pre_vote = true;
  options.check_quorum = true;
  options.latency = *study::DelayModel::Parse("exp:0.1ms+0.2ms");
  options.write = *study::DelayModel::Parse("exp:0.2ms+0.3ms");
  study::Judge judge;
  study::Cluster cluster(options);
  cluster.AddObserver(&judge);
  cluster.AddVoters(kMembers);
  Prng prng(NamedDraw(seed, HashName("speed"), HashName("raft"), 0));
  uint64_t payloads = 0;
  for (int64_t ms = 0; ms < kSeconds * 1000; ++ms) {
    if (ms % 1000 == 500) cluster.Isolate(MemberId(1 + prng.Below(kMembers)));
    if (ms % 1000 == 800) cluster.OpenAllLinks();
    const MemberId leader = cluster.Leader();
    if (leader != raft::kNobody) {
      // One that is cut off may refuse.
      std::string payload = absl::StrCat(++payloads);
      payload.resize(100, '.');
      cluster.Propose(leader, Bytes::Copy(payload)).IgnoreError();
    }
    cluster.RunUntil(cluster.now() + Milliseconds(1));
  }
  totals->seconds += kSeconds;
  totals->events += cluster.events_run();
  totals->committed += judge.commits();
  totals->elections += judge.leader_changes();
  totals->safe = totals->safe && !judge.two_leaders_in_a_term() && !judge.conflicting_commits();
}

bool MeasureRaft(uint64_t seeds, const std::function<Duration()>& cpu_time) {
  RaftTotals totals;
  const Duration start = cpu_time();
  for (uint64_t seed = 1; seed <= seeds; ++seed) RunRaft(seed, &totals);
  const auto ms = static_cast<uint64_t>(std::max<int64_t>(1, (cpu_time() - start).millis()));
  std::cout << "raft alone, five members, 1,000 proposals a second, " << seeds
            << " seeds; aim: 4,000,000 events a second\nspeed: " << totals.seconds
            << " s simulated in " << ms << " ms by 1 process: " << totals.seconds * 1000 / ms
            << " times real time, " << totals.events * 1000 / ms << " events a second ("
            << totals.events << ")\nmix: " << totals.committed << " entries committed, "
            << totals.elections << " leaders elected, a member alone for 0.3 s each second\n"
            << std::flush;
  return totals.safe;
}

// Half puts, half gets, of a thousand keys, by ten clients whose calls overlap:
// as many as 'requests', judged one by one as they end.
uint64_t CheckCalls(uint64_t requests) {
  constexpr uint64_t kKeys = 1000;
  constexpr size_t kClients = 10;
  Judge judge;
  History history;
  KvOracle oracle(&judge, &history);
  std::array<std::optional<History::Id>, kClients> open;
  VirtualTime now;
  for (uint64_t i = 0; i < requests; ++i) {
    std::optional<History::Id>& slot = open[i % kClients];
    now = now + Microseconds(1);
    if (slot.has_value()) {
      Call& call = history.Return(*slot, now, Outcome::kOk);
      if (call.request.shape == Request::Shape::kPut) {
        oracle.OnCommand(now, LogIndex(i), call.request);
        call.result.revision = oracle.model().revision();
        call.result.operations.emplace_back();
      } else {
        call.result = oracle.model().ReadAt(call.request, oracle.model().revision());
      }
      oracle.OnReturn(*slot);
    }
    Call call;
    call.client = static_cast<uint32_t>(i % kClients);
    call.request.shape = i % 2 == 0 ? Request::Shape::kPut : Request::Shape::kRange;
    Operation operation;
    operation.kind = i % 2 == 0 ? Operation::Kind::kPut : Operation::Kind::kRange;
    operation.key = absl::StrCat("k", Mix64(i) % kKeys);
    if (i % 2 == 0) operation.value = absl::StrCat("v", i);
    call.request.success.push_back(std::move(operation));
    call.invoked = now;
    slot = history.Invoke(std::move(call));
    oracle.OnInvoke(*slot);
  }
  return judge.violations().size();
}

bool MeasureChecker(const std::function<Duration()>& cpu_time) {
  constexpr uint64_t kRequests = 1'000'000;
  const Duration start = cpu_time();
  const uint64_t violations = CheckCalls(kRequests);
  const Duration took = cpu_time() - start;
  std::cout << "the linearizability checker, with the making of the history: " << kRequests
            << " requests in " << took.millis() << " ms, "
            << kRequests * 1000 / static_cast<uint64_t>(std::max<int64_t>(1, took.millis()))
            << " a second; aim: 1,000,000\n"
            << std::flush;
  return violations == 0;
}

}  // namespace

int MeasureSpeed(uint64_t seeds, const std::function<Duration()>& cpu_time) {
  bool clean = true;
  for (const Kind& kind : kKinds) {
    Tally tally(kind.profile);
    const Duration start = cpu_time();
    for (uint64_t seed = 1; seed <= seeds; ++seed) {
      tally.Add(World(kind.change(*DrawOptions(kind.profile, seed))).Run());
    }
    std::cout << kind.name << ", " << seeds << " seeds; aim: " << kind.aim << "\n"
              << tally.SpeedLines(cpu_time() - start, 1) << std::flush;
    clean = clean && tally.violations() == 0;
  }
  clean = MeasureRaft(seeds, cpu_time) && clean;
  clean = MeasureChecker(cpu_time) && clean;
  return clean ? kClean : kFoundViolation;
}

}  // namespace quorate::sim
