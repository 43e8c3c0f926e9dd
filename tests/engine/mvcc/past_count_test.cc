// What lived at an earlier revision is counted, and paged through, without a walk over what has
// changed since.
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "api/rpc.pb.h"
#include "base/prng.h"
#include "engine/mvcc/compaction.h"
#include "engine/mvcc/counted_tree.h"
#include "engine/mvcc/page_counts.h"
#include "engine/mvcc/range.h"
#include "engine/mvcc/store.h"
#include "engine/mvcc/store_loader.h"

namespace quorate::mvcc {
namespace {

constexpr uint64_t kPlenty = 1'000'000'000;

// ---- the tree ----

// A tree whose words are live << 0 | number << 1, and when each number was live.
class Past {
 public:
  explicit Past(uint64_t seed) : prng_(seed) {}

  void Change(int64_t when) {
    const std::string key = Key();
    std::map<int64_t, bool>& history = histories_[key];
    CountedTree::Path path = tree_.Descend(key);
    if (!path.found) {
      tree_.Insert(path, key, Word(key, true), when);
      history[when] = true;
      return;
    }
    // Mostly it dies or lives again; sometimes it is only written anew.
    const bool lived = (CountedTree::WordAt(path) & 1) != 0;
    const bool lives = prng_.Chance(1, 4) ? lived : !lived;
    tree_.Assign(path, Word(key, lives), when);
    history[when] = lives;
  }
  // As compaction at `at` does: what was dead there and is so still leaves the tree.
  void Compact(int64_t at) {
    compacted_ = at;
    for (auto it = histories_.begin(); it != histories_.end();) {
      const bool gone = !it->second.rbegin()->second && it->second.rbegin()->first < at;
      if (gone) {
        CountedTree::Path path = tree_.Descend(it->first);
        tree_.Erase(path);
      }
      it = gone ? histories_.erase(it) : std::next(it);
    }
  }
  bool LivedAt(const std::map<int64_t, bool>& history, int64_t at) const {
    const auto after = history.upper_bound(at);
    return after != history.begin() && std::prev(after)->second;
  }
  void Probe(int64_t now) {
    const int64_t at = prng_.Between(compacted_, now);
    const std::string begin = prng_.Chance(1, 5) ? "" : Key();
    const std::string end = Key();
    const bool bounded = prng_.Chance(3, 4) && begin < end;
    uint64_t expected = 0;
    for (const auto& [key, history] : histories_) {
      if (key >= begin && (!bounded || key < end) && LivedAt(history, at)) ++expected;
    }
    const absl::string_view bound = end;
    std::string from = begin;
    uint64_t sum = 0;
    for (bool done = false; !done;) {
      Work work(1 + prng_.Below(60));
      done = tree_.WeightAt(
          at, &from, bounded ? &bound : nullptr,
          [&](uint64_t word) { return LivedAt(histories_.at(names_[word >> 1]), at); }, &work,
          &sum);
    }
    ASSERT_EQ(sum, expected) << "at " << at << " of " << now;
    ProbeSkips(begin, at);
    if (now % 64 == 0) tree_.CheckInvariants();
  }
  void ProbeSkips(const std::string& key, int64_t at) const {
    Work work = Work::Unlimited();
    const auto lived = [&](const auto& entry) { return LivedAt(entry.second, at); };
    const auto here = histories_.lower_bound(key);
    const auto next = std::find_if(here, histories_.end(), lived);
    const auto skipped = tree_.SkipWeightless(key, at, &work);
    if (next != histories_.end()) {
      ASSERT_TRUE(skipped.valid());
      ASSERT_LE(skipped.key(), absl::string_view(next->first));
      ASSERT_GE(skipped.key(), absl::string_view(key));
    }
    const auto last = std::find_if(std::make_reverse_iterator(here), histories_.rend(), lived);
    const auto back = tree_.SkipWeightlessBefore(key, at, &work);
    if (last != histories_.rend()) {
      ASSERT_TRUE(back.valid());
      ASSERT_GE(back.key(), absl::string_view(last->first));
      ASSERT_LT(back.key(), absl::string_view(key));
    }
  }
  Prng& prng() { return prng_; }

