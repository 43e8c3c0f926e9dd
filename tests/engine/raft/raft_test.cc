// What a member does with limits, timers, storage and snapshots.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

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
  EXPECT_EQ(error([](Config* c) { c->read_only = ReadOnlyMode::kLeaseBased; }),
            "raft: lease-based reads need max_clock_drift: no two clocks agree");
  EXPECT_EQ(error([](Config* c) {
              c->read_only = ReadOnlyMode::kLeaseBased;
              c->max_clock_drift = c->election_timeout;
            }),
            "raft: max_clock_drift leaves no lease between two heartbeats");
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

// Backing off must never bar what keeps the cluster going.
TEST(Limits, ANewLeadersEntryAndTheEndOfAJointPhaseAreNeverTooMuch) {
  Group group({.voters = 3, .tune = [](Config* c) { c->max_uncommitted_bytes = 1; }});
  ASSERT_TRUE(group.Elect(1));
  ConfChangeV2 change = RemoveMember(3);
  change.transition = ConfChangeTransition::kJointImplicit;
  ASSERT_TRUE(group.ProposeChange(1, change).ok());
  EXPECT_FALSE(group.Propose(1, "too much").ok());
  group.Settle();
  EXPECT_EQ(Describe(group.raft(1).conf_state()), "voters=(1 2)");
  EXPECT_TRUE(group.Elect(2));
}

TEST(Limits, CommittedEntriesAreHandedOutInBatchesAsTheyAreApplied) {
  Config config;
  config.id = MemberId(1);
  config.async_storage_writes = true;
  config.max_committed_bytes_per_ready = 300;
  DurableLog log;
  log.snapshot.conf_state.voters = {MemberId(1)};
  log.hard_state = {Term(1), MemberId(1), LogIndex(10)};
  for (uint64_t i = 1; i <= 10; ++i) {
    log.entries.push_back(
        {.term = Term(1), .index = LogIndex(i), .data = Bytes::Copy(std::string(90, 'x'))});
  }
  Raft raft(config, log, Instant());
  Ready ready;
  LogIndex applied;
  for (int batches = 0; applied < LogIndex(10); ++batches) {
    ASSERT_LT(batches, 4);
    raft.TakeReady(&ready);
    ASSERT_EQ(ready.committed_entries.front().index, applied + 1);
    ASSERT_LE(ready.committed_entries.size(), 3u);
    EXPECT_FALSE(raft.HasReady());  // not before these are applied
    applied = ready.committed_entries.last_index();
    raft.AppliedTo(applied, Instant());
  }
}

// ---- replication: probe, replicate, snapshot ----

TEST(Replication, AFollowerThatMayHaveMissedAppendsIsProbedWithOneAtATime) {
  Group group({.voters = 2});
  ASSERT_TRUE(group.Elect(1));
  const Progress& progress = *group.raft(1).tracker().Find(MemberId(2));
  ASSERT_EQ(progress.state, ProgressState::kReplicate);
  group.raft(1).ReportUnreachable(MemberId(2), group.peer(1).now);
  ASSERT_EQ(progress.state, ProgressState::kProbe);
  for (const char* data : {"a", "b", "c"}) {
    ASSERT_TRUE(group.Propose(1, data).ok());
    group.Pump(1);
  }
  EXPECT_EQ(group.CountMessages(MessageType::kApp, 2), 1u);
  EXPECT_TRUE(progress.IsPaused());
  group.messages().clear();  // lost
  group.Elapse(1, Group::kHeartbeat);
  group.Settle();  // the heartbeat's answer allows the next probe, whose answer the rest
  EXPECT_EQ(progress.state, ProgressState::kReplicate);
  EXPECT_EQ(group.Applied(2), (Payloads{"a", "b", "c"}));
}

TEST(Replication, AWindowFullOfLostAppendsRecoversByAnEmptyOne) {
  Group group({.voters = 2, .tune = [](Config* c) { c->max_inflight_messages = 2; }});
  ASSERT_TRUE(group.Elect(1));
  for (const char* data : {"a", "b", "c"}) {
    ASSERT_TRUE(group.Propose(1, data).ok());
    group.Pump(1);
  }
  group.messages().clear();
  group.Elapse(1, Group::kHeartbeat);
  group.Settle();
  EXPECT_EQ(group.Applied(2), (Payloads{"a", "b", "c"}));
}

