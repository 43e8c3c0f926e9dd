// Any bytes as files of a data directory: manifest, meta, a segment of the log, the records
// in it, file names.
//
// The first byte says as what the others are read. With its highest bit set the checksums,
// and what places a sector, are made to fit first: nothing behind them would be reached
// otherwise. What must hold: decoders never crash or read beyond their input; what they
// accept encodes to the same bytes again; and a log that is accepted as closed is accepted as
// the last one, with the same entries.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "base/check.h"
#include "base/coding.h"
#include "base/crc32c.h"
#include "storage/data_dir.h"
#include "storage/manifest.h"
#include "storage/record.h"
#include "storage/replay.h"
#include "storage/segment.h"

namespace quorate::storage {
namespace {

constexpr SegmentNumber kSegment = 7;
constexpr size_t kManifestCrcAt = 8;
constexpr size_t kMetaBytes = 512;

void TryManifest(std::string bytes, bool fit) {
  if (fit && bytes.size() >= kManifestCrcAt + 4) {
    StoreLe32(bytes.data() + kManifestCrcAt, Crc32c(bytes.substr(kManifestCrcAt + 4)));
  }
  const Bytes whole = Bytes::Copy(bytes);
  const absl::StatusOr<Manifest> manifest = DecodeManifest(whole, "manifest");
  if (!manifest.ok()) return;
  // Flags that mean nothing are not kept.
  const absl::StatusOr<Manifest> again = DecodeManifest(EncodeManifest(*manifest), "manifest");
  CHECK(again.ok());
  CHECK(again->segments == manifest->segments);
  CHECK(again->sections == manifest->sections);
  CHECK_EQ(again->index, manifest->index);
}

void TryMeta(std::string bytes, bool fit) {
  if (fit && bytes.size() == kMetaBytes) {
    StoreLe32(bytes.data() + 8, Crc32c(bytes.substr(0, 8) + bytes.substr(12)));
  }
  const absl::StatusOr<Identity> identity = DecodeMeta(bytes, "meta");
  if (!identity.ok()) return;
  CHECK(*DecodeMeta(EncodeMeta(*identity), "meta") == *identity);
}

// Each sector as the one that belongs here, written from where the input says.
std::string PlacedSectors(std::string bytes) {
  for (size_t at = 0; at + io::kSectorBytes <= bytes.size(); at += io::kSectorBytes) {
    char* const sector = bytes.data() + at;
    StoreLe32(sector + 4, static_cast<uint32_t>(at / io::kSectorBytes));
    StoreLe64(sector + 8, kSegment);
    const absl::string_view content(sector + 4, io::kSectorBytes - 4);
    StoreLe32(sector, Crc32c(content));
  }
  return bytes;
}

void TryLog(std::string bytes, bool fit) {
  if (fit) bytes = PlacedSectors(std::move(bytes));
  if (bytes.size() < io::kSectorBytes) return;
  SegmentHeader header;
  if (DecodeSegmentHeader(bytes.data(), kSegment, &header) == SectorState::kLive &&
      header.version == kLogFormatVersion) {
    std::string encoded(io::kSectorBytes, '\0');
    EncodeSegmentHeader(kSegment, header, encoded.data());
    SegmentHeader again;
    CHECK(DecodeSegmentHeader(encoded.data(), kSegment, &again) == SectorState::kLive);
    CHECK(again == header);
  }
  const size_t whole = bytes.size() / io::kSectorBytes * io::kSectorBytes;
  const absl::string_view sectors =
      absl::string_view(bytes).substr(io::kSectorBytes, whole - io::kSectorBytes);
  SegmentScanner last(kSegment, std::nullopt);
  last.Feed(sectors);
  const absl::StatusOr<ScannedSegment> scanned = last.Finish();
  if (!scanned.ok()) return;
  Replay as_last;
  SectorIndex sector = 1;
  const bool accepted = as_last.AddLast(*scanned, &sector).ok();
  SegmentScanner closed(kSegment, scanned->end);
  closed.Feed(sectors);
  const absl::StatusOr<ScannedSegment> scanned_closed = closed.Finish();
  if (!scanned_closed.ok()) return;
  Replay as_closed;
  if (!as_closed.AddClosed(*scanned_closed, &sector).ok()) return;
  CHECK(accepted);
  CHECK(as_closed.position() == as_last.position());
  CHECK(as_closed.TakeEntries() == as_last.TakeEntries());
}

void TryRecords(absl::string_view bytes) {
  const Bytes whole = Bytes::Copy(bytes);
  absl::string_view rest = whole.view();
  uint32_t chain = 0;
  Record record;
  while (ParseRecord(&rest, &chain, &record) == ParseResult::kRecord) {
    raft::HardState hard_state;
    ParseHardState(record.body, &hard_state);
    raft::Entry entry;
    ParseEntry(record, whole, &entry);
  }
}

void TryNames(absl::string_view text) {
  const std::optional<SegmentNumber> segment = ParseSegmentName(text);
  if (segment.has_value()) CHECK(SegmentName(*segment) == text);
  const std::optional<PackNumber> pack = ParsePackName(text);
  if (pack.has_value()) CHECK(PackName(*pack) == text);
}

}  // namespace
}  // namespace quorate::storage

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quorate;
  if (size == 0) return 0;
  const bool fit = (data[0] & 0x80) != 0;
  const std::string bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] & 0x7f) {
    case 0:
      storage::TryManifest(bytes, fit);
      break;
    case 1:
      storage::TryMeta(bytes, fit);
      break;
    case 2:
      storage::TryLog(bytes, fit);
      break;
    case 3:
      storage::TryRecords(bytes);
      break;
    default:
      storage::TryNames(bytes);
      break;
  }
  return 0;
}
