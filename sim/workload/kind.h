// The names of the workloads that have an invariant of their own (workload.h).
#ifndef QUORATE_SIM_WORKLOAD_KIND_H_
#define QUORATE_SIM_WORKLOAD_KIND_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace quorate::sim {

enum class WorkloadKind : uint8_t {
  kBank,        // transfers between accounts, by transaction
  kLists,       // elements appended to lists, by compare and swap
  kLock,        // a lock that is a key on a lease, and a register that its holders write
  kQueue,       // elements put in and taken out, each once
  kKubernetes,  // objects by mod revision, paged lists, compaction by compare and swap
  kCounters,    // increments whose outcome may stay unknown
};
inline constexpr size_t kWorkloadKinds = static_cast<size_t>(WorkloadKind::kCounters) + 1;

// "bank"; stable.
absl::string_view WorkloadName(WorkloadKind kind);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_WORKLOAD_KIND_H_
