// Sizes of fields of raftpb's messages, and where their writer puts them. Used by the codec only.
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
