// Snapshots: a follower whose entries are gone (section 7).
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "tests/engine/raft/group.h"

namespace quorate::raft::test {
namespace {

using Payloads = std::vector<std::string>;

Message SnapshotFrom(uint64_t from) {
  Message m;
  m.type = MessageType::kSnap;
  m.from = MemberId(from);
  m.to = MemberId(1);
  m.term = Term(1);
  return m;
}

// Member 1 leads and no longer has the entries that member 3 missed; all links are whole again.
void LeaveThirdBehind(const Payloads& missed, Group* group) {
  CHECK(group->Elect(1));
  group->Isolate({3});
  for (const std::string& data : missed) CHECK(group->Propose(1, data).ok());
  group->Settle();
  group->Compact(1);
  group->Heal();
}

TEST(Snapshots, AFollowerWhoseEntriesAreGoneGetsTheStateAndGoesOn) {
  Group group({.voters = 3});
  LeaveThirdBehind({"a", "b", "c"}, &group);
  group.Elapse(1, Group::kHeartbeat);
  group.Settle();
  EXPECT_EQ(group.raft(1).counters().snapshots_sent, 1u);
  EXPECT_EQ(group.raft(3).log().first_index(), group.raft(1).log().first_index());
  ASSERT_TRUE(group.Propose(1, "d").ok());
  group.Settle();
  EXPECT_EQ(group.Applied(3), (Payloads{"a", "b", "c", "d"}));
}

TEST(Snapshots, OneThatWasLostIsSentAgainAfterTheReport) {
  Group group({.voters = 3});
  LeaveThirdBehind({"a"}, &group);
  group.lost_type = MessageType::kSnap;
  group.Elapse(1, Group::kHeartbeat);
  group.Settle();
  ASSERT_EQ(group.raft(1).counters().snapshots_sent, 1u);
  group.lost_type.reset();
  group.Elapse(1, Group::kHeartbeat);
  group.Settle();
  EXPECT_EQ(group.raft(1).counters().snapshots_sent, 1u);  // one at a time: it may be under way
  group.raft(1).ReportSnapshot(MemberId(3), /*ok=*/false, group.peer(1).now);
  group.Elapse(1, Group::kHeartbeat);
  group.Settle();
  EXPECT_EQ(group.raft(1).counters().snapshots_sent, 2u);
  EXPECT_EQ(group.Applied(3), Payloads{"a"});
}

// Otherwise the leader would go on waiting for a word that was said already.
TEST(Snapshots, AFollowerWhoseWordThatItIsInstalledWasLostIsAsked) {
  Group group({.voters = 3});
  LeaveThirdBehind({"a", "b"}, &group);
  group.lost_type = MessageType::kSnap;
  group.Elapse(1, Group::kHeartbeat);
  group.Settle();
  const Progress& progress = *group.raft(1).tracker().Find(MemberId(3));
  ASSERT_EQ(progress.state, ProgressState::kSnapshot);
  // Not installed yet: it refuses, and the wait goes on.
  group.lost_type.reset();
  group.raft(1).AskInstalled(MemberId(3), group.peer(1).now);
  group.Settle();
  ASSERT_EQ(progress.state, ProgressState::kSnapshot);
  // It gets the state, and its answer is lost.
  group.raft(1).ReportSnapshot(MemberId(3), /*ok=*/false, group.peer(1).now);
  group.lost_type = MessageType::kAppResp;
  group.Elapse(1, Group::kHeartbeat);
  group.Settle();
  ASSERT_EQ(group.Applied(3), (Payloads{"a", "b"}));
  group.lost_type.reset();
  group.Elapse(1, Group::kHeartbeat);
  group.Settle();
  ASSERT_EQ(progress.state, ProgressState::kSnapshot);
  group.raft(1).AskInstalled(MemberId(3), group.peer(1).now);
  group.Settle();
  EXPECT_EQ(progress.state, ProgressState::kReplicate);
  EXPECT_EQ(group.raft(1).counters().snapshots_sent, 2u);
}

// Over a link that the leader does not see: the follower says itself how far it is.
TEST(Snapshots, AFollowerThatCaughtUpByOtherMeansEndsTheWaitForItsSnapshot) {
  Group group({.voters = 3});
  LeaveThirdBehind({"a", "b"}, &group);
  group.lost_type = MessageType::kSnap;
  group.Elapse(1, Group::kHeartbeat);
  group.Settle();
  const Progress& progress = *group.raft(1).tracker().Find(MemberId(3));
  ASSERT_EQ(progress.state, ProgressState::kSnapshot);
  Message caught_up;
  caught_up.type = MessageType::kAppResp;
  caught_up.from = MemberId(3);
  caught_up.to = MemberId(1);
  caught_up.term = group.raft(1).term();
  caught_up.index = group.raft(1).log().last_index();
  ASSERT_TRUE(group.Step(1, caught_up).ok());
  EXPECT_EQ(progress.state, ProgressState::kReplicate);
}

TEST(Snapshots, NoneGoesToAFollowerThatIsNotHeardOf) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  group.Crash(3);
  for (const char* data : {"a", "b"}) ASSERT_TRUE(group.Propose(1, data).ok());
  group.Settle();
  group.Compact(1);
  ASSERT_TRUE(group.Elect(2));  // a new term: nobody has been heard of
  ASSERT_TRUE(group.Elect(1));
  ASSERT_TRUE(group.Propose(1, "c").ok());
  group.Settle();
  EXPECT_EQ(group.raft(1).counters().snapshots_sent, 0u);
}

TEST(Snapshots, AnOldOneIsAnsweredWithWhatIsCommitted) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  for (const char* data : {"a", "b"}) ASSERT_TRUE(group.Propose(1, data).ok());
  group.Settle();
  Snapshot snapshot;
  snapshot.meta = {LogIndex(1), Term(1), group.raft(2).conf_state()};
  Message m = SnapshotFrom(1);
  m.to = MemberId(2);
  m.snapshot = std::make_shared<Snapshot>(snapshot);
  ASSERT_TRUE(group.Step(2, m).ok());
  group.Pump(2);
  group.CompleteUnit(2);
  ASSERT_EQ(group.messages().size(), 1u);
  EXPECT_EQ(group.messages()[0].index, group.raft(2).log().committed());
  EXPECT_EQ(group.raft(2).counters().snapshots_restored, 0u);
}

