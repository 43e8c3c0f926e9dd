// What is done in pieces is the same as what is done at once, and nobody sees a part of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/rpc.pb.h"
#include "base/prng.h"
#include "base/wire.h"
#include "engine/mvcc/compaction.h"
#include "engine/mvcc/interval_tree.h"
#include "engine/mvcc/range.h"
#include "engine/mvcc/reply.h"
#include "engine/mvcc/store.h"
#include "engine/mvcc/txn.h"

namespace quorate::mvcc {
namespace {

Bytes Finish(Reply* reply) {
  Bytes bytes;
  for (;;) {
    Work work(1);
    if (reply->Finish(&work, &bytes)) return bytes;
  }
}

// ---- replies ----

TEST(Reply, LongMessagesHaveTheLengthsOfShortOnes) {
  Prng prng(7);
  for (int round = 0; round < 40; ++round) {
    Reply reply;
    BytesBuilder plain;
    std::vector<Reply::Mark> marks;
    std::vector<size_t> begins;
    AppendInt64(reply.out(), 1, 5);
    AppendInt64(&plain, 1, 5);
    const size_t size = reply.out()->size();
    for (int i = 0; i < 60; ++i) {
      const uint64_t choice = prng.Below(6);
      if (choice < 2) {
        marks.push_back(reply.Begin(3));
        begins.push_back(BeginMessage(&plain, 3));
      } else if (choice < 3 && !marks.empty()) {
        reply.End(marks.back());
        EndMessage(&plain, begins.back());
        marks.pop_back();
        begins.pop_back();
      } else {
        // Around the sizes at which lengths take another byte, and pieces of a reply end.
        const std::vector<size_t> sizes = {0, 1, 126, 127, 128, 16'382, 16'384, 140'000};
        const std::string data(sizes[prng.Below(sizes.size())], static_cast<char>('a' + i % 26));
        AppendLen(reply.out(), 2, data);
        AppendLen(&plain, 2, data);
      }
      reply.Roll();
    }
    for (; !marks.empty(); marks.pop_back(), begins.pop_back()) {
      reply.End(marks.back());
      EndMessage(&plain, begins.back());
    }
    // What stands at the beginning may still grow.
    BytesBuilder grown;
    AppendInt64(&grown, 1, 500);
    reply.Replace(Reply::Mark(), size, grown.view());
    std::string expected(grown.view());
    expected.append(plain.view().data() + size, plain.size() - size);
    ASSERT_EQ(Finish(&reply).view(), expected) << "round " << round;
  }
}

// ---- interval tree ----

TEST(IntervalTree, FindsTheRangesThatHoldAKeyInOrder) {
  Prng prng(3);
  const auto key = [&prng] {
    std::string k;
    for (uint64_t n = prng.Below(3); n > 0; --n)
      k.push_back(static_cast<char>('a' + prng.Below(4)));
    return k;
  };
  struct Named {
    std::string begin;
    std::string end;
    KeyRange::Kind kind;
    KeyRange range() const { return {begin, end, kind}; }
  };
  IntervalTree<uint64_t> tree;
  std::map<uint64_t, std::unique_ptr<Named>> all;
  uint64_t number = 0;
  for (int i = 0; i < 4000; ++i) {
    if (all.size() < 60 && prng.Chance(3, 5)) {
      auto named = std::make_unique<Named>();
      *named = {key(), key(),
                prng.Chance(1, 5) ? KeyRange::Kind::kFrom : KeyRange::Kind::kHalfOpen};
      ++number;
      tree.Insert(named->range(), number, number);
      all.emplace(number, std::move(named));
    } else if (!all.empty()) {
      const auto gone = std::next(all.begin(), static_cast<std::ptrdiff_t>(prng.Below(all.size())));
      tree.Erase(gone->second->range(), gone->first);
      all.erase(gone);
    }
    const std::string at = key();
    std::vector<uint64_t> found;
    tree.Stab(at, [&found](uint64_t n) { found.push_back(n); });
    std::vector<std::pair<std::string, uint64_t>> expected;
    for (const auto& [n, named] : all) {
      if (named->range().Contains(at)) expected.emplace_back(named->begin, n);
    }
    std::sort(expected.begin(), expected.end());
    ASSERT_EQ(found.size(), expected.size());
    for (size_t n = 0; n < found.size(); ++n) ASSERT_EQ(found[n], expected[n].second);
    // The same, a few at a time.
    std::vector<uint64_t> in_pieces;
    std::optional<std::pair<std::string, uint64_t>> after;
    for (bool done = false; !done;) {
      uint64_t left = prng.Between(1, 3);
      done = tree.StabSome(at, after, [&](const KeyRange& range, uint64_t n, uint64_t value) {
        if (left-- == 0) return false;
        EXPECT_EQ(n, value);
        in_pieces.push_back(n);
        after.emplace(std::string(range.begin), n);
        return true;
      });
    }
    ASSERT_EQ(in_pieces, found);
    ASSERT_EQ(tree.size(), all.size());
  }
}

// ---- reads and writes ----

class Pieces : public testing::Test {
 protected:
  std::string Key() { return std::string(1, static_cast<char>('a' + prng_.Below(26))); }

  void Put(const std::string& key) {
    const uint64_t length = prng_.Below(20);
    const char letter = static_cast<char>('a' + prng_.Below(3));
    WriteTxn txn(&store_);
    txn.Put(key, std::string(length, letter), LeaseId());
    txn.Commit();
  }
  void Delete(const std::string& key) {
    WriteTxn txn(&store_);
    txn.DeleteRange(KeyRange::FromRequest(key, ""));
    txn.Commit();
  }
  void Change() { prng_.Chance(1, 3) ? Delete(Key()) : Put(Key()); }
  void Fill() {
    for (int i = 0; i < 150; ++i) Change();
  }

  etcdserverpb::RangeRequest AnyRange() {
    etcdserverpb::RangeRequest request;
    request.set_key(Key());
    request.set_range_end(prng_.Chance(1, 3) ? std::string(1, '\0') : Key());
    request.set_sort_target(static_cast<etcdserverpb::RangeRequest::SortTarget>(prng_.Below(5)));
    request.set_sort_order(static_cast<etcdserverpb::RangeRequest::SortOrder>(prng_.Below(3)));
    if (prng_.Chance(1, 3)) request.set_limit(prng_.Between(1, 12));
    request.set_keys_only(prng_.Chance(1, 4));
    request.set_count_only(prng_.Chance(1, 8));
    const int64_t now = store_.revision().value();
    const int64_t oldest = std::max<int64_t>(1, store_.compact_revision().value());
    if (prng_.Chance(1, 3)) request.set_revision(prng_.Between(oldest, now));
    if (prng_.Chance(1, 4)) request.set_min_mod_revision(prng_.Between(1, now));
    if (prng_.Chance(1, 4)) request.set_max_create_revision(prng_.Between(1, now));
    return request;
  }
  std::string AtOnce(const std::string& bytes) {
    RangeRequest request;
    EXPECT_TRUE(Decode(bytes, &request).ok());
    BytesBuilder out;
    EXPECT_TRUE(Range(store_, store_.revision(), request, Identity(), &out).ok());
    return std::string(out.view());
  }
  std::string Everything() {
    etcdserverpb::RangeRequest all;
    all.set_key(std::string(1, '\0'));
    all.set_range_end(std::string(1, '\0'));
    return AtOnce(all.SerializeAsString());
  }

  Prng prng_{11};
  Store store_{/*segment_bytes=*/512};
};

TEST_F(Pieces, ARangeShowsTheRevisionAtWhichItBegan) {
  Fill();
  for (int round = 0; round < 600; ++round) {
    const std::string bytes = AnyRange().SerializeAsString();
    RangeRequest request;
    ASSERT_TRUE(Decode(bytes, &request).ok());
    const std::string expected = AtOnce(bytes);
    Reply reply;
    RangeRun run(store_, store_.revision(), request, Identity());
    for (;;) {
      Work work(1 + prng_.Below(9));
      if (run.Step(&work, &reply)) break;
      if (prng_.Chance(1, 2)) Change();
    }
    ASSERT_EQ(Finish(&reply).view(), expected) << "round " << round;
  }
}

TEST_F(Pieces, AHashIsOfTheRevisionAtWhichItBegan) {
  Compactor compactor(&store_);
  for (int round = 0; round < 60; ++round) {
    Fill();
    ASSERT_TRUE(compactor.Start(store_.revision() - 40).ok());
    compactor.Step(uint64_t{prng_.Below(3000)});
    const uint32_t expected = compactor.HashKv(Revision(0))->hash;
    auto run = compactor.StartHash(Revision(0));
    ASSERT_TRUE(run.ok());
    for (;;) {
      Work work(1 + prng_.Below(9));
      if (run->Step(&work)) break;
      if (prng_.Chance(1, 20)) Change();
    }
    EXPECT_EQ(run->hash().hash, expected);
  }
}

// Puts, deletes, reads and nested transactions on the same keys.
etcdserverpb::TxnRequest AnyTxn(Prng* prng, int depth) {
  const auto key = [prng] { return std::string(1, static_cast<char>('a' + prng->Below(26))); };
  etcdserverpb::TxnRequest txn;
  for (uint64_t n = prng->Below(3); n > 0; --n) {
    etcdserverpb::Compare* compare = txn.add_compare();
    compare->set_key(key());
    if (prng->Chance(1, 2)) compare->set_range_end(key());
    compare->set_target(etcdserverpb::Compare::VERSION);
    compare->set_result(etcdserverpb::Compare::GREATER);
    compare->set_version(prng->Between(-1, 2));
  }
  for (auto* list : {txn.mutable_success(), txn.mutable_failure()}) {
    for (uint64_t n = prng->Below(4); n > 0; --n) {
      etcdserverpb::RequestOp* op = list->Add();
      switch (prng->Below(depth > 0 ? 4 : 3)) {
        case 0:
          op->mutable_request_put()->set_key(key());
          op->mutable_request_put()->set_value(std::string(prng->Below(30), 'x'));
          op->mutable_request_put()->set_prev_kv(prng->Chance(1, 2));
          break;
        case 1:
          op->mutable_request_delete_range()->set_key(key());
          op->mutable_request_delete_range()->set_range_end(std::string(1, '\0'));
          op->mutable_request_delete_range()->set_prev_kv(prng->Chance(1, 2));
          break;
        case 2:
          op->mutable_request_range()->set_key(key());
          op->mutable_request_range()->set_range_end(std::string(1, '\0'));
          break;
        default:
          *op->mutable_request_txn() = AnyTxn(prng, depth - 1);
          break;
      }
    }
  }
  return txn;
}

TEST_F(Pieces, NobodySeesATransactionBeforeItsLastPiece) {
  Store twin{/*segment_bytes=*/512};
  int in_pieces = 0;
  for (int round = 0; round < 800; ++round) {
    etcdserverpb::TxnRequest request = AnyTxn(&prng_, 2);
    if (round < 100) request.mutable_success()->Clear();
    if (round < 100) {
      auto* put = request.add_success()->mutable_request_put();
      put->set_key(Key());
      *request.mutable_failure() = request.success();
    }
    const std::string bytes = request.SerializeAsString();
    TxnRequest txn;
    ASSERT_TRUE(Decode(bytes, &txn).ok());
    if (!Validate(txn, 128).ok()) continue;
    const std::string before = Everything();
    const Revision revision = store_.revision();
    TxnRun run(&store_, txn, Identity(), /*respond=*/true);
    for (;;) {
      Work work(1 + prng_.Below(6));
      if (run.Step(&work)) break;
      if (store_.revision() != revision) continue;  // done, but for the response
      ++in_pieces;
      ASSERT_EQ(Everything(), before);
    }
    BytesBuilder expected;
    ASSERT_EQ(ApplyTxn(&twin, txn, Identity(), &expected), run.status());
    if (run.status().ok()) {
      const Bytes body = run.TakeBody().Joined();
      ASSERT_EQ(body.view(), expected.view());
    }
    ASSERT_EQ(store_.revision(), twin.revision());
    store_.index().CheckInvariants();
  }
  EXPECT_GT(in_pieces, 500);
  Compactor one(&store_);
  Compactor other(&twin);
  EXPECT_EQ(one.HashKv(Revision(0))->hash, other.HashKv(Revision(0))->hash);
}

TEST_F(Pieces, CountsInTheMidstOfADeleteAreThoseBeforeIt) {
  for (char c = 'a'; c <= 'z'; ++c) Put(std::string(1, c));
  WriteTxn txn(&store_);
  std::string from;
  uint64_t deleted = 0;
  const KeyRange range = KeyRange::FromRequest("c", "x");
  for (;;) {
    Work work(3);
    const bool done = txn.DeleteSome(range, &work, &from, &deleted);
    CountRun count(store_, KeyRange::FromRequest("b", "z"), store_.revision());
    for (;;) {
      Work counting(1);
      if (count.Step(&counting)) break;
    }
    EXPECT_EQ(count.count(), 24u);
    if (done) break;
  }
  EXPECT_EQ(deleted, 21u);
  txn.Commit();
  EXPECT_EQ(store_.index().live_keys(), 5u);
}

}  // namespace
}  // namespace quorate::mvcc
