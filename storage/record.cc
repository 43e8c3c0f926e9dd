#include "storage/record.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/coding.h"
#include "base/crc32c.h"

namespace quorate::storage {
namespace {

// Sector header.
constexpr size_t kSectorCrcAt = 0;
constexpr size_t kSectorIndexAt = 4;
constexpr size_t kSectorSegmentAt = 8;
constexpr size_t kSectorWriteStartAt = 16;
constexpr size_t kSectorUsedAt = 20;
constexpr size_t kSectorFlagsAt = 22;
constexpr uint16_t kLastOfWrite = 1;

// Record header.
constexpr size_t kRecordCrcAt = 0;
constexpr size_t kRecordLengthAt = 4;
constexpr size_t kRecordTypeAt = 8;
constexpr size_t kRecordFlagsAt = 9;
constexpr size_t kRecordSubtypeAt = 10;
constexpr size_t kRecordZeroAt = 11;
constexpr uint8_t kEndOfUnit = 1;

void StoreLe16(char* at, uint16_t v) { std::memcpy(at, &v, 2); }
uint16_t LoadLe16(const char* at) {
  uint16_t v;
  std::memcpy(&v, at, 2);
  return v;
}

bool AllZero(const char* data, size_t size) {
  return size == 0 || (data[0] == 0 && std::memcmp(data, data + 1, size - 1) == 0);
}

uint32_t SectorCrc(const char* sector) {
  return Crc32c(absl::string_view(sector + kSectorIndexAt, io::kSectorBytes - kSectorIndexAt));
}

bool KnownType(uint8_t type, uint8_t subtype) {
  switch (static_cast<RecordType>(type)) {
    case RecordType::kEntry:
      return subtype <= static_cast<uint8_t>(raft::EntryType::kConfChangeV2);
    case RecordType::kHardState:
      return subtype == 0;
    case RecordType::kSnapshotMark:
      return false;  // no writer yet
  }
  return false;
}

}  // namespace

SectorState ClassifySector(const char* sector, SegmentNumber segment, SectorIndex index,
                           SectorHeader* header) {
  if (LoadLe64(sector + kSectorSegmentAt) == 0) {
    return AllZero(sector, io::kSectorBytes) ? SectorState::kZero : SectorState::kDamaged;
  }
  if (LoadLe32(sector + kSectorCrcAt) != SectorCrc(sector)) return SectorState::kDamaged;
  const uint16_t flags = LoadLe16(sector + kSectorFlagsAt);
  const SectorHeader found = {.segment = LoadLe64(sector + kSectorSegmentAt),
                              .index = LoadLe32(sector + kSectorIndexAt),
                              .write_start = LoadLe32(sector + kSectorWriteStartAt),
                              .used = LoadLe16(sector + kSectorUsedAt),
                              .last_of_write = (flags & kLastOfWrite) != 0};
  const bool sound = found.index == index && found.segment <= segment &&
                     found.write_start <= index && found.used > 0 &&
                     found.used <= kSectorPayloadBytes && (flags & ~kLastOfWrite) == 0 &&
                     (found.last_of_write || found.used == kSectorPayloadBytes);
  if (!sound) return SectorState::kDamaged;
  *header = found;
  return found.segment == segment ? SectorState::kLive : SectorState::kStale;
}

bool NamesSegment(const char* sector, SegmentNumber segment) {
  return LoadLe64(sector + kSectorSegmentAt) == segment;
}

void SealSector(char* sector, const SectorHeader& header) {
  StoreLe32(sector + kSectorIndexAt, header.index);
  StoreLe64(sector + kSectorSegmentAt, header.segment);
  StoreLe32(sector + kSectorWriteStartAt, header.write_start);
  StoreLe16(sector + kSectorUsedAt, header.used);
  StoreLe16(sector + kSectorFlagsAt, header.last_of_write ? kLastOfWrite : 0);
  StoreLe32(sector + kSectorCrcAt, SectorCrc(sector));
}

ParseResult ParseRecord(absl::string_view* in, uint32_t* chain, Record* record) {
  if (in->size() < kRecordHeaderBytes) return ParseResult::kIncomplete;
  const char* const at = in->data();
  const uint32_t length = LoadLe32(at + kRecordLengthAt);
  const auto type = static_cast<uint8_t>(at[kRecordTypeAt]);
  const auto flags = static_cast<uint8_t>(at[kRecordFlagsAt]);
  const auto subtype = static_cast<uint8_t>(at[kRecordSubtypeAt]);
  if (length > kMaxRecordBytes || !KnownType(type, subtype) || (flags & ~kEndOfUnit) != 0 ||
      at[kRecordZeroAt] != 0) {
    return ParseResult::kDamaged;
  }
  if (in->size() - kRecordHeaderBytes < length) return ParseResult::kIncomplete;
  const size_t whole = kRecordHeaderBytes + length;
  const uint32_t crc =
      Crc32cExtend(*chain, absl::string_view(at + kRecordLengthAt, whole - kRecordLengthAt));
  if (crc != LoadLe32(at + kRecordCrcAt)) return ParseResult::kDamaged;
  *chain = crc;
  record->type = static_cast<RecordType>(type);
  record->entry_type = static_cast<raft::EntryType>(subtype);
  record->end_of_unit = (flags & kEndOfUnit) != 0;
  record->body = absl::string_view(at + kRecordHeaderBytes, length);
  in->remove_prefix(whole);
  return ParseResult::kRecord;
}

bool ParseEntry(const Record& record, const Bytes& whole, raft::Entry* entry) {
  if (record.body.size() < kEntryHeadBytes) return false;
  entry->term = Term(LoadLe64(record.body.data()));
  entry->index = LogIndex(LoadLe64(record.body.data() + 8));
  entry->type = record.entry_type;
  entry->data = whole.SliceOf(record.body.substr(kEntryHeadBytes));
  return true;
}

bool ParseHardState(absl::string_view body, raft::HardState* hard_state) {
  if (body.size() != kHardStateBytes) return false;
  hard_state->term = Term(LoadLe64(body.data()));
  hard_state->vote = MemberId(LoadLe64(body.data() + 8));
  hard_state->commit = LogIndex(LoadLe64(body.data() + 16));
  return true;
}

void StoreHardState(char* at, const raft::HardState& hard_state) {
  StoreLe64(at, hard_state.term.value());
  StoreLe64(at + 8, hard_state.vote.value());
  StoreLe64(at + 16, hard_state.commit.value());
}

void WriteEncoder::Begin(BytesBuilder* out, SegmentNumber segment, SectorIndex first) {
  CHECK(out_ == nullptr);
  CHECK_EQ(out->size() % io::kSectorBytes, size_t{0});
  out_ = out;
  segment_ = segment;
  first_ = first;
  room_ = 0;
  payload_bytes_ = 0;
}

void WriteEncoder::Reserve(size_t payload) {
  const size_t size = out_->size();
  out_->Grow(payload + payload / kSectorPayloadBytes * kSectorHeaderBytes + io::kSectorBytes);
  out_->Truncate(size);
}

void WriteEncoder::AddEntry(const raft::Entry& entry, bool end_of_unit, uint32_t* chain) {
  char head[kRecordHeaderBytes + kEntryHeadBytes];
  StoreLe64(head + kRecordHeaderBytes, entry.term.value());
  StoreLe64(head + kRecordHeaderBytes + 8, entry.index.value());
  PutRecord(RecordType::kEntry, static_cast<uint8_t>(entry.type), end_of_unit, head, sizeof(head),
            entry.data, chain);
}

void WriteEncoder::AddHardState(const raft::HardState& hard_state, bool end_of_unit,
                                uint32_t* chain) {
  char head[kHardStateRecordBytes];
  StoreHardState(head + kRecordHeaderBytes, hard_state);
  PutRecord(RecordType::kHardState, 0, end_of_unit, head, sizeof(head), {}, chain);
}

// A record. `head`: room for its header, which is filled in, and what of the body comes before
// `data`: small pieces go through the checksum together.
void WriteEncoder::PutRecord(RecordType type, uint8_t subtype, bool end_of_unit, char* head,
                             size_t head_bytes, absl::string_view data, uint32_t* chain) {
  const size_t length = head_bytes - kRecordHeaderBytes + data.size();
  CHECK(length <= kMaxRecordBytes);
  StoreLe32(head + kRecordLengthAt, static_cast<uint32_t>(length));
  head[kRecordTypeAt] = static_cast<char>(type);
  head[kRecordFlagsAt] = static_cast<char>(end_of_unit ? kEndOfUnit : 0);
  head[kRecordSubtypeAt] = static_cast<char>(subtype);
  head[kRecordZeroAt] = 0;
  uint32_t crc =
      Crc32cExtend(*chain, absl::string_view(head + kRecordLengthAt, head_bytes - kRecordLengthAt));
  if (!data.empty()) crc = Crc32cExtend(crc, data);
  StoreLe32(head + kRecordCrcAt, crc);
  *chain = crc;
  Put(absl::string_view(head, head_bytes));
  Put(data);
}

void WriteEncoder::Put(absl::string_view data) {
  while (!data.empty()) {
    if (room_ == 0) OpenSector();
    const size_t n = std::min(room_, data.size());
    std::memcpy(out_->data() + out_->size() - room_, data.data(), n);
    room_ -= n;
    payload_bytes_ += n;
    data.remove_prefix(n);
  }
}

void WriteEncoder::OpenSector() {
  if (payload_bytes_ == 0) {
    current_ = first_;
  } else {
    SealCurrent(/*last=*/false);
    ++current_;
  }
  out_->Grow(io::kSectorBytes);
  room_ = kSectorPayloadBytes;
}

void WriteEncoder::SealCurrent(bool last) {
  char* const sector = out_->data() + out_->size() - io::kSectorBytes;
  std::memset(sector + io::kSectorBytes - room_, 0, room_);
  SealSector(sector, {.segment = segment_,
                      .index = current_,
                      .write_start = first_,
                      .used = static_cast<uint16_t>(kSectorPayloadBytes - room_),
                      .last_of_write = last});
}

SectorIndex WriteEncoder::Finish() {
  CHECK(out_ != nullptr);
  CHECK(payload_bytes_ > 0);
  SealCurrent(/*last=*/true);
  out_ = nullptr;
  return current_ + 1;
}

}  // namespace quorate::storage
