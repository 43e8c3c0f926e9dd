// A schedule: a seed's run, cut down. It names the seed and what of it is left: fewer members,
// clients and watchers, a shorter safety phase, classes of faults and workloads that are off,
// single actions of the nemesis and single requests. Saved as a file of lines, it repeats the
// run exactly; `quorate-sim shrink` makes it, people may edit it.
//
//   quorate-sim schedule 1
//   seed 4711
//   profile swarm
//   members 3
//   duration_ns 1200000000
//   clients 2
//   watchers 1
//   administrator off
//   workloads bank
//   faults kill 2 3            # the class with these actions; "all" for all of them
//   requests 1 4 17 18         # of client 1 these; a client without a line asks everything
//   expect R11 read safety
//   digest 01234567890abcdef
//
// A class without a line is off. Everything that is not named is as the seed draws it.
#ifndef QUORATE_SIM_SCHEDULE_H_
#define QUORATE_SIM_SCHEDULE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/time.h"
#include "sim/swarm.h"

namespace quorate::sim {

struct Schedule {
  // Of the format, and of what the numbers in it mean: a build that draws other things from a
  // seed has another one.
  static constexpr uint64_t kVersion = 1;

  uint64_t seed = 0;
  std::string profile = "default";
  size_t members = 0;
  Duration duration;
  size_t clients = 0;
  size_t watchers = 0;
  bool administrator = false;
  std::array<bool, kWorkloadKinds> kinds = {};
  // A class that is off here is off, whatever the seed draws.
  std::array<bool, kFaultClasses> classes = {};
  Reduction reduction;
  // What came of it when it was saved: the broken rule's name (none: it was clean), and the
  // digest of the run.
  std::string expected_rule;
  std::optional<uint64_t> expected_digest;

  friend bool operator==(const Schedule&, const Schedule&) = default;
};

// All that the seed draws.
absl::StatusOr<Schedule> WholeSchedule(absl::string_view profile, uint64_t seed);

// The options of its run. InvalidArgument if it asks for what its seed does not have.
absl::StatusOr<Options> OptionsOf(const Schedule& schedule);

std::string ToText(const Schedule& schedule);
// InvalidArgument, as "NAME:LINE:COLUMN: what is wrong", for anything else; `name` is the
// file's. FailedPrecondition if the file is of another version.
absl::StatusOr<Schedule> ParseSchedule(absl::string_view text, absl::string_view name);

// What is left of it, for people: "3 members, 1.2 s, 2 faults, 5 requests".
std::string Summary(const Schedule& schedule);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_SCHEDULE_H_
