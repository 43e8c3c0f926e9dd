// Marked places at which a replica can be made to leave work lying for a while, as on a machine
// that is short of time just then: legal at any moment, and rare unless somebody helps. The
// simulator does; elsewhere there is no hindrance, and a place costs a comparison. (FoundationDB's
// "buggify".)
#ifndef QUORATE_ENGINE_REPLICA_HINDRANCE_H_
#define QUORATE_ENGINE_REPLICA_HINDRANCE_H_

#include <cstddef>
#include <cstdint>

#include "base/time.h"

namespace quorate::engine {

enum class Stage : uint8_t {
  kApply,    // committed entries are not applied
  kReads,    // reads that are confirmed are not answered
  kWatches,  // watchers are told nothing
};
inline constexpr size_t kStages = static_cast<size_t>(Stage::kWatches) + 1;

class Hindrance {
 public:
  virtual ~Hindrance() = default;
  // Until then this stage is left undone; it is asked again at each turn. `now` or earlier: it is
  // free.
  virtual Instant HeldUntil(Stage stage, Instant now) = 0;
};

}  // namespace quorate::engine

#endif  // QUORATE_ENGINE_REPLICA_HINDRANCE_H_
