// The store by itself: put, get, range, page, transaction, watch fan-out, compaction, and
// memory, on 1,000,000 keys of 16 bytes with values of 256 bytes.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/rpc.pb.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/prng.h"
#include "bench/cpu_time.h"
#include "engine/mvcc/compaction.h"
#include "engine/mvcc/page_counts.h"
#include "engine/mvcc/range.h"
#include "engine/mvcc/requests.h"
#include "engine/mvcc/store.h"
#include "engine/mvcc/txn.h"
#include "engine/mvcc/watch.h"
#include "io/uv/allocator.h"

namespace quorate::mvcc {
namespace {

constexpr uint64_t kKeys = 1'000'000;
constexpr size_t kKeyBytes = 16;
constexpr size_t kValueBytes = 256;

// 16 hexadecimal digits, scattered over the key space.
std::string Key(uint64_t i) {
  static constexpr char kDigits[] = "0123456789abcdef";
  uint64_t x = Mix64(i);
  std::string key(kKeyBytes, '0');
  for (char& c : key) {
    c = kDigits[x & 15];
    x >>= 4;
  }
  return key;
}

void Put(Store* store, const std::string& key, const std::string& value) {
  WriteTxn txn(store);
  txn.Put(key, value, LeaseId());
  txn.Commit();
}

std::unique_ptr<Store> FilledStore(uint64_t keys) {
  auto store = std::make_unique<Store>();
  const std::string value(kValueBytes, 'v');
  for (uint64_t i = 0; i < keys; ++i) Put(store.get(), Key(i), value);
  return store;
}

// Filled once; benches that change it only replace values.
Store* Shared() {
  static const std::unique_ptr<Store> store = FilledStore(kKeys);
  return store.get();
}

void BM_PutNewKey(benchmark::State& state) {
  Store store;
  const std::string value(kValueBytes, 'v');
  uint64_t i = 0;
  for (auto _ : state) Put(&store, Key(i++), value);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_PutNewKey)->Iterations(kKeys);

void BM_ApplyPut(benchmark::State& state) {
  auto store = FilledStore(kKeys);
  Prng prng(1);
  const std::string value(kValueBytes, 'w');
  for (auto _ : state) {
    const std::string key = Key(prng.Below(kKeys));
    PutRequest request;
    request.key = key;
    request.value = value;
    BytesBuilder out(96);
    benchmark::DoNotOptimize(ApplyPut(store.get(), request, Identity(), &out));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_ApplyPut)->Iterations(kKeys);

// As a member does it.
void RunOnce(const RangeRequest& request) {
  Work work = Work::Unlimited();
  Reply reply;
  Bytes bytes;
  RangeRun run(*Shared(), Shared()->revision(), request, Identity());
  run.Step(&work, &reply);
  reply.Finish(&work, &bytes);
  benchmark::DoNotOptimize(bytes);
}

void RunRange(benchmark::State& state, const RangeRequest& request) {
  for (auto _ : state) RunOnce(request);
}

void BM_Get(benchmark::State& state) {
  Prng prng(2);
  Shared();  // filled before the clock runs
  for (auto _ : state) {
    const std::string key = Key(prng.Below(kKeys));
    RangeRequest request;
    request.key = key;
    RunOnce(request);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Get);

// The first `limit` keys out of all, against a range that ends after as many.
void BM_Page(benchmark::State& state) {
  RangeRequest request;
  request.key = "0";
  request.range_end = "g";
  request.limit = state.range(0);
  RunRange(state, request);
}
BENCHMARK(BM_Page)->Arg(500)->Arg(1000);

void BM_ExactRange(benchmark::State& state) {
  auto cursor = Shared()->index().First();
  for (int64_t i = 0; i < state.range(0); ++i) cursor.Next();
  const std::string end(cursor.key());
  RangeRequest request;
  request.key = "0";
  request.range_end = end;
  RunRange(state, request);
}
BENCHMARK(BM_ExactRange)->Arg(500)->Arg(1000);

int64_t CpuOf(const RangeRequest& request) {
  const int64_t begin = CpuNanos();
  for (int i = 0; i < 10; ++i) RunOnce(request);
  return CpuNanos() - begin;
}

int64_t Median(std::vector<int64_t>* times) {
  std::nth_element(times->begin(), times->begin() + times->size() / 2, times->end());
  return (*times)[times->size() / 2];
}

// The two beside each other: what a page of 500 costs, by what an exact range of as many does.
void BM_PageByExactRange(benchmark::State& state) {
  auto cursor = Shared()->index().First();
  for (int i = 0; i < 500; ++i) cursor.Next();
  const std::string end(cursor.key());
  RangeRequest page;
  page.key = "0";
  page.range_end = "g";
  page.limit = 500;
  RangeRequest exact;
  exact.key = "0";
  exact.range_end = end;
  std::vector<int64_t> pages;
  std::vector<int64_t> ranges;
  for (auto _ : state) {
    for (int i = 0; i < 300; ++i) {
      pages.push_back(CpuOf(page));
      ranges.push_back(CpuOf(exact));
    }
  }
  state.counters["ratio"] =
      static_cast<double>(Median(&pages)) / static_cast<double>(Median(&ranges));
  state.counters["target"] = 1.1;
}
BENCHMARK(BM_PageByExactRange)->Iterations(1)->Unit(benchmark::kMillisecond);

void BM_CountOnly(benchmark::State& state) {
  RangeRequest request;
  request.key = "1";
  request.range_end = "f";
  request.count_only = true;
  RunRange(state, request);
}
BENCHMARK(BM_CountOnly);

// A million keys with short values, all of them written once more, and the revision before that.
std::unique_ptr<Store> OverwrittenStore(Revision* before) {
  auto store = std::make_unique<Store>();
  for (uint64_t i = 0; i < kKeys; ++i) Put(store.get(), Key(i), "v");
  *before = store->revision();
  for (uint64_t i = 0; i < kKeys; ++i) Put(store.get(), Key(i), "w");
  return store;
}

// A page of 500 of the first revision, as the pages behind the first one of a long list are; then
// the count of nearly all keys at it, with some keys born and dead since.
void BM_PageInThePast(benchmark::State& state) {
  Revision before;
  const auto store = OverwrittenStore(&before);
  for (int64_t i = 0; i < state.range(0); ++i) {
    WriteTxn txn(store.get());
    txn.DeleteRange(KeyRange::FromRequest(Key(static_cast<uint64_t>(i)), ""));
    txn.Commit();
  }
  RangeRequest request;
  request.key = "1";
  request.range_end = "f";
  request.revision = before;
  request.limit = 500;
  for (auto _ : state) {
    Work work = Work::Unlimited();
    Reply reply;
    RangeRun run(*store, store->revision(), request, Identity());
    run.Step(&work, &reply);
    benchmark::DoNotOptimize(reply);
  }
}
BENCHMARK(BM_PageInThePast)
    ->Arg(0)
    ->Arg(100)
    ->Arg(10'000)
    ->Arg(200'000)
    ->Unit(benchmark::kMicrosecond);

// A list of a million keys in pages of 500, at the revision of its first page, with as many writes
// behind that: one in ten of them makes a key or deletes one. What a page behind the first one
// costs, by what one of the present costs.
void BM_ListInThePast(benchmark::State& state) {
  const auto store = FilledStore(kKeys);
  const Revision before = store->revision();
  Prng prng(4);
  const std::string value(kValueBytes, 'w');
  for (int64_t i = 0; i < state.range(0); ++i) {
    if (i % 10 == 0) {
      WriteTxn txn(store.get());
      txn.DeleteRange(KeyRange::FromRequest(Key(prng.Below(kKeys)), ""));
      txn.Commit();
    } else {
      Put(store.get(), Key(prng.Below(i % 10 == 1 ? 2 * kKeys : kKeys)), value);
    }
  }
  // Lists all, and returns what each page took.
  const auto list = [&store](Revision at) {
    PageCounts pages;
    std::vector<int64_t> times;
    std::string from = "0";
    for (bool more = true; more;) {
      RangeRequest request;
      request.key = from;
      request.range_end = "g";
      request.revision = at;
      request.limit = 500;
      const int64_t begin = CpuNanos();
      Work work = Work::Unlimited();
      Reply reply;
      RangeRun run(*store, store->revision(), request, Identity(), &pages);
      run.Step(&work, &reply);
      Bytes bytes;
      reply.Finish(&work, &bytes);
      times.push_back(CpuNanos() - begin);
      etcdserverpb::RangeResponse response;
      CHECK(response.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
      more = response.more();
      if (more) from = response.kvs(499).key() + std::string(1, '\0');
    }
    return times;
  };
  for (auto _ : state) {
    std::vector<int64_t> present = list(store->revision());
    std::vector<int64_t> past = list(before);
    state.counters["first_us"] = static_cast<double>(past.front()) / 1e3;
    past.erase(past.begin());
    const auto us = [](int64_t nanos) { return static_cast<double>(nanos) / 1e3; };
    state.counters["longest_us"] = us(*std::max_element(past.begin(), past.end()));
    const int64_t now = Median(&present);
    const int64_t then = Median(&past);
    state.counters["page_us"] = us(then);
    state.counters["ratio"] = us(then) / us(now);
  }
}
BENCHMARK(BM_ListInThePast)
    ->Arg(0)
    ->Arg(100'000)
    ->Arg(1'000'000)
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

// The count of nearly all keys while half of them are deleted by a command under way.
void BM_CountInTheMidstOfADelete(benchmark::State& state) {
  Revision before;
  const auto store = OverwrittenStore(&before);
  before = store->revision();
  WriteTxn txn(store.get());
  txn.DeleteRange(KeyRange::FromRequest("0", "8"));
  for (auto _ : state) {
    Work work = Work::Unlimited();
    CountRun count(*store, KeyRange::FromRequest("1", "f"), before);
    count.Step(&work);
    benchmark::DoNotOptimize(count.count());
  }
  txn.Commit();
}
BENCHMARK(BM_CountInTheMidstOfADelete)->Unit(benchmark::kMicrosecond);

// The first key of all, while half a million before it are dead and not compacted.
void BM_FirstBehindTheDead(benchmark::State& state) {
  const auto store = FilledStore(kKeys);
  WriteTxn txn(store.get());
  txn.DeleteRange(KeyRange::FromRequest("0", "8"));
  txn.Commit();
  RangeRequest request;
  request.key = "0";
  request.range_end = "g";
  request.limit = 1;
  for (auto _ : state) {
    Work work = Work::Unlimited();
    Reply reply;
    RangeRun run(*store, store->revision(), request, Identity());
    run.Step(&work, &reply);
    benchmark::DoNotOptimize(reply);
  }
}
BENCHMARK(BM_FirstBehindTheDead)->Unit(benchmark::kMicrosecond);

void BM_TxnCompareAndPut(benchmark::State& state) {
  auto store = FilledStore(100'000);
  Prng prng(3);
  const std::string value(kValueBytes, 'x');
  for (auto _ : state) {
    const std::string key = Key(prng.Below(100'000));
    TxnRequest txn;
    Compare compare;
    compare.target = Compare::kCreate;
    compare.result = Compare::kGreater;
    compare.key = key;
    txn.compare.push_back(compare);
    PutRequest put;
    put.key = key;
    put.value = value;
    txn.success.emplace_back(put);
    BytesBuilder out(128);
    benchmark::DoNotOptimize(ApplyTxn(store.get(), txn, Identity(), &out));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_TxnCompareAndPut)->Iterations(300'000);

class CountingSink final : public WatchSink {
 public:
  void OnWatchReply(uint64_t, Bytes head, Bytes events) override {
    bytes += head.size() + events.size();
    ++replies;
  }
  void OnWatchEnd(uint64_t, absl::Status) override {}
  Identity WatchIdentity() const override { return {ClusterId(1), MemberId(2), Term(3)}; }
  uint64_t bytes = 0;
  uint64_t replies = 0;
};

// A put to the one key that all watch; items are delivered events.
void BM_WatchFanOut(benchmark::State& state) {
  Store store;
  CountingSink sink;
  WatchHub hub(&store, WatchOptions(), &sink);
  const std::string create("\x0a\x03\x0a\x01k", 5);
  for (int64_t i = 1; i <= state.range(0); ++i) {
    hub.Open(static_cast<uint64_t>(i));
    hub.Request(static_cast<uint64_t>(i), Bytes::Copy(create), Instant());
  }
  const std::string value(kValueBytes, 'v');
  sink.replies = 0;
  for (auto _ : state) {
    Put(&store, "k", value);
    while (hub.HasWork()) hub.Pump(limits::kMiB);
  }
  state.SetItemsProcessed(static_cast<int64_t>(sink.replies));
  using Counter = benchmark::Counter;
  state.counters["s_per_event"] =
      Counter(static_cast<double>(sink.replies), Counter::kIsRate | Counter::kInvert);
  state.counters["target_s"] = 1.5e-6;  // of a whole server, socket and all
}
BENCHMARK(BM_WatchFanOut)->Arg(1)->Arg(100)->Arg(10'000);

// As many watchers of ranges of their own, of which the put concerns one.
void BM_WatchManyRanges(benchmark::State& state) {
  Store store;
  CountingSink sink;
  WatchHub hub(&store, WatchOptions(), &sink);
  hub.Open(1);
  for (int64_t i = 0; i < state.range(0); ++i) {
    const std::string begin = Key(static_cast<uint64_t>(i));
    const std::string end = begin + "z";
    std::string create = "\x0a\x10" + begin + "\x12\x11" + end;
    create = std::string("\x0a") + static_cast<char>(create.size()) + create;
    hub.Request(1, Bytes::Copy(create), Instant());
  }
  const std::string value(kValueBytes, 'v');
  sink.replies = 0;
  uint64_t i = 0;
  for (auto _ : state) {
    Put(&store, Key(i++ % static_cast<uint64_t>(state.range(0))), value);
    while (hub.HasWork()) hub.Pump(limits::kMiB);
  }
  state.SetItemsProcessed(static_cast<int64_t>(sink.replies));
}
BENCHMARK(BM_WatchManyRanges)->Arg(100)->Arg(10'000);

// Superseded revisions given up, in steps of 1000 records.
void BM_Compaction(benchmark::State& state) {
  for (auto _ : state) {
    state.PauseTiming();
    auto store = FilledStore(300'000);
    const std::string value(kValueBytes, 'n');
    for (uint64_t i = 0; i < 300'000; ++i) Put(store.get(), Key(i), value);
    Compactor compactor(store.get());
    state.ResumeTiming();
    compactor.Start(store->revision()).IgnoreError();
    while (compactor.busy()) compactor.Step(1000);
    state.PauseTiming();
    state.counters["held_MB"] = static_cast<double>(store->log().allocated_bytes()) / 1e6;
    store.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * 300'000);
}
BENCHMARK(BM_Compaction)->Iterations(1)->Unit(benchmark::kMillisecond);

void BM_HashKv(benchmark::State& state) {
  Compactor compactor(Shared());
  for (auto _ : state) benchmark::DoNotOptimize(compactor.HashKv(Revision(0)));
}
BENCHMARK(BM_HashKv)->Unit(benchmark::kMillisecond);

// Resident memory of the filled store against the raw bytes of its keys and values.
void BM_Memory(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(Shared());
  malloc_trim(0);
  const double raw = static_cast<double>(kKeys * (kKeyBytes + kValueBytes));
  const Store& store = *Shared();
  const double held =
      static_cast<double>(store.log().allocated_bytes() + store.index().allocated_bytes());
  state.counters["raw_MB"] = raw / 1e6;
  state.counters["held_MB"] = held / 1e6;
  state.counters["ratio"] = held / raw;
  state.counters["index_B_per_key"] =
      static_cast<double>(store.index().allocated_bytes()) / static_cast<double>(kKeys);
  long resident_pages = 0;
  if (FILE* statm = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(statm, "%*s %ld", &resident_pages) != 1) resident_pages = 0;
    std::fclose(statm);
  }
  state.counters["process_ratio"] = static_cast<double>(resident_pages) * 4096 / raw;
  state.counters["target"] = 1.35;
}
BENCHMARK(BM_Memory)->Iterations(1);

}  // namespace
}  // namespace quorate::mvcc

// As the server does.
int main(int argc, char** argv) {
  quorate::io::uv::KeepAllocationsShort();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
