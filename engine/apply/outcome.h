// What the one who asked for a command is told once it is applied.
#ifndef QUORATE_ENGINE_APPLY_OUTCOME_H_
#define QUORATE_ENGINE_APPLY_OUTCOME_H_

#include <memory>

#include "absl/status/status.h"
#include "base/bytes.h"
#include "base/strong_int.h"
#include "engine/auth/tokens.h"

namespace quorate::apply {

struct Outcome {
  absl::Status status;
  Bytes body;  // the encoded response, if status is OK and one was wanted
  // The answer is due only when the compaction at this revision is finished physically;
  // `body` is not set yet (see CompactionResponse). 0 = now.
  Revision awaits_compaction;
  // What becomes of the member's tokens; null = nothing.
  std::unique_ptr<auth::TokenChange> tokens;
};

}  // namespace quorate::apply

#endif  // QUORATE_ENGINE_APPLY_OUTCOME_H_
