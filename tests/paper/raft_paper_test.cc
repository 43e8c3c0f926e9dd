// One test for each rule of the Raft paper: D. Ongaro, J. Ousterhout, "In Search of an
// Understandable Consensus Algorithm (Extended Version)", sections 5 to 8.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "tests/engine/raft/group.h"

namespace quorate::raft::test {
namespace {

using Payloads = std::vector<std::string>;
using Terms = std::vector<uint64_t>;

Message VoteRequest(uint64_t from, uint64_t to, uint64_t term, uint64_t log_term, uint64_t index) {
  Message m;
  m.type = MessageType::kVote;
  m.from = MemberId(from);
  m.to = MemberId(to);
  m.term = Term(term);
  m.log_term = Term(log_term);
  m.index = LogIndex(index);
  return m;
}

// The answer of member `id` to a request, once its disk allows one.
std::vector<Message> AnswersOf(Group* group, uint64_t id) {
  group->messages().clear();
  group->Pump(id);
  while (!group->peer(id).units.empty()) group->CompleteUnit(id);
  return group->messages();
}

// ---- 5.1: terms ----

TEST(Section5_1, ALaterTermTurnsCandidatesAndLeadersIntoFollowers) {
  for (const bool leader : {false, true}) {
    Group group({.voters = 3});
    group.Campaign(1);
    if (leader) group.Settle();
    ASSERT_EQ(group.raft(1).role(), leader ? Role::kLeader : Role::kCandidate);
    ASSERT_TRUE(group.Step(1, VoteRequest(2, 1, 7, 0, 0)).ok());
    EXPECT_EQ(group.raft(1).role(), Role::kFollower);
    EXPECT_EQ(group.raft(1).term(), Term(7));
  }
}

TEST(Section5_1, RequestsOfAnEarlierTermAreRejected) {
  Group group({.voters = 3, .term = 5});
  ASSERT_TRUE(group.Step(1, VoteRequest(2, 1, 4, 4, 9)).ok());
  EXPECT_EQ(group.raft(1).term(), Term(5));
  EXPECT_EQ(group.raft(1).vote(), MemberId(0));
}

// ---- 5.2: leader election ----

TEST(Section5_2, MembersStartAsFollowers) {
  Group group({.voters = 3});
  for (const uint64_t id : group.ids()) EXPECT_EQ(group.raft(id).role(), Role::kFollower);
}

TEST(Section5_2, AFollowerThatHearsNothingStandsVotesForItselfAndAsksTheOthers) {
  Group group({.voters = 3});
  group.ElapseToDeadline(1);
  EXPECT_EQ(group.raft(1).role(), Role::kCandidate);
  EXPECT_EQ(group.raft(1).term(), Term(1));
  EXPECT_EQ(group.raft(1).vote(), MemberId(1));
  AnswersOf(&group, 1);
  EXPECT_EQ(group.CountMessages(MessageType::kVote, 2), 1u);
  EXPECT_EQ(group.CountMessages(MessageType::kVote, 3), 1u);
}

TEST(Section5_2, HeartbeatsKeepFollowersFromStanding) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  for (int i = 0; i < 50; ++i) {
    for (const uint64_t id : group.ids()) group.Elapse(id, Group::kHeartbeat);
    group.Settle();
  }
  EXPECT_EQ(group.Leaders(), std::vector<uint64_t>{1});
  EXPECT_EQ(group.raft(1).term(), Term(1));
}

// Figure 2, followers: granting a vote starts the wait anew, as word of a leader does;
// refusing one does not.
TEST(Section5_2, GrantingAVoteStartsTheWaitAnewRefusingOneDoesNot) {
  for (const bool granted : {true, false}) {
    Group group({.voters = 3, .terms_of_logs = {{1, {1}}}, .term = 1});
    const Instant due = group.raft(1).NextDeadline();
    group.peer(1).now = group.peer(1).now + Milliseconds(500);
    // The term is the member's own: a later one would start the wait by itself.
    ASSERT_TRUE(group.Step(1, VoteRequest(2, 1, 1, granted ? 1 : 0, granted ? 1 : 0)).ok());
    EXPECT_EQ(group.raft(1).NextDeadline() > due, granted);
  }
}

// Figure 2, leaders: appends to every follower at once, which prevent other elections.
TEST(Section5_2, ANewLeaderSaysSoAtOnceAndKeepsSayingIt) {
  Group group({.voters = 3});
  group.Campaign(1);
  group.lost_type = MessageType::kApp;
  group.Settle();
  ASSERT_EQ(group.raft(1).role(), Role::kLeader);
  EXPECT_EQ(group.raft(2).leader(), MemberId(0));
  group.Elapse(1, Group::kHeartbeat);
  group.Pump(1);
  EXPECT_EQ(group.CountMessages(MessageType::kHeartbeat, 2), 1u);
  EXPECT_EQ(group.CountMessages(MessageType::kHeartbeat, 3), 1u);
}

TEST(Section5_2, VotesOfAMajorityOfTheWholeClusterMakeALeader) {
  for (uint64_t voters = 1; voters <= 7; ++voters) {
    for (uint64_t silent = 0; silent < voters; ++silent) {
      Group group({.voters = voters});
      for (uint64_t id = voters; id > voters - silent; --id) group.Crash(id);
      EXPECT_EQ(group.Elect(1), (voters - silent) * 2 > voters) << voters << " - " << silent;
    }
  }
}

TEST(Section5_2, AMemberVotesForOneCandidateATermFirstComeFirstServed) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Step(1, VoteRequest(2, 1, 1, 0, 0)).ok());
  ASSERT_TRUE(group.Step(1, VoteRequest(3, 1, 1, 0, 0)).ok());
  ASSERT_TRUE(group.Step(1, VoteRequest(2, 1, 1, 0, 0)).ok());  // again: the same answer
  const std::vector<Message> answers = AnswersOf(&group, 1);
  ASSERT_EQ(answers.size(), 3u);
  EXPECT_FALSE(answers[0].reject);
  EXPECT_TRUE(answers[1].reject);
  EXPECT_FALSE(answers[2].reject);
}