 private:
  std::string Key() {
    const uint64_t n = prng_.Below(3000);
    return std::to_string(Mix64(n)) + std::string(Mix64(n ^ 3) % 40, 'x');
  }
  uint64_t Word(const std::string& key, bool live) {
    const auto [it, fresh] = numbers_.emplace(key, names_.size());
    if (fresh) names_.push_back(key);
    return it->second << 1 | (live ? 1 : 0);
  }

  Prng prng_;
  CountedTree tree_;
  std::map<std::string, std::map<int64_t, bool>> histories_;
  std::map<std::string, uint64_t> numbers_;
  std::vector<std::string> names_;
  int64_t compacted_ = 0;
};

TEST(CountedTreePast, WeightsAtAnyMomentAreThoseOfAnOrderedMap) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    Past past(seed);
    for (int64_t when = 1; when <= 1500; ++when) {
      // Mostly one change, sometimes very many.
      const uint64_t changes = past.prng().Chance(1, 30) ? past.prng().Below(400) : 4;
      for (uint64_t i = 0; i < changes; ++i) past.Change(when);
      ASSERT_NO_FATAL_FAILURE(past.Probe(when));
      if (when % 300 == 0) past.Compact(when - 20);
    }
  }
}

// Pages of few entries. Of each inner one above the leaves several entries have changed since
// moment 1, at different moments, but of no leaf more than one: then all is known of the leaves,
// and nothing of the pages above them.
class ManyChanges {
 public:
  static constexpr int kKeys = 30'000;

