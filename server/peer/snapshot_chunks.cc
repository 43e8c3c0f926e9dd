#include "server/peer/snapshot_chunks.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/coding.h"
#include "base/crc32c.h"
#include "base/status.h"
#include "engine/raft/codec.h"

namespace quorate::peer {
namespace {

// A chunk: CRC of everything behind it, version, transfer, number, payload. The first
// payload is the head (message, index, term, sections, number of segments), the others
// are segments (id, first revision, garbage, records).
constexpr size_t kVersionAt = 4;
constexpr size_t kTransferAt = 8;
constexpr size_t kNumberAt = 16;
constexpr size_t kHeaderBytes = 20;
constexpr size_t kMinSegmentBytes = 32;

}  // namespace

SnapshotChunker::SnapshotChunker(uint64_t transfer, raft::Message message, engine::StateImage image)
    : transfer_(transfer), message_(std::move(message)), image_(std::move(image)) {
  CHECK(message_.type == raft::MessageType::kSnap);
}

std::vector<Bytes> SnapshotChunker::Next() {
  CHECK(!done());
  std::vector<Bytes> pieces(1);
  BytesBuilder header(kHeaderBytes);
  header.Grow(kHeaderBytes);
  StoreLe32(header.data() + kVersionAt, kSnapshotProtocolVersion);
  StoreLe64(header.data() + kTransferAt, transfer_);
  StoreLe32(header.data() + kNumberAt, number_);
  if (number_++ == 0) {
    BytesBuilder head(256 + image_.sections.size());
    engine::PutString(&head, raft::EncodeToBytes(message_));
    engine::PutU64(&head, image_.index.value());
    engine::PutU64(&head, image_.term.value());
    engine::PutString(&head, image_.sections);
    engine::PutU64(&head, image_.segments.size());
    pieces.push_back(std::move(head).Finish());
    if (image_.segments.empty()) next_segment_ = 1;
  } else {
    size_t bytes = 0;
    while (next_segment_ < image_.segments.size() && bytes < kSnapshotChunkBytes) {
      const engine::LogSegment& segment = image_.segments[next_segment_++];
      BytesBuilder what(kMinSegmentBytes + segment.garbage.size());
      engine::PutU64(&what, segment.id);
      engine::PutU64(&what, static_cast<uint64_t>(segment.first.value()));
      engine::PutString(&what, segment.garbage);
      engine::PutU64(&what, segment.records.size());
      pieces.push_back(std::move(what).Finish());
      pieces.push_back(segment.records);
      bytes += segment.records.size();
    }
    if (next_segment_ == image_.segments.size()) ++next_segment_;
  }
  uint32_t crc = Crc32c(header.view().substr(kVersionAt));
  for (const Bytes& piece : pieces) crc = Crc32cExtend(crc, piece);
  StoreLe32(header.data(), crc);
  pieces[0] = std::move(header).Finish();
  return pieces;
}

absl::Status SnapshotAssembler::Add(const Bytes& chunk, std::optional<Arrived>* arrived) {
  if (chunk.size() < kHeaderBytes) return absl::InvalidArgumentError("a chunk is too short");
  if (LoadLe32(chunk.data()) != Crc32c(chunk.view().substr(kVersionAt))) {
    return absl::DataLossError("a chunk does not fit its checksum");
  }
  const uint32_t version = LoadLe32(chunk.data() + kVersionAt);
  if (version != kSnapshotProtocolVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        "snapshot protocol version ", version, "; this server speaks ", kSnapshotProtocolVersion));
  }
  const uint64_t transfer = LoadLe64(chunk.data() + kTransferAt);
  const uint32_t number = LoadLe32(chunk.data() + kNumberAt);
  if (number == 0 && transfer != transfer_) {
    transfer_ = transfer;
    next_ = 0;
    arriving_ = {};
  }
  if (transfer != transfer_ || number > next_) {
    return absl::FailedPreconditionError(
        absl::StrCat("chunk ", number, " is not the next one: ", next_, " is"));
  }
  if (number < next_) return absl::OkStatus();  // sent again: its answer was lost
  RETURN_IF_ERROR(Take(chunk.view().substr(kHeaderBytes), arrived));
  ++next_;
  return absl::OkStatus();
}

absl::Status SnapshotAssembler::Take(absl::string_view payload, std::optional<Arrived>* arrived) {
  if (next_ == 0) {
    RETURN_IF_ERROR(TakeHead(payload));
  } else {
    std::vector<engine::LogSegment> segments;
    while (!payload.empty()) {
      engine::FieldReader in(payload);
      engine::LogSegment segment;
      segment.id = in.U64();
      segment.first = Revision(static_cast<int64_t>(in.U64()));
      segment.garbage = Bytes::Copy(in.String());
      const absl::string_view records = in.String();
      if (!in.ok() || segments.size() == segments_left_) {
        return absl::InvalidArgumentError("a chunk's segments are malformed");
      }
      // A copy: the buffer of a chunk must not live as long as one of its segments.
      segment.records = Bytes::Copy(records);
      payload.remove_prefix(kMinSegmentBytes + segment.garbage.size() + records.size());
      segments.push_back(std::move(segment));
    }
    segments_left_ -= segments.size();
    for (engine::LogSegment& segment : segments) {
      arriving_.image.segments.push_back(std::move(segment));
    }
  }
  if (segments_left_ == 0) *arrived = std::exchange(arriving_, {});
  return absl::OkStatus();
}

absl::Status SnapshotAssembler::TakeHead(absl::string_view payload) {
  engine::FieldReader in(payload);
  const Bytes encoded = Bytes::Copy(in.String());
  arriving_.image.index = LogIndex(in.U64());
  arriving_.image.term = Term(in.U64());
  arriving_.image.sections = Bytes::Copy(in.String());
  segments_left_ = in.U64();
  if (!in.complete()) return absl::InvalidArgumentError("a transfer's first chunk is malformed");
  ASSIGN_OR_RETURN(arriving_.message, raft::DecodeMessage(encoded));
  if (arriving_.message.type == raft::MessageType::kSnap) return absl::OkStatus();
  return absl::InvalidArgumentError("a transfer of something that is no snapshot");
}

}  // namespace quorate::peer
