// The framing of the log: records in sectors in writes. docs/FORMATS.md has the bytes.
//
//   record    one entry, hard state or mark: length, type, a CRC-32C that runs on from
//             the record before it, body
//   unit      the records of one Wal::Append; the last one is marked. Atomic.
//   write     whole units, padded to whole sectors: what one write-and-sync carries. It
//             always begins at a fresh sector, so that no write ever touches a sector
//             that holds durable data.
//   sector    512 bytes: the most that a disk writes as a whole. Each says what it is
//             (segment, place, write) and has a check of its own, so that it can be told
//             apart whether it is what the log last wrote there, what was there before,
//             or neither.
#ifndef QUORATE_STORAGE_RECORD_H_
#define QUORATE_STORAGE_RECORD_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "engine/raft/types.h"
#include "io/disk.h"

namespace quorate::storage {

inline constexpr size_t kSectorHeaderBytes = 24;
inline constexpr size_t kSectorPayloadBytes = io::kSectorBytes - kSectorHeaderBytes;
inline constexpr size_t kRecordHeaderBytes = 12;
inline constexpr size_t kEntryHeadBytes = 16;
inline constexpr size_t kHardStateBytes = 24;
// Longest body of a record. Above any message that a peer may send.
inline constexpr size_t kMaxRecordBytes = 1024 * limits::kMiB;
static_assert(limits::kMaxPeerMessageBytes + kEntryHeadBytes < kMaxRecordBytes);

// Number of a segment in its log: the file's name, part of every sector in it, never
// used twice. 0 = none.
using SegmentNumber = uint64_t;
// Place of a sector in its file, in sectors.
using SectorIndex = uint32_t;

// --- Sectors ---

struct SectorHeader {
  SegmentNumber segment = 0;
  SectorIndex index = 0;
  SectorIndex write_start = 0;  // first sector of the write that this one belongs to
  uint16_t used = 0;            // payload bytes; the rest is zero
  bool last_of_write = false;
};

enum class SectorState : uint8_t {
  kLive,     // written by this segment, at this place
  kZero,     // never written
  kStale,    // written at this place by an earlier segment in the same file
  kDamaged,  // none of these: no crash leaves such a sector
};

// What the 512 bytes at `sector` are, as sector `index` of `segment`. Fills *header
// only for kLive and kStale.
SectorState ClassifySector(const char* sector, SegmentNumber segment, SectorIndex index,
                           SectorHeader* header);

// Whether a sector names this segment as its own. One that does not cannot be kLive.
bool NamesSegment(const char* sector, SegmentNumber segment);

inline absl::string_view SectorPayload(const char* sector, const SectorHeader& header) {
  return absl::string_view(sector + kSectorHeaderBytes, header.used);
}

// Fills in header and check of a sector whose payload and padding are in place.
void SealSector(char* sector, const SectorHeader& header);

// --- Records ---

enum class RecordType : uint8_t {
  kEntry = 1,
  kHardState = 2,
  kSnapshotMark = 3,  // reserved
};

struct Record {
  RecordType type = RecordType::kEntry;
  raft::EntryType entry_type = raft::EntryType::kNormal;
  bool end_of_unit = false;
  absl::string_view body;
};

enum class ParseResult : uint8_t { kRecord, kIncomplete, kDamaged };

// Takes a record off the front of *in. *chain is the running CRC before it, and after
// it on success. kIncomplete leaves both as they were.
ParseResult ParseRecord(absl::string_view* in, uint32_t* chain, Record* record);

// Of a kEntry record's body. `whole` is the buffer that the body is a view into; the
// entry's data becomes a slice of it. False if the body is too short.
bool ParseEntry(const Record& record, const Bytes& whole, raft::Entry* entry);
bool ParseHardState(absl::string_view body, raft::HardState* hard_state);

// Bytes of the payload stream that a record takes.
inline size_t EntryRecordBytes(const raft::Entry& entry) {
  return kRecordHeaderBytes + kEntryHeadBytes + entry.data.size();
}
inline constexpr size_t kHardStateRecordBytes = kRecordHeaderBytes + kHardStateBytes;

// Stores a hard state's 24 bytes at `at`.
void StoreHardState(char* at, const raft::HardState& hard_state);

// --- Writes ---

// Encodes one write, each byte once, into the sectors that go to the disk.
class WriteEncoder {
 public:
  WriteEncoder() = default;

  // Begins a write at `first` of `segment`, behind what *out holds already (nothing, or
  // a segment's header sector). `out` is borrowed until Finish.
  void Begin(BytesBuilder* out, SegmentNumber segment, SectorIndex first);
  bool active() const { return out_ != nullptr; }

  // Whole sectors that this write would take with `payload` more bytes.
  size_t SectorsWith(size_t payload) const {
    return (payload_bytes_ + payload + kSectorPayloadBytes - 1) / kSectorPayloadBytes;
  }
  // Makes room for that much at once.
  void Reserve(size_t payload);

  // *chain is the log's running CRC.
  void AddEntry(const raft::Entry& entry, bool end_of_unit, uint32_t* chain);
  void AddHardState(const raft::HardState& hard_state, bool end_of_unit, uint32_t* chain);
  // Whole records, encoded before, whose CRCs continue the chain.
  void AddRaw(absl::string_view payload) { Put(payload); }

  // Pads and seals the last sector. At least one record must have been added. Returns
  // the first sector behind the write.
  SectorIndex Finish();

 private:
  void PutRecord(RecordType type, uint8_t subtype, bool end_of_unit, char* head, size_t head_bytes,
                 absl::string_view data, uint32_t* chain);
  void Put(absl::string_view data);
  void OpenSector();
  void SealCurrent(bool last);

  BytesBuilder* out_ = nullptr;
  SegmentNumber segment_ = 0;
  SectorIndex first_ = 0;
  SectorIndex current_ = 0;  // the open sector, if payload_bytes_ > 0
  size_t room_ = 0;          // payload bytes left in it
  size_t payload_bytes_ = 0;
};

}  // namespace quorate::storage

#endif  // QUORATE_STORAGE_RECORD_H_
