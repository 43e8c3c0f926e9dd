// What a member does with limits, timers, reads, snapshots and bad input.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/raft/codec.h"
#include "tests/engine/raft/group.h"

namespace quorate::raft::test {
namespace {

using Payloads = std::vector<std::string>;

Message From(uint64_t from, MessageType type, uint64_t term) {
  Message m;
  m.type = type;
  m.from = MemberId(from);
  m.to = MemberId(1);
  m.term = Term(term);
  return m;
}

// ---- configuration ----

TEST(Config, RefusesWhatCannotWorkAndNamesIt) {
  const auto error = [](void (*spoil)(Config*)) {
    Config config;
    config.id = MemberId(1);
    EXPECT_TRUE(config.Validate().ok());
    spoil(&config);
    return std::string(config.Validate().message());
  };
  EXPECT_EQ(error([](Config* c) { c->id = MemberId(0); }), "raft: id must not be 0");
  EXPECT_EQ(error([](Config* c) { c->heartbeat_interval = c->election_timeout; }),
            "raft: election_timeout must be longer than heartbeat_interval");
  EXPECT_EQ(error([](Config* c) { c->max_inflight_messages = 0; }),
            "raft: max_inflight_messages must be above 0");
  EXPECT_EQ(error([](Config* c) {
              c->read_only = ReadOnlyMode::kLeaseBased;
              c->check_quorum = false;
            }),
            "raft: lease-based reads need check_quorum");
}

TEST(Recovery, RefusesALogThatCannotBeOurs) {
  Config config;
  config.id = MemberId(1);
  const auto check = [&](HardState state, std::vector<Entry> entries) {
    return Raft::CheckRecovered(config, {state, {}, std::move(entries)}).code();
  };
  const Entry one{.term = Term(1), .index = LogIndex(1)};
  const Entry three{.term = Term(1), .index = LogIndex(3)};
  const HardState state{Term(1), MemberId(0), LogIndex(1)};
  EXPECT_EQ(check(state, {one}), absl::StatusCode::kOk);
  EXPECT_EQ(check(state, {one, three}), absl::StatusCode::kDataLoss);
  EXPECT_EQ(check(state, {}), absl::StatusCode::kDataLoss);
  EXPECT_EQ(check({Term(1), MemberId(0), LogIndex(2)}, {one}), absl::StatusCode::kDataLoss);
}

// ---- timers ----

TEST(Timers, AnElectionFallsDueAtItsDeadlineAndNotBefore) {
  Group group({.voters = 3});
  const Instant due = group.raft(1).NextDeadline();
  EXPECT_GE(due - Instant(), Group::kElection);
  EXPECT_LT(due - Instant(), Group::kElection * 2);
  group.raft(1).Tick(due - Nanoseconds(1));
  EXPECT_EQ(group.raft(1).role(), Role::kFollower);
  group.raft(1).Tick(due);
  EXPECT_EQ(group.raft(1).role(), Role::kCandidate);
}

TEST(Timers, AMemberOfLowerPriorityStandsLater) {
  Group group({.voters = 3, .tune = [](Config* config) {
                 if (config->id == MemberId(1)) config->election_delay = Seconds(5);
               }});
  EXPECT_GE(group.raft(1).NextDeadline() - Instant(), Seconds(6));
  EXPECT_LT(group.raft(2).NextDeadline() - Instant(), Seconds(2));
  EXPECT_TRUE(group.Elect(1));  // later, but not barred
}

TEST(Timers, NobodyWakesAMemberThatHasNothingToDo) {
  Group alone({.voters = 1});
  ASSERT_TRUE(alone.Elect(1));
  EXPECT_EQ(alone.raft(1).NextDeadline(), Instant::Infinite());
  Group group({.voters = 1, .learners = 1});
  EXPECT_EQ(group.raft(2).NextDeadline(), Instant::Infinite());  // never a candidate
  ASSERT_TRUE(group.Elect(1));
  EXPECT_EQ(group.raft(1).NextDeadline() - group.peer(1).now, Group::kHeartbeat);
}

// ---- limits ----

TEST(Limits, TheWindowBoundsAppendsInFlightAndAnAnswerOpensIt) {
  Group group({.voters = 2, .tune = [](Config* c) { c->max_inflight_messages = 2; }});
  ASSERT_TRUE(group.Elect(1));
  for (const char* data : {"a", "b", "c", "d"}) {
    ASSERT_TRUE(group.Propose(1, data).ok());
    group.Pump(1);
  }
  EXPECT_EQ(group.CountMessages(MessageType::kApp, 2), 2u);
  group.Settle();
  EXPECT_EQ(group.Applied(2), (Payloads{"a", "b", "c", "d"}));
}

TEST(Limits, TheWindowBoundsBytesInFlight) {
  Group group({.voters = 2, .tune = [](Config* c) {
                 c->max_append_bytes = 100;
                 c->max_inflight_bytes = 100;
               }});
  ASSERT_TRUE(group.Elect(1));
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(group.Propose(1, std::string(60, 'x')).ok());
    group.Pump(1);
  }
  EXPECT_EQ(group.CountMessages(MessageType::kApp, 2), 2u);
}

TEST(Limits, AnAppendHoldsWhatFitsAndAtLeastOneEntry) {
  Group group({.voters = 2, .tune = [](Config* c) { c->max_append_bytes = 50; }});
  ASSERT_TRUE(group.Elect(1));
  const std::vector<Bytes> batch(3, Bytes::Copy(std::string(80, 'x')));
  ASSERT_TRUE(group.raft(1).Propose(batch, group.peer(1).now).ok());
  group.Pump(1);
  ASSERT_GE(group.CountMessages(MessageType::kApp, 2), 1u);
  for (const Message& m : group.messages()) EXPECT_EQ(m.entries.size(), 1u);
  group.Settle();
  EXPECT_EQ(group.Applied(2).size(), 3u);
}

TEST(Limits, TooMuchUncommittedIsRefusedUntilItIsApplied) {
  Group group({.voters = 2, .tune = [](Config* c) { c->max_uncommitted_bytes = 10; }});
  ASSERT_TRUE(group.Elect(1));
  EXPECT_TRUE(group.Propose(1, std::string(20, 'x')).ok());  // nothing else is pending
  const absl::Status refused = group.Propose(1, "y");
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(refused.message(), "raft proposal dropped");
  group.Settle();
  EXPECT_TRUE(group.Propose(1, "y").ok());
}

TEST(Proposals, GoToTheLeaderUnlessForwardingIsOff) {
  Group group({.voters = 3,
               .tune = [](Config* c) { c->disable_proposal_forwarding = c->id == MemberId(3); }});
  EXPECT_FALSE(group.Propose(2, "no leader yet").ok());
  ASSERT_TRUE(group.Elect(1));
  EXPECT_TRUE(group.Propose(2, "forwarded").ok());
  EXPECT_FALSE(group.Propose(3, "not").ok());
  group.Settle();
  EXPECT_EQ(group.Applied(3), Payloads{"forwarded"});
}

// ---- asynchronous storage ----

TEST(Storage, ALeaderSendsAtOnceAndCountsItselfOnlyWhenDurable) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  const LogIndex before = group.raft(1).log().committed();
  ASSERT_TRUE(group.Propose(1, "x").ok());
  group.Pump(1);
  ASSERT_EQ(group.CountMessages(MessageType::kApp, 2), 1u);  // and nothing durable here
  while (!group.messages().empty()) group.DeliverAt(0);
  group.Pump(2);
  group.CompleteUnit(2);
  while (!group.messages().empty()) group.DeliverAt(0);
  EXPECT_EQ(group.raft(1).log().committed(), before);  // 2 alone
  group.CompleteUnit(1);
  EXPECT_EQ(group.raft(1).log().committed(), before + 1);
}

