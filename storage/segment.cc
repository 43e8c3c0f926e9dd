#include "storage/segment.h"

#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/coding.h"

namespace quorate::storage {
namespace {

constexpr char kMagic[] = "QUORWAL\n";
constexpr size_t kMagicBytes = 8;

// Payload of the header sector.
constexpr size_t kVersionAt = 8;
constexpr size_t kPreparedAt = 12;
constexpr size_t kClusterAt = 16;
constexpr size_t kMemberAt = 24;
constexpr size_t kPreviousAt = 32;
constexpr size_t kPreviousEndAt = 40;
constexpr size_t kChainAt = 44;
constexpr size_t kHardStateAt = 48;
constexpr size_t kLastIndexAt = 72;
constexpr size_t kLastTermAt = 80;
constexpr size_t kHeaderBytes = 88;
static_assert(kHardStateAt + kHardStateBytes == kLastIndexAt);
static_assert(kHeaderBytes <= kSectorPayloadBytes);

constexpr absl::string_view kSuffix = ".log";
constexpr size_t kDigits = 16;

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

std::string SegmentName(SegmentNumber segment) { return absl::StrFormat("%016x.log", segment); }

std::optional<SegmentNumber> ParseSegmentName(absl::string_view name) {
  if (name.size() != kDigits + kSuffix.size() || name.substr(kDigits) != kSuffix) {
    return std::nullopt;
  }
  SegmentNumber segment = 0;
  for (const char c : name.substr(0, kDigits)) {
    const int digit = HexDigit(c);
    if (digit < 0) return std::nullopt;
    segment = segment << 4 | static_cast<SegmentNumber>(digit);
  }
  if (segment == 0) return std::nullopt;
  return segment;
}

void EncodeSegmentHeader(SegmentNumber segment, const SegmentHeader& header, char* sector) {
  std::memset(sector, 0, io::kSectorBytes);
  char* const at = sector + kSectorHeaderBytes;
  std::memcpy(at, kMagic, kMagicBytes);
  StoreLe32(at + kVersionAt, header.version);
  StoreLe32(at + kPreparedAt, header.prepared_sectors);
  StoreLe64(at + kClusterAt, header.cluster_id.value());
  StoreLe64(at + kMemberAt, header.member_id.value());
  StoreLe64(at + kPreviousAt, header.previous);
  StoreLe32(at + kPreviousEndAt, header.previous_end);
  StoreLe32(at + kChainAt, header.start.chain);
  StoreHardState(at + kHardStateAt, header.start.hard_state);
  StoreLe64(at + kLastIndexAt, header.start.last_index.value());
  StoreLe64(at + kLastTermAt, header.start.last_term.value());
  SealSector(sector, {.segment = segment,
                      .index = 0,
                      .write_start = 0,
                      .used = static_cast<uint16_t>(kHeaderBytes),
                      .last_of_write = true});
}

SectorState DecodeSegmentHeader(const char* sector, SegmentNumber segment, SegmentHeader* header) {
  SectorHeader sector_header;
  const SectorState state = ClassifySector(sector, segment, 0, &sector_header);
  if (state != SectorState::kLive) return state;
  const absl::string_view payload = SectorPayload(sector, sector_header);
  const char* const at = payload.data();
  if (payload.size() < kHeaderBytes || std::memcmp(at, kMagic, kMagicBytes) != 0) {
    return SectorState::kDamaged;
  }
  header->version = LoadLe32(at + kVersionAt);
  if (header->version != kLogFormatVersion) return state;
  header->prepared_sectors = LoadLe32(at + kPreparedAt);
  header->cluster_id = ClusterId(LoadLe64(at + kClusterAt));
  header->member_id = MemberId(LoadLe64(at + kMemberAt));
  header->previous = LoadLe64(at + kPreviousAt);
  header->previous_end = LoadLe32(at + kPreviousEndAt);
  header->start.chain = LoadLe32(at + kChainAt);
  const bool parsed =
      ParseHardState(payload.substr(kHardStateAt, kHardStateBytes), &header->start.hard_state);
  CHECK(parsed);
  header->start.last_index = LogIndex(LoadLe64(at + kLastIndexAt));
  header->start.last_term = Term(LoadLe64(at + kLastTermAt));
  return header->previous < segment ? state : SectorState::kDamaged;
}

SegmentScanner::SegmentScanner(SegmentNumber segment, std::optional<SectorIndex> end,
                               SectorIndex sectors, Bytes buffer)
    : segment_(segment),
      end_(end),
      payload_(std::move(buffer), size_t{end.value_or(sectors)} * kSectorPayloadBytes) {}

void SegmentScanner::Feed(absl::string_view sectors) {
  CHECK_EQ(sectors.size() % io::kSectorBytes, size_t{0});
  while (!sectors.empty() && !done()) {
    TakeSector(sectors.data());
    ++next_;
    sectors.remove_prefix(io::kSectorBytes);
  }
}

void SegmentScanner::FeedUnreadable() {
  if (done()) return;
  if (!tail_.has_value()) Damaged(next_, "the sector cannot be read");
  ++next_;
}

void SegmentScanner::TakeSector(const char* sector) {
  // Only what is live counts behind the end: most of it is of earlier segments.
  if (tail_.has_value() && !NamesSegment(sector, segment_)) return;
  SectorHeader header;
  const SectorState state = ClassifySector(sector, segment_, next_, &header);
  if (tail_.has_value()) {
    if (state == SectorState::kLive) TakeBehindEnd(header);
    return;
  }
  switch (state) {
    case SectorState::kLive:
      return TakeLive(sector, header);
    case SectorState::kDamaged:
      return Damaged(next_, "the sector's check does not fit its bytes and place");
    case SectorState::kZero:
    case SectorState::kStale:
      if (end_.has_value()) return Damaged(next_, "a sector of the log is missing");
      tail_ = next_;
      torn_end_ = next_;
      return;
  }
}

SectorIndex SegmentScanner::ExpectedStart(SectorIndex index) const {
  return at_write_end_ ? index : write_start_;
}

void SegmentScanner::TakeLive(const char* sector, const SectorHeader& header) {
  if (header.write_start != ExpectedStart(next_)) {
    return Damaged(next_, "the sector does not continue the one before it");
  }
  if (at_write_end_) writes_.push_back({payload_.size(), next_});
  write_start_ = header.write_start;
  at_write_end_ = header.last_of_write;
  payload_.Append(SectorPayload(sector, header));
}

// The log ended at *tail_. What is live here can only be of the write that was torn there.
void SegmentScanner::TakeBehindEnd(const SectorHeader& header) {
  if (header.write_start != ExpectedStart(*tail_)) {
    return Damaged(*tail_, "a sector of the log is missing, though a later write is there");
  }
  torn_end_ = next_ + 1;
}

void SegmentScanner::Damaged(SectorIndex sector, std::string what) {
  damage_ = SectorDamage{sector, std::move(what)};
}

absl::StatusOr<ScannedSegment> SegmentScanner::Finish() {
  const SectorIndex end = tail_.value_or(next_);
  if (!damage_.has_value() && end_.has_value() && (next_ < *end_ || !at_write_end_)) {
    Damaged(next_, "the segment ends too early");
  }
  if (damage_.has_value()) return absl::DataLossError(damage_->what);
  ScannedSegment scanned;
  scanned.payload = std::move(payload_).Finish();
  scanned.writes = std::move(writes_);
  scanned.end = end;
  scanned.complete = at_write_end_;
  scanned.torn_end = tail_.has_value() ? torn_end_ : end;
  return scanned;
}

}  // namespace quorate::storage
