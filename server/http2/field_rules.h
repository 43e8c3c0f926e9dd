// What the header fields of a request must obey (RFC 9113 sections 8.2 and 8.3).
//
// nghttp2 has these rules too, but with a syntax for ":authority" that real clients break:
// etcdctl 3.4 puts a whole URL there when it takes its endpoints from the member list
// (`endpoint status --cluster`). A gRPC server has no use for the authority, so a session
// on the server's side switches nghttp2's rules off and uses these, which ask of it only
// that it is a field value.
#ifndef QUORATE_SERVER_HTTP2_FIELD_RULES_H_
#define QUORATE_SERVER_HTTP2_FIELD_RULES_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace quorate::http2 {

// Judges one header block, field by field.
class FieldRules {
 public:
  // A new block begins: a request's, or the trailers behind its body, in which no
  // pseudo-header field may be.
  void Begin(bool trailers);
  // The next field; false makes the request malformed (PROTOCOL_ERROR).
  bool Field(absl::string_view name, absl::string_view value);
  // After the last field: false if a pseudo-header field is missing.
  bool Complete() const;
  // Value of content-length; nullopt if the block had none.
  std::optional<uint64_t> content_length() const { return content_length_; }

 private:
  bool PseudoField(absl::string_view name, absl::string_view value);

  bool trailers_ = false;
  bool regular_began_ = false;
  uint32_t seen_ = 0;  // one bit for each pseudo-header field
  std::optional<uint64_t> content_length_;
};

}  // namespace quorate::http2

#endif  // QUORATE_SERVER_HTTP2_FIELD_RULES_H_