TEST(Storage, AFollowerAcknowledgesOnlyWhatIsDurable) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  ASSERT_TRUE(group.Propose(1, "x").ok());
  group.Pump(1);
  while (!group.messages().empty()) group.DeliverAt(0);
  group.Pump(2);
  EXPECT_EQ(group.CountMessages(MessageType::kAppResp, 1), 0u);
  group.CompleteUnit(2);
  EXPECT_EQ(group.CountMessages(MessageType::kAppResp, 1), 1u);
}

// A request for a vote that left before its term was durable could be answered to a
// later campaign of the same member in the same term, with a shorter log.
TEST(Storage, ARequestForAVoteWaitsForTheCandidatesDisk) {
  Group group({.voters = 3});
  group.Campaign(3);
  group.Pump(3);
  EXPECT_TRUE(group.messages().empty());
  group.CompleteUnit(3);
  EXPECT_EQ(group.CountMessages(MessageType::kVote, 1), 1u);
}

TEST(Storage, AnAcknowledgementOfAnEarlierTermDoesNotMakeEntriesStable) {
  Group group({.voters = 3});
  Message append = From(2, MessageType::kApp, 1);
  append.entries = {{.term = Term(1), .index = LogIndex(1)}};
  ASSERT_TRUE(group.Step(1, append).ok());
  group.Pump(1);  // A on its way to the disk
  Message other = From(3, MessageType::kApp, 2);
  other.entries = {{.term = Term(2), .index = LogIndex(1)}};
  ASSERT_TRUE(group.Step(1, other).ok());
  group.Pump(1);  // B behind it
  Message again = From(2, MessageType::kApp, 3);
  again.entries = {{.term = Term(1), .index = LogIndex(1)}};
  ASSERT_TRUE(group.Step(1, again).ok());
  group.Pump(1);  // A once more
  group.CompleteUnit(1);
  EXPECT_EQ(group.raft(1).log().stable(), LogIndex(0));  // B will overwrite the first A
  group.CompleteUnit(1);
  EXPECT_EQ(group.raft(1).log().stable(), LogIndex(0));
  group.CompleteUnit(1);
  EXPECT_EQ(group.raft(1).log().stable(), LogIndex(1));
  EXPECT_EQ(group.peer(1).durable_entries[0].term, Term(1));
}

