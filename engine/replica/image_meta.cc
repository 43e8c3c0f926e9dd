#include "engine/replica/image_meta.h"

#include <utility>

#include "absl/status/status.h"
#include "base/status.h"
#include "engine/raft/codec.h"
#include "engine/raft/conf_change.h"

namespace quorate::engine {

void EncodeImageMeta(const ImageMeta& meta, BytesBuilder* out) {
  PutU64(out, meta.snapshot.index.value());
  PutU64(out, meta.snapshot.term.value());
  PutU64(out, meta.applied_chain);
  PutString(out, raft::EncodeToBytes(meta.snapshot.conf_state));
}

absl::StatusOr<ImageMeta> DecodeImageMeta(const StateImage& image) {
  SectionReader sections(image.sections);
  while (sections.Next()) {
    if (sections.tag() != Section::kRaft) continue;
    FieldReader in(sections.body());
    ImageMeta meta;
    meta.snapshot.index = LogIndex(in.U64());
    meta.snapshot.term = Term(in.U64());
    meta.applied_chain = in.U64();
    const absl::string_view conf_state = in.String();
    if (!in.complete()) return absl::DataLossError("state image: the raft section is malformed");
    ASSIGN_OR_RETURN(meta.snapshot.conf_state, raft::DecodeConfState(conf_state));
    RETURN_IF_ERROR(raft::ValidateConfig(meta.snapshot.conf_state));
    if (meta.snapshot.index != image.index || meta.snapshot.term != image.term) {
      return absl::DataLossError("state image: it is of another entry than it says");
    }
    return meta;
  }
  RETURN_IF_ERROR(sections.status());
  return absl::DataLossError("state image: it has no raft section");
}

}  // namespace quorate::engine
