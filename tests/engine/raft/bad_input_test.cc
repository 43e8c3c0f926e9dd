// Messages that no correct peer sends, that come too late, or that deny what is known:
// counted, then ignored or refused; never a failed assertion.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/raft/codec.h"
#include "engine/raft/invariants.h"
#include "tests/engine/raft/group.h"

namespace quorate::raft::test {
namespace {

Message From(uint64_t from, MessageType type, uint64_t term) {
  Message m;
  m.type = type;
  m.from = MemberId(from);
  m.to = MemberId(1);
  m.term = Term(term);
  return m;
}

class BadInputInTerm5 : public testing::Test {
 protected:
  BadInputInTerm5() : group_({.voters = 3, .term = 5}) {}

  void ExpectRefused(Message message, absl::StatusCode code) {
    const HardState before = group_.raft(1).hard_state();
    EXPECT_EQ(group_.Step(1, std::move(message)).code(), code);
    EXPECT_EQ(group_.raft(1).hard_state(), before);
    EXPECT_FALSE(group_.raft(1).HasReady());
    EXPECT_EQ(group_.violation(), "");
  }
  const Counters& counters() { return group_.raft(1).counters(); }

  Group group_;
};

TEST_F(BadInputInTerm5, LocalMessagesAndOurOwnNameFromTheNetwork) {
  ExpectRefused(From(2, MessageType::kHup, 0), absl::StatusCode::kInvalidArgument);
  ExpectRefused(From(2, MessageType::kStorageAppendResp, 9), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(counters().local_refused, 2u);
  ExpectRefused(From(1, MessageType::kApp, 6), absl::StatusCode::kInvalidArgument);
  ExpectRefused(From(0, MessageType::kApp, 6), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(counters().malformed, 2u);
}

// One heartbeat in the last term that there is once left a cluster without a leader for good.
TEST_F(BadInputInTerm5, TermsThatNoElectionsLeadTo) {
  for (const MessageType type : {MessageType::kHeartbeat, MessageType::kVote, MessageType::kApp}) {
    for (const uint64_t from : {2, 1234}) {
      ExpectRefused(From(from, type, kMaxTermOrIndex), absl::StatusCode::kInvalidArgument);
      ExpectRefused(From(from, type, 5 + kMaxTermJump + 1), absl::StatusCode::kInvalidArgument);
    }
  }
  EXPECT_EQ(counters().malformed, 12u);
}

TEST_F(BadInputInTerm5, AMemberThatWasAwayForManyElections) {
  EXPECT_TRUE(group_.Step(1, From(2, MessageType::kHeartbeat, 5 + kMaxTermJump)).ok());
  EXPECT_EQ(group_.raft(1).term(), Term(5 + kMaxTermJump));
}

TEST_F(BadInputInTerm5, AnswersOfStrangers) {
  ExpectRefused(From(9, MessageType::kAppResp, 6), absl::StatusCode::kNotFound);
  EXPECT_EQ(counters().unknown_member, 1u);
}

TEST_F(BadInputInTerm5, StaleTerms) {
  ExpectRefused(From(2, MessageType::kVote, 4), absl::StatusCode::kOk);  // ignored
  EXPECT_EQ(counters().stale_term, 1u);
}

TEST_F(BadInputInTerm5, TermsThatLeaveNoRoomToCountOn) {
  ExpectRefused(From(2, MessageType::kVote, ~uint64_t{0}), absl::StatusCode::kInvalidArgument);
}

TEST_F(BadInputInTerm5, AppendsThatAreNoLog) {
  const auto append = [](std::vector<Entry> entries) {
    Message m = From(2, MessageType::kApp, 6);
    m.entries = std::move(entries);
    return m;
  };
  const auto refused = absl::StatusCode::kInvalidArgument;
  ExpectRefused(append({{.term = Term(1), .index = LogIndex(2)}}), refused);  // a gap
  ExpectRefused(append({{.term = Term(7), .index = LogIndex(1)}}), refused);  // of the future
  ExpectRefused(
      append({{.term = Term(2), .index = LogIndex(1)}, {.term = Term(1), .index = LogIndex(2)}}),
      refused);  // terms fall
}

TEST_F(BadInputInTerm5, EmptyProposalsReadsAndSnapshots) {
  const auto refused = absl::StatusCode::kInvalidArgument;
  ExpectRefused(From(2, MessageType::kProp, 0), refused);
  ExpectRefused(From(2, MessageType::kReadIndex, 0), refused);
  ExpectRefused(From(2, MessageType::kSnap, 6), refused);
  Message snap = From(2, MessageType::kSnap, 6);
  Snapshot snapshot;
  snapshot.meta.index = LogIndex(4);
  snapshot.meta.term = Term(1);
  snapshot.meta.conf_state.learners = {MemberId(1)};  // nobody votes
  snap.snapshot = std::make_shared<Snapshot>(snapshot);
  ExpectRefused(snap, refused);
}

TEST_F(BadInputInTerm5, ACommitIndexBeyondTheLogMovesNothing) {
  Message m = From(2, MessageType::kHeartbeat, 5);
  m.commit = LogIndex(100);
  EXPECT_TRUE(group_.Step(1, m).ok());
  EXPECT_EQ(group_.raft(1).log().committed(), LogIndex(0));
  EXPECT_EQ(counters().contradictory, 1u);
}

TEST_F(BadInputInTerm5, AcknowledgementsOfWhatWasNeverSentCountForNothing) {
  ASSERT_TRUE(group_.Elect(1));
  Message m = From(2, MessageType::kAppResp, group_.raft(1).term().value());
  m.index = LogIndex(100);
  EXPECT_TRUE(group_.Step(1, m).ok());
  m.type = MessageType::kHeartbeatResp;
  m.index = LogIndex(0);
  m.context = Bytes::Copy("not ours");
  EXPECT_TRUE(group_.Step(1, m).ok());
  EXPECT_EQ(counters().contradictory, 2u);
  EXPECT_LE(group_.raft(1).tracker().Find(MemberId(2))->match, group_.raft(1).log().last_index());
}

TEST_F(BadInputInTerm5, AnAppendOverCommittedEntriesChangesNothing) {
  ASSERT_TRUE(group_.Elect(1));
  const LogIndex committed = group_.raft(2).log().committed();
  ASSERT_GT(committed, LogIndex(0));
  Message m = From(3, MessageType::kApp, 9);
  m.entries = {{.term = Term(8), .index = LogIndex(1)}, {.term = Term(8), .index = LogIndex(2)}};
  EXPECT_TRUE(group_.Step(2, m).ok());
  EXPECT_EQ(group_.TermsOf(2), group_.TermsOf(1));
  EXPECT_EQ(group_.violation(), "");
}

TEST_F(BadInputInTerm5, AConfigurationChangeThatCannotBeDecoded) {
  ASSERT_TRUE(group_.Elect(1));
  Message m = From(2, MessageType::kProp, 0);
  m.entries = {{.type = EntryType::kConfChange, .data = Bytes::Copy("\x10")}};
  EXPECT_EQ(group_.Step(1, m).code(), absl::StatusCode::kInvalidArgument);
}

// Proposals and reads that are passed on have no term, all others have one.
TEST(BadInput, AMissingTermIsRefusedEvenBeforeTheFirstTermAndAnOddOneToo) {
  Group group({.voters = 3});
  for (int type = 0; type < kMessageTypes; ++type) {
    const auto message_type = static_cast<MessageType>(type);
    const bool passed_on =
        message_type == MessageType::kProp || message_type == MessageType::kReadIndex;
    Message m = From(2, message_type, passed_on ? 1 : 0);
    m.entries = {{.data = Bytes::Static("x")}};
    EXPECT_EQ(group.Step(1, m).code(), absl::StatusCode::kInvalidArgument) << type;
    EXPECT_FALSE(group.raft(1).HasReady());
  }
}

// Found by NoMessageBreaksAMember: a follower passed the term on and failed its own check.
TEST(BadInput, AProposalWithATermIsNotPassedOn) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(2));
  for (const MessageType type : {MessageType::kProp, MessageType::kReadIndex}) {
    Message m = From(3, type, group.raft(1).term().value());
    m.entries = {{.data = Bytes::Static("x")}};
    EXPECT_EQ(group.Step(1, m).code(), absl::StatusCode::kInvalidArgument);
  }
}

// A member restored from a backup has a log and no term: asked for a pre-vote by one
// that lacks the log it has no term to tell.
TEST(BadInput, APreVoteAtAMemberThatNeverHadATerm) {
  Config config;
  config.id = MemberId(1);
  config.async_storage_writes = true;
  DurableLog restored;
  restored.snapshot.index = LogIndex(10);
  restored.snapshot.term = Term(1);
  restored.snapshot.conf_state.voters = {MemberId(1), MemberId(2)};
  Raft raft(config, restored, Instant());
  ASSERT_TRUE(raft.Step(From(2, MessageType::kPreVote, 1), Instant()).ok());
  EXPECT_FALSE(raft.HasReady());
  Message complete = From(2, MessageType::kPreVote, 1);
  complete.log_term = Term(1);
  complete.index = LogIndex(10);
  ASSERT_TRUE(raft.Step(complete, Instant()).ok());
  Ready ready;
  raft.TakeReady(&ready);
  ASSERT_EQ(ready.responses.size(), 1u);
  EXPECT_FALSE(ready.responses[0].reject);
}

TEST_F(BadInputInTerm5, EntriesWithoutATerm) {
  Message m = From(2, MessageType::kApp, 6);
  m.entries = {{.index = LogIndex(1)}};
  ExpectRefused(m, absl::StatusCode::kInvalidArgument);
}

TEST_F(BadInputInTerm5, SnapshotsOfALaterTermThanTheirSenderOrOfNone) {
  for (const uint64_t term : {0, 7}) {
    Snapshot snapshot;
    snapshot.meta.index = LogIndex(4);
    snapshot.meta.term = Term(term);
    snapshot.meta.conf_state = group_.raft(1).conf_state();
    Message m = From(2, MessageType::kSnap, 6);
    m.snapshot = std::make_shared<Snapshot>(snapshot);
    ExpectRefused(m, absl::StatusCode::kInvalidArgument);
  }
}

TEST_F(BadInputInTerm5, ASnapshotForOthersOnly) {
  Snapshot snapshot;
  snapshot.meta.index = LogIndex(4);
  snapshot.meta.term = Term(5);
  snapshot.meta.conf_state.voters = {MemberId(2), MemberId(3)};
  Message m = From(2, MessageType::kSnap, 5);
  m.snapshot = std::make_shared<Snapshot>(snapshot);
  EXPECT_TRUE(group_.Step(1, m).ok());
  EXPECT_EQ(group_.raft(1).log().last_index(), LogIndex(0));
  EXPECT_EQ(counters().contradictory, 1u);
}

// Election Safety (figure 3): a term has one leader.
TEST_F(BadInputInTerm5, ASecondLeaderOfTheTermIsNotFollowed) {
  EXPECT_TRUE(group_.Step(1, From(2, MessageType::kHeartbeat, 5)).ok());
  Message append = From(3, MessageType::kApp, 5);
  append.entries = {{.term = Term(5), .index = LogIndex(1)}};
  EXPECT_TRUE(group_.Step(1, append).ok());
  EXPECT_TRUE(group_.Step(1, From(3, MessageType::kHeartbeat, 5)).ok());
  EXPECT_TRUE(group_.Step(1, From(3, MessageType::kTimeoutNow, 5)).ok());
  EXPECT_EQ(group_.raft(1).leader(), MemberId(2));
  EXPECT_EQ(group_.raft(1).role(), Role::kFollower);
  EXPECT_EQ(group_.raft(1).log().last_index(), LogIndex(0));
  EXPECT_EQ(counters().contradictory, 3u);
  EXPECT_TRUE(group_.Step(1, From(3, MessageType::kHeartbeat, 6)).ok());
  EXPECT_EQ(group_.raft(1).leader(), MemberId(3));  // of a later term it is
}

TEST_F(BadInputInTerm5, ALeaderDoesNotFollowAnotherOfItsTerm) {
  ASSERT_TRUE(group_.Elect(1));
  const uint64_t term = group_.raft(1).term().value();
  for (const MessageType type : {MessageType::kHeartbeat, MessageType::kApp}) {
    EXPECT_TRUE(group_.Step(1, From(2, type, term)).ok());
  }
  EXPECT_EQ(group_.raft(1).role(), Role::kLeader);
  EXPECT_EQ(counters().contradictory, 2u);
}

TEST_F(BadInputInTerm5, RefusalsWithSenselessHintsOnlyMoveTheProbe) {
  ASSERT_TRUE(group_.Elect(1));
  const uint64_t term = group_.raft(1).term().value();
  group_.raft(1).ReportUnreachable(MemberId(2), group_.peer(1).now);
  for (const uint64_t hint : {uint64_t{0}, uint64_t{1}, uint64_t{77}, kMaxTermOrIndex}) {
    for (const uint64_t hint_term : {uint64_t{0}, uint64_t{1}, uint64_t{99}}) {
      Message m = From(2, MessageType::kAppResp, term);
      m.reject = true;
      m.index = group_.raft(1).tracker().Find(MemberId(2))->next - 1;
      m.reject_hint = LogIndex(hint);
      m.log_term = Term(hint_term);
      EXPECT_TRUE(group_.Step(1, m).ok());
      m.index = LogIndex(0);
      EXPECT_TRUE(group_.Step(1, m).ok());
    }
  }
  EXPECT_EQ(group_.violation(), "");
  group_.Elapse(1, Group::kHeartbeat);
  group_.Settle();
  ASSERT_TRUE(group_.Propose(1, "x").ok());
  group_.Settle();
  EXPECT_EQ(group_.Applied(2), std::vector<std::string>{"x"});
}

TEST_F(BadInputInTerm5, VotesOfLearnersAndStrangersElectNobody) {
  Group group({.voters = 3, .learners = 2});
  group.Campaign(1);
  group.Pump(1);
  group.CompleteUnit(1);
  for (const uint64_t id : {4, 5, 9}) {
    group.Step(1, From(id, MessageType::kVoteResp, 1)).IgnoreError();
  }
  EXPECT_EQ(group.raft(1).role(), Role::kCandidate);
  EXPECT_EQ(group.raft(1).counters().unknown_member, 1u);
}

TEST_F(BadInputInTerm5, AVoteIsCountedOnce) {
  Group group({.voters = 5});
  group.Campaign(1);
  group.Pump(1);
  group.CompleteUnit(1);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(group.Step(1, From(2, MessageType::kVoteResp, 1)).ok());
  EXPECT_EQ(group.raft(1).role(), Role::kCandidate);
}

// ---- anything at all ----

rc::Gen<uint64_t> SmallOrHuge() {
  return rc::gen::weightedOneOf<uint64_t>(
      {{12, rc::gen::inRange<uint64_t>(0, 8)},
       {1, rc::gen::element(uint64_t{kMaxTermOrIndex}, kMaxTermOrIndex + 1, ~uint64_t{0})}});
}

Bytes AnyChange() {
  ConfChangeV2 change;
  const auto count = *rc::gen::inRange(0, 3);
  for (int i = 0; i < count; ++i) {
    change.changes.push_back({static_cast<ConfChangeType>(*rc::gen::inRange(0, 4)),
                              MemberId(*rc::gen::inRange<uint64_t>(0, 6))});
  }
  return EncodeToBytes(change);
}

std::vector<Entry> AnyEntries(const Message& m) {
  std::vector<Entry> entries(*rc::gen::inRange<size_t>(0, 4));
  LogIndex index = m.index;
  const bool sound = *rc::gen::inRange(0, 4) > 0;
  for (Entry& entry : entries) {
    entry.term = sound ? std::max(m.log_term, Term(1)) : Term(*SmallOrHuge());
    entry.index = sound ? ++index : LogIndex(*SmallOrHuge());
    if (*rc::gen::inRange(0, 5) == 0) {
      entry.type = EntryType::kConfChangeV2;
      entry.data = AnyChange();
    } else {
      entry.data = Bytes::Copy(std::string(*rc::gen::inRange<size_t>(0, 20), 'x'));
    }
  }
  return entries;
}

std::vector<MemberId> AnyIds() {
  std::vector<MemberId> ids;
  for (uint64_t id = 1; id <= 5; ++id) {
    if (*rc::gen::arbitrary<bool>()) ids.push_back(MemberId(id));
  }
  return ids;
}

// Of any type, from anybody, mostly of about the present term.
Message AnyMessage(Term present) {
  Message m;
  m.type = static_cast<MessageType>(*rc::gen::inRange(0, kMessageTypes));
  m.to = MemberId(1);
  m.from = MemberId(*rc::gen::inRange<uint64_t>(0, 6));
  m.term = *rc::gen::inRange(0, 3) == 0 ? Term(*SmallOrHuge())
                                        : Term(present.value() + *rc::gen::inRange<uint64_t>(0, 2));
  m.log_term = Term(*SmallOrHuge());
  m.index = LogIndex(*SmallOrHuge());
  m.commit = LogIndex(*SmallOrHuge());
  m.reject = *rc::gen::arbitrary<bool>();
  m.reject_hint = LogIndex(*SmallOrHuge());
  m.entries = AnyEntries(m);
  const size_t context = *rc::gen::element<size_t>(0, 0, 8, 16, 3);
  m.context = Bytes::Copy(std::string(context, *rc::gen::element('\0', '\1', '\x7f')));
  if (*rc::gen::inRange(0, 4) == 0) {
    Snapshot snapshot;
    snapshot.meta.index = LogIndex(*SmallOrHuge());
    snapshot.meta.term = Term(*SmallOrHuge());
    snapshot.meta.conf_state.voters = AnyIds();
    snapshot.meta.conf_state.learners = AnyIds();
    m.snapshot = std::make_shared<Snapshot>(snapshot);
  }
  return m;
}

void Disturb(Group* group) {
  Raft& raft = group->raft(1);
  const Instant now = group->peer(1).now;
  const MemberId target(*rc::gen::inRange<uint64_t>(0, 6));
  switch (*rc::gen::inRange(0, 8)) {
    case 0:
      raft.TransferLeader(target, now);
      break;
    case 1:
      raft.ReadIndex(Bytes::Static("read"), now).IgnoreError();
      break;
    case 2:
      raft.ReportSnapshot(target, *rc::gen::arbitrary<bool>(), now);
      break;
    case 3:
      raft.ReportUnreachable(target, now);
      break;
    case 4:
      group->Compact(1, *rc::gen::inRange<uint64_t>(0, 2));
      break;
    case 5:
      group->Propose(1, "mine").IgnoreError();
      break;
    default:
      group->ElapseToDeadline(1);
      break;
  }
}

// One member among liars: nothing that they send breaks its own state.
RC_GTEST_PROP(BadInput, NoMessageBreaksAMember, ()) {
  const auto voters = *rc::gen::inRange<uint64_t>(1, 5);
  const bool lease = *rc::gen::arbitrary<bool>();
  Group group({.voters = voters,
               .learners = *rc::gen::inRange<uint64_t>(0, 2),
               .pre_vote = *rc::gen::arbitrary<bool>(),
               .check_quorum = lease || *rc::gen::arbitrary<bool>(),
               .read_only = lease ? ReadOnlyMode::kLeaseBased : ReadOnlyMode::kSafe});
  if (*rc::gen::arbitrary<bool>()) group.Elect(1);
  for (int i = 0; i < 40; ++i) {
    if (*rc::gen::inRange(0, 6) == 0) {
      Disturb(&group);
    } else {
      Message m = AnyMessage(group.raft(1).term());
      const StateView before = ViewOf(group.raft(1));
      group.raft(1).Step(std::move(m), group.peer(1).now).IgnoreError();
      RC_ASSERT(CheckTransition(before, group.raft(1)).ok());
    }
    const absl::Status state = CheckState(group.raft(1));
    if (!state.ok()) RC_FAIL(std::string(state.message()));
    group.Pump(1);
    if (*rc::gen::arbitrary<bool>()) group.CompleteUnit(1);
    group.messages().clear();
  }
}

}  // namespace
}  // namespace quorate::raft::test
