// Small clusters of real raft members, walked exhaustively; that the walk leaves nothing
// out; and that it finds what is planted.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "engine/raft/message.h"
#include "sim/explore/explorer.h"

namespace quorate::sim::explore {
namespace {

using raft::Message;
using raft::MessageType;

Findings Explore(const Bounds& bounds, ExploreOptions options = {}) {
  return Explorer(bounds, std::move(options)).Run();
}

// What is sent, changed on its way.
Findings ExploreTampered(const Bounds& bounds, std::function<void(Message*)> tamper) {
  ExploreOptions options;
  options.faults.tamper = std::move(tamper);
  return Explore(bounds, std::move(options));
}

// Also that everything that the bounds leave room for did happen.
void ExpectExhaustive(const Bounds& bounds) {
  SCOPED_TRACE(bounds.CommandLine());
  const Findings findings = Explore(bounds);
  if (findings.violation.has_value()) ADD_FAILURE() << findings.violation->text;
  EXPECT_TRUE(findings.exhaustive);
  EXPECT_EQ(findings.frontier, 0);
  EXPECT_GT(findings.distinct, 1000);
  EXPECT_EQ(findings.latest_leader, bounds.terms);
  // With each leader's own entry.
  EXPECT_EQ(findings.committed, bounds.terms + bounds.entries);
  EXPECT_EQ(findings.reads_served > 0, bounds.reads > 0);
}

TEST(Explore, NoStateOfOneTermBreaksARule) {
  ExpectExhaustive({.members = 3, .terms = 1, .entries = 0, .crashes = 1});
  ExpectExhaustive({.members = 3, .terms = 1, .entries = 1, .instant_disk = true});
}

TEST(Explore, NoStateOfTwoTermsBreaksARule) {
  ExpectExhaustive({.members = 3, .terms = 2, .entries = 0, .instant_disk = true});
  ExpectExhaustive({.members = 2, .terms = 2, .entries = 1, .crashes = 1});
}

TEST(Explore, NoStateWithPreVotesAndQuorumChecksBreaksARule) {
  ExpectExhaustive({.members = 3,
                    .terms = 1,
                    .entries = 0,
                    .timeouts = 2,
                    .pre_vote = true,
                    .check_quorum = true,
                    .instant_disk = true});
}

TEST(Explore, NoStateWithReadsAndTransfersBreaksARule) {
  ExpectExhaustive({.members = 3, .terms = 1, .entries = 0, .reads = 1, .instant_disk = true});
  ExpectExhaustive({.members = 3,
                    .terms = 2,
                    .entries = 0,
                    .timeouts = 2,
                    .transfers = 1,
                    .instant_disk = true});
}

TEST(Explore, AMessageThatArrivesForEverBreaksNoRule) {
  ExpectExhaustive(
      {.members = 3, .terms = 2, .entries = 0, .duplicates = std::nullopt, .instant_disk = true});
}

// Raft behaves alike under all names: the states that symmetry folds into one are
// exactly the renamings of each other.
TEST(Explore, SymmetryFoldsStatesThatAreRenamingsOfEachOther) {
  for (Bounds bounds : {Bounds{.members = 3, .terms = 1, .entries = 0},
                        Bounds{.members = 3, .terms = 2, .entries = 0, .instant_disk = true},
                        Bounds{.members = 3,
                        .terms = 1,
                        .entries = 0,
                        .timeouts = 1,
                        .reads = 1,
                        .pre_vote = true,
                        .check_quorum = true,
                        .instant_disk = true}}) {
    SCOPED_TRACE(bounds.CommandLine());
    const Findings folded = Explore(bounds);
    bounds.symmetry = false;
    const Findings all = Explore(bounds);
    EXPECT_EQ(folded.renamed, all.distinct);
    EXPECT_EQ(folded.depth, all.depth);
    EXPECT_LT(folded.distinct * 4, all.distinct);
  }
}

// Two ways into one state, and from there any input: raft does the same. So nothing
// that decides what it does is missing from its canonical bytes. (Fails by CHECK.)
TEST(Explore, AMemberStateIsAllThatDecidesWhatAMemberDoes) {
  ExploreOptions options;
  options.audit = true;
  EXPECT_TRUE(Explore({.members = 3, .terms = 1, .entries = 0, .crashes = 1}, options).exhaustive);
  EXPECT_TRUE(Explore({.members = 3,
                       .terms = 1,
                       .entries = 0,
                       .heartbeats = 1,
                       .timeouts = 1,
                       .pre_vote = true,
                       .check_quorum = true,
                       .instant_disk = true},
                      options)
                  .exhaustive);
  EXPECT_TRUE(Explore({.members = 2,
                       .terms = 1,
                       .entries = 0,
                       .heartbeats = 1,
                       .timeouts = 2,
                       .reads = 1,
                       .transfers = 1,
                       .check_quorum = true,
                       .instant_disk = true},
                      options)
                  .exhaustive);
}

// Without symmetry, which keeps of the states of a member under different names only some.
TEST(Explore, AMessageThatIsNeverDeliveredIsAsGoodAsLost) {
  Bounds bounds{.members = 3, .terms = 2, .entries = 0, .instant_disk = true, .symmetry = false};
  const Findings without = Explore(bounds);
  bounds.drops = 1;
  const Findings with = Explore(bounds);
  EXPECT_TRUE(with.exhaustive);
  EXPECT_GT(with.distinct, without.distinct);
  EXPECT_EQ(with.member_states, without.member_states);
}

TEST(Explore, EndsAtItsBoundAndDoesNotCallThatExhaustive) {
  ExploreOptions options;
  options.max_states = 5000;
  const Findings findings = Explore({.members = 3, .terms = 2, .entries = 1}, options);
  EXPECT_FALSE(findings.exhaustive);
  EXPECT_FALSE(findings.violation.has_value());
  EXPECT_GE(findings.distinct, 5000);
  EXPECT_GT(findings.frontier, 0);
}

// ---- it is able to fail ----

// Every refused vote arrives as a grant: as if members voted twice in a term.
TEST(Explore, FindsTheShortestWayToTwoLeadersWhenVotesAreGrantedTwice) {
  const Findings findings =
      ExploreTampered({.members = 3, .terms = 1, .entries = 0}, [](Message* message) {
        if (message->type == MessageType::kVoteResp) message->reject = false;
      });
  ASSERT_TRUE(findings.violation.has_value());
  EXPECT_FALSE(findings.exhaustive);
  EXPECT_EQ(findings.violation->rule, Rule::kElectionSafety);
  // Both stand (a timer and a durable own vote each), both ask the other (a request and
  // its answer each, which as a refusal needs no write).
  EXPECT_EQ(findings.violation->evidence.size(), 8);
  EXPECT_EQ(findings.depth, 8);
}

TEST(Explore, FindsPromisesThatLeaveBeforeTheyAreDurable) {
  ExploreOptions options;
  options.faults.acknowledge_before_write = true;
  const Findings findings = Explore({.members = 3, .terms = 1, .entries = 0}, options);
  ASSERT_TRUE(findings.violation.has_value());
  EXPECT_EQ(findings.violation->rule, Rule::kVoteDurability);
  // The timer, and with it the request for votes.
  EXPECT_EQ(findings.violation->evidence.size(), 1);
}

TEST(Explore, FindsALeaderWithoutCommittedEntriesWhenCandidatesLieAboutTheirLogs) {
  const Findings findings = ExploreTampered(
      {.members = 3, .terms = 2, .entries = 0, .instant_disk = true}, [](Message* message) {
        if (message->type != MessageType::kVote) return;
        message->index = LogIndex(100);
        message->log_term = Term(1);
      });
  ASSERT_TRUE(findings.violation.has_value());
  EXPECT_EQ(findings.violation->rule, Rule::kLeaderCompleteness);
}

TEST(Explore, FindsACommitWithoutAQuorumWhenFollowersAcknowledgeTooMuch) {
  const Findings findings = ExploreTampered(
      {.members = 3, .terms = 1, .entries = 0, .instant_disk = true}, [](Message* message) {
        if (message->type != MessageType::kHeartbeatResp && message->type != MessageType::kApp) {
          return;
        }
        // The append never comes, and is acknowledged all the same.
        *message = Message{.type = MessageType::kAppResp,
                           .to = message->from,
                           .from = message->to,
                           .term = message->term,
                           .index = message->index + 1};
      });
  ASSERT_TRUE(findings.violation.has_value());
  EXPECT_EQ(findings.violation->rule, Rule::kCommitDurability);
}

TEST(Explore, FindsLogsThatDifferWhenEntriesAreChangedOnTheirWay) {
  const Findings findings = ExploreTampered(
      {.members = 3, .terms = 1, .entries = 0, .instant_disk = true}, [](Message* message) {
        for (raft::Entry& entry : message->entries) entry.data = Bytes::Static("other");
      });
  ASSERT_TRUE(findings.violation.has_value());
  EXPECT_EQ(findings.violation->rule, Rule::kLogMatching);
}

TEST(Explore, FindsAReadThatMissesWhatWasCommittedBeforeIt) {
  const Findings findings =
      ExploreTampered({.members = 3, .terms = 1, .entries = 0, .reads = 1, .instant_disk = true},
                      [](Message* message) {
                        if (message->type == MessageType::kReadIndexResp)
                          message->index = LogIndex(0);
                      });
  ASSERT_TRUE(findings.violation.has_value());
  EXPECT_EQ(findings.violation->rule, Rule::kReadSafety);
}

// ---- bounds ----

TEST(Bounds, RefusesWhatWouldNeverEnd) {
  EXPECT_TRUE((Bounds{}).Validate().ok());
  EXPECT_FALSE((Bounds{.members = 0}).Validate().ok());
  EXPECT_FALSE((Bounds{.members = 6}).Validate().ok());
  EXPECT_FALSE((Bounds{.terms = 0}).Validate().ok());
  EXPECT_FALSE((Bounds{.entries = 1000}).Validate().ok());
  EXPECT_FALSE((Bounds{.pre_vote = true}).Validate().ok());
  EXPECT_TRUE((Bounds{.timeouts = 3, .pre_vote = true}).Validate().ok());
  EXPECT_FALSE((Bounds{.duplicates = std::nullopt}).Validate().ok());
  EXPECT_EQ((Bounds{.crashes = 1, .timeouts = 4, .pre_vote = true}).CommandLine(),
            "--members 3 --terms 2 --entries 1 --crashes 1 --timeouts 4 --pre-vote");
}

}  // namespace
}  // namespace quorate::sim::explore
