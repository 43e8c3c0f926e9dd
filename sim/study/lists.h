// Lists on the command line: every option of a study may name several values, and every
// combination of them is a case.
#ifndef QUORATE_SIM_STUDY_LISTS_H_
#define QUORATE_SIM_STUDY_LISTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/raft/quorum.h"
#include "sim/study/cluster.h"
#include "sim/study/plan.h"

namespace quorate::sim::study {

// All errors are InvalidArgument and name the option and the text.

// "3..9", "3,5", "3..5,9": each within [least, most].
absl::StatusOr<std::vector<uint64_t>> ParseNumbers(absl::string_view option, absl::string_view text,
                                                   uint64_t least, uint64_t most);
// "on", "off", "on,off".
absl::StatusOr<std::vector<bool>> ParseSwitches(absl::string_view option, absl::string_view text);
// "150-155,150-200", in milliseconds unless units are given. Low is above 0, high no less.
absl::StatusOr<std::vector<WaitRange>> ParseRanges(absl::string_view option,
                                                   absl::string_view text);
std::string RangeText(const WaitRange& range);
absl::StatusOr<std::vector<DelayModel>> ParseModels(absl::string_view option,
                                                    absl::string_view text);
// "none", or the delays of members 1, 2, ... in milliseconds: "0/50/100".
struct Priority {
  std::string text = "none";
  std::vector<Duration> delays;
};
absl::StatusOr<std::vector<Priority>> ParsePriorities(absl::string_view option,
                                                      absl::string_view text);

// A quorum system for any number of members.
struct QuorumSystem {
  std::string text = "majority";
  uint64_t election = 0;  // flexible: how many an election takes, and a commit
  uint64_t replication = 0;
  std::vector<uint32_t> weights;  // of members 1, 2, ...; more than half decides
};
// "majority", "weighted:3,1,1,1,1", "flexible:4,2": numbers after a comma belong to the
// system before them.
absl::StatusOr<std::vector<QuorumSystem>> ParseQuorums(absl::string_view option,
                                                       absl::string_view text);
// The rule among members 1 .. members. InvalidArgument if it does not fit them, or if
// two quorums that must share a member do not: then the text names two that do not.
absl::StatusOr<raft::QuorumRule> RuleOf(const QuorumSystem& system, uint64_t members);

// "1/1", "2/8": the shard's number and how many there are.
struct Shard {
  uint64_t number = 1;
  uint64_t of = 1;
};
absl::StatusOr<Shard> ParseShard(absl::string_view text);

// Sets each case's label to those of its settings in which the cases differ, and draws
// them in plots of at most eight curves that differ in as little as possible.
void LabelAndDraw(Plan* plan);
// "quorate-sim study NAME --setting value ...".
std::string CommandOf(absl::string_view study, const Settings& settings);

}  // namespace quorate::sim::study

#endif  // QUORATE_SIM_STUDY_LISTS_H_
