// A general linearizability checker by search, to check the fast one: it knows nothing
// of revisions, raft or logs, only of real time and of a map.
//
// The algorithm is Wing and Gong's (1993) with Lowe's memory of configurations that
// were already tried (2017): pick any operation that nobody finished before, perform
// it, undo when stuck. Time is exponential in the number of operations at once, so
// histories should be short, of few clients, and confined to few keys (linearizability
// is compositional over independent keys).
#ifndef QUORATE_SIM_ORACLE_SEARCH_H_
#define QUORATE_SIM_ORACLE_SEARCH_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/history.h"
#include "sim/model/store.h"

namespace quorate::sim {

// True if the search can judge the request: no revision in it is more than "is there".
bool Searchable(const Request& request);

enum class SearchVerdict : uint8_t {
  kLinearizable,
  kNotLinearizable,
  kGaveUp,  // the budget of steps ended first
};

struct SearchResult {
  SearchVerdict verdict = SearchVerdict::kLinearizable;
  uint64_t steps = 0;
  // kNotLinearizable: the attempt that could never be placed in the longest order found.
  const Call* stuck = nullptr;
};

// Judges attempts that start from an empty store. Attempts without an answer (kPending,
// kUnknown) must have taken effect some time after they began; leave those out that did
// not. Attempts refused for good must be left out too.
SearchResult SearchLinearization(const std::vector<const Call*>& calls, uint64_t max_steps);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_ORACLE_SEARCH_H_
