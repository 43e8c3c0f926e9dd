// Protobuf's wire format, as much as raftpb needs: a reader of fields and the sizes
// and sinks of the writer. Used by the codec only.
#ifndef QUORATE_ENGINE_RAFT_WIRE_H_
#define QUORATE_ENGINE_RAFT_WIRE_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/coding.h"

namespace quorate::raft::wire {

inline constexpr uint32_t kVarint = 0;
inline constexpr uint32_t kFixed64 = 1;
inline constexpr uint32_t kLengthDelimited = 2;
inline constexpr uint32_t kStartGroup = 3;
inline constexpr uint32_t kEndGroup = 4;
inline constexpr uint32_t kFixed32 = 5;

// A field's number and wire type, as one number to switch on.
constexpr uint32_t Tag(uint32_t field, uint32_t type) { return field << 3 | type; }
constexpr uint32_t VarintTag(uint32_t field) { return Tag(field, kVarint); }
constexpr uint32_t BytesTag(uint32_t field) { return Tag(field, kLengthDelimited); }

// Walks over the fields of one message.
//
//   FieldReader reader(in);
//   while (reader.Next()) {
//     switch (reader.tag()) { case VarintTag(1): ... reader.varint() ... }
//   }
//   if (!reader.ok()) ...
class FieldReader {
 public:
  explicit FieldReader(absl::string_view in) : rest_(in) {}

  // Moves to the next field that carries a value of a type that we use; others are
  // skipped. False at the end and on malformed input.
  bool Next();
  bool ok() const { return ok_; }

  uint32_t tag() const { return tag_; }
  uint64_t varint() const { return varint_; }
  absl::string_view bytes() const { return bytes_; }

 private:
  bool ReadTag();
  bool Skip(uint32_t tag, int depth);
  bool Fail() {
    ok_ = false;
    return false;
  }

  absl::string_view rest_;
  bool ok_ = true;
  uint32_t tag_ = 0;
  uint64_t varint_ = 0;
  absl::string_view bytes_;
};

// Bytes of a field with this value; 0 for a value that is not written.
constexpr size_t VarintFieldSize(uint64_t value) { return value == 0 ? 0 : 1 + VarintSize(value); }
constexpr size_t BytesFieldSize(size_t size) { return 1 + VarintSize(size) + size; }

// Where the writer puts its output: a buffer.
class BuilderSink {
 public:
  explicit BuilderSink(BytesBuilder* out) : out_(out) {}

  void Varint(uint64_t value) { StoreVarint(out_->Grow(VarintSize(value)), value); }
  void Raw(absl::string_view bytes) { out_->Append(bytes); }
  void Payload(const Bytes& bytes) { Raw(bytes.view()); }

 private:
  BytesBuilder* out_;
};

// Or pieces: large payloads are referred to, what is between them shares one buffer.
class PieceSink {
 public:
  PieceSink(size_t reserve, size_t shared_bytes) : small_(reserve), shared_bytes_(shared_bytes) {}

  void Varint(uint64_t value) { StoreVarint(small_.Grow(VarintSize(value)), value); }
  void Raw(absl::string_view bytes) { small_.Append(bytes); }
  void Payload(const Bytes& bytes) {
    if (bytes.size() < shared_bytes_) {
      Raw(bytes.view());
    } else {
      payloads_.emplace_back(small_.size(), bytes);
    }
  }

  void Finish(std::vector<Bytes>* pieces) &&;

 private:
  BytesBuilder small_;
  size_t shared_bytes_;
  std::vector<std::pair<size_t, Bytes>> payloads_;  // and where in small_ they belong
};

}  // namespace quorate::raft::wire

#endif  // QUORATE_ENGINE_RAFT_WIRE_H_
