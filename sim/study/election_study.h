// `study election`: every combination of the lists on the command line.
#ifndef QUORATE_SIM_STUDY_ELECTION_STUDY_H_
#define QUORATE_SIM_STUDY_ELECTION_STUDY_H_

#include <string>

#include "absl/status/statusor.h"
#include "sim/study/election.h"
#include "sim/study/study.h"

namespace quorate::sim::study {

// Lists as text (lists.h).
struct ElectionArguments {
  std::string members = "5";
  std::string failed = "1";
  std::string short_logs = "0";
  std::string timeout = "150-300";
  std::string candidate_timeout = "same";
  std::string heartbeat = "half";  // one value
  std::string latency = "uniform:1ms..4ms";
  std::string write_latency = "uniform:4ms..12ms";
  std::string vote_write = "parallel";  // one value
  std::string prevote = "off";
  std::string checkquorum = "off";
  std::string priority = "none";
  std::string quorum = "majority";
  std::string limit = "60s";  // one value
};

// InvalidArgument: an option that cannot be, or a combination that makes no cluster.
absl::StatusOr<Study> ElectionStudy(const ElectionArguments& arguments);

// The cases of these lists; label and plots are left to the caller.
absl::StatusOr<std::vector<Case>> ElectionCases(const ElectionArguments& arguments);

}  // namespace quorate::sim::study

#endif  // QUORATE_SIM_STUDY_ELECTION_STUDY_H_