TEST(Section5_2, ACandidateThatHearsOfALeaderOfItsTermFollows) {
  Group group({.voters = 3});
  group.Campaign(1);
  Message heartbeat;
  heartbeat.type = MessageType::kHeartbeat;
  heartbeat.from = MemberId(2);
  heartbeat.to = MemberId(1);
  heartbeat.term = group.raft(1).term();
  ASSERT_TRUE(group.Step(1, heartbeat).ok());
  EXPECT_EQ(group.raft(1).role(), Role::kFollower);
  EXPECT_EQ(group.raft(1).leader(), MemberId(2));
}

TEST(Section5_2, ASplitVoteIsFollowedByANewElectionOfANewTerm) {
  Group group({.voters = 4});
  group.Campaign(1);
  group.Campaign(2);
  group.Isolate({1, 3});  // two votes each
  group.Settle();
  EXPECT_TRUE(group.Leaders().empty());
  group.Heal();
  group.ElapseToDeadline(1);
  group.Settle();
  EXPECT_EQ(group.Leaders(), std::vector<uint64_t>{1});
  EXPECT_GE(group.raft(1).term(), Term(2));
}

TEST(Section5_2, WaitsAreRandomSoThatSplitVotesAreRare) {
  std::set<int64_t> waits;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Group group({.voters = 3, .seed = seed});
    waits.insert(group.raft(1).randomized_election_timeout().nanos());
    waits.insert(group.raft(2).randomized_election_timeout().nanos());
  }
  EXPECT_GT(waits.size(), 35u);
  EXPECT_GE(*waits.begin(), Group::kElection.nanos());
  EXPECT_LT(*waits.rbegin(), 2 * Group::kElection.nanos());
}

// ---- 5.3: log replication ----

TEST(Section5_3, AnEntryIsCommittedOnceAMajorityHoldsItAndFollowersLearnOfIt) {
  Group group({.voters = 5});
  ASSERT_TRUE(group.Elect(1));
  group.Crash(4);
  group.Crash(5);
  ASSERT_TRUE(group.Propose(1, "x").ok());
  group.Settle();
  for (const uint64_t id : {1, 2, 3}) EXPECT_EQ(group.Applied(id), Payloads{"x"});
}

TEST(Section5_3, WithoutAMajorityNothingIsCommitted) {
  Group group({.voters = 5});
  ASSERT_TRUE(group.Elect(1));
  group.Isolate({1, 2});
  ASSERT_TRUE(group.Propose(1, "x").ok());
  group.Settle();
  EXPECT_TRUE(group.Applied(1).empty());
  group.Heal();
  group.Elapse(1, Group::kHeartbeat);
  group.Settle();
  EXPECT_EQ(group.Applied(5), Payloads{"x"});
}

