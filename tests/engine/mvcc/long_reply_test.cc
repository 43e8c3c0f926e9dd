// An answer that is handed out in pieces is the same, byte for byte, as one in a single buffer,
// whatever becomes of the records meanwhile; and what slow readers keep alive is bounded.
#include "engine/mvcc/long_reply.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/rpc.pb.h"
#include "base/prng.h"
#include "engine/mvcc/compaction.h"
#include "engine/mvcc/range.h"
#include "engine/mvcc/record.h"
#include "engine/mvcc/reply.h"
#include "engine/mvcc/segment_pins.h"
#include "engine/mvcc/store.h"
#include "engine/mvcc/txn.h"

namespace quorate::mvcc {
namespace {

constexpr uint64_t kNoBound = uint64_t{1} << 60;

class LongReplyTest : public testing::Test {
 protected:
  LongReplyTest() { store_.log().pins()->SetBounds(0, kNoBound); }

  std::string Key() { return std::string(1, static_cast<char>('a' + prng_.Below(26))); }
  void Change() {
    WriteTxn txn(&store_);
    if (prng_.Chance(1, 4)) {
      txn.DeleteRange(KeyRange::FromRequest(Key(), ""));
    } else {
      std::string key = Key();
      key += Key();
      const size_t size = prng_.Chance(1, 30) ? 20'000 : prng_.Below(200);
      txn.Put(key, std::string(size, key[1]), LeaseId(prng_.Chance(1, 3) ? 1'000'000 : 0));
    }
    txn.Commit();
  }
  void ChangeMuch() {
    for (int i = 0; i < 200; ++i) Change();
  }
  // Forgets history, and moves what is left.
  void Compact() {
    if (compactor_.Start(store_.revision()).ok()) compactor_.Step(1'000'000'000);
    EXPECT_FALSE(compactor_.busy());
  }

  etcdserverpb::RangeRequest AnyRange() {
    etcdserverpb::RangeRequest request;
    request.set_key(Key());
    request.set_range_end(prng_.Chance(1, 2) ? std::string(1, '\0') : Key());
    request.set_sort_target(static_cast<etcdserverpb::RangeRequest::SortTarget>(prng_.Below(5)));
    request.set_sort_order(static_cast<etcdserverpb::RangeRequest::SortOrder>(prng_.Below(3)));
    if (prng_.Chance(1, 3)) request.set_limit(prng_.Between(1, 100));
    request.set_keys_only(prng_.Chance(1, 3));
    request.set_count_only(prng_.Chance(1, 10));
    const int64_t now = store_.revision().value();
    const int64_t oldest = std::max<int64_t>(1, store_.compact_revision().value());
    if (prng_.Chance(1, 3)) request.set_revision(prng_.Between(oldest, now));
    if (prng_.Chance(1, 4)) request.set_min_mod_revision(prng_.Between(1, now));
    return request;
  }
  static etcdserverpb::RangeRequest Everything() {
    etcdserverpb::RangeRequest all;
    all.set_key(std::string(1, '\0'));
    all.set_range_end(std::string(1, '\0'));
    return all;
  }

  std::string InOneBuffer(const std::string& bytes) {
    RangeRequest request;
    EXPECT_TRUE(Decode(bytes, &request).ok());
    BytesBuilder out;
    EXPECT_TRUE(Range(store_, store_.revision(), request, Identity(), &out).ok());
    return std::string(out.view());
  }
  Answer InPieces(const std::string& bytes) {
    RangeRequest request;
    EXPECT_TRUE(Decode(bytes, &request).ok());
    Reply reply;
    reply.ReferTo(store_.log().pins());
    RangeRun run(store_, store_.revision(), request, Identity());
    for (;;) {
      Work work(1 + prng_.Below(20));
      if (run.Step(&work, &reply)) return reply.Finish();
    }
  }
  SegmentPins& pins() { return *store_.log().pins(); }

  Prng prng_{5};
  Store store_{/*segment_bytes=*/4096};
  Compactor compactor_{&store_};
};

TEST_F(LongReplyTest, EqualsTheReplyInOneBuffer) {
  int longs = 0;
  for (int round = 0; round < 400; ++round) {
    if (round % 20 == 0) ChangeMuch();
    // Copied from the beginning, or in part, or not at all.
    pins().SetBounds(prng_.Below(3) * 3000, kNoBound);
    const std::string request = AnyRange().SerializeAsString();
    const std::string expected = InOneBuffer(request);
    const Answer answer = InPieces(request);
    ASSERT_EQ(answer.size(), expected.size()) << "round " << round;
    ASSERT_EQ(answer.Joined().view(), expected) << "round " << round;
    longs += answer.is_long() ? 1 : 0;
  }
  EXPECT_GT(longs, 100);
}

TEST_F(LongReplyTest, StaysWhatItWasWhileItsRecordsAreCompactedAway) {
  for (int round = 0; round < 40; ++round) {
    ChangeMuch();
    etcdserverpb::RangeRequest range = round % 4 == 0 ? Everything() : AnyRange();
    range.set_count_only(false);
    const std::string request = range.SerializeAsString();
    const std::string expected = InOneBuffer(request);
    const Answer answer = InPieces(request);
    std::string got;
    if (!answer.is_long()) {
      got = std::string(answer.Joined().view());
    } else {
      LongReply::Reader reader(answer.long_reply());
      while (reader.left() > 0) {
        ChangeMuch();
        Compact();
        ASSERT_EQ(got.size() + reader.left(), expected.size());
        const std::optional<Bytes> piece = reader.Next();
        ASSERT_TRUE(piece.has_value());
        ASSERT_FALSE(piece->empty());
        got.append(piece->data(), piece->size());
      }
    }
    ASSERT_EQ(got, expected) << "round " << round;
  }
  EXPECT_EQ(pins().revoked(), 0u);
  EXPECT_EQ(pins().dead_bytes(), 0u);  // nobody reads any more
}

TEST_F(LongReplyTest, CostsLittleMoreThanAListOfItsRecords) {
  for (int i = 0; i < 20; ++i) ChangeMuch();
  const Answer answer = InPieces(Everything().SerializeAsString());
  ASSERT_TRUE(answer.is_long());
  EXPECT_GT(answer.size(), 50'000u);
  EXPECT_LT(answer.long_reply()->held_bytes(), answer.size() / 5);
}

TEST_F(LongReplyTest, TheOldestReadersAreCutOffWhenTheyKeepTooMuchAlive) {
  constexpr uint64_t kBound = 400'000;
  pins().SetBounds(0, kBound);
  const std::string everything = Everything().SerializeAsString();
  std::vector<LongReply::Reader> readers;
  uint64_t most = 0;
  for (int i = 0; i < 60; ++i) {
    ChangeMuch();
    Compact();
    most = std::max(most, pins().dead_bytes());
    const Answer answer = InPieces(everything);
    ASSERT_TRUE(answer.is_long());
    readers.emplace_back(answer.long_reply());
    ASSERT_TRUE(readers.back().Next().has_value());
  }
  EXPECT_LE(most, kBound);
  EXPECT_GT(most, kBound / 4);
  // Those who are left began last.
  EXPECT_GT(pins().revoked(), 0u);
  EXPECT_EQ(pins().revoked() + pins().readers(), readers.size());
  for (size_t i = 0; i < readers.size(); ++i) {
    const bool cut = i < pins().revoked();
    EXPECT_EQ(!readers[i].Next().has_value(), cut) << i;
  }
  readers.clear();
  EXPECT_EQ(pins().dead_bytes(), 0u);
  EXPECT_EQ(pins().readers(), 0u);
}

// Both ends of an answer, done with and cut off, gave back all that it alone had kept in one step.
TEST_F(LongReplyTest, WhatItAloneKeptIsGivenBackInPieces) {
  for (const bool cut_off : {false, true}) {
    SCOPED_TRACE(cut_off);
    pins().SetBounds(0, kNoBound);
    for (int i = 0; i < 10; ++i) ChangeMuch();
    std::optional<LongReply::Reader> reader(
        InPieces(Everything().SerializeAsString()).long_reply());
    ASSERT_TRUE(reader->Next().has_value());
    if (cut_off) pins().SetBounds(0, 50'000);
    for (int i = 0; i < 3; ++i) ChangeMuch();
    Compact();
    EXPECT_EQ(pins().releasing(), cut_off);
    reader.reset();
    EXPECT_EQ(pins().dead_bytes(), 0u);
    int pieces = 0;
    for (bool done = false; !done; ++pieces) {
      ASSERT_TRUE(pins().releasing());
      Work work(1);
      done = pins().Release(&work);
    }
    EXPECT_GT(pieces, 10);
    EXPECT_FALSE(pins().releasing());
  }
}

// Nobody can be too slow who was not given the answer yet.
TEST_F(LongReplyTest, AnAnswerThatNobodyReadsYetIsNotCutOff) {
  ChangeMuch();
  const std::string everything = Everything().SerializeAsString();
  const std::string expected = InOneBuffer(everything);
  const Answer answer = InPieces(everything);
  ASSERT_TRUE(answer.is_long());
  pins().SetBounds(0, 1);
  for (int i = 0; i < 10; ++i) ChangeMuch();
  Compact();
  EXPECT_GT(pins().dead_bytes(), 1u);
  EXPECT_EQ(answer.Joined().view(), expected);
}

TEST_F(LongReplyTest, CountsTheAnswersThatOutliveWhatTheyRead) {
  ChangeMuch();
  const std::string everything = Everything().SerializeAsString();
  const auto read = [&](bool compact) {
    const Answer answer = InPieces(everything);
    LongReply::Reader reader(answer.long_reply());
    for (int i = 0; compact && i < 10; ++i) ChangeMuch();
    if (compact) Compact();
    while (reader.left() > 0) ASSERT_TRUE(reader.Next().has_value());
  };
  read(/*compact=*/false);
  EXPECT_EQ(pins().outlived(), 0u);
  read(/*compact=*/true);
  EXPECT_EQ(pins().outlived(), 1u);
}

// As when a leader's state replaces the own one, whose log is then given back.
TEST_F(LongReplyTest, OutlivesItsLog) {
  RevisionLog log(4096);
  char* at = nullptr;
  log.Append({Revision(2), 0}, /*tombstone=*/false, 1, &at);
  *at = 'x';
  const std::shared_ptr<SegmentPins> pins = log.pins();
  SegmentPins::Holder holder(pins);
  holder.Pin(log.BufferOf(Location(0, 0)));
  RevisionLog loaded;
  log.Swap(&loaded);
  EXPECT_EQ(log.pins(), pins);  // or nobody would give back what it pins
  Work work = Work::Unlimited();
  ASSERT_TRUE(loaded.Release(&work));
  EXPECT_EQ(pins->dead_bytes(), 4096u);
  EXPECT_EQ(RecordAt(at), "x");
}

}  // namespace
}  // namespace quorate::mvcc
