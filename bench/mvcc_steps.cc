// The longest step of a member that holds a million of something: keys, leases, versions of a key,
// events that a watcher has yet to get. CPU time of single calls of Replica::Step, so that other
// work on the machine does not count.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/rpc.pb.h"
#include "base/check.h"
#include "base/prng.h"
#include "bench/cpu_time.h"
#include "engine/image/image.h"
#include "engine/replica/image_meta.h"
#include "engine/replica/replica.h"

namespace quorate::engine {
namespace {

constexpr uint64_t kKeys = 1'000'000;
constexpr int64_t kLease = 77;

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

// A cluster of one, whose disk is done at once; or a follower of somebody who says nothing.
class Member {
 public:
  explicit Member(uint64_t members = 1) {
    Config config;
    config.cluster_id = ClusterId(1);
    config.member_id = MemberId(1);
    config.raft.seed = 1;
    config.server_version = "3.7.1";
    config.run_id = 1;
    std::vector<BootstrapMember> founders;
    for (uint64_t i = 1; i <= members; ++i) {
      founders.push_back({MemberId(i), "m", {"http://127.0.0.1:" + std::to_string(i)}});
    }
    replica_ = std::make_unique<Replica>(config, Replica::Bootstrap(founders), now_);
    Step(TimePassed{});
    Settle();  // one who is alone leads at once
    if (members > 1) return;
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

  void OpenWatch(const std::string& request) {
    Step(WatchOpen{StreamToken(1), {}});
    Step(WatchRequestBytes{StreamToken(1), Bytes::Copy(request)});
  }
  void CloseWatch() { Step(WatchClose{StreamToken(1)}); }
  uint64_t events_bytes() const { return events_bytes_; }
  void Pass(Duration span) {
    now_ = now_ + span;
    Step(TimePassed{});
    Settle();
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

  // The newest checkpoint.
  const StateImage& image() const { return image_; }
  // A leader's state, said to be of so many entries later.
  void Receive(const StateImage& state, uint64_t later) {
    StateImage image;
    image.index = state.index + later;
    image.term = state.term;
    image.segments = state.segments;
    SectionWriter sections(state.sections.size());
    EncodeImageMeta({{image.index, image.term, {{MemberId(1), MemberId(2)}, {}, {}, {}, false}}, 1},
                    sections.Begin(Section::kRaft));
    for (SectionReader in(state.sections); in.Next();) {
      if (in.tag() != Section::kRaft) sections.Begin(in.tag())->Append(in.body());
    }
    image.sections = std::move(sections).Finish();
    raft::Message message;
    message.type = raft::MessageType::kSnap;
    message.from = MemberId(2);
    message.to = MemberId(1);
    message.term = image.term;
    Step(SnapshotReceived{message, std::move(image)});
    Settle();
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
    for (const WatchReply& reply : out_.watch_replies) events_bytes_ += reply.events.size();
    if (out_.checkpoint.has_value()) image_ = *out_.checkpoint;
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
  uint64_t events_bytes_ = 0;
  StateImage image_;
  Steps steps_;
};

Member* Shared() {
  static const std::unique_ptr<Member> member = std::make_unique<Member>();
  return member.get();
}

void Report(Member* member, benchmark::State& state) {
  const Member::Steps steps = member->Take();
  state.counters["target_us"] = 2000;
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

void Compact(Member* member) {
  etcdserverpb::CompactionRequest compact;
  compact.set_revision(member->replica().status().revision.value());
  compact.set_physical(true);
  member->Call(RequestKind::kCompact, compact.SerializeAsString());
}

// All keys anew, with the checkpoints that fall due, and the old ones given up.
void BM_StepOverwriteAndCompact(benchmark::State& state) {
  Run(state, false, [](Member* member) {
    member->Fill(true);
    Compact(member);
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

// A watcher of all that begins in the past, at a million revisions.
void BM_StepWatchThePast(benchmark::State& state) {
  etcdserverpb::WatchRequest request;
  auto* const create = request.mutable_create_request();
  create->set_key(std::string(1, '\0'));
  create->set_range_end(std::string(1, '\0'));
  create->set_prev_kv(true);
  Run(state, false, [&](Member* member) {
    create->set_start_revision(
        std::max<int64_t>(2, member->replica().status().compact_revision.value()));
    const uint64_t before = member->events_bytes();
    member->OpenWatch(request.SerializeAsString());
    member->Settle();
    CHECK(member->events_bytes() - before > kKeys * 200);
    member->CloseWatch();
    member->Settle();
  });
}
BENCHMARK(BM_StepWatchThePast)->Iterations(1)->Unit(benchmark::kMillisecond);

// A delete of all keys while somebody watches them, with what they were.
void BM_StepDeleteWatched(benchmark::State& state) {
  etcdserverpb::WatchRequest request;
  auto* const create = request.mutable_create_request();
  create->set_key(std::string(1, '\0'));
  create->set_range_end(std::string(1, '\0'));
  create->set_fragment(true);
  create->set_prev_kv(true);
  etcdserverpb::DeleteRangeRequest del;
  del.set_key(std::string(1, '\0'));
  del.set_range_end(std::string(1, '\0'));
  Run(state, false, [&](Member* member) {
    member->OpenWatch(request.SerializeAsString());
    member->Call(RequestKind::kDeleteRange, del.SerializeAsString());
    member->CloseWatch();
    member->Settle();
  });
}
BENCHMARK(BM_StepDeleteWatched)->Iterations(1)->Unit(benchmark::kMillisecond);

// Everything is dead: what a compaction then takes away.
void BM_StepCompactAllAway(benchmark::State& state) {
  Member* const member = Shared();
  member->Take();
  for (auto _ : state) Compact(member);
  Report(member, state);
}
BENCHMARK(BM_StepCompactAllAway)->Iterations(1)->Unit(benchmark::kMillisecond);

// Transactions with as many operations, each as large, as one may have.
void BM_StepLargeTransactions(benchmark::State& state) {
  etcdserverpb::TxnRequest txn;
  for (uint64_t i = 0; i < 128; ++i) {
    auto* const put = txn.add_success()->mutable_request_put();
    put->set_key(Key(i));
    put->set_value(std::string(12'000 - 600, 'v'));
    put->set_prev_kv(true);
  }
  Member* const member = Shared();
  member->Take();
  for (auto _ : state) {
    for (int i = 0; i < 100; ++i) member->Call(RequestKind::kTxn, txn.SerializeAsString());
  }
  Report(member, state);
}
BENCHMARK(BM_StepLargeTransactions)->Iterations(1)->Unit(benchmark::kMillisecond);

// One of as many nested operations as there may be.
void BM_StepNestedTransaction(benchmark::State& state) {
  etcdserverpb::TxnRequest txn;
  uint64_t key = 0;
  for (int i = 0; i < 40; ++i) {
    auto* const nested = txn.add_success()->mutable_request_txn();
    for (int j = 0; j < 80; ++j) {
      nested->add_success()->mutable_request_put()->set_key(Key(++key));
      nested->add_failure()->mutable_request_delete_range()->set_key("d" + Key(key));
    }
  }
  Member* const member = Shared();
  member->Take();
  for (auto _ : state) member->Call(RequestKind::kTxn, txn.SerializeAsString());
  Report(member, state);
}
BENCHMARK(BM_StepNestedTransaction)->Iterations(1)->Unit(benchmark::kMillisecond);

// A key that changes a million times between two compactions.
void BM_StepHotKey(benchmark::State& state) {
  Member* const member = Shared();
  etcdserverpb::PutRequest put;
  put.set_key("hot");
  put.set_value(std::string(256, 'v'));
  const std::string body = put.SerializeAsString();
  member->Take();
  for (auto _ : state) {
    for (uint64_t i = 0; i < kKeys; ++i) {
      member->Send(RequestKind::kPut, body);
      if (i % 1000 == 999) member->Settle();
    }
    Compact(member);
  }
  Report(member, state);
}
BENCHMARK(BM_StepHotKey)->Iterations(1)->Unit(benchmark::kMillisecond);

// ---- a million leases, on a member of its own ----

Member* WithLeases() {
  static const std::unique_ptr<Member> member = std::make_unique<Member>();
  return member.get();
}

void BM_StepGrant(benchmark::State& state) {
  Member* const member = WithLeases();
  etcdserverpb::LeaseGrantRequest grant;
  grant.set_ttl(1000);
  member->Take();
  for (auto _ : state) {
    for (uint64_t i = 0; i < kKeys; ++i) {
      member->Send(RequestKind::kLeaseGrant, grant.SerializeAsString());
      if (i % 1000 == 999) member->Settle();
    }
  }
  Report(member, state);
  CHECK(member->replica().status().leases > kKeys);
}
BENCHMARK(BM_StepGrant)->Iterations(1)->Unit(benchmark::kMillisecond);

void BM_StepListLeases(benchmark::State& state) {
  Member* const member = WithLeases();
  member->Take();
  for (auto _ : state) member->Call(RequestKind::kLeaseList, "");
  Report(member, state);
}
BENCHMARK(BM_StepListLeases)->Iterations(1)->Unit(benchmark::kMillisecond);

// The keys of a lease that has a million.
void BM_StepLeaseKeys(benchmark::State& state) {
  Member* const member = WithLeases();
  member->Fill(true);
  etcdserverpb::LeaseTimeToLiveRequest request;
  request.set_id(kLease);
  request.set_keys(true);
  member->Take();
  for (auto _ : state) {
    member->Call(RequestKind::kLeaseTimeToLive, request.SerializeAsString());
  }
  Report(member, state);
}
BENCHMARK(BM_StepLeaseKeys)->Iterations(1)->Unit(benchmark::kMillisecond);

// What was there goes when the state of another takes its place: keys, records, leases.
void BM_StepInstall(benchmark::State& state) {
  Member* const from = WithLeases();
  const StateImage image = from->image();
  Member member(/*members=*/2);
  member.Take();
  for (auto _ : state) {
    // Twice: the first state goes for the second.
    member.Receive(image, 0);
    member.Receive(image, 1000);
  }
  Report(&member, state);
  CHECK_EQ(member.replica().status().snapshots_installed, uint64_t{2});
  CHECK(member.replica().status().keys > kKeys / 10 * 9);
}
BENCHMARK(BM_StepInstall)->Iterations(1)->Unit(benchmark::kMillisecond);

void BM_StepExpiry(benchmark::State& state) {
  Member* const member = WithLeases();
  member->Take();
  for (auto _ : state) {
    member->Pass(Seconds(2000));
    for (int i = 0; i < 100'000 && member->replica().status().leases > 1; ++i) {
      member->Pass(Milliseconds(1));
    }
  }
  Report(member, state);
  CHECK_EQ(member->replica().status().leases, uint64_t{1});
}
BENCHMARK(BM_StepExpiry)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace quorate::engine
