// Fixed-width and variable-width integers as bytes.
//
// Put* append to anything with Append(char) or append(string); Get* take from
// the front of a view and return false, leaving it as it was, when it is too
// short or malformed.
#ifndef QUORATE_BASE_CODING_H_
#define QUORATE_BASE_CODING_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/strings/string_view.h"

namespace quorate {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the formats below assume little endian");

inline void StoreLe32(char* at, uint32_t v) { std::memcpy(at, &v, 4); }
inline void StoreLe64(char* at, uint64_t v) { std::memcpy(at, &v, 8); }
inline uint32_t LoadLe32(const char* at) {
  uint32_t v;
  std::memcpy(&v, at, 4);
  return v;
}
inline uint64_t LoadLe64(const char* at) {
  uint64_t v;
  std::memcpy(&v, at, 8);
  return v;
}
inline void StoreBe32(char* at, uint32_t v) { StoreLe32(at, __builtin_bswap32(v)); }
inline void StoreBe64(char* at, uint64_t v) { StoreLe64(at, __builtin_bswap64(v)); }
inline uint32_t LoadBe32(const char* at) { return __builtin_bswap32(LoadLe32(at)); }
inline uint64_t LoadBe64(const char* at) { return __builtin_bswap64(LoadLe64(at)); }

inline constexpr size_t kMaxVarint64Bytes = 10;

// Bytes of protobuf's base-128 varint for v.
constexpr size_t VarintSize(uint64_t v) {
  return static_cast<size_t>((63 - __builtin_clzll(v | 1)) / 7 + 1);
}

// Writes the varint at `at` (room for kMaxVarint64Bytes) and returns the end.
inline char* StoreVarint(char* at, uint64_t v) {
  while (v >= 0x80) {
    *at++ = static_cast<char>(v | 0x80);
    v >>= 7;
  }
  *at++ = static_cast<char>(v);
  return at;
}

// Takes a varint off the front of *in. False on truncation or more than 64 bits.
inline bool GetVarint(absl::string_view* in, uint64_t* v) {
  uint64_t result = 0;
  for (size_t i = 0; i < in->size() && i < kMaxVarint64Bytes; ++i) {
    const auto byte = static_cast<unsigned char>((*in)[i]);
    if (i == 9 && byte > 1) return false;
    result |= uint64_t{byte & 0x7fu} << (7 * i);
    if (byte < 0x80) {
      in->remove_prefix(i + 1);
      *v = result;
      return true;
    }
  }
  return false;
}

}  // namespace quorate

#endif  // QUORATE_BASE_CODING_H_