// The network reorders: a rejection that comes after the follower has matched is stale.
TEST(Replication, ALateRejectionDoesNotStopTheStream) {
  Group group({.voters = 2});
  ASSERT_TRUE(group.Elect(1));
  ASSERT_TRUE(group.Propose(1, "a").ok());
  group.Settle();
  Message late;
  late.type = MessageType::kAppResp;
  late.from = MemberId(2);
  late.to = MemberId(1);
  late.term = group.raft(1).term();
  late.index = LogIndex(1);
  late.reject = true;
  ASSERT_TRUE(group.Step(1, late).ok());
  EXPECT_EQ(group.raft(1).tracker().Find(MemberId(2))->state, ProgressState::kReplicate);
  EXPECT_EQ(group.raft(1).tracker().Find(MemberId(2))->match, LogIndex(2));
}

// ---- a cluster of one ----

TEST(Alone, AMemberElectsItselfAndCommitsWhatItsOwnDiskHolds) {
  Group group({.voters = 1});
  group.Campaign(1);
  group.Pump(1);
  EXPECT_EQ(group.raft(1).role(), Role::kCandidate);  // its vote is not durable yet
  group.CompleteUnit(1);
  EXPECT_EQ(group.raft(1).role(), Role::kLeader);
  ASSERT_TRUE(group.Propose(1, "x").ok());
  group.Pump(1);
  EXPECT_TRUE(group.Applied(1).empty());
  group.CompleteUnit(1);
  group.Pump(1);
  EXPECT_EQ(group.Applied(1), Payloads{"x"});
  EXPECT_TRUE(group.messages().empty());
  ASSERT_TRUE(group.raft(1).ReadIndex(Bytes::Static("r"), group.peer(1).now).ok());
  group.Pump(1);
  EXPECT_EQ(group.peer(1).reads.size(), 1u);  // nobody to ask
}

// A commit index need not be durable. After a restart the old one may be behind what was
// acknowledged, so that even a member alone answers only once its new term has committed.
TEST(Alone, AfterARestartReadsWaitForTheFirstCommit) {
  Group group({.voters = 1});
  ASSERT_TRUE(group.Elect(1));
  ASSERT_TRUE(group.Propose(1, "acknowledged").ok());
  group.Settle();
  const LogIndex acknowledged = group.raft(1).log().committed();
  group.peer(1).durable_state.commit = LogIndex(1);  // the latest was not written
  group.Crash(1);
  group.Restart(1);
  group.Campaign(1);
  group.Pump(1);
  group.CompleteUnit(1);
  ASSERT_EQ(group.raft(1).role(), Role::kLeader);
  ASSERT_TRUE(group.raft(1).ReadIndex(Bytes::Static("r"), group.peer(1).now).ok());
  group.Pump(1);
  EXPECT_TRUE(group.peer(1).reads.empty());
  group.Settle();
  ASSERT_EQ(group.peer(1).reads.size(), 1u);
  EXPECT_GT(group.peer(1).reads[0].index, acknowledged);
}

// ---- forgetting a leader ----

TEST(ForgetLeader, AFollowerThatForgotVotesForAnotherAndFollowsOnWhenItHears) {
  Group group({.voters = 3, .check_quorum = true});
  ASSERT_TRUE(group.Elect(1));
  EXPECT_FALSE(group.Elect(2));  // all are loyal
  ASSERT_EQ(group.raft(1).role(), Role::kLeader);
  Group other({.voters = 3, .check_quorum = true});
  ASSERT_TRUE(other.Elect(1));
  other.Isolate({1});
  ASSERT_TRUE(other.raft(3).ForgetLeader(other.peer(3).now).ok());
  EXPECT_EQ(other.raft(3).leader(), MemberId(0));
  EXPECT_FALSE(other.Propose(3, "x").ok());
  EXPECT_TRUE(other.Elect(2));  // with 3's vote, long before an election timeout
}

