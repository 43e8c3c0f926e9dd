// The log against a naive vector, and its marks.
#include "engine/raft/log.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "engine/raft/codec.h"

namespace quorate::raft {
namespace {

constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

std::vector<Entry> Entries(LogIndex from, std::vector<uint64_t> terms, size_t payload = 0) {
  std::vector<Entry> entries;
  for (const uint64_t term : terms) {
    entries.push_back(
        {.term = Term(term), .index = from, .data = Bytes::Copy(std::string(payload, 'x'))});
    ++from;
  }
  return entries;
}

Log LogOf(std::vector<uint64_t> terms, uint64_t max_applying = kNoLimit) {
  return Log({}, Entries(LogIndex(1), std::move(terms)), max_applying);
}

// A vector from index 1 on, of which a prefix is forgotten.
RC_GTEST_PROP(Log, BehavesLikeAVector, ()) {
  Log log({}, {}, kNoLimit);
  std::vector<Entry> model;
  uint64_t compacted = 0;
  uint64_t committed = 0;
  uint64_t term = 1;
  const auto steps = *rc::gen::inRange(1, 60);
  for (int i = 0; i < steps; ++i) {
    switch (*rc::gen::inRange(0, 5)) {
      case 0:
      case 1: {  // append, over what is not committed
        const auto at = *rc::gen::inRange<uint64_t>(committed, model.size() + 1);
        const auto count = *rc::gen::inRange<uint64_t>(1, 400);  // crosses chunks
        std::vector<Entry> entries =
            Entries(LogIndex(at + 1), std::vector<uint64_t>(count, ++term));
        model.resize(at);
        model.insert(model.end(), entries.begin(), entries.end());
        log.Append(absl::MakeSpan(entries));
        break;
      }
      case 2:
        log.AcceptUnstable();
        log.StableTo(log.last_id());
        RC_ASSERT(log.NextUnstable().empty());
        break;
      case 3: {
        committed = *rc::gen::inRange<uint64_t>(committed, model.size() + 1);
        log.CommitTo(LogIndex(committed));
        log.AcceptApplying(log.NextCommitted(true), true);
        log.AppliedTo(LogIndex(committed));
        break;
      }
      default: {
        const uint64_t limit = std::min(committed, log.stable().value());
        if (limit < compacted) break;
        compacted = *rc::gen::inRange<uint64_t>(compacted, limit + 1);
        log.Compact(LogIndex(compacted));
        break;
      }
    }
    RC_ASSERT(log.last_index() == LogIndex(model.size()));
    RC_ASSERT(log.first_index() == LogIndex(compacted + 1));
    RC_ASSERT(log.committed() == LogIndex(committed));
    for (uint64_t at = compacted + 1; at <= model.size(); ++at) {
      RC_ASSERT(log.EntryAt(LogIndex(at)) == model[at - 1]);
    }
    RC_ASSERT(log.TermAt(LogIndex(compacted)).has_value());
    RC_ASSERT(!log.TermAt(LogIndex(model.size() + 1)).has_value());
  }
}

TEST(Log, ConflictIsFoundByTermFromTheEnd) {
  const Log log = LogOf({1, 3, 3, 4, 4, 5, 5, 5, 6});
  EXPECT_EQ(log.FindConflictByTerm(LogIndex(9), Term(3)), (EntryId{Term(3), LogIndex(3)}));
  EXPECT_EQ(log.FindConflictByTerm(LogIndex(9), Term(2)), (EntryId{Term(1), LogIndex(1)}));
  EXPECT_EQ(log.FindConflictByTerm(LogIndex(9), Term(0)), EntryId());
  EXPECT_EQ(log.FindConflictByTerm(LogIndex(12), Term(9)), (EntryId{Term(0), LogIndex(12)}));
}

// Section 5.4.1.
TEST(Log, TheLaterTermIsMoreUpToDateThenTheLongerLog) {
  const Log log = LogOf({1, 2, 2});
  EXPECT_TRUE(log.IsUpToDate({Term(3), LogIndex(1)}));
  EXPECT_TRUE(log.IsUpToDate({Term(2), LogIndex(3)}));
  EXPECT_FALSE(log.IsUpToDate({Term(2), LogIndex(2)}));
  EXPECT_FALSE(log.IsUpToDate({Term(1), LogIndex(9)}));
}

TEST(Log, AReplacedEntryIsNotStableByTheOldWrite) {
  Log log = LogOf({1});
  std::vector<Entry> first = Entries(LogIndex(2), {2, 2});
  log.Append(absl::MakeSpan(first));
  log.AcceptUnstable();
  std::vector<Entry> second = Entries(LogIndex(2), {3, 3});
  log.Append(absl::MakeSpan(second));
  log.StableTo({Term(2), LogIndex(3)});  // the old ones are on the disk
  EXPECT_EQ(log.stable(), LogIndex(1));
  EXPECT_EQ(log.NextUnstable().first_index(), LogIndex(2));
  log.AcceptUnstable();
  log.StableTo({Term(3), LogIndex(3)});
  EXPECT_EQ(log.stable(), LogIndex(3));
}

TEST(Log, CommittedEntriesGoOutInPiecesThatFitAndPauseUntilAcknowledged) {
  std::vector<Entry> entries = Entries(LogIndex(1), {1, 1, 1, 1}, /*payload=*/100);
  const uint64_t size = EncodedSize(entries[0]);
  Log log({}, std::move(entries), 2 * size);
  log.CommitTo(LogIndex(4));
  EntryRange first = log.NextCommitted(false);
  EXPECT_EQ(first.size(), 2u);
  log.AcceptApplying(first, false);
  EXPECT_FALSE(log.HasNextCommitted(false));
  EXPECT_EQ(log.AppliedTo(LogIndex(1)), 100u);
  EXPECT_EQ(log.NextCommitted(false).size(), 1u);  // room for one
  log.AcceptApplying(log.NextCommitted(false), false);
  log.AppliedTo(LogIndex(3));
  EXPECT_EQ(log.NextCommitted(false).last_index(), LogIndex(4));
}

TEST(Log, OnlyStableEntriesAreAppliedUnlessAllowed) {
  Log log({}, {}, kNoLimit);
  std::vector<Entry> entries = Entries(LogIndex(1), {1, 1});
  log.Append(absl::MakeSpan(entries));
  log.CommitTo(LogIndex(2));
  EXPECT_FALSE(log.HasNextCommitted(false));
  EXPECT_EQ(log.NextCommitted(true).size(), 2u);
  log.AcceptUnstable();
  log.StableTo({Term(1), LogIndex(1)});
  EXPECT_EQ(log.NextCommitted(false).size(), 1u);
}

TEST(Log, ASnapshotReplacesEverythingAndComesFirst) {
  Log log = LogOf({1, 1, 1});
  log.CommitTo(LogIndex(1));
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->meta.index = LogIndex(10);
  snapshot->meta.term = Term(4);
  log.Restore(snapshot);
  EXPECT_EQ(log.last_id(), (EntryId{Term(4), LogIndex(10)}));
  EXPECT_EQ(log.committed(), LogIndex(10));
  std::vector<Entry> entries = Entries(LogIndex(11), {4});
  log.Append(absl::MakeSpan(entries));
  log.CommitTo(LogIndex(11));
  EXPECT_FALSE(log.HasNextCommitted(true));
  log.AcceptUnstable();
  log.StableSnapshotTo(LogIndex(10));
  log.AppliedTo(LogIndex(10));
  EXPECT_TRUE(log.HasNextCommitted(true));
}

}  // namespace
}  // namespace quorate::raft