// ---- snapshots ----

TEST(Snapshots, AFollowerWhoseEntriesAreGoneGetsTheStateAndGoesOn) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  group.Isolate({3});
  for (const char* data : {"a", "b", "c"}) ASSERT_TRUE(group.Propose(1, data).ok());
  group.Settle();
  group.Compact(1);
  group.Heal();
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
  ASSERT_TRUE(group.Elect(1));
  group.Isolate({3});
  ASSERT_TRUE(group.Propose(1, "a").ok());
  group.Settle();
  group.Compact(1);
  group.Heal();
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

TEST(Snapshots, OnlyWhatIsAppliedAndDurableIsCompacted) {
  Group group({.voters = 1});
  ASSERT_TRUE(group.Elect(1));
  const LogIndex last = group.raft(1).log().last_index();
  EXPECT_EQ(group.raft(1).Compact(last + 1).code(), absl::StatusCode::kOutOfRange);
  EXPECT_TRUE(group.raft(1).Compact(last).ok());
  EXPECT_TRUE(group.raft(1).Compact(last).ok());
}

// ---- membership ----

TEST(Membership, AChangeThatIsNotPossibleIsRefusedWithTheReason) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  EXPECT_EQ(group.ProposeChange(1, ConfChangeV2()).message(),
            "not in joint state; refusing empty conf change");
  ASSERT_TRUE(group.ProposeChange(1, RemoveMember(3)).ok());
  EXPECT_EQ(group.ProposeChange(1, RemoveMember(2)).code(),
            absl::StatusCode::kFailedPrecondition);  // the first is not applied yet
  group.Settle();
  EXPECT_TRUE(group.ProposeChange(1, RemoveMember(2)).ok());
  group.Settle();
  EXPECT_EQ(group.ProposeChange(1, RemoveMember(1)).message(), "removed all voters");
}