TEST(ForgetLeader, AHeartbeatBringsTheLeaderBack) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  ASSERT_TRUE(group.raft(3).ForgetLeader(group.peer(3).now).ok());
  ASSERT_TRUE(group.raft(1).ForgetLeader(group.peer(1).now).ok());  // no effect on a leader
  EXPECT_EQ(group.raft(1).role(), Role::kLeader);
  group.Elapse(1, Group::kHeartbeat);
  group.Settle();
  EXPECT_EQ(group.raft(3).leader(), MemberId(1));
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

// Members differ on who leads: what one passes on comes back to it, now the leader.
TEST(Proposals, OfOurOwnThatComeBackAreTaken) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  Message m = From(1, MessageType::kProp, 0);
  m.entries = {{.data = Bytes::Static("x")}};
  EXPECT_TRUE(group.Step(1, m).ok());
  m = From(1, MessageType::kReadIndex, 0);
  m.entries = {{.data = Bytes::Static("read")}};
  EXPECT_TRUE(group.Step(1, m).ok());
  group.Settle();
  EXPECT_EQ(group.Applied(3), Payloads{"x"});
  EXPECT_EQ(group.peer(1).reads.size(), 1u);
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

TEST(Storage, ARequestForAVoteWaitsForTheCandidatesDiskUnlessTheEnvironmentSeesToIt) {
  for (const auto guard : {VoteRequestGuard::kRaft, VoteRequestGuard::kEnvironment}) {
    Group group({.voters = 3, .tune = [=](Config* c) { c->vote_request_guard = guard; }});
    group.Campaign(3);
    group.Pump(3);
    EXPECT_EQ(group.messages().empty(), guard == VoteRequestGuard::kRaft);
    group.CompleteUnit(3);
    EXPECT_EQ(group.CountMessages(MessageType::kVote, 1), 1u);
  }
}

// Why somebody has to: a member stands with an entry that it has not yet written, gets a
// vote for it, crashes, forgets both, stands again in the same term without the entry,
// and takes the vote for an answer to that. (Without a guard at all: nothing of the
// environment here holds requests back.)
TEST(Storage, AVoteRequestThatOutrunsTheDiskElectsALeaderWithoutCommittedEntries) {
  for (const auto guard : {VoteRequestGuard::kRaft, VoteRequestGuard::kEnvironment}) {
    Group group({.voters = 3, .tune = [=](Config* c) { c->vote_request_guard = guard; }});
    ASSERT_TRUE(group.Elect(2));
    const auto arrive = [&](MessageType type, uint64_t to) {
      for (size_t i = 0; i < group.messages().size(); ++i) {
        const Message& m = group.messages()[i];
        if (m.type == type && m.to == MemberId(to)) return group.DeliverAt(i);
      }
    };
    ASSERT_TRUE(group.Propose(2, "x").ok());
    group.Pump(2);
    group.CompleteUnit(2);
    for (const uint64_t id : {1, 3}) arrive(MessageType::kApp, id);
    for (const uint64_t id : {1, 3}) group.Pump(id);
    group.CompleteUnit(1);  // 3 has not written it
    arrive(MessageType::kAppResp, 2);
    group.Pump(2);
    ASSERT_EQ(group.Applied(2), Payloads{"x"});
    group.messages().clear();
    group.Campaign(3);
    group.Pump(3);
    arrive(MessageType::kVote, 1);
    group.Pump(1);
    group.CompleteUnit(1);  // the vote is on its way to 3
    group.Crash(3);
    group.Restart(3);
    ASSERT_EQ(group.raft(3).log().last_index(), LogIndex(1));
    group.Campaign(3);
    group.Pump(3);
    group.CompleteUnit(3);
    arrive(MessageType::kVoteResp, 3);
    const bool guarded = guard == VoteRequestGuard::kRaft;
    EXPECT_EQ(group.raft(3).role(), guarded ? Role::kCandidate : Role::kLeader);
    EXPECT_EQ(group.violation(), guarded ? "" : "leader 3 of term 2 lacks entry 2");
  }
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

}  // namespace
}  // namespace quorate::raft::test
