// What a state image says about raft: its own section (engine/image).
#ifndef QUORATE_ENGINE_REPLICA_IMAGE_META_H_
#define QUORATE_ENGINE_REPLICA_IMAGE_META_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "engine/image/image.h"
#include "engine/raft/types.h"

namespace quorate::engine {

struct ImageMeta {
  // The last applied entry, and the configuration as of it.
  raft::SnapshotMeta snapshot;
  // ReplicaInspector::applied_chain().
  uint64_t applied_chain = 0;
};

void EncodeImageMeta(const ImageMeta& meta, BytesBuilder* out);
// DataLoss if the image has no such section, a malformed one, or is of another entry than
// it says itself.
absl::StatusOr<ImageMeta> DecodeImageMeta(const StateImage& image);

}  // namespace quorate::engine

#endif  // QUORATE_ENGINE_REPLICA_IMAGE_META_H_
