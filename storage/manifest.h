// The manifest of a checkpoint: which state it is and where its parts lie. The bytes are
// docs/FORMATS.md's.
#ifndef QUORATE_STORAGE_MANIFEST_H_
#define QUORATE_STORAGE_MANIFEST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/strong_int.h"
#include "engine/image/image.h"
#include "storage/identity.h"

namespace quorate::storage {

// Raised when a member that knows only lower numbers could misread a checkpoint.
inline constexpr uint32_t kCheckpointFormatVersion = 1;

// Names a file of segments; never used twice in a directory, from 1 on.
using PackNumber = uint64_t;

// "0000000000000001.seg", sixteen hexadecimal digits.
std::string PackName(PackNumber pack);
std::optional<PackNumber> ParsePackName(absl::string_view name);

// A segment of the revision log in a checkpoint.
struct PlacedSegment {
  uint64_t id = 0;  // see engine::LogSegment
  Revision first;
  PackNumber pack = 0;
  uint64_t offset = 0;
  uint32_t bytes = 0;
  uint32_t crc = 0;  // SegmentCrc
  Bytes garbage;     // see engine::LogSegment; may differ from checkpoint to checkpoint

  friend bool operator==(const PlacedSegment&, const PlacedSegment&) = default;
};
// Of a segment's bytes and of what they are, so that no other bytes can stand for them.
uint32_t SegmentCrc(const engine::LogSegment& segment);

struct Manifest {
  Identity identity;
  LogIndex index;
  Term term;
  // The state came from a peer: the log need not hold the entry that it ends with.
  bool installed = false;
  Bytes sections;
  std::vector<PlacedSegment> segments;  // in revision order
};

Bytes EncodeManifest(const Manifest& manifest);
// DataLoss for damage, FailedPrecondition for a newer format; both name `path`.
absl::StatusOr<Manifest> DecodeManifest(const Bytes& bytes, const std::string& path);

}  // namespace quorate::storage

#endif  // QUORATE_STORAGE_MANIFEST_H_
