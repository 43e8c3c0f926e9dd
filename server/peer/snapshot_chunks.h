// A snapshot and its state in chunks, so that it can be sent piece by piece, taken up
// again after a broken connection, and checked as it arrives. Our own protocol, spoken
// between Quorate members (docs/FORMATS.md). Pure functions of bytes.
#ifndef QUORATE_SERVER_PEER_SNAPSHOT_CHUNKS_H_
#define QUORATE_SERVER_PEER_SNAPSHOT_CHUNKS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "engine/image/image.h"
#include "engine/raft/message.h"

namespace quorate::peer {

// A chunk has about this many bytes; one larger segment goes alone.
inline constexpr size_t kSnapshotChunkBytes = 1 * limits::kMiB;
inline constexpr size_t kMaxSnapshotChunkBytes = 64 * limits::kMiB;
inline constexpr uint32_t kSnapshotProtocolVersion = 1;

// Cuts one transfer into chunks, which refer to the segments instead of copying them.
class SnapshotChunker {
 public:
  // `transfer` tells this one from others by the same sender.
  SnapshotChunker(uint64_t transfer, raft::Message message, engine::StateImage image);

  bool done() const { return next_segment_ > image_.segments.size(); }
  // The next chunk, in pieces. Not done.
  std::vector<Bytes> Next();

 private:
  const uint64_t transfer_;
  const raft::Message message_;
  const engine::StateImage image_;
  uint32_t number_ = 0;
  size_t next_segment_ = 0;  // one more than there are: everything is out
};

// Puts the chunks of one sender together.
class SnapshotAssembler {
 public:
  struct Arrived {
    raft::Message message;
    engine::StateImage image;
  };

  // OK: the chunk is here, now or already. *arrived is set once with the last one of a
  // transfer. DataLoss: its checksum does not fit; InvalidArgument: it is malformed;
  // FailedPrecondition: it is not the next one, or of another version. The first chunk
  // of another transfer begins anew.
  absl::Status Add(const Bytes& chunk, std::optional<Arrived>* arrived);
  // Whether a transfer has begun and not ended.
  bool busy() const { return segments_left_ > 0; }
  // Chunks of the newest transfer that are here.
  uint32_t chunks() const { return next_; }

 private:
  absl::Status Take(absl::string_view payload, std::optional<Arrived>* arrived);
  absl::Status TakeHead(absl::string_view payload);

  uint64_t transfer_ = 0;
  uint32_t next_ = 0;  // number of the chunk that is expected
  uint64_t segments_left_ = 0;
  Arrived arriving_;
};

}  // namespace quorate::peer

#endif  // QUORATE_SERVER_PEER_SNAPSHOT_CHUNKS_H_