// Two snapshots in a row: the first one's completion is not the second one's.
TEST(Snapshots, ASecondOneReplacesTheFirstWhileThatIsStillBeingWritten) {
  Group group({.voters = 3});
  const auto snapshot_at = [&](uint64_t index) {
    Snapshot snapshot;
    snapshot.meta = {LogIndex(index), Term(1), group.raft(1).conf_state()};
    Message m = SnapshotFrom(2);
    m.snapshot = std::make_shared<Snapshot>(snapshot);
    return m;
  };
  ASSERT_TRUE(group.Step(1, snapshot_at(5)).ok());
  group.Pump(1);
  ASSERT_TRUE(group.Step(1, snapshot_at(9)).ok());
  group.Pump(1);
  EXPECT_FALSE(group.raft(1).IsPromotable());
  group.CompleteUnit(1);
  EXPECT_FALSE(group.raft(1).IsPromotable());
  EXPECT_EQ(group.raft(1).log().applied(), LogIndex(5));
  group.CompleteUnit(1);
  EXPECT_TRUE(group.raft(1).IsPromotable());
  EXPECT_EQ(group.raft(1).log().applied(), LogIndex(9));
  EXPECT_EQ(group.violation(), "");
}

TEST(Snapshots, OnlyWhatIsAppliedAndDurableIsCompacted) {
  Group group({.voters = 1});
  ASSERT_TRUE(group.Elect(1));
  const LogIndex last = group.raft(1).log().last_index();
  EXPECT_EQ(group.raft(1).Compact(last + 1).code(), absl::StatusCode::kOutOfRange);
  EXPECT_TRUE(group.raft(1).Compact(last).ok());
  EXPECT_TRUE(group.raft(1).Compact(last).ok());
}

}  // namespace
}  // namespace quorate::raft::test
