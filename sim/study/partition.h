// What a cluster does while some links are down: commits, changes of leader, terms.
//
// A scenario is text, and so are those that come with the study:
//
//   scenario quorum-loss      # a name begins a scenario
//   members 5
//   leader 3                  # who leads when the fault begins
//   at 0s only 1-2 1-3 1-4 1-5
//   at 3s heal
//
// Times count from the begin of the fault; down to -400ms is before it. Without `at` it is
// 0s. Actions: cut, link (links A-B both ways, A>B one way), only (these links and no
// others), isolate A, heal, crash A.
#ifndef QUORATE_SIM_STUDY_PARTITION_H_
#define QUORATE_SIM_STUDY_PARTITION_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "sim/study/study.h"

namespace quorate::sim::study {

struct LinkAction {
  enum class Kind : uint8_t { kCut, kLink, kOnly, kIsolate, kHeal, kCrash };
  Duration at;
  Kind kind = Kind::kHeal;
  std::vector<std::pair<MemberId, MemberId>> links;  // directed
  std::vector<MemberId> members;
  std::string text;
};

struct Scenario {
  std::string name;
  uint64_t members = 3;
  MemberId leader{1};
  std::vector<LinkAction> actions;
};

// InvalidArgument names the line and what is wrong with it.
absl::StatusOr<std::vector<Scenario>> ParseScenarios(absl::string_view text);
// Those of the study.
std::vector<Scenario> KnownScenarios();

enum PartitionColumn : size_t { kGap, kCommits, kLeaderChanges, kTermGrowth, kUnsafe };

struct PartitionSetup {
  Scenario scenario;
  ClusterOptions cluster;
  Duration length = Seconds(60);      // of the fault
  Duration every = Milliseconds(50);  // a proposal, to whoever leads the latest term
};
Row RunPartition(const PartitionSetup& setup, uint64_t seed, Observer* observer);

// Lists as text (lists.h).
struct PartitionArguments {
  std::string scenario = "all";
  std::string links;  // a file of scenarios
  std::string rules = "plain,prevote,checkquorum,both";
  std::string timeout = "100-200";  // one value, as are the others
  std::string heartbeat = "10ms";
  std::string latency = "uniform:1ms..3ms";
  std::string length = "60s";
  std::string every = "50ms";
};
absl::StatusOr<Study> PartitionStudy(const PartitionArguments& arguments);
// The same on the known scenarios, beside what was measured on etcd's raft.
absl::StatusOr<Study> Table64();

}  // namespace quorate::sim::study

#endif  // QUORATE_SIM_STUDY_PARTITION_H_
