// How long a node's requests and commands took, for metrics: plain integers, read when somebody
// scrapes.
#ifndef QUORATE_SERVER_NODE_TIMES_H_
#define QUORATE_SERVER_NODE_TIMES_H_

#include <array>
#include <cstddef>

#include "base/time.h"
#include "engine/replica/input.h"
#include "engine/replica/statistics.h"

namespace quorate::node {

// Of each pair the first is what failed.
struct Times {
  // etcd's buckets: from 0.1 ms, and from 1 ms.
  using Work = engine::DurationCounts<100'000, 20>;
  using Wait = engine::DurationCounts<1'000'000, 14>;
  static constexpr size_t kKinds = static_cast<size_t>(engine::RequestKind::kAuthenticate) + 1;

  // An equal share of the turn in which it was applied or answered: commands as in
  // engine::kCommandNames, and ranges.
  std::array<std::array<Work, 2>, engine::kCommandKinds> commands;
  std::array<Work, 2> ranges;
  // From the call to its answer, by RequestKind; transactions that only read apart.
  std::array<std::array<Wait, 2>, kKinds> requests;
  std::array<Wait, 2> read_txns;

  // What `done` counts more than at the last call took so long together.
  void AddTurn(const engine::DoneCounts& done, Duration time);
  void AddRequest(engine::RequestKind kind, bool read, bool ok, Duration time);

 private:
  engine::DoneCounts seen_;
};

}  // namespace quorate::node

#endif  // QUORATE_SERVER_NODE_TIMES_H_
