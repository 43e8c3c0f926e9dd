// Changes of membership, done well and done badly: what is lost, what stalls.
//
// Controls take a rule of safety away, on the same engine: changes that take effect when
// they are appended, or without the checks on what is still pending, or a switch from
// three members to five in one step. They must lose something; everything else must not.
#ifndef QUORATE_SIM_STUDY_MEMBERSHIP_H_
#define QUORATE_SIM_STUDY_MEMBERSHIP_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "sim/study/study.h"

namespace quorate::sim::study {

enum MembershipColumn : size_t {
  kStall,       // longest time without a commit
  kDone,        // the change came to its end
  kLost,        // two different entries were committed at one index
  kTwoLeaders,  // in one term
  kRefused,     // changes that the engine refused
  kChanges,     // configurations that were committed
};

// What a case is expected to show in every trial, or (kLost, kTwoLeaders) in some.
enum class Expectation : uint8_t {
  kSafe,
  kCompletes,
  kNoStall,
  kStall,
  kLoses,
  kTwoLeadersInATerm,
};

struct MembershipCase {
  absl::string_view name;
  absl::string_view about;
  Expectation expectation;
  Row (*run)(uint64_t seed, Observer* observer);
};
absl::Span<const MembershipCase> MembershipCases();

// "all", or names of cases. InvalidArgument lists them.
absl::StatusOr<Study> MembershipStudy(const std::string& cases);

}  // namespace quorate::sim::study

#endif  // QUORATE_SIM_STUDY_MEMBERSHIP_H_
