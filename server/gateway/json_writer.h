// Encoded messages to JSON, in one pass and in any pieces, so that an answer of any size costs no
// more memory or time at once than the piece at hand: protobuf's mapping with the choices that
// etcd's gateway makes, namely original field names, fields with default values left out, 64-bit
// integers as strings, bytes as base64, enums by name.
//
//   JsonWriter writer(RangeResponse::descriptor());
//   RETURN_IF_ERROR(writer.Write(piece, &out));   // any number of times
//   RETURN_IF_ERROR(writer.End(&out));
//
// Fields come out in the order in which they are encoded. Whoever encodes a list puts its elements
// next to each other, and nothing else twice, as every encoder in use does: other messages, which
// protobuf would merge, are refused.
#ifndef QUORATE_SERVER_GATEWAY_JSON_WRITER_H_
#define QUORATE_SERVER_GATEWAY_JSON_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "google/protobuf/descriptor.h"

namespace quorate::gateway {

class JsonWriter {
 public:
  // Of one message of that type, which outlives the writer.
  explicit JsonWriter(const google::protobuf::Descriptor* type);

  // Takes the next bytes of the message, and appends to *out the JSON that they complete.
  // Internal if they are of no such message; the writer is of no more use then.
  absl::Status Write(absl::string_view wire, BytesBuilder* out);
  // There are no more bytes. Internal if some are missing.
  absl::Status End(BytesBuilder* out);

 private:
  // What the next bytes are: the last three have length_ bytes yet to come.
  enum class Step : uint8_t { kTag, kNumber, kLength, kText, kBase64, kSkip };

  // A message that is being written, or the numbers of a packed list.
  struct Level {
    const google::protobuf::Descriptor* type = nullptr;       // null for packed numbers
    const google::protobuf::FieldDescriptor* list = nullptr;  // whose array is open
    uint64_t left = 0;                                        // encoded bytes
    uint64_t seen = 0;                                        // fields, by index
    bool has_fields = false;
  };

  absl::Status Malformed() const;
  // Appends the ends of what is complete.
  void EndLevels(BytesBuilder* out);
  // True once number_ is whole.
  absl::Status TakeVarint(absl::string_view* wire, bool* whole);
  absl::Status OnVarint(uint64_t number, BytesBuilder* out);
  absl::Status OnTag(uint64_t tag);
  absl::Status OnNumber(uint64_t number, BytesBuilder* out);
  absl::Status OnLength(uint64_t length, BytesBuilder* out);
  // Bytes of a string, of base64, or of what is skipped.
  void TakeContent(absl::string_view* wire, BytesBuilder* out);
  void EndContent(BytesBuilder* out);
  // Everything of a field but its value.
  absl::Status BeginField(BytesBuilder* out);
  void AppendBase64(absl::string_view bytes, BytesBuilder* out);

  std::vector<Level> levels_;
  bool begun_ = false;
  Step step_ = Step::kTag;
  uint64_t number_ = 0;  // a varint whose first shift_ bits have come
  int shift_ = 0;
  const google::protobuf::FieldDescriptor* field_ = nullptr;  // null: one that we do not know
  uint64_t length_ = 0;
  std::string text_;
  unsigned char carry_[3] = {};  // bytes that wait for their group of three
  size_t carried_ = 0;
};

}  // namespace quorate::gateway

#endif  // QUORATE_SERVER_GATEWAY_JSON_WRITER_H_
