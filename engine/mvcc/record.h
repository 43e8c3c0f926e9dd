// What stands before each record of the revision log, in memory as in a pack file.
#ifndef QUORATE_ENGINE_MVCC_RECORD_H_
#define QUORATE_ENGINE_MVCC_RECORD_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "base/coding.h"

namespace quorate::mvcc {

// Size << 1 | tombstone, sub, main - the segment's first revision; 32 bits each.
struct RecordHeader {
  static constexpr size_t kBytes = 12;

  uint32_t size;
  bool tombstone;
  uint32_t sub;
  uint32_t main_delta;
};

inline RecordHeader ReadRecordHeader(const char* at) {
  const uint32_t word = LoadLe32(at);
  return {word >> 1, (word & 1) != 0, LoadLe32(at + 4), LoadLe32(at + 8)};
}

// The record whose bytes begin here, behind its header.
inline absl::string_view RecordAt(const char* bytes) {
  return absl::string_view(bytes, ReadRecordHeader(bytes - RecordHeader::kBytes).size);
}

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_RECORD_H_
