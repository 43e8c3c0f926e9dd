#include "storage/manifest.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/coding.h"
#include "base/crc32c.h"
#include "storage/data_dir.h"

namespace quorate::storage {
namespace {

constexpr absl::string_view kMagic = "QUORCKP\n";
constexpr size_t kCrcAt = 8;
constexpr size_t kVersionAt = 12;
constexpr size_t kPreambleBytes = 16;
constexpr size_t kPlacedBytes = 48;  // at least
constexpr uint32_t kInstalledFlag = 1;

constexpr absl::string_view kSuffix = ".seg";
constexpr size_t kDigits = 16;

}  // namespace

std::string PackName(PackNumber pack) { return absl::StrFormat("%016x%s", pack, kSuffix); }

std::optional<PackNumber> ParsePackName(absl::string_view name) {
  if (name.size() != kDigits + kSuffix.size() || name.substr(kDigits) != kSuffix) {
    return std::nullopt;
  }
  PackNumber pack = 0;
  for (const char c : name.substr(0, kDigits)) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && !(c >= 'a' && c <= 'f')) return std::nullopt;
    pack = pack << 4 | static_cast<PackNumber>(digit ? c - '0' : c - 'a' + 10);
  }
  if (pack == 0) return std::nullopt;
  return pack;
}

uint32_t SegmentCrc(const engine::LogSegment& segment) {
  char what[24];
  StoreLe64(what, segment.id);
  StoreLe64(what + 8, static_cast<uint64_t>(segment.first.value()));
  StoreLe64(what + 16, segment.records.size());
  return Crc32cExtend(Crc32c(absl::string_view(what, sizeof what)), segment.records);
}

Bytes EncodeManifest(const Manifest& manifest) {
  BytesBuilder out(kPreambleBytes + 64 + manifest.sections.size() +
                   manifest.segments.size() * kPlacedBytes);
  out.Append(kMagic);
  out.Grow(4);
  engine::PutU32(&out, kCheckpointFormatVersion);
  engine::PutU64(&out, manifest.identity.cluster_id.value());
  engine::PutU64(&out, manifest.identity.member_id.value());
  engine::PutU64(&out, manifest.index.value());
  engine::PutU64(&out, manifest.term.value());
  engine::PutU32(&out, manifest.installed ? kInstalledFlag : 0);
  engine::PutString(&out, manifest.sections);
  engine::PutU64(&out, manifest.segments.size());
  for (const PlacedSegment& segment : manifest.segments) {
    engine::PutU64(&out, segment.id);
    engine::PutU64(&out, static_cast<uint64_t>(segment.first.value()));
    engine::PutU64(&out, segment.pack);
    engine::PutU64(&out, segment.offset);
    engine::PutU32(&out, segment.bytes);
    engine::PutU32(&out, segment.crc);
    engine::PutString(&out, segment.garbage);
  }
  StoreLe32(out.data() + kCrcAt, Crc32c(out.view().substr(kVersionAt)));
  return std::move(out).Finish();
}

absl::StatusOr<Manifest> DecodeManifest(const Bytes& bytes, const std::string& path) {
  if (bytes.size() < kPreambleBytes || bytes.view().substr(0, kMagic.size()) != kMagic) {
    return DamageError(path, 0, "this is not the beginning of such a file");
  }
  if (LoadLe32(bytes.data() + kCrcAt) != Crc32c(bytes.view().substr(kVersionAt))) {
    return DamageError(path, kCrcAt, "the check does not fit the file");
  }
  const uint32_t version = LoadLe32(bytes.data() + kVersionAt);
  if (version != kCheckpointFormatVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": the checkpoint has format version ", version,
                     "; this server reads version ", kCheckpointFormatVersion,
                     ". Start it with a server of the version that wrote it, or newer"));
  }
  engine::FieldReader in(bytes.view().substr(kPreambleBytes));
  Manifest manifest;
  manifest.identity.cluster_id = ClusterId(in.U64());
  manifest.identity.member_id = MemberId(in.U64());
  manifest.index = LogIndex(in.U64());
  manifest.term = Term(in.U64());
  manifest.installed = (in.U32() & kInstalledFlag) != 0;
  manifest.sections = bytes.SliceOf(in.String());
  const uint64_t count = in.Count(kPlacedBytes);
  manifest.segments.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    PlacedSegment& segment = manifest.segments.emplace_back();
    segment.id = in.U64();
    segment.first = Revision(static_cast<int64_t>(in.U64()));
    segment.pack = in.U64();
    segment.offset = in.U64();
    segment.bytes = in.U32();
    segment.crc = in.U32();
    segment.garbage = bytes.SliceOf(in.String());
  }
  if (!in.complete() || manifest.index == LogIndex(0)) {
    return DamageError(path, kPreambleBytes, "the fields do not fit the file");
  }
  return manifest;
}

}  // namespace quorate::storage