TEST(Section5_3, ALeaderSendsAgainUntilASlowFollowerHasEverything) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  group.Isolate({3});
  for (const char* data : {"a", "b", "c"}) ASSERT_TRUE(group.Propose(1, data).ok());
  group.Settle();
  EXPECT_TRUE(group.Applied(3).empty());
  group.Heal();
  group.Elapse(1, Group::kHeartbeat);
  group.Settle();
  EXPECT_EQ(group.Applied(3), (Payloads{"a", "b", "c"}));
}

TEST(Section5_3, AnAppendThatDoesNotFitTheLogIsRefused) {
  Group group({.voters = 3, .terms_of_logs = {{1, {1, 1}}}});
  Message m;
  m.type = MessageType::kApp;
  m.from = MemberId(2);
  m.to = MemberId(1);
  m.term = Term(3);
  for (const EntryId previous : {EntryId{Term(2), LogIndex(2)}, EntryId{Term(2), LogIndex(5)}}) {
    m.index = previous.index;
    m.log_term = previous.term;
    ASSERT_TRUE(group.Step(1, m).ok());
    const std::vector<Message> answers = AnswersOf(&group, 1);
    ASSERT_EQ(answers.size(), 1u);
    EXPECT_TRUE(answers[0].reject);
  }
  EXPECT_EQ(group.TermsOf(1), (Terms{1, 1}));
}

TEST(Section5_3, AConflictingEntryAndAllThatFollowAreReplacedOthersStay) {
  Group group({.voters = 3, .terms_of_logs = {{1, {1, 1, 2, 2}}}});
  Message m;
  m.type = MessageType::kApp;
  m.from = MemberId(2);
  m.to = MemberId(1);
  m.term = Term(3);
  m.index = LogIndex(1);
  m.log_term = Term(1);
  // An old message: what it holds is there, and what stands behind it stays.
  m.entries = {{.term = Term(1), .index = LogIndex(2)}};
  ASSERT_TRUE(group.Step(1, m).ok());
  EXPECT_EQ(group.TermsOf(1), (Terms{1, 1, 2, 2}));
  m.entries.push_back({.term = Term(3), .index = LogIndex(3)});
  ASSERT_TRUE(group.Step(1, m).ok());
  EXPECT_EQ(group.TermsOf(1), (Terms{1, 1, 3}));
}

// Figure 2, AppendEntries rule 5: the commit index does not pass the last new entry.
TEST(Section5_3, TheCommitIndexOfAnAppendCountsUpToItsLastEntryOnly) {
  Group group({.voters = 3, .terms_of_logs = {{1, {1, 1, 1}}}});
  Message m;
  m.type = MessageType::kApp;
  m.from = MemberId(2);
  m.to = MemberId(1);
  m.term = Term(2);
  m.index = LogIndex(1);
  m.log_term = Term(1);
  m.commit = LogIndex(3);  // the leader's third entry may be another than ours
  ASSERT_TRUE(group.Step(1, m).ok());
  EXPECT_EQ(group.raft(1).log().committed(), LogIndex(1));
}

// Figure 7: all the ways in which followers can differ from a new leader of term 8.
TEST(Section5_3, ANewLeaderBringsEveryFollowerOfFigure7ToItsLog) {
  const Terms leader = {1, 1, 1, 4, 4, 5, 5, 6, 6, 6};
  const std::vector<Terms> followers = {
      {1, 1, 1, 4, 4, 5, 5, 6, 6},           // (a) lacks an entry
      {1, 1, 1, 4},                          // (b) lacks many
      {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6},     // (c) has one more
      {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7},  // (d) has two of a later term
      {1, 1, 1, 4, 4, 4, 4},                 // (e) both
      {1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3},     // (f) both
  };
  GroupOptions options{.voters = 7, .term = 7};
  options.terms_of_logs[1] = leader;
  for (size_t i = 0; i < followers.size(); ++i) options.terms_of_logs[i + 2] = followers[i];
  Group group(options);
  ASSERT_TRUE(group.Elect(1));  // (a), (b), (e), (f) and its own vote
  for (int i = 0; i < 3; ++i) {
    group.Elapse(1, Group::kHeartbeat);
    group.Settle();
  }
  Terms expected = leader;
  expected.push_back(8);
  for (const uint64_t id : group.ids()) EXPECT_EQ(group.TermsOf(id), expected) << id;
  EXPECT_EQ(group.violation(), "");
}

