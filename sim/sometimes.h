// "Sometimes" properties: branches and situations that the code's safety hangs on and that only
// rare histories come to. Production code counts them in plain structs (raft::RareEvents and
// other counters of its own); the world adds up what the processes of a seed have counted, and
// a campaign in which one never came up has not tested what it guards.
#ifndef QUORATE_SIM_SOMETIMES_H_
#define QUORATE_SIM_SOMETIMES_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "server/node/node.h"

namespace quorate::sim {

inline constexpr size_t kSometimes = 25;
// Clients see it, and count it (Cluster::AddSometimes).
inline constexpr size_t kLeaderChangedInAnswer = kSometimes - 1;
using SometimesCounts = std::array<uint64_t, kSometimes>;

// "a vote was refused since the candidate's log is behind"; stable, used in reports.
absl::string_view SometimesName(size_t property);
// What this process has counted so far.
SometimesCounts CountSometimes(const node::Node& node);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_SOMETIMES_H_
