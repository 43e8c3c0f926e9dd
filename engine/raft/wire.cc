#include "engine/raft/wire.h"

namespace quorate::raft::wire {

void PieceSink::Finish(std::vector<Bytes>* pieces) && {
  const Bytes small = std::move(small_).Finish();
  size_t at = 0;
  for (auto& [place, payload] : payloads_) {
    if (place > at) pieces->push_back(small.Slice(at, place - at));
    at = place;
    pieces->push_back(std::move(payload));
  }
  if (small.size() > at) pieces->push_back(small.Slice(at, small.size() - at));
}

}  // namespace quorate::raft::wire