TEST(Membership, ARemovedLeaderStepsDownIfToldTo) {
  for (const bool step_down : {false, true}) {
    Group group({.voters = 3, .tune = [=](Config* c) { c->step_down_on_removal = step_down; }});
    ASSERT_TRUE(group.Elect(1));
    ASSERT_TRUE(group.ProposeChange(1, RemoveMember(1)).ok());
    group.Settle();
    EXPECT_EQ(group.raft(1).role(), step_down ? Role::kFollower : Role::kLeader);
    EXPECT_FALSE(group.Propose(1, "x").ok());
  }
}

// ---- bad input ----

class BadInput : public testing::Test {
 protected:
  BadInput() : group_({.voters = 3, .term = 5}) {}

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

TEST_F(BadInput, LocalMessagesAndOurOwnNameFromTheNetwork) {
  ExpectRefused(From(2, MessageType::kHup, 0), absl::StatusCode::kInvalidArgument);
  ExpectRefused(From(2, MessageType::kStorageAppendResp, 9), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(counters().local_refused, 2u);
  ExpectRefused(From(1, MessageType::kApp, 6), absl::StatusCode::kInvalidArgument);
  ExpectRefused(From(0, MessageType::kApp, 6), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(counters().malformed, 2u);
}

TEST_F(BadInput, AnswersOfStrangers) {
  ExpectRefused(From(9, MessageType::kAppResp, 6), absl::StatusCode::kNotFound);
  EXPECT_EQ(counters().unknown_member, 1u);
}

TEST_F(BadInput, StaleTerms) {
  ExpectRefused(From(2, MessageType::kVote, 4), absl::StatusCode::kOk);  // ignored
  EXPECT_EQ(counters().stale_term, 1u);
}

TEST_F(BadInput, TermsThatLeaveNoRoomToCountOn) {
  ExpectRefused(From(2, MessageType::kVote, ~uint64_t{0}), absl::StatusCode::kInvalidArgument);
}

TEST_F(BadInput, AppendsThatAreNoLog) {
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

TEST_F(BadInput, EmptyProposalsReadsAndSnapshots) {
  const auto refused = absl::StatusCode::kInvalidArgument;
  ExpectRefused(From(2, MessageType::kProp, 0), refused);
  ExpectRefused(From(2, MessageType::kReadIndex, 0), refused);
  ExpectRefused(From(2, MessageType::kSnap, 6), refused);
  Message snap = From(2, MessageType::kSnap, 6);
  Snapshot snapshot;
  snapshot.meta.index = LogIndex(4);
  snapshot.meta.conf_state.learners = {MemberId(1)};  // nobody votes
  snap.snapshot = std::make_shared<Snapshot>(snapshot);
  ExpectRefused(snap, refused);
}

TEST_F(BadInput, ACommitIndexBeyondTheLogMovesNothing) {
  Message m = From(2, MessageType::kHeartbeat, 5);
  m.commit = LogIndex(100);
  EXPECT_TRUE(group_.Step(1, m).ok());
  EXPECT_EQ(group_.raft(1).log().committed(), LogIndex(0));
  EXPECT_EQ(counters().contradictory, 1u);
}

TEST_F(BadInput, AcknowledgementsOfWhatWasNeverSentCountForNothing) {
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

TEST_F(BadInput, AnAppendOverCommittedEntriesChangesNothing) {
  ASSERT_TRUE(group_.Elect(1));
  const LogIndex committed = group_.raft(2).log().committed();
  ASSERT_GT(committed, LogIndex(0));
  Message m = From(3, MessageType::kApp, 9);
  m.entries = {{.term = Term(8), .index = LogIndex(1)}, {.term = Term(8), .index = LogIndex(2)}};
  EXPECT_TRUE(group_.Step(2, m).ok());
  EXPECT_EQ(group_.TermsOf(2), group_.TermsOf(1));
  EXPECT_EQ(group_.violation(), "");
}

TEST_F(BadInput, AConfigurationChangeThatCannotBeDecoded) {
  ASSERT_TRUE(group_.Elect(1));
  Message m = From(2, MessageType::kProp, 0);
  m.entries = {{.type = EntryType::kConfChange, .data = Bytes::Copy("\x10")}};
  EXPECT_EQ(group_.Step(1, m).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace quorate::raft::test
