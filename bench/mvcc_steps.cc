// The longest step of a member that holds a million of something: keys, leases, versions of a key,
// events that a watcher has yet to get.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "api/rpc.pb.h"
#include "base/check.h"
#include "base/prng.h"
#include "bench/step_member.h"
#include "engine/apply/command.h"
#include "engine/image/image.h"
#include "engine/mvcc/long_reply.h"
#include "engine/replica/replica.h"

namespace quorate::engine {
namespace {

Member* Shared() {
  static const std::unique_ptr<Member> member = std::make_unique<Member>();
  return member.get();
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

// A long answer, half read, while all that it refers to is written anew and compacted, so that it
// is cut off; and then its end.
void BM_StepGiveUpALongAnswer(benchmark::State& state) {
  Run(state, false, [](Member* member) {
    member->Call(RequestKind::kRange, All().SerializeAsString());
    std::optional<mvcc::LongReply::Reader> reader(member->TakeAnswer().long_reply());
    CHECK(reader->Next().has_value());
    member->Fill(false);
    Compact(member);
    CHECK(!reader->Next().has_value());
    reader.reset();
    member->Pass(Seconds(1));
  });
}
BENCHMARK(BM_StepGiveUpALongAnswer)->Iterations(1)->Unit(benchmark::kMillisecond);

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

// A restart: 100,000 overwrites of random keys behind the checkpoint of a million.
void BM_ApplyBehindACheckpoint(benchmark::State& state) {
  constexpr uint64_t kEntries = 100'000;
  Member member;
  member.Fill(false);
  Recovered recovered;
  recovered.checkpoint = member.image();
  recovered.base = member.image().index;
  recovered.base_term = member.image().term;
  recovered.hard_state = {recovered.base_term, MemberId(1), recovered.base + kEntries};
  etcdserverpb::PutRequest put;
  put.set_value(std::string(256, 'w'));
  for (uint64_t i = 1; i <= kEntries; ++i) {
    put.set_key(Key(Mix64(i) % (kKeys / 2)));
    recovered.entries.push_back(
        {recovered.base_term, recovered.base + i, raft::EntryType::kNormal,
         apply::EncodeCommand(apply::Operation::kPut, put.SerializeAsString(), i, {})});
  }
  for (auto _ : state) {
    Replica replica(MemberConfig(), recovered, Instant());
    Output out;
    const int64_t begin = CpuNanos();
    while (replica.status().applied < recovered.hard_state.commit) {
      replica.Step({Instant(), WallTime(), TurnEnd{}}, &out);
    }
    state.SetIterationTime(static_cast<double>(CpuNanos() - begin) / 1e9);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kEntries));
}
BENCHMARK(BM_ApplyBehindACheckpoint)->UseManualTime()->Iterations(1)->Unit(benchmark::kMillisecond);

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
