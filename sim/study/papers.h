// Figures that papers printed, run again on the real engine and set beside them.
#ifndef QUORATE_SIM_STUDY_PAPERS_H_
#define QUORATE_SIM_STUDY_PAPERS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "sim/study/study.h"

namespace quorate::sim::study {

// "In Search of an Understandable Consensus Algorithm" (extended version), figure 16.
absl::StatusOr<Study> Figure16();
// Ongaro's thesis, section 9.4: splits and downtime by calculation.
absl::StatusOr<Study> Table62();
// Howard et al., "Raft Refloated": one timer for both roles, or a shorter one for
// candidates.
absl::StatusOr<Study> Table63();

// Probability that an election is split: `alive` of `members` servers, one way taking
// `latency` of the range that timeouts are drawn from (thesis, section 9.4).
double SplitRate(int members, int alive, double latency);

struct Paper {
  absl::string_view name;  // of the sub-command
  absl::string_view about;
  absl::StatusOr<Study> (*make)();
};
absl::Span<const Paper> Papers();

}  // namespace quorate::sim::study

#endif  // QUORATE_SIM_STUDY_PAPERS_H_
