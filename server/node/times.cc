#include "server/node/times.h"

#include <cstdint>

namespace quorate::node {

void Times::AddTurn(const engine::DoneCounts& done, Duration time) {
  const uint64_t all = done.all - seen_.all;
  if (all == 0) return;
  const Duration share = time / static_cast<int64_t>(all);
  for (size_t ok = 0; ok < 2; ++ok) {
    for (size_t kind = 0; kind < commands.size(); ++kind) {
      const uint64_t more = done.commands[kind][ok] - seen_.commands[kind][ok];
      if (more > 0) commands[kind][ok].Add(share, more);
    }
    const uint64_t more = done.ranges[ok] - seen_.ranges[ok];
    if (more > 0) ranges[ok].Add(share, more);
  }
  seen_ = done;
}

void Times::AddRequest(engine::RequestKind kind, bool read, bool ok, Duration time) {
  auto& waits =
      kind == engine::RequestKind::kTxn && read ? read_txns : requests[static_cast<size_t>(kind)];
  waits[ok ? 1 : 0].Add(time);
}

}  // namespace quorate::node
