// Very many watchers, and streams that end.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "api/malformed.h"
#include "base/prng.h"
#include "tests/engine/mvcc/watch_fixture.h"

namespace quorate::mvcc {
namespace {

// As many clients do that come back after a restart.
TEST_F(WatchTest, ManySmallRangesCatchUpEachWithItsOwnEvents) {
  constexpr int kRanges = 30;
  std::vector<Strings> expected(kRanges);
  for (int i = 0; i < 1500; ++i) {
    const int range = i * 7 % kRanges;
    const std::string key = "r" + std::to_string(100 + range) + "/" + std::to_string(i * 3 % 11);
    const std::string at = "@" + std::to_string(store_.revision().value() + 1);
    const bool gone = i % 5 == 4 && store_.Visible(key, store_.revision()).has_value();
    if (gone) {
      Delete(key);
    } else {
      Put(key, std::to_string(i));
    }
    if (i < 200) continue;
    expected[static_cast<size_t>(range)].push_back(
        gone ? "delete " + key + at : "put " + key + " " + std::to_string(i) + at);
  }
  Compact(150);
  WatchOptions options;
  options.batch_revisions = 7;
  UseOptions(options);
  const std::string all(1, '\0');
  hub_->Open(1000);
  Create(1000, Range(all, all, 202));
  for (int i = 0; i < kRanges; ++i) {
    const auto stream = static_cast<uint64_t>(i + 1);
    const std::string prefix = "r" + std::to_string(100 + i);
    hub_->Open(stream);
    Create(stream, Range(prefix + "/", prefix + "0", 202));
    Take(stream);
  }
  Take(1000);
  PumpAll(/*budget=*/3000);
  size_t events = 0;
  for (int i = 0; i < kRanges; ++i) {
    EXPECT_EQ(Events(Take(static_cast<uint64_t>(i + 1))), expected[static_cast<size_t>(i)]);
    events += expected[static_cast<size_t>(i)].size();
  }
  EXPECT_EQ(Events(Take(1000)).size(), events);
}

// Writers that never pause make revisions faster than these can be told one by one: who is live
// gets batches until delivery has caught up, each with whole revisions, in order.
TEST_F(WatchTest, WhereDeliveryFallsBehindLiveWatchersGetBatches) {
  constexpr int kChanges = 1000;
  constexpr int64_t kLater = 503;  // where the last watcher begins
  hub_->Open(1);
  Create(1, Range("a", "z"));
  Create(1, Range("k"));
  Create(1, Range("k", "", kLater));
  PumpAll();
  Take(1);
  for (int i = 0; i < kChanges; ++i) Put(i % 2 == 0 ? "k" : "j", std::to_string(i));
  const int64_t last = store_.revision().value();
  for (int pumps = 0; hub_->HasWork(); ++pumps) {
    Work work(500);
    hub_->Pump(4096, &work);
    ASSERT_LT(pumps, 200);
  }
  std::map<int64_t, std::vector<WatchResponse>> by_watcher;
  for (const WatchResponse& response : Take(1)) {
    by_watcher[response.watch_id()].push_back(response);
    EXPECT_GE(response.header().revision(), response.events().rbegin()->kv().mod_revision());
    EXPECT_LE(response.header().revision(), last);
  }
  Strings all;
  Strings single;
  Strings later;
  for (int i = 0; i < kChanges; ++i) {
    const int64_t revision = last - kChanges + 1 + i;
    const std::string value = " " + std::to_string(i) + "@" + std::to_string(revision);
    all.push_back((i % 2 == 0 ? "put k" : "put j") + value);
    if (i % 2 != 0) continue;
    single.push_back("put k" + value);
    if (revision >= kLater) later.push_back("put k" + value);
  }
  EXPECT_EQ(Events(by_watcher[0]), all);
  EXPECT_EQ(Events(by_watcher[1]), single);
  EXPECT_EQ(Events(by_watcher[2]), later);
  for (const auto& [id, responses] : by_watcher) EXPECT_LT(responses.size(), 130u) << id;
  // From now on each is told of each revision again.
  Put("k", "x");
  Put("k", "y");
  PumpAll();
  EXPECT_EQ(Take(1).size(), 6u);
}

// Whoever sees one change is found in pieces if they are many; who leaves or comes meanwhile
// changes nothing for the others.
TEST_F(WatchTest, ManyRangesThatHoldOneKeySeeItsChangesInPieces) {
  constexpr int kRanges = 3000;
  hub_->Open(1);
  hub_->Open(2);
  for (int i = 0; i < kRanges; ++i) {
    Create(1, Range("a" + std::to_string(10'000 + i), "z" + std::to_string(10'000 + i)));
  }
  Take(1);
  WriteTxn txn(&store_);
  txn.Put("m", "1", LeaseId());
  txn.Put("n", "2", LeaseId());
  txn.Commit();
  int pieces = 0;
  for (; hub_->HasWork(); ++pieces) {
    Work work(200);
    hub_->Pump(kPlenty, &work);
    ASSERT_TRUE(pieces > 0 || Take(1).empty());
    if (pieces == 3) Cancel(1, kRanges - 1);  // nobody asked it yet
    if (pieces == 3) Cancel(1, 0);            // that one was asked
    if (pieces == 4) Create(2, Range("a", "z"));
  }
  // Half of the work is for the live ones: each of them is asked about two changes, for two units
  // each, is given what was encoded, and is served.
  EXPECT_GT(pieces, kRanges * (2 * 2 + 1 + 1) / 101 - 10);
  std::map<int64_t, Strings> seen;
  std::map<int64_t, int> cancelled;
  for (const WatchResponse& response : Take(1)) {
    if (response.canceled()) ++cancelled[response.watch_id()];
    for (const std::string& event : Events({response})) seen[response.watch_id()].push_back(event);
  }
  EXPECT_EQ(cancelled.size(), 2u);
  ASSERT_EQ(seen.size(), size_t{kRanges - 2});
  for (const auto& [id, events] : seen) {
    ASSERT_EQ(events, (Strings{"put m 1@2", "put n 2@2"})) << id;
  }
  EXPECT_TRUE(Events(Take(2)).empty()) << "it began behind this revision";
  Put("m", "3");
  PumpAll();
  EXPECT_EQ(Events(Take(1)).size(), size_t{kRanges - 2});
  EXPECT_EQ(Events(Take(2)), Strings{"put m 3@3"});
}

// What a stream's watchers are told goes in pieces if they are many.
TEST_F(WatchTest, ManyWatchersGetTheirProgressNotesInPieces) {
  constexpr size_t kWatchers = 3000;
  hub_->Open(1);
  for (size_t i = 0; i < kWatchers; ++i) {
    etcdserverpb::WatchCreateRequest create = Range("k" + std::to_string(i));
    create.set_progress_notify(true);
    Create(1, create);
  }
  PumpAll();
  Take(1);
  hub_->Tick(hub_->next_tick());
  size_t most = Take(1).size();
  size_t notes = most;
  while (hub_->HasWork()) {
    hub_->Pump(kPlenty);
    const std::vector<WatchResponse> taken = Take(1);
    for (const WatchResponse& response : taken) {
      EXPECT_EQ(response.events_size(), 0);
      EXPECT_EQ(response.header().revision(), store_.revision().value());
    }
    most = std::max(most, taken.size());
    notes += taken.size();
  }
  EXPECT_EQ(notes, kWatchers);
  EXPECT_LT(most, size_t{600});
  // Who stops taking responses is told no more.
  hub_->Tick(hub_->next_tick());
  hub_->SetWritable(1, false);
  Take(1);
  PumpAll();
  EXPECT_TRUE(Take(1).empty());
  hub_->SetWritable(1, true);
  PumpAll();
  EXPECT_LT(Take(1).size(), size_t{600});
}

// A client stops reading and goes on, in the midst of whatever is done with his watchers.
TEST_F(WatchTest, ManyWatchersOfAStreamThatStopsAndGoesOnMissNothing) {
  constexpr int kWatchers = 2000;
  Prng prng(4);
  for (int i = 0; i < 20; ++i) Put("k" + std::to_string(i), "old");
  hub_->Open(1);
  for (int i = 0; i < kWatchers; ++i) {
    // Some of ranges, some of keys, some from the beginning.
    const std::string key = "k" + std::to_string(i % 20);
    Create(1, Range(key, i % 3 == 0 ? key + "0" : "", i % 2 == 0 ? 2 : 0));
  }
  bool writable = true;
  for (int i = 0; i < 400; ++i) {
    if (prng.Chance(1, 2)) {
      writable = !writable;
      hub_->SetWritable(1, writable);
    }
    if (i % 20 == 0) Put("k" + std::to_string(i / 20), "new");
    const size_t before = received_[1].size();
    if (prng.Chance(2, 3)) hub_->Pump(size_t{1} << 16);
    if (!writable) {
      ASSERT_EQ(received_[1].size(), before);
    }
  }
  hub_->SetWritable(1, true);
  PumpAll();
  std::map<int64_t, Strings> seen;
  for (const WatchResponse& response : Take(1)) {
    for (const std::string& event : Events({response})) seen[response.watch_id()].push_back(event);
  }
  for (int i = 0; i < kWatchers; ++i) {
    const int key = i % 20;
    const std::string name = "k" + std::to_string(key);
    Strings expected;
    if (i % 2 == 0) expected.push_back("put " + name + " old@" + std::to_string(2 + key));
    expected.push_back("put " + name + " new@" + std::to_string(22 + key));
    ASSERT_EQ(seen[i], expected) << i;
  }
  EXPECT_EQ(hub_->slow_watchers(), 0u);
}

// A stream whose very many watchers are gone through all the time, as it stops and goes on between
// any two pieces, with allowances as small as the replica's turns give.
TEST_F(WatchTest, AStreamThatStopsAndGoesOnKeepsNobodyFromCatchingUp) {
  constexpr int kWatchers = 10'000;
  constexpr uint64_t kWork = 502;
  for (int i = 0; i < 300; ++i) Put("k" + std::to_string(i), "old");
  hub_->Open(1);
  for (int i = 0; i < kWatchers; ++i) Create(1, Range("k" + std::to_string(i % 300), "", i % 2));
  // One that ends, with what is left of its watchers to be removed.
  hub_->Open(2);
  for (int i = 0; i < 600; ++i) Create(2, Range("z"));
  hub_->Close(2);
  // One that went on once, and has more watchers than are put back at once.
  hub_->Open(3);
  for (int i = 0; i < 300; ++i) Create(3, Range("k" + std::to_string(i), "", 2));
  hub_->SetWritable(3, false);
  for (int i = 0; i < 300; ++i) {
    Work work(kWork);
    hub_->Pump(kPlenty, &work);
  }
  hub_->Open(4);
  Create(4, Range("k7", "", 2));
  Create(4, Range("k", "l", 2));
  Take(3);
  Take(4);
  const auto flap = [&](int times) {
    for (int i = 0; i < times; ++i) {
      hub_->SetWritable(1, i % 2 != 0);
      Work work(kWork);
      hub_->Pump(kPlenty, &work);
    }
  };
  hub_->SetWritable(1, false);
  hub_->SetWritable(1, true);
  hub_->SetWritable(3, true);
  flap(60);
  EXPECT_EQ(Events(Take(4)).size(), 301u);
  EXPECT_EQ(hub_->watchers(), uint64_t{kWatchers} + 300 + 2);
  flap(400);
  EXPECT_EQ(Events(Take(3)).size(), 300u);
}

// Its first watchers are behind again whenever it goes on: all others have their turn too.
TEST_F(WatchTest, EveryWatcherOfAStreamThatStopsAndGoesOnIsServed) {
  constexpr int kWatchers = 5000;
  for (int i = 0; i < 100; ++i) Put("k" + std::to_string(i), "old");
  hub_->Open(1);
  hub_->SetWritable(1, false);
  for (int i = 0; i < kWatchers; ++i) Create(1, Range("k" + std::to_string(i % 100), "", 2));
  constexpr int kRounds = kWatchers / 256 + 5;
  for (int round = 0; round < kRounds; ++round) {
    Put("k0", std::to_string(round));
    hub_->SetWritable(1, true);
    hub_->Pump(kPlenty);
    hub_->SetWritable(1, false);
  }
  std::map<int64_t, size_t> seen;
  for (const WatchResponse& response : Take(1)) {
    if (response.events_size() > 0) ++seen[response.watch_id()];
  }
  EXPECT_EQ(seen.size(), size_t{kWatchers});
}

// However many ranges there are, the history is gone through about once.
TEST_F(WatchTest, ManyLargeRangesCatchUpInOnePass) {
  constexpr int kRecords = 20'000;
  constexpr int kRanges = 200;
  for (int i = 0; i < kRecords; ++i) Put("k" + std::to_string(10'000 + i % 5000), "");
  Delete("k14999");
  PumpAll();  // nobody is live yet
  hub_->Open(1);
  for (int i = 0; i < kRanges; ++i) {
    etcdserverpb::WatchCreateRequest deletes =
        Range("k" + std::to_string(10'000 + i), "l", /*start=*/2 + i % 50);
    deletes.add_filters(etcdserverpb::WatchCreateRequest::NOPUT);
    Create(1, deletes);
  }
  Take(1);
  uint64_t spent = 0;
  for (int i = 0; hub_->HasWork() && i < 100'000; ++i) {
    Work work(1000);
    hub_->Pump(kPlenty, &work);
    spent += 1000 - work.left();
  }
  EXPECT_EQ(hub_->slow_watchers(), 0u);
  const std::vector<WatchResponse> responses = Take(1);
  ASSERT_EQ(responses.size(), static_cast<size_t>(kRanges));
  for (const WatchResponse& response : responses) {
    EXPECT_EQ(Events({response}), (Strings{"delete k14999@20002"}));
  }
  EXPECT_LT(spent, uint64_t{kRecords} * 3);
}

// Of very many who see the same, some are left for the next time: none for ever.
TEST_F(WatchTest, VeryManyOverlappingRangesAllSeeTheirHistory) {
  WatchOptions options;
  options.batch_revisions = 40;
  options.batch_bytes = 20'000;
  UseOptions(options);
  constexpr int kRecords = 60;
  Strings all;
  for (int i = 0; i < kRecords; ++i) {
    const std::string key = "k" + std::to_string(100 + i * 7 % 100);
    const std::string at = "@" + std::to_string(store_.revision().value() + 1);
    Put(key, std::to_string(i));
    all.push_back("put " + key + " " + std::to_string(i) + at);
  }
  constexpr int kRanges = 1500;
  hub_->Open(1);
  for (int i = 0; i < kRanges; ++i) {
    // From the whole history to none of it.
    Create(1, Range("a" + std::to_string(i), "z", /*start=*/2 + i % (kRecords + 3)));
  }
  Take(1);
  for (int i = 0; hub_->HasWork() && i < 1'000'000; ++i) {
    Work work(200);
    hub_->Pump(5000, &work);
  }
  EXPECT_EQ(hub_->slow_watchers(), 0u);
  std::vector<Strings> seen(kRanges);
  for (const WatchResponse& response : Take(1)) {
    for (std::string& event : Events({response})) {
      seen[static_cast<size_t>(response.watch_id())].push_back(std::move(event));
    }
  }
  for (int i = 0; i < kRanges; ++i) {
    const int from = std::min(i % (kRecords + 3), kRecords);
    ASSERT_EQ(seen[static_cast<size_t>(i)], Strings(all.begin() + from, all.end())) << i;
  }
}

// A sweep under way ends for those who leave, are stalled or cancelled, and for nobody else.
TEST_F(WatchTest, WhoLeavesASweepHasMissedNothing) {
  WatchOptions options;
  options.batch_revisions = 50;
  UseOptions(options);
  constexpr int kRecords = 2000;
  for (int i = 0; i < kRecords; ++i) Put("k" + std::to_string(i % 900), std::to_string(i));
  PumpAll();  // nobody is live: no delivery is behind
  constexpr uint64_t kStreams = 20;
  for (uint64_t stream = 1; stream <= kStreams; ++stream) {
    hub_->Open(stream);
    Create(stream, Range("a" + std::to_string(stream), "z", 2));
    Take(stream);
  }
  for (int i = 0; hub_->HasWork() && i < 100'000; ++i) {
    Work work(30);
    hub_->Pump(3000, &work);
    const auto stream = static_cast<uint64_t>(1 + i % static_cast<int>(kStreams));
    hub_->SetWritable(stream, i % 3 != 0);
    if (i == 500 || i == 700 || i == 900) {
      ASSERT_GT(hub_->slow_watchers(), 0u) << "they still catch up at " << i;
    }
    if (i == 500) hub_->Close(3);
    if (i == 700) Cancel(4, 0);
    if (i == 900) Compact(3);
  }
  for (uint64_t stream = 1; stream <= kStreams; ++stream) hub_->SetWritable(stream, true);
  PumpAll();
  for (uint64_t stream = 1; stream <= kStreams; ++stream) {
    const Strings seen = Events(Take(stream));
    for (size_t i = 0; i < seen.size(); ++i) {
      ASSERT_EQ(seen[i].substr(seen[i].find('@')), "@" + std::to_string(i + 2)) << stream;
    }
    if (stream == 3 || stream == 4) continue;
    EXPECT_EQ(seen.size(), static_cast<size_t>(kRecords)) << stream;
  }
}

TEST_F(WatchTest, AStreamEndsWithWhatIsNoRequest) {
  hub_->Open(1);
  Create(1, Range("a"));
  hub_->Request(1, Bytes::Copy("\x0a\x05"), now_);
  ASSERT_EQ(ended_.size(), 1u);
  EXPECT_EQ(ended_[0].first, 1u);
  EXPECT_EQ(ended_[0].second, MalformedMessageError());
  EXPECT_EQ(hub_->watchers(), 0u);
  Take(1);
  Put("a", "new");
  PumpAll();
  EXPECT_TRUE(Take(1).empty());
}

TEST_F(WatchTest, AStreamOfVeryManyWatchersGoesInPiecesAndGetsNothingMore) {
  constexpr size_t kMany = 3000;
  Put("a", "old");
  hub_->Open(1);
  hub_->Open(2);
  Create(2, Range("a"));
  // Some of them are to catch up.
  for (size_t i = 0; i < kMany; ++i) Create(1, Range("a", "", i % 3 == 0 ? 1 : 0));
  hub_->Close(1);
  EXPECT_GT(hub_->watchers(), kMany / 2);
  Take(1);
  Put("a", "new");
  PumpAll();
  EXPECT_EQ(hub_->watchers(), 1u);
  EXPECT_EQ(hub_->slow_watchers(), 0u);
  EXPECT_TRUE(Take(1).empty());
  EXPECT_EQ(Events(Take(2)), Strings{"put a new@3"});
}

TEST_F(WatchTest, ALargeCohortIsServedInPieces) {
  constexpr uint64_t kMany = 2500;
  for (int i = 0; i < 20; ++i) Put("a", std::to_string(i));
  for (uint64_t stream = 1; stream <= kMany; ++stream) {
    hub_->Open(stream);
    Create(stream, Range("a", "", 3));
    Take(stream);
  }
  PumpAll(/*budget=*/20'000);
  for (uint64_t stream = 1; stream <= kMany; ++stream) {
    const Strings events = Events(Take(stream));
    ASSERT_EQ(events.size(), 19u);
    EXPECT_EQ(events.front(), "put a 1@3");
  }
  EXPECT_EQ(hub_->slow_watchers(), 0u);
}

TEST_F(WatchTest, ALargeCohortLearnsInPiecesThatItsHistoryIsGone) {
  constexpr uint64_t kMany = 2500;
  for (int i = 0; i < 20; ++i) Put("a", std::to_string(i));
  Compact(15);
  hub_->Open(1);
  for (uint64_t i = 0; i < kMany; ++i) Create(1, Range("a", "", 3));
  Take(1);
  int pumps = 0;
  for (; hub_->HasWork() && pumps < 1000; ++pumps) hub_->Pump(kPlenty);
  EXPECT_GT(pumps, 2);
  const std::vector<WatchResponse> responses = Take(1);
  ASSERT_EQ(responses.size(), kMany);
  for (const WatchResponse& response : responses) {
    EXPECT_TRUE(response.canceled());
    EXPECT_EQ(response.compact_revision(), 15);
  }
  EXPECT_EQ(hub_->watchers(), 0u);
}

}  // namespace
}  // namespace quorate::mvcc
