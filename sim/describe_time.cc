#include "sim/describe_time.h"

#include "absl/strings/str_format.h"

namespace quorate::sim {

std::string Describe(VirtualTime time) {
  if (time == VirtualTime::Infinite()) return "never";
  return absl::StrFormat("%d.%09d s", time.nanos() / 1'000'000'000, time.nanos() % 1'000'000'000);
}

}  // namespace quorate::sim