// The optimisation at the end of 5.3: a rejection skips whole terms.
TEST(Section5_3, ADivergentTailTakesARejectionATermNotAnEntry) {
  GroupOptions options{.voters = 3, .term = 9};
  options.terms_of_logs[1] = {1};
  for (int i = 0; i < 100; ++i) options.terms_of_logs[1].push_back(5);
  options.terms_of_logs[2] = options.terms_of_logs[1];
  options.terms_of_logs[3] = {1};
  for (int i = 0; i < 60; ++i) options.terms_of_logs[3].push_back(i < 30 ? 2 : 3);
  Group group(options);
  ASSERT_TRUE(group.Elect(1));
  EXPECT_EQ(group.TermsOf(3), group.TermsOf(1));
  // Terms 3 and 2 of the tail: at most as many probes as terms.
  EXPECT_EQ(group.raft(3).log().last_index(), group.raft(1).log().last_index());
}

// ---- 5.4: safety ----

// The same where the leader's terms are the later ones: it skips them by itself.
TEST(Section5_3, ALeaderSkipsItsOwnTermsThatTheFollowerCannotHave) {
  GroupOptions options{.voters = 3, .term = 9};
  options.terms_of_logs[1] = {1, 3, 3, 3, 5, 5, 5, 5, 5};
  options.terms_of_logs[2] = options.terms_of_logs[1];
  options.terms_of_logs[3] = {1, 1, 1, 1, 2, 2};
  Group group(options);
  group.Isolate({3});
  ASSERT_TRUE(group.Elect(1));
  group.Heal();
  group.messages().clear();
  group.raft(1).ReportUnreachable(MemberId(3), group.peer(1).now);
  Message refused;
  refused.type = MessageType::kAppResp;
  refused.from = MemberId(3);
  refused.to = MemberId(1);
  refused.term = group.raft(1).term();
  refused.reject = true;
  refused.index = group.raft(1).tracker().Find(MemberId(3))->next - 1;
  refused.reject_hint = LogIndex(6);
  refused.log_term = Term(2);
  ASSERT_TRUE(group.Step(1, refused).ok());
  // Index 1 is the last place where the leader has a term of at most 2.
  EXPECT_EQ(group.raft(1).tracker().Find(MemberId(3))->next, LogIndex(2));
}

TEST(Section5_4_1, AVoteIsRefusedToALogThatIsLessUpToDate) {
  struct Row {
    uint64_t log_term;
    uint64_t index;
    bool granted;
  };
  for (const Row row :
       {Row{2, 3, true}, Row{2, 4, true}, Row{3, 1, true}, Row{2, 2, false}, Row{1, 9, false}}) {
    Group group({.voters = 3, .terms_of_logs = {{1, {1, 2, 2}}}});
    ASSERT_TRUE(group.Step(1, VoteRequest(2, 1, 5, row.log_term, row.index)).ok());
    const std::vector<Message> answers = AnswersOf(&group, 1);
    ASSERT_EQ(answers.size(), 1u);
    EXPECT_EQ(answers[0].reject, !row.granted) << row.log_term << "/" << row.index;
  }
}

// Figure 8: an entry of an earlier term on a majority may still be replaced, so counting
// copies commits only entries of the leader's own term, and with them all before.
TEST(Section5_4_2, EntriesOfEarlierTermsAreCommittedOnlyByOneOfTheOwn) {
  GroupOptions options{.voters = 5, .term = 3};
  options.terms_of_logs = {{1, {1, 2}}, {2, {1, 2}}, {3, {1}}, {4, {1}}, {5, {1, 3}}};
  Group group(options);
  // (c): S1 leads term 4 and copies entry 2 to a majority, but not its own entry.
  group.Campaign(1);
  for (int i = 0; i < 20 && group.raft(1).role() != Role::kLeader; ++i) {
    for (const uint64_t id : {1, 2, 3}) {
      group.Pump(id);
      group.CompleteUnit(id);
    }
    while (!group.messages().empty()) group.DeliverAt(0);
  }
  ASSERT_EQ(group.raft(1).role(), Role::kLeader);
  group.Pump(1);
  group.CompleteUnit(1);
  Message copied;
  copied.type = MessageType::kAppResp;
  copied.to = MemberId(1);
  copied.term = group.raft(1).term();
  copied.index = LogIndex(2);
  for (const uint64_t id : {2, 3}) {
    copied.from = MemberId(id);
    ASSERT_TRUE(group.Step(1, copied).ok());
  }
  EXPECT_EQ(group.raft(1).log().committed(), LogIndex(0));
  // (e): once an entry of term 4 is on a majority, all is committed.
  copied.index = LogIndex(3);
  for (const uint64_t id : {2, 3}) {
    copied.from = MemberId(id);
    ASSERT_TRUE(group.Step(1, copied).ok());
  }
  EXPECT_EQ(group.raft(1).log().committed(), LogIndex(3));
}