  explicit ManyChanges(bool lived) {
    for (int i = 0; i < kKeys; ++i) {
      CountedTree::Path path = tree_.Descend(Key(i));
      tree_.Insert(path, Key(i), lived ? 1 : 0, /*when=*/1);
    }
    int64_t when = 1;
    for (int i = 0; i < kKeys; i += 16) {
      tree_.Assign(tree_.Descend(Key(i)), lived ? 0 : 1, ++when);
    }
  }
  static std::string Key(int i) { return std::to_string(100'000 + i) + std::string(490, 'k'); }
  static int Number(absl::string_view key) {
    return std::stoi(std::string(key.substr(0, 6))) - 100'000;
  }
  const CountedTree& tree() const { return tree_; }

 private:
  CountedTree tree_;
};

TEST(CountedTreePast, ACountOfManyPagesGoesInPieces) {
  const ManyChanges many(/*lived=*/true);
  constexpr uint64_t kWork = 20;
  int pieces = 0;
  std::string from;
  uint64_t sum = 0;
  uint64_t looks = 0;
  for (bool done = false; !done; ++pieces) {
    const std::string before = from;
    Work work(kWork);
    done = many.tree().WeightAt(
        1, &from, nullptr, [&looks](uint64_t) { return ++looks > 0; }, &work, &sum);
    if (!done) {
      ASSERT_LT(before, from);
    }
  }
  EXPECT_EQ(sum, uint64_t{ManyChanges::kKeys});
  EXPECT_LE(looks, 8u) << "all is known of the leaves but the first, where it began";
  EXPECT_GT(pieces, 50);
}

TEST(CountedTreePast, ASkipOverManyPagesGoesInPieces) {
  const ManyChanges many(/*lived=*/false);
  // Leaves and the pages above them have 8 entries at most.
  constexpr int kMost = 8 * 8 * 16;
  int steps = 0;
  int at = 0;
  Work work = Work::Unlimited();
  for (auto c = many.tree().SkipWeightless(ManyChanges::Key(0), 1, &work); c.valid(); ++steps) {
    const int to = ManyChanges::Number(c.key());
    ASSERT_GT(to, at);
    ASSERT_LE(to - at, kMost);
    at = to;
    c = many.tree().SkipWeightless(c.key(), 1, &work);
  }
  EXPECT_GE(at, ManyChanges::kKeys - kMost);
  EXPECT_GE(steps, ManyChanges::kKeys / kMost);
  at = ManyChanges::kKeys;
  for (auto c = many.tree().SkipWeightlessBefore("2", 1, &work); c.valid();) {
    const int to = ManyChanges::Number(c.key());
    ASSERT_LT(to, at);
    ASSERT_LE(at - to, kMost);
    at = to;
    c = many.tree().SkipWeightlessBefore(c.key(), 1, &work);
  }
  EXPECT_LE(at, kMost);
}

TEST(CountedTreePast, ASkipCostsThePagesThatItLooksAt) {
  const ManyChanges many(/*lived=*/false);
  constexpr uint64_t kPlentyOfWork = 1000;
  Work forwards(kPlentyOfWork);
  many.tree().SkipWeightless(ManyChanges::Key(0), 1, &forwards);
  EXPECT_LE(forwards.left(), kPlentyOfWork - 16 * 4);
  Work backwards(kPlentyOfWork);
  many.tree().SkipWeightlessBefore("2", 1, &backwards);
  EXPECT_LE(backwards.left(), kPlentyOfWork - 16 * 4);
}

// ---- the store ----

constexpr int kKeys = 40'000;
std::string KeyOf(int i) { return "key" + std::to_string(100'000 + i); }

class PastCount : public testing::Test {
 protected:
  void Put(int i, const std::string& value = "v") {
    WriteTxn txn(&store_);
    txn.Put(KeyOf(i), value, LeaseId());
    txn.Commit();
  }
  void Fill() {
    // Not in their order: half of the pages are split.
    for (int i = 0; i < kKeys; i += 2) Put(i);
    for (int i = 1; i < kKeys; i += 2) Put(i);
  }
  void Delete(int begin, int end) {
    WriteTxn txn(&store_);
    txn.DeleteRange(KeyRange::FromRequest(KeyOf(begin), KeyOf(end)));
    txn.Commit();
  }
  etcdserverpb::RangeResponse Read(const RangeRequest& request) {
    Work work(kPlenty);
    Reply reply;
    RangeRun run(store_, store_.revision(), request, Identity(), pages_);
    EXPECT_TRUE(run.Step(&work, &reply));
    spent_ = kPlenty - work.left();
    Bytes bytes;
    Work finish = Work::Unlimited();
    EXPECT_TRUE(reply.Finish(&finish, &bytes));
    etcdserverpb::RangeResponse response;
    EXPECT_TRUE(response.ParseFromString(std::string(bytes.view())));
    return response;
  }
  etcdserverpb::RangeResponse Page(const std::string& from, Revision at, int64_t limit,
                                   bool descending = false) {
    RangeRequest request;
    request.key = from;
    request.range_end = "l";
    request.revision = at;
    request.limit = limit;
    request.count_only = limit == 0;
    if (descending) request.sort_order = RangeRequest::kDescend;
    return Read(request);
  }

  void ListWhileKeysComeAndGo(size_t members);

  // As a restart does, with a compaction under way.
  void Reload(Compactor* compactor) {
    BytesBuilder section;
    EncodeStore(store_, &section);
    const Bytes encoded = std::move(section).Finish();
    Store loaded;
    Compactor resumed(&loaded);
    StoreLoader loader(&loaded, &resumed);
    ASSERT_TRUE(loader.Begin(encoded.view()).ok());
    for (const engine::LogSegment& segment : store_.log().Share()) {
      size_t records = 0;
      ASSERT_TRUE(loader.Add(segment, nullptr, &records).ok());
    }
    while (!loader.Index(1000)) {
    }
    ASSERT_TRUE(loader.status().ok());
    store_.Swap(&loaded);
    compactor->Replace(&resumed);
  }

  Store store_;
  PageCounts* pages_ = nullptr;  // of reads
  uint64_t spent_ = 0;           // units of the last read's work
};

// A page costs its keys, and what a few pages of the index do.
constexpr uint64_t kPageBound = 50 + 450;

TEST_F(PastCount, OverwritesSinceCostNothing) {
  Fill();
  const Revision first = store_.revision();
  for (int i = 0; i < kKeys; ++i) Put(i, "new");
  EXPECT_EQ(Page("k", first, 0).count(), kKeys);
  EXPECT_LE(spent_, kPageBound);
  std::string from = "k";
  for (int page = 0; page < kKeys / 50; ++page) {
    const etcdserverpb::RangeResponse response = Page(from, first, 50);
    ASSERT_EQ(response.count(), kKeys - 50 * page);
    ASSERT_EQ(response.kvs_size(), 50);
    ASSERT_EQ(response.kvs(0).value(), "v");
    ASSERT_LE(spent_, kPageBound);
    from = response.kvs(49).key() + std::string(1, '\0');
  }
}

TEST_F(PastCount, WhatIsBornAndDiesElsewhereCostsNothing) {
  Fill();
  const Revision first = store_.revision();
  for (int i = 0; i < kKeys / 2; ++i) {
    WriteTxn txn(&store_);
    txn.Put("a" + KeyOf(i), "", LeaseId());
    txn.Commit();
  }
  EXPECT_EQ(Page("k", first, 0).count(), kKeys);
  EXPECT_LE(spent_, kPageBound);
}

TEST_F(PastCount, AFewBirthsAndDeathsCostTheirPartOfTheIndex) {
  Fill();
  const Revision first = store_.revision();
  for (int i = 0; i < 10; ++i) {
    Delete(4000 * i, 4000 * i + 1);
    Put(kKeys + i);
  }
  for (int i = 0; i < kKeys; ++i) Put(i, "new");
  EXPECT_EQ(Page("k", first, 0).count(), kKeys);
  EXPECT_LE(spent_, uint64_t{11 * 2 * 300});
  EXPECT_EQ(Page("k", Revision(0), 0).count(), kKeys + 10);
}

// Long lists, page by page at the revision of their first page, while keys all over the range come
// and go: only the first page that a member is asked for may have to count. `members` are asked in
// turn, as etcd's clients do.
void PastCount::ListWhileKeysComeAndGo(size_t members) {
  Fill();
  const Revision first = store_.revision();
  Prng prng(7);
  const auto disturb = [&](int changes) {
    for (int i = 0; i < changes; ++i) {
      const int key = static_cast<int>(prng.Below(2 * kKeys));
      prng.Chance(1, 2) ? Put(key, "new") : Delete(key, key + 1);
    }
  };
  disturb(5000);
  std::vector<PageCounts> counts(members);
  std::string from = "k";
  for (size_t page = 0; page < kKeys / 50; ++page) {
    pages_ = &counts[page % members];
    const int64_t left = kKeys - 50 * static_cast<int64_t>(page);
    const etcdserverpb::RangeResponse response = Page(from, first, 50);
    ASSERT_EQ(response.count(), left);
    ASSERT_EQ(response.more(), left > 50);
    ASSERT_EQ(response.kvs_size(), 50);
    ASSERT_EQ(response.kvs(0).key(), KeyOf(50 * static_cast<int>(page)));
    // What lies between, and the rest of the leaves of the index where that begins and ends.
    const uint64_t between = members > 1 ? 50 * members + 800 : 0;
    if (page < members) {
      ASSERT_GT(spent_, 10 * kPageBound) << "the first one should have to count here";
    } else {
      ASSERT_LE(spent_, kPageBound + between) << page;
      // Asked for again, as after a lost answer, it costs no more.
      ASSERT_EQ(Page(from, first, 50).count(), left);
      ASSERT_LE(spent_, kPageBound + between) << page;
    }
    from = response.kvs(49).key() + std::string(1, '\0');
    disturb(10);
  }
}

TEST_F(PastCount, PagesBehindTheFirstOneAreNotCountedAnew) { ListWhileKeysComeAndGo(1); }

TEST_F(PastCount, PagesThatThreeMembersAreAskedForInTurnCountWhatLiesBetween) {
  ListWhileKeysComeAndGo(3);
}

// Many births all over the range, but few records: then those are gone through.
TEST_F(PastCount, ChangesAreWalkedIfTheyAreFewerThanTheKeysBesideThem) {
  Fill();
  const Revision first = store_.revision();
  for (int i = 0; i < kKeys; i += 40) Delete(i, i + 1);
  EXPECT_EQ(Page("k", first, 0).count(), kKeys);
  EXPECT_LE(spent_, uint64_t{4 * (kKeys / 40) + 2000});
}

TEST_F(PastCount, AHalfAppliedDeleteCostsNothing) {
  Fill();
  const Revision before = store_.revision();
  WriteTxn txn(&store_);
  std::string from;
  uint64_t deleted = 0;
  const std::string begin = KeyOf(100);
  const std::string end = KeyOf(kKeys - 100);
  const KeyRange range = KeyRange::FromRequest(begin, end);
  uint64_t most = 0;
  for (bool done = false; !done;) {
    Work work(5000);
    done = txn.DeleteSome(range, &work, &from, &deleted);
    EXPECT_EQ(Page(KeyOf(50), before, 0).count(), kKeys - 50);
    most = std::max(most, spent_);
    const etcdserverpb::RangeResponse page = Page(KeyOf(kKeys / 2), before, 50);
    EXPECT_EQ(page.count(), kKeys / 2);
    EXPECT_EQ(page.kvs_size(), 50);
    most = std::max(most, spent_);
  }
  EXPECT_EQ(deleted, uint64_t{kKeys - 200});
  EXPECT_LE(most, kPageBound);
  txn.Commit();
}

// A queue whose consumers take the first key again and again: its dead keys stay until a
// compaction.
TEST_F(PastCount, DeadKeysAreSkipped) {
  Fill();
  const Revision first = store_.revision();
  Delete(0, kKeys - 5);
  const etcdserverpb::RangeResponse page = Page("k", Revision(0), 2);
  ASSERT_EQ(page.kvs_size(), 2);
  EXPECT_EQ(page.kvs(0).key(), KeyOf(kKeys - 5));
  EXPECT_LE(spent_, kPageBound);
  Put(0);
  Delete(kKeys - 5, kKeys);
  const etcdserverpb::RangeResponse last = Page("k", Revision(0), 1, /*descending=*/true);
  ASSERT_EQ(last.kvs_size(), 1);
  EXPECT_EQ(last.kvs(0).key(), KeyOf(0));
  EXPECT_LE(spent_, kPageBound);
  // At the revision at which they lived they are there.
  EXPECT_EQ(Page("k", first, 3).kvs(2).key(), KeyOf(2));
}

// What a store that was loaded knows of the past, alone and with what has changed since.
TEST_F(PastCount, AReloadedStoreCountsWhatLivedBefore) {
  constexpr int kSome = 6000;
  Prng prng(23);
  Compactor compactor(&store_);
  // Of each key, from which revisions on it lived or not.
  std::vector<std::map<Revision, bool>> histories(kSome);
  const auto change = [&](int i, bool lives) {
    lives ? Put(i) : Delete(i, i + 1);
    histories[static_cast<size_t>(i)][store_.revision()] = lives;
  };
  const auto lived = [&](int i, Revision at) {
    const std::map<Revision, bool>& history = histories[static_cast<size_t>(i)];
    const auto after = history.upper_bound(at);
    return after != history.begin() && std::prev(after)->second;
  };
  const auto probe = [&](Revision at, int begin) {
    int count = 0;
    std::vector<std::string> first;
    for (int k = begin; k < kSome; ++k) {
      if (!lived(k, at)) continue;
      ++count;
      if (first.size() < 3) first.push_back(KeyOf(k));
    }
    const auto page = Page(KeyOf(begin), at, 3);
    ASSERT_EQ(page.count(), count) << "from " << begin << " at " << at.value();
    ASSERT_EQ(static_cast<size_t>(page.kvs_size()), first.size());
    for (size_t k = 0; k < first.size(); ++k) {
      ASSERT_EQ(page.kvs(static_cast<int>(k)).key(), first[k]);
    }
  };
  for (int i = 0; i < kSome; ++i) change(i * 7 % kSome, true);
  for (int round = 0; round < 1500; ++round) {
    if (round % 250 == 100) {
      // Some pages change in the order of their keys: the last key of each has the newest change,
      // which is the last that a load notes of the page, and so the one whose past it could take
      // for known.
      const int begin = static_cast<int>(prng.Below(kSome - 500));
      const Revision before = store_.revision();
      for (int k = begin; k < begin + 500; ++k) change(k, !lived(k, before));
      ASSERT_NO_FATAL_FAILURE(Reload(&compactor));
      for (Revision at = before; at < store_.revision(); at = at + 1) {
        ASSERT_NO_FATAL_FAILURE(probe(at, 0));
      }
    }
    if (round == 800) {
      ASSERT_TRUE(compactor.Start(store_.revision() - 200).ok());
    }
    if (round > 800) compactor.Step(20);
    const int i = static_cast<int>(prng.Below(kSome));
    if (prng.Chance(1, 3)) change(i, !lived(i, store_.revision()));
    if (prng.Chance(1, 100)) {
      // All keys of some pages at once.
      const int end = std::min(i + 500, kSome);
      const Revision before = store_.revision();
      Delete(i, end);
      for (int k = i; k < end; ++k) {
        if (lived(k, before)) histories[static_cast<size_t>(k)][before + 1] = false;
      }
    }
    const int64_t oldest = std::max<int64_t>(2, store_.compact_revision().value());
    const int64_t newest = store_.revision().value();
    // Often of late.
    const int64_t least = prng.Chance(1, 2) ? std::max(oldest, newest - 30) : oldest;
    const Revision at(prng.Between(least, newest));
    const int begin = prng.Chance(1, 3) ? 0 : static_cast<int>(prng.Below(kSome));
    ASSERT_NO_FATAL_FAILURE(probe(at, begin));
  }
}

// Any change at all, read at any revision, forwards and backwards, before and after compactions.
TEST_F(PastCount, EveryPageIsThatOfAMap) {
  Prng prng(11);
  Compactor compactor(&store_);
  std::vector<std::map<std::string, std::string>> states(1);  // of revision 1
  const auto key = [&prng] { return KeyOf(static_cast<int>(prng.Below(2500))); };
  for (int i = 0; i < 6000; ++i) {
    std::map<std::string, std::string> state = states.back();
    if (prng.Chance(1, 2)) {
      WriteTxn txn(&store_);
      const std::string begin = key();
      const std::string end = prng.Chance(1, 8) ? key() : "";
      if (prng.Chance(1, 2)) {
        txn.Put(begin, std::to_string(i), LeaseId());
        state[begin] = std::to_string(i);
      } else if (end.empty()) {
        txn.DeleteRange(KeyRange::FromRequest(begin, ""));
        state.erase(begin);
      } else if (begin < end) {
        txn.DeleteRange(KeyRange::FromRequest(begin, end));
        state.erase(state.lower_bound(begin), state.lower_bound(end));
      }
      const bool changed = txn.changes() > 0;
      txn.Commit();
      if (changed) states.push_back(state);
      continue;
    }
    if (prng.Chance(1, 200)) {
      ASSERT_TRUE(compactor.Start(store_.revision() - static_cast<int64_t>(prng.Below(3))).ok() ||
                  store_.compact_revision() > store_.revision() - 3);
    }
    compactor.Step(prng.Below(50));
    const int64_t oldest = std::max<int64_t>(1, store_.compact_revision().value());
    const int64_t at = prng.Between(oldest, store_.revision().value());
    const bool descending = prng.Chance(1, 3);
    const std::string begin = key();
    const auto response = Page(begin, Revision(at), prng.Between(1, 5), descending);
    const std::map<std::string, std::string>& seen = states[static_cast<size_t>(at - 1)];
    const auto from = seen.lower_bound(begin);
    ASSERT_EQ(response.count(), std::distance(from, seen.end())) << i;
    auto up = from;
    auto down = seen.rbegin();
    for (const mvccpb::KeyValue& kv : response.kvs()) {
      const auto& [name, value] = descending ? *down++ : *up++;
      ASSERT_EQ(kv.key(), name);
      ASSERT_EQ(kv.value(), value);
    }
  }
}

}  // namespace
}  // namespace quorate::mvcc
