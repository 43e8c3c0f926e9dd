// Protobuf's wire format, as far as hot paths need it (replies, requests, raft's messages): a
// forward reader over one message and append functions for a BytesBuilder. Nothing is
// copied on reading; views point into the input.
//
//   WireReader in(bytes);
//   while (in.Next()) {
//     switch (in.tag()) {
//       case LenTag(1): key = in.bytes(); break;
//       case VarintTag(3): limit = in.int64(); break;
//     }
//   }
//   if (!in.ok()) return Malformed();
//
// Unknown fields, and known ones of another wire type, are skipped, as protobuf does.
#ifndef QUORATE_BASE_WIRE_H_
#define QUORATE_BASE_WIRE_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/coding.h"

namespace quorate {

// What stands for a field and its type: the low three bits of a tag.
enum WireType : uint32_t {
  kWireVarint = 0,
  kWireFixed64 = 1,
  kWireLen = 2,
  kWireStartGroup = 3,
  kWireEndGroup = 4,
  kWireFixed32 = 5,
};

constexpr uint32_t VarintTag(uint32_t field) { return field << 3 | kWireVarint; }
constexpr uint32_t LenTag(uint32_t field) { return field << 3 | kWireLen; }

class WireReader {
 public:
  explicit WireReader(absl::string_view in) : in_(in) {}

  // Moves to the next field. False at the end and on malformed input (see ok()).
  bool Next();
  bool ok() const { return ok_; }

  // Of the current field. Each accessor is for its wire type only.
  uint32_t tag() const { return tag_; }
  uint64_t uint64() const { return varint_; }
  int64_t int64() const { return static_cast<int64_t>(varint_); }
  // Enums are 32 bits wide: what is beyond is cut off, as protobuf does.
  int32_t int32() const { return static_cast<int32_t>(varint_); }
  bool boolean() const { return varint_ != 0; }
  absl::string_view bytes() const { return bytes_; }

 private:
  bool Fail() {
    ok_ = false;
    return false;
  }
  bool Skip(size_t n);
  bool SkipGroup(uint32_t field);

  absl::string_view in_;
  absl::string_view bytes_;
  uint64_t varint_ = 0;
  uint32_t tag_ = 0;
  bool ok_ = true;
};

inline void AppendVarint(BytesBuilder* out, uint64_t v) {
  char buffer[kMaxVarint64Bytes];
  const char* end = StoreVarint(buffer, v);
  out->Append(absl::string_view(buffer, static_cast<size_t>(end - buffer)));
}

// Proto3 scalars: a zero is left out.
inline void AppendUint64(BytesBuilder* out, uint32_t field, uint64_t v) {
  if (v == 0) return;
  AppendVarint(out, VarintTag(field));
  AppendVarint(out, v);
}
inline void AppendInt64(BytesBuilder* out, uint32_t field, int64_t v) {
  AppendUint64(out, field, static_cast<uint64_t>(v));
}
inline void AppendBool(BytesBuilder* out, uint32_t field, bool v) { AppendUint64(out, field, v); }

// A present field, empty or not.
inline void AppendLen(BytesBuilder* out, uint32_t field, absl::string_view bytes) {
  AppendVarint(out, LenTag(field));
  AppendVarint(out, bytes.size());
  out->Append(bytes);
}
// A proto3 bytes or string field: an empty one is left out.
inline void AppendBytes(BytesBuilder* out, uint32_t field, absl::string_view bytes) {
  if (!bytes.empty()) AppendLen(out, field, bytes);
}

// A sub-message written in place: Begin, append its fields, End. The length gets its
// minimal form; a message of 128 bytes or more is moved once to make room for it.
size_t BeginMessage(BytesBuilder* out, uint32_t field);
void EndMessage(BytesBuilder* out, size_t begin);

}  // namespace quorate

#endif  // QUORATE_BASE_WIRE_H_
