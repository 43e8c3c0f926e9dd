// Watch as a client sees it: responses of WatchHub, decoded.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/prng.h"
#include "tests/engine/mvcc/watch_fixture.h"

namespace quorate::mvcc {
namespace {

using etcdserverpb::WatchCreateRequest;

TEST_F(WatchTest, TellsOfNewRevisionsOneResponseEach) {
  Put("a", "old");
  hub_->Open(1);
  Create(1, Range("a"));
  std::vector<WatchResponse> created = Take(1);
  ASSERT_EQ(created.size(), 1u);
  EXPECT_TRUE(created[0].created());
  EXPECT_EQ(created[0].watch_id(), 0);
  EXPECT_EQ(created[0].header().revision(), 2);
  EXPECT_EQ(created[0].header().cluster_id(), 1u);
  Put("a", "new");
  Put("b", "other");
  Delete("a");
  PumpAll();
  const std::vector<WatchResponse> responses = Take(1);
  EXPECT_EQ(Events(responses), (Strings{"put a new@3", "delete a@5"}));
  ASSERT_EQ(responses.size(), 2u);
  EXPECT_EQ(responses[0].header().revision(), 3);
  EXPECT_EQ(responses[1].header().revision(), 5);
  // A delete shows the key and its revision only.
  EXPECT_EQ(responses[1].events(0).kv().version(), 0);
  EXPECT_EQ(responses[1].events(0).kv().create_revision(), 0);
}

TEST_F(WatchTest, ReplaysThePastThenFollows) {
  for (int i = 0; i < 5; ++i) Put("k" + std::to_string(i % 2), std::to_string(i));
  hub_->Open(1);
  Create(1, Range("k", "l", 3));
  EXPECT_EQ(hub_->slow_watchers(), 1u);
  PumpAll();
  EXPECT_EQ(hub_->slow_watchers(), 0u);
  Put("k9", "new");
  PumpAll();
  const std::vector<WatchResponse> responses = Take(1);
  EXPECT_EQ(Events(responses),
            (Strings{"put k1 1@3", "put k0 2@4", "put k1 3@5", "put k0 4@6", "put k9 new@7"}));
  // History comes in one batch that names the store's revision.
  ASSERT_EQ(responses.size(), 3u);
  EXPECT_EQ(responses[1].header().revision(), 6);
}

TEST_F(WatchTest, AFutureStartIsWaitedFor) {
  hub_->Open(1);
  Create(1, Range("a", "", 4));
  Put("a", "2");
  Put("a", "3");
  PumpAll();
  Put("a", "4");
  PumpAll();
  EXPECT_EQ(Events(Take(1)), (Strings{"put a 4@4"}));
}

// Whoever cleans moves records, and what was found of a revision is looked for anew; once.
TEST_F(WatchTest, CleaningOneSegmentAfterAnotherDoesNotHoldUpLiveWatchers) {
  for (int i = 0; i < 2000; ++i) Put("garbage", std::to_string(i));
  hub_->Open(1);
  Create(1, Range("k", "l"));
  PumpAll();
  Take(1);
  constexpr int kChanges = 200;
  WriteTxn txn(&store_);
  for (int i = 0; i < kChanges; ++i) txn.Put("k" + std::to_string(i), "v", LeaseId());
  txn.Commit();
  ASSERT_TRUE(compactor_.Start(store_.revision() - 1).ok());
  // A few looks of a watcher, and then a segment is cleaned.
  int cleaned = 0;
  while (received_[1].empty() && compactor_.busy()) {
    Work watching(20);
    hub_->Pump(kPlenty, &watching);
    if (hub_->HoldsRecords()) continue;
    const uint64_t rewrites = store_.log().rewrites();
    while (compactor_.busy() && store_.log().rewrites() == rewrites) compactor_.Step(1);
    ++cleaned;
  }
  EXPECT_TRUE(compactor_.busy());
  EXPECT_LE(cleaned, 10);
  EXPECT_EQ(Events(Take(1)).size(), static_cast<size_t>(kChanges));
  EXPECT_FALSE(hub_->HoldsRecords());
}

// Nobody is left to be served: what was begun for them must not stop the compactor for ever.
TEST_F(WatchTest, WatchersWhoLeaveDoNotLeaveTheCompactorStanding) {
  for (int i = 0; i < 100; ++i) Put("garbage", std::to_string(i));
  hub_->Open(1);
  Create(1, Range("k", "l"));
  PumpAll();
  WriteTxn txn(&store_);
  for (int i = 0; i < 5000; ++i) txn.Put("k" + std::to_string(i), "v", LeaseId());
  txn.Commit();
  while (!hub_->HoldsRecords()) {
    Work watching(200);
    hub_->Pump(kPlenty, &watching);
  }
  hub_->Close(1);
  PumpAll();
  EXPECT_FALSE(hub_->HoldsRecords());
}

TEST_F(WatchTest, ACompactedStartIsCreatedThenCancelled) {
  for (int i = 0; i < 6; ++i) Put("a", std::to_string(i));
  Compact(5);
  hub_->Open(1);
  Create(1, Range("a", "", 4));
  Create(1, Range("a", "", 5));  // the compacted revision itself is still there
  PumpAll();
  const std::vector<WatchResponse> responses = Take(1);
  ASSERT_EQ(responses.size(), 4u);
  EXPECT_TRUE(responses[0].created());
  EXPECT_TRUE(responses[2].canceled());
  EXPECT_EQ(responses[2].watch_id(), 0);
  EXPECT_EQ(responses[2].compact_revision(), 5);
  EXPECT_EQ(responses[2].header().revision(), 0);
  EXPECT_EQ(responses[2].cancel_reason(), "");
  EXPECT_EQ(Events({responses[3]}), (Strings{"put a 3@5", "put a 4@6", "put a 5@7"}));
}

TEST_F(WatchTest, IdsAreGivenOrChosenAndDuplicatesRefused) {
  hub_->Open(1);
  WatchCreateRequest chosen = Range("a");
  chosen.set_watch_id(1);
  Create(1, Range("a"));
  Create(1, chosen);
  Create(1, chosen);
  Create(1, Range("b"));
  Create(1, Range("b", "a"));
  WatchCreateRequest negative = Range("a", "", -1);
  Create(1, negative);
  const std::vector<WatchResponse> responses = Take(1);
  ASSERT_EQ(responses.size(), 6u);
  EXPECT_EQ(responses[0].watch_id(), 0);
  EXPECT_EQ(responses[1].watch_id(), 1);
  EXPECT_EQ(responses[2].watch_id(), -1);
  EXPECT_TRUE(responses[2].created() && responses[2].canceled());
  EXPECT_EQ(responses[2].cancel_reason(), "mvcc: duplicate watch ID provided on the WatchStream");
  EXPECT_EQ(responses[3].watch_id(), 2);
  EXPECT_EQ(responses[4].cancel_reason(), "mvcc: watcher range is empty");
  EXPECT_EQ(responses[5].cancel_reason(), "etcdserver: mvcc: required revision has been compacted");
}

TEST_F(WatchTest, CancelEndsAWatcherAndUnknownIdsAreIgnored) {
  hub_->Open(1);
  Create(1, Range("a"));
  Cancel(1, 7);
  Cancel(1, 0);
  Put("a", "1");
  PumpAll();
  const std::vector<WatchResponse> responses = Take(1);
  ASSERT_EQ(responses.size(), 2u);
  EXPECT_TRUE(responses[1].canceled());
  EXPECT_EQ(hub_->watchers(), 0u);
}

// Found beside etcd: a client that is told of the compaction still cancels, and waits for
// the answer.
TEST_F(WatchTest, AnEndedWatchersIdStaysTakenUntilItIsCancelled) {
  for (int i = 0; i < 6; ++i) Put("a", std::to_string(i));
  Compact(5);
  hub_->Open(1);
  WatchCreateRequest compacted = Range("a", "", 4);
  compacted.set_watch_id(3);
  Create(1, compacted);
  PumpAll();
  Take(1);
  AskProgress(1);
  PumpAll();
  EXPECT_TRUE(Take(1).empty());
  compacted.set_start_revision(0);
  Create(1, compacted);
  EXPECT_EQ(Take(1).at(0).cancel_reason(), "mvcc: duplicate watch ID provided on the WatchStream");
  Cancel(1, 3);
  const std::vector<WatchResponse> cancelled = Take(1);
  ASSERT_EQ(cancelled.size(), 1u);
  EXPECT_TRUE(cancelled[0].canceled());
  EXPECT_EQ(cancelled[0].watch_id(), 3);
  Cancel(1, 3);
  EXPECT_TRUE(Take(1).empty());
  Create(1, compacted);
  EXPECT_EQ(Take(1).at(0).watch_id(), 3);
}

TEST_F(WatchTest, ATransactionIsOneResponse) {
  hub_->Open(1);
  Create(1, Range("a", "z"));
  WriteTxn txn(&store_);
  txn.Put("c", "1", LeaseId());
  txn.Put("b", "2", LeaseId());
  txn.Put("zz", "3", LeaseId());
  txn.Commit();
  PumpAll();
  const std::vector<WatchResponse> responses = Take(1);
  ASSERT_EQ(responses.size(), 2u);
  EXPECT_EQ(Events(responses), (Strings{"put c 1@2", "put b 2@2"}));
}

TEST_F(WatchTest, FiltersAndPreviousValues) {
  Put("a", "1");
  hub_->Open(1);
  WatchCreateRequest deletes = Range("a");
  deletes.add_filters(WatchCreateRequest::NOPUT);
  deletes.set_prev_kv(true);
  WatchCreateRequest puts = Range("a");
  puts.add_filters(WatchCreateRequest::NODELETE);
  puts.set_prev_kv(true);
  Create(1, deletes);
  Create(1, puts);
  Take(1);
  Put("a", "2");
  Delete("a");
  Put("a", "3");
  PumpAll();
  const std::vector<WatchResponse> responses = Take(1);
  ASSERT_EQ(responses.size(), 3u);
  EXPECT_EQ(responses[0].watch_id(), 1);
  EXPECT_EQ(responses[0].events(0).prev_kv().value(), "1");
  EXPECT_EQ(responses[1].watch_id(), 0);
  EXPECT_EQ(responses[1].events(0).prev_kv().value(), "2");
  EXPECT_EQ(responses[2].watch_id(), 1);
  EXPECT_FALSE(responses[2].events(0).has_prev_kv());
}

TEST_F(WatchTest, ManyWatchersShareOneEncoding) {
  for (uint64_t stream = 1; stream <= 50; ++stream) {
    hub_->Open(stream);
    Create(stream, Range("k", stream % 2 == 0 ? "" : "l"));
  }
  event_buffers_.clear();
  Put("k", "v");
  PumpAll();
  ASSERT_EQ(event_buffers_.size(), 50u);
  EXPECT_EQ(std::count(event_buffers_.begin(), event_buffers_.end(), event_buffers_[0]), 50);
}

TEST_F(WatchTest, AStalledStreamKeepsAPositionAndCatchesUp) {
  hub_->Open(1);
  hub_->Open(2);
  Create(1, Range("k", "l"));
  Create(2, Range("k", "l"));
  hub_->SetWritable(1, false);
  for (int i = 0; i < 3000; ++i) Put("k" + std::to_string(i), "v");
  PumpAll();
  EXPECT_EQ(Events(Take(1)).size(), 0u);
  EXPECT_EQ(Events(Take(2)).size(), 3000u);
  EXPECT_EQ(hub_->slow_watchers(), 1u);
  EXPECT_FALSE(hub_->HasWork());
  hub_->SetWritable(1, true);
  PumpAll();
  const std::vector<WatchResponse> responses = Take(1);
  EXPECT_EQ(Events(responses).size(), 3000u);
  // Batches of at most 1000 revisions.
  EXPECT_EQ(responses.size(), 3u);
  EXPECT_EQ(hub_->slow_watchers(), 0u);
}

// Who stood next in the order of positions was once cancelled, too.
TEST_F(WatchTest, OnlyThoseBehindACompactionAreCancelled) {
  for (int i = 0; i < 20; ++i) Put("k" + std::to_string(i % 3), "v");
  Compact(10);
  for (uint64_t stream = 1; stream <= 3; ++stream) hub_->Open(stream);
  Create(1, Range("k", "l", 3));
  Create(2, Range("k", "m", 12));
  Create(3, Range("k", "n", 15));
  PumpAll();
  const std::vector<WatchResponse> cancelled = Take(1);
  ASSERT_FALSE(cancelled.empty());
  EXPECT_TRUE(cancelled.back().canceled());
  EXPECT_EQ(Events(Take(2)).size(), 10u);
  EXPECT_EQ(Events(Take(3)).size(), 7u);
}

TEST_F(WatchTest, AStalledStreamThatFallsBehindACompactionIsCancelled) {
  hub_->Open(1);
  Create(1, Range("k"));
  hub_->SetWritable(1, false);
  for (int i = 0; i < 10; ++i) Put("k", "v");
  PumpAll();
  Compact(8);
  Take(1);
  hub_->SetWritable(1, true);
  PumpAll();
  const std::vector<WatchResponse> responses = Take(1);
  ASSERT_EQ(responses.size(), 1u);
  EXPECT_TRUE(responses[0].canceled());
  EXPECT_EQ(responses[0].compact_revision(), 8);
}

TEST_F(WatchTest, ControlResponsesWaitForTheStreamToo) {
  hub_->Open(1);
  hub_->SetWritable(1, false);
  Put("a", "1");
  Create(1, Range("a", "", 1));
  PumpAll();
  EXPECT_TRUE(Take(1).empty());
  hub_->SetWritable(1, true);
  PumpAll();
  const std::vector<WatchResponse> responses = Take(1);
  ASSERT_EQ(responses.size(), 2u);
  EXPECT_TRUE(responses[0].created());
  EXPECT_EQ(Events(responses), (Strings{"put a 1@2"}));
}

// A shell that goes on reading requests of a stream that takes no responses loses the stream, not
// some of its requests.
TEST_F(WatchTest, AStreamOfTooManyUnreadResponsesEnds) {
  hub_->Open(1);
  Create(1, Range("a"));
  Take(1);
  hub_->SetWritable(1, false);
  for (size_t i = 0; i < WatchHub::kMaxControlBacklog; ++i) Create(1, Range("b", "a"));
  EXPECT_TRUE(ended_.empty());
  Create(1, Range("b", "a"));
  ASSERT_EQ(ended_.size(), 1u);
  EXPECT_EQ(ended_.begin()->second, absl::ResourceExhaustedError("etcdserver: too many requests"));
  EXPECT_EQ(hub_->streams(), 0u);
}

TEST_F(WatchTest, LargeResponsesAreSplitWhereAllowed) {
  WatchOptions options;
  options.fragment_bytes = 1000;
  UseOptions(options);
  hub_->Open(1);
  WatchCreateRequest fragments = Range("k", "l");
  fragments.set_fragment(true);
  Create(1, fragments);
  Create(1, Range("k", "l"));
  WriteTxn txn(&store_);
  for (int i = 0; i < 10; ++i) txn.Put("k" + std::to_string(i), std::string(300, 'v'), LeaseId());
  txn.Commit();
  PumpAll();
  std::vector<WatchResponse> split;
  std::vector<WatchResponse> whole;
  for (const WatchResponse& response : Take(1)) {
    if (response.created()) continue;
    (response.watch_id() == 0 ? split : whole).push_back(response);
  }
  EXPECT_EQ(whole.size(), 1u);
  ASSERT_GT(split.size(), 2u);
  for (size_t i = 0; i < split.size(); ++i) {
    EXPECT_EQ(split[i].fragment(), i + 1 < split.size());
    EXPECT_LT(split[i].ByteSizeLong(), 1000u);
    EXPECT_EQ(split[i].header().revision(), 2);
  }
  EXPECT_EQ(Events(split), Events(whole));
}

TEST_F(WatchTest, ProgressIsReportedOnlyWhenTheWholeStreamIsSynced) {
  Put("a", "1");
  hub_->Open(1);
  AskProgress(1);
  PumpAll();
  EXPECT_TRUE(Take(1).empty());  // nobody watches
  Create(1, Range("a"));
  Create(1, Range("b", "", 1));
  Put("a", "2");
  AskProgress(1);
  PumpAll();
  const std::vector<WatchResponse> responses = Take(1);
  ASSERT_FALSE(responses.empty());
  EXPECT_EQ(responses.back().watch_id(), -1);
  EXPECT_EQ(responses.back().events_size(), 0);
  EXPECT_EQ(responses.back().header().revision(), 3);
  // A stream that takes nothing has a watcher behind: no note, now or later.
  hub_->SetWritable(1, false);
  Put("a", "3");
  AskProgress(1);
  PumpAll();
  hub_->SetWritable(1, true);
  PumpAll();
  EXPECT_EQ(Events(Take(1)), (Strings{"put a 3@4"}));
}

// Found beside etcd: a note may not promise anything about revisions before the start.
TEST_F(WatchTest, ThereIsNoProgressBeforeAFutureStart) {
  hub_->Open(1);
  WatchCreateRequest future = Range("a", "", 2);
  future.set_progress_notify(true);
  Create(1, future);
  Create(1, Range("a"));
  Take(1);
  AskProgress(1);
  PumpAll();
  hub_->Tick(hub_->next_tick());
  EXPECT_TRUE(Take(1).empty());
  Put("b", "1");
  AskProgress(1);
  PumpAll();
  EXPECT_EQ(Take(1).at(0).watch_id(), -1);
  hub_->Tick(hub_->next_tick());
  EXPECT_EQ(Take(1).at(0).watch_id(), 0);
  // Another one that is to begin later keeps it off until it is cancelled.
  Create(1, Range("c", "", 100));
  Take(1);
  AskProgress(1);
  PumpAll();
  EXPECT_TRUE(Take(1).empty());
  Cancel(1, 2);
  Take(1);
  AskProgress(1);
  PumpAll();
  EXPECT_EQ(Take(1).at(0).watch_id(), -1);
}

TEST_F(WatchTest, IdleWatchersThatWantItAreToldOfProgress) {
  WatchOptions options;
  options.progress_interval = Seconds(600);
  UseOptions(options);
  hub_->Open(1);
  WatchCreateRequest notify = Range("a");
  notify.set_progress_notify(true);
  Create(1, notify);
  Create(1, Range("a"));
  Take(1);
  const Instant first = hub_->next_tick();
  EXPECT_GE(first, now_ + Seconds(600));
  EXPECT_LE(first, now_ + Seconds(661));
  Put("b", "1");
  PumpAll();
  hub_->Tick(first);
  std::vector<WatchResponse> responses = Take(1);
  ASSERT_EQ(responses.size(), 1u);
  EXPECT_EQ(responses[0].watch_id(), 0);
  EXPECT_EQ(responses[0].header().revision(), 2);
  // An event makes the next note superfluous.
  Put("a", "1");
  PumpAll();
  Take(1);
  hub_->Tick(hub_->next_tick());
  EXPECT_TRUE(Take(1).empty());
  hub_->Tick(hub_->next_tick());
  EXPECT_EQ(Take(1).size(), 1u);
  hub_->Close(1);
  EXPECT_EQ(hub_->next_tick(), Instant::Infinite());
}

// Random traffic, small budgets, streams that stall, compactions: what each watcher has
// received in the end is what the history says, in order, without gaps or repeats.
TEST_F(WatchTest, EveryWatcherSeesExactlyItsHistory) {
  struct Expectation {
    uint64_t stream;
    int64_t id;
    std::string begin;
    std::string end;
    int64_t from;
  };
  WatchOptions options;
  options.batch_revisions = 3;
  options.batch_bytes = 200;
  UseOptions(options);
  Prng prng(5);
  std::vector<Expectation> watchers;
  std::map<uint64_t, bool> writable;
  std::map<uint64_t, int64_t> next_id;
  Strings history;
  std::vector<std::pair<int64_t, std::string>> changed;  // revision, key
  for (uint64_t stream = 1; stream <= 6; ++stream) {
    hub_->Open(stream);
    writable[stream] = true;
  }
  const auto random_key = [&prng] {
    return std::string(1, static_cast<char>('a' + prng.Below(5)));
  };
  for (int i = 0; i < 3000; ++i) {
    const uint64_t stream = 1 + prng.Below(6);
    switch (prng.Below(10)) {
      case 0:
        if (watchers.size() < 40) {
          Expectation e{stream, next_id[stream]++, random_key(), "", 0};
          if (prng.Chance(1, 2)) e.end = std::string(1, static_cast<char>(e.begin[0] + 2));
          const int64_t present = store_.revision().value() + 1;
          e.from = prng.Between(std::max<int64_t>(1, present - 60), present + 3);
          Create(stream, Range(e.begin, e.end, e.from));
          watchers.push_back(e);
        }
        break;
      case 1:
        writable[stream] = !writable[stream];
        hub_->SetWritable(stream, writable[stream]);
        break;
      case 2:
      case 3: {
        // Mostly too little for a revision or a batch.
        Work work(1 + prng.Below(12));
        hub_->Pump(1 + prng.Below(400), &work);
        break;
      }
      default: {
        WriteTxn txn(&store_);
        for (uint64_t n = 1 + prng.Below(3); n > 0; --n) {
          const std::string key = random_key();
          if (prng.Chance(1, 4)) {
            if (txn.DeleteRange(KeyRange::FromRequest(key, "")) == 0) continue;
          } else {
            txn.Put(key, std::to_string(i), LeaseId());
          }
          changed.emplace_back(txn.view().value(), key);
        }
        txn.Commit();
      }
    }
  }
  for (auto& [stream, on] : writable) hub_->SetWritable(stream, true);
  PumpAll(300);
  EXPECT_EQ(hub_->slow_watchers(), 0u);
  size_t events = 0;
  for (const Expectation& e : watchers) {
    std::vector<std::pair<int64_t, std::string>> expected;
    for (const auto& [revision, key] : changed) {
      const bool in = e.end.empty() ? key == e.begin : key >= e.begin && key < e.end;
      if (in && revision >= e.from) expected.emplace_back(revision, key);
    }
    std::vector<std::pair<int64_t, std::string>> seen;
    int64_t last = 0;
    for (const WatchResponse& response : received_[e.stream]) {
      if (response.watch_id() != e.id || response.created()) continue;
      ASSERT_GT(response.events_size(), 0);
      // A revision is never split over two responses.
      ASSERT_GT(response.events(0).kv().mod_revision(), last);
      for (const mvccpb::Event& event : response.events()) {
        last = event.kv().mod_revision();
        seen.emplace_back(last, event.kv().key());
      }
      ASSERT_GE(response.header().revision(), last);
    }
    EXPECT_EQ(seen, expected);
    events += seen.size();
  }
  EXPECT_GT(events, 5000u);
}

}  // namespace
}  // namespace quorate::mvcc
