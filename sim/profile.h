// The presets that a seed's options are drawn from: which classes of faults are on how often, and
// the sizes, modes and tempo that go with them.
#ifndef QUORATE_SIM_PROFILE_H_
#define QUORATE_SIM_PROFILE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "sim/swarm.h"

namespace quorate::sim {

// Chances, in percent, that a class is on, in the order of the enum, and which sizes
// and modes a profile draws from.
struct Profile {
  const char* name;
  const char* about;
  std::array<uint32_t, kFaultClasses> on_percent;
  std::vector<size_t> sizes = {1, 2, 3, 3, 3, 4, 5, 5, 5, 6, 7};
  uint32_t streams_percent = 33;
  // Actions come so much more often than usual, in percent.
  uint32_t tempo_percent = 100;
  // Crashes and isolation hit the leader this often.
  uint32_t leader_percent = 40;
  // Reads by the leader's lease.
  uint32_t lease_reads_percent = 20;
  // Forty clients rather than a few.
  uint32_t many_clients_percent = 25;
  // One entry in each message of appends more often: logs then part and meet at every place.
  uint32_t one_entry_percent = 0;
  // On streams kCorruption garbles what clients and members say to each other.
  bool garbled_clients = false;
  // Clocks are so much too fast at most, instead of what the seed draws; 0: that. A million: twice
  // as fast as they should be, and others half as fast.
  uint32_t clock_ppm = 0;
};

// All of them; "default" is none, but a mixture of these.
std::vector<Profile> MakeProfiles();

// What "default" mixes, with weights.
absl::Span<const std::pair<const char*, uint32_t>> DefaultMix();

// A chance for every class alike, but for what needs surroundings of its own to be noticed.
std::array<uint32_t, kFaultClasses> AllClasses(uint32_t percent);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_PROFILE_H_
