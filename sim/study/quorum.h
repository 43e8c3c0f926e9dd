// Commit latency and availability of quorum systems, measured on the engine and
// calculated.
//
// A trial: a leader is elected among healthy members and one entry is committed; the
// round trip to each follower is drawn anew for each message. Then every follower fails
// with the given probability and the leader must commit again; then every member fails
// with it, and the survivors must elect a leader that commits.
#ifndef QUORATE_SIM_STUDY_QUORUM_H_
#define QUORATE_SIM_STUDY_QUORUM_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "sim/study/study.h"

namespace quorate::sim::study {

enum QuorumColumn : size_t { kCommitWait, kCommitsWithLeader, kElects };

struct QuorumSetup {
  uint64_t members = 5;
  raft::QuorumRule rule;
  DelayModel round_trip;
  uint64_t fail_per_million = 100'000;
  // The last member takes so many times as long as the others (a gray failure).
  uint64_t slowness = 1;
};
Row RunQuorum(const QuorumSetup& setup, uint64_t seed, Observer* observer);

// Expected wait of a commit, in nanoseconds: until followers of enough weight have
// answered, each after an independent round trip.
double ExpectedCommitWait(const QuorumSetup& setup);
// Probability that a leader that lives can commit.
double CommitAvailability(const QuorumSetup& setup);
// Probability that the survivors of all members can elect a leader that can commit.
double ElectionAvailability(const QuorumSetup& setup);

// Lists as text (lists.h).
struct QuorumArguments {
  std::string members = "4,5,7,9";
  std::string quorum = "majority";
  std::string rtt = "exp:10ms";
  std::string fail = "10%";
  std::string slow = "1";
};
absl::StatusOr<Study> QuorumStudy(const QuorumArguments& arguments);
// Flexible quorums of 4 to 9 members beside the calculated values.
absl::StatusOr<Study> Table66();

}  // namespace quorate::sim::study

#endif  // QUORATE_SIM_STUDY_QUORUM_H_
