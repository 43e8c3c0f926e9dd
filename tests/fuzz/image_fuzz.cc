// Any bytes as what one member sends another or keeps of its state: a state image, the chunks of
// a snapshot, frames of a message stream.
//
// The first byte says as what the others are read. With its highest bit set the checksums are
// made to fit first: nothing behind them would be reached otherwise. What must hold: nothing
// crashes or reads beyond its input; an image that loads at once loads in pieces, to the same
// state, and encodes to one that does; a snapshot that arrived, sent on, arrives as the same;
// frames do not depend on how their bytes are divided.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/coding.h"
#include "base/crc32c.h"
#include "engine/apply/applier.h"
#include "engine/apply/state_image.h"
#include "engine/image/image.h"
#include "engine/mvcc/work.h"
#include "server/peer/frame.h"
#include "server/peer/snapshot_chunks.h"

namespace quorate {
namespace {

constexpr size_t kPreambleBytes = 12;
constexpr size_t kSectionHeaderBytes = 16;
constexpr size_t kSectionCrcBytes = 4;
constexpr size_t kSectionLengthAt = 8;

// Each section of the image with the checksum that it has, as far as they go.
std::string WithSectionChecks(std::string bytes) {
  size_t at = kPreambleBytes;
  while (at < bytes.size() && bytes.size() - at >= kSectionHeaderBytes) {
    const uint64_t length = LoadLe64(bytes.data() + at + kSectionLengthAt);
    if (length > bytes.size() - at - kSectionHeaderBytes) break;
    const size_t whole = kSectionHeaderBytes + static_cast<size_t>(length);
    const absl::string_view section = absl::string_view(bytes).substr(at, whole);
    StoreLe32(bytes.data() + at, Crc32c(section.substr(kSectionCrcBytes)));
    at += whole;
  }
  return bytes;
}

absl::Status Load(const engine::StateImage& image, size_t records, apply::Applier* applier) {
  apply::ImageLoader loader(image, applier);
  while (!loader.Step(records)) {
  }
  if (loader.status().ok()) applier->store().index().CheckInvariants();
  return loader.status();
}

void TryImage(std::string bytes, bool fit) {
  if (fit) bytes = WithSectionChecks(std::move(bytes));
  const absl::StatusOr<engine::StateImage> image = engine::DecodeImage(Bytes::Copy(bytes));
  if (!image.ok()) return;
  apply::Applier at_once;
  apply::Applier in_pieces;
  const absl::Status status = Load(*image, std::numeric_limits<size_t>::max(), &at_once);
  CHECK(Load(*image, 1, &in_pieces) == status);
  if (!status.ok()) return;
  CHECK_EQ(at_once.Digest(), in_pieces.Digest());
  apply::ImageRun run(at_once, engine::StateImage());
  mvcc::Work work = mvcc::Work::Unlimited();
  CHECK(run.Step(&work));
  const engine::StateImage again = std::move(run).Take();
  apply::Applier third;
  CHECK(Load(again, 3, &third).ok());
  CHECK_EQ(third.Digest(), at_once.Digest());
}

Bytes Joined(const std::vector<Bytes>& pieces) {
  BytesBuilder out;
  for (const Bytes& piece : pieces) out.Append(piece);
  return std::move(out).Finish();
}

// Chunks, each behind its length in two bytes.
void TryChunks(absl::string_view bytes, bool fit) {
  peer::SnapshotAssembler assembler;
  std::optional<peer::SnapshotAssembler::Arrived> arrived;
  while (bytes.size() >= 2 && !arrived.has_value()) {
    const size_t size = static_cast<unsigned char>(bytes[0]) |
                        static_cast<size_t>(static_cast<unsigned char>(bytes[1])) << 8;
    bytes.remove_prefix(2);
    std::string chunk(bytes.substr(0, size));
    bytes.remove_prefix(chunk.size());
    if (fit && chunk.size() > 4) {
      StoreLe32(chunk.data(), Crc32c(absl::string_view(chunk).substr(4)));
    }
    assembler.Add(Bytes::Copy(chunk), &arrived).IgnoreError();
  }
  if (!arrived.has_value()) return;
  peer::SnapshotChunker chunker(7, arrived->message, arrived->image);
  peer::SnapshotAssembler other;
  std::optional<peer::SnapshotAssembler::Arrived> again;
  while (!chunker.done()) CHECK(other.Add(Joined(chunker.Next()), &again).ok());
  CHECK(again.has_value());
  CHECK(again->image.sections == arrived->image.sections);
  CHECK(again->image.segments == arrived->image.segments);
  CHECK_EQ(again->image.index, arrived->image.index);
}

struct Frames {
  std::vector<Bytes> taken;
  bool good = true;
};

Frames TakeFrames(absl::string_view bytes, size_t piece) {
  constexpr size_t kMost = 64 * 1024;
  peer::FrameReader reader(kMost);
  Frames frames;
  while (frames.good && !bytes.empty()) {
    const auto take = [&frames](Bytes frame) {
      CHECK(frame.size() <= kMost);
      frames.taken.push_back(std::move(frame));
      return absl::OkStatus();
    };
    frames.good = reader.Feed(bytes.substr(0, piece), take).ok();
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  return frames;
}

void TryFrames(absl::string_view bytes) {
  const Frames whole = TakeFrames(bytes, bytes.size());
  const Frames bytewise = TakeFrames(bytes, 1);
  CHECK_EQ(whole.good, bytewise.good);
  CHECK(whole.taken == bytewise.taken);
}

}  // namespace
}  // namespace quorate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const bool fit = (data[0] & 0x80) != 0;
  const std::string bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] & 0x7f) {
    case 0:
      quorate::TryImage(bytes, fit);
      break;
    case 1:
      quorate::TryChunks(bytes, fit);
      break;
    default:
      quorate::TryFrames(bytes);
      break;
  }
  return 0;
}