// Figure 8 (d): until then S5 may still be elected and overwrite entry 2 everywhere.
TEST(Section5_4_2, AnEntryOfAnEarlierTermOnAMajorityMayStillBeReplaced) {
  GroupOptions options{.voters = 5, .term = 4};
  options.terms_of_logs = {{1, {1, 2}}, {2, {1, 2}}, {3, {1, 2}}, {4, {1}}, {5, {1, 3}}};
  Group group(options);
  group.Crash(1);
  ASSERT_TRUE(group.Elect(5));  // by 2, 3 and 4
  for (const uint64_t id : {2, 3, 4, 5}) EXPECT_EQ(group.TermsOf(id), (Terms{1, 3, 5})) << id;
  group.Restart(1);
  group.Elapse(5, Group::kHeartbeat);
  group.Settle();
  EXPECT_EQ(group.TermsOf(1), (Terms{1, 3, 5}));
  EXPECT_EQ(group.violation(), "");
}

TEST(Section5_4_3, AMemberThatMissedCommittedEntriesCannotLead) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  group.Isolate({3});
  ASSERT_TRUE(group.Propose(1, "x").ok());
  group.Settle();
  group.Crash(1);
  group.Heal();
  EXPECT_FALSE(group.Elect(3));
  EXPECT_TRUE(group.Elect(2));
  EXPECT_EQ(group.Applied(3), Payloads{"x"});
}

// ---- 5.5 and figure 2: crashes, persistent state ----

TEST(Section5_5, TermAndVoteSurviveACrash) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Step(1, VoteRequest(2, 1, 4, 0, 0)).ok());
  AnswersOf(&group, 1);
  group.Crash(1);
  group.Restart(1);
  EXPECT_EQ(group.raft(1).term(), Term(4));
  EXPECT_EQ(group.raft(1).vote(), MemberId(2));
  ASSERT_TRUE(group.Step(1, VoteRequest(3, 1, 4, 0, 0)).ok());
  const std::vector<Message> answers = AnswersOf(&group, 1);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_TRUE(answers[0].reject);
}

TEST(Section5_5, AVoteIsToldOnlyOnceItIsDurable) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Step(1, VoteRequest(2, 1, 4, 0, 0)).ok());
  group.Pump(1);
  EXPECT_TRUE(group.messages().empty());
  group.CompleteUnit(1);
  EXPECT_EQ(group.CountMessages(MessageType::kVoteResp, 2), 1u);
}

TEST(Section5_5, AFollowerThatWasDownCatchesUp) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  group.Crash(2);
  ASSERT_TRUE(group.Propose(1, "while down").ok());
  group.Settle();
  group.Restart(2);
  for (int i = 0; i < 2; ++i) {
    group.Elapse(1, Group::kHeartbeat);
    group.Settle();
  }
  EXPECT_EQ(group.Applied(2), Payloads{"while down"});
}

TEST(Section5_5, AppendsAreIdempotent) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  ASSERT_TRUE(group.Propose(1, "x").ok());
  group.Pump(1);
  for (size_t i = 0, n = group.messages().size(); i < n; ++i) group.DuplicateAt(i);
  group.Settle();
  EXPECT_EQ(group.Applied(2), Payloads{"x"});
  EXPECT_EQ(group.raft(2).log().last_index(), group.raft(1).log().last_index());
}

// ---- 6: membership; the thesis' chapter 4 has tests of its own ----

TEST(Section6, WithALeaderHeardOfACandidateIsIgnored) {
  Group group({.voters = 3, .check_quorum = true});
  ASSERT_TRUE(group.Elect(1));
  ASSERT_TRUE(group.Step(2, VoteRequest(3, 2, 9, 9, 99)).ok());
  EXPECT_EQ(group.raft(2).term(), Term(1));
  EXPECT_TRUE(AnswersOf(&group, 2).empty());
  group.peer(2).now = group.peer(2).now + Group::kElection;  // the leader fell silent
  ASSERT_TRUE(group.Step(2, VoteRequest(3, 2, 9, 9, 99)).ok());
  EXPECT_EQ(group.raft(2).term(), Term(9));
}

