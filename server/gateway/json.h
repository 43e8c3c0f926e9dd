// JSON of whole messages: out as json_writer.h has it, in as json_reader.h has it.
#ifndef QUORATE_SERVER_GATEWAY_JSON_H_
#define QUORATE_SERVER_GATEWAY_JSON_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"

namespace quorate::gateway {

// The encoded message for one JSON document; an empty one stands for an empty message.
// `prototype` says which message. InvalidArgument for what does not fit.
absl::StatusOr<std::string> JsonToWire(absl::string_view json,
                                       const google::protobuf::Message& prototype);

// The JSON of an encoded message, on one line. Internal if the bytes are no such message.
absl::StatusOr<std::string> WireToJson(absl::string_view wire,
                                       const google::protobuf::Message& prototype);

// Cuts a stream of JSON objects that follow each other, with or without white space in
// between, into documents. It only finds where each ends: whether it is JSON, its parser
// says.
class DocumentSplitter {
 public:
  // A document may have that many bytes.
  explicit DocumentSplitter(size_t max_document) : max_document_(max_document) {}

  void Append(absl::string_view piece) { input_.append(piece.data(), piece.size()); }
  // The next whole document; nullopt if there is none yet. InvalidArgument for something
  // else than an object, or a document over the limit: the rest is not looked at.
  absl::StatusOr<std::optional<std::string>> Next();
  // OK if nothing is left but white space.
  absl::Status AtEnd();

 private:
  void SkipSpace();

  const size_t max_document_;
  std::string input_;
  size_t begin_ = 0;    // of the document being looked at
  size_t scanned_ = 0;  // up to here
  size_t depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
};

}  // namespace quorate::gateway

#endif  // QUORATE_SERVER_GATEWAY_JSON_H_