TEST(Section6, JointDecisionsNeedBothMajorities) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  for (const uint64_t id : {4, 5}) group.AddStranger(id);
  ConfChangeV2 change;  // {1, 2, 3} -> {1, 4, 5}
  change.transition = ConfChangeTransition::kJointExplicit;
  for (const uint64_t id : {4, 5}) {
    change.changes.push_back({ConfChangeType::kAddNode, MemberId(id)});
  }
  for (const uint64_t id : {2, 3}) {
    change.changes.push_back({ConfChangeType::kRemoveNode, MemberId(id)});
  }
  ASSERT_TRUE(group.ProposeChange(1, change).ok());
  group.Settle();
  ASSERT_TRUE(IsJoint(group.raft(1).conf_state()));
  group.Isolate({2, 3});  // 1, 4, 5 are a majority of the new half only
  ASSERT_TRUE(group.Propose(1, "x").ok());
  group.Settle();
  EXPECT_TRUE(group.Applied(1).empty());
  group.Heal();
  group.Elapse(1, Group::kHeartbeat);
  group.Settle();
  EXPECT_EQ(group.Applied(1), Payloads{"x"});
  group.Isolate({4, 5});  // 1, 2, 3 are a majority of the old half only
  ASSERT_TRUE(group.Propose(1, "y").ok());
  group.Settle();
  EXPECT_EQ(group.Applied(1), Payloads{"x"});
  group.Heal();
  group.Elapse(1, Group::kHeartbeat);
  group.Settle();
  EXPECT_EQ(group.Applied(1), (Payloads{"x", "y"}));
  ASSERT_TRUE(group.ProposeChange(1, ConfChangeV2()).ok());
  group.Settle();
  EXPECT_EQ(Describe(group.raft(5).conf_state()), "voters=(1 4 5)");
}

// ---- 7: log compaction ----

TEST(Section7, ASnapshotReplacesALogThatConflictsWithIt) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(3));
  group.Isolate({3});
  ASSERT_TRUE(group.Propose(3, "never committed").ok());
  group.Settle();
  ASSERT_TRUE(group.Elect(1));
  for (const char* data : {"a", "b"}) ASSERT_TRUE(group.Propose(1, data).ok());
  group.Settle();
  group.Compact(1);
  group.Heal();
  for (int i = 0; i < 2; ++i) {
    group.Elapse(1, Group::kHeartbeat);
    group.Settle();
  }
  EXPECT_EQ(group.Applied(3), (Payloads{"a", "b"}));
  EXPECT_EQ(group.raft(3).log().last_id(), group.raft(1).log().last_id());
  EXPECT_EQ(group.violation(), "");
}

TEST(Section7, ASnapshotOfWhatTheLogHoldsKeepsTheEntriesBehindIt) {
  Group group({.voters = 3, .terms_of_logs = {{1, {1, 1, 1}}}});
  Message m;
  m.type = MessageType::kSnap;
  m.from = MemberId(2);
  m.to = MemberId(1);
  m.term = Term(2);
  Snapshot snapshot;
  snapshot.meta.index = LogIndex(2);
  snapshot.meta.term = Term(1);
  snapshot.meta.conf_state = group.raft(1).conf_state();
  m.snapshot = std::make_shared<Snapshot>(snapshot);
  ASSERT_TRUE(group.Step(1, m).ok());
  EXPECT_EQ(group.TermsOf(1), (Terms{1, 1, 1}));
  EXPECT_EQ(group.raft(1).log().committed(), LogIndex(2));
}

// Figure 13, rule 1: of an earlier term.
TEST(Section7, ASnapshotOfAnEarlierTermIsIgnored) {
  Group group({.voters = 3, .term = 5});
  Message m;
  m.type = MessageType::kSnap;
  m.from = MemberId(2);
  m.to = MemberId(1);
  m.term = Term(4);
  Snapshot snapshot;
  snapshot.meta = {LogIndex(9), Term(4), group.raft(1).conf_state()};
  m.snapshot = std::make_shared<Snapshot>(snapshot);
  ASSERT_TRUE(group.Step(1, m).ok());
  EXPECT_EQ(group.raft(1).log().last_index(), LogIndex(0));
  EXPECT_EQ(group.raft(1).leader(), MemberId(0));
}

// ---- 8: client interaction ----

TEST(Section8, ANewLeaderBeginsItsTermWithAnEmptyEntry) {
  Group group({.voters = 3});
  ASSERT_TRUE(group.Elect(1));
  ASSERT_EQ(group.TermsOf(1), Terms{1});
  EXPECT_TRUE(group.raft(1).log().EntryAt(LogIndex(1)).data.empty());
}

}  // namespace
}  // namespace quorate::raft::test
