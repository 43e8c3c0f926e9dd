// JSON to messages, as strictly and as leniently as Go's protojson, which is what etcd's gateway
// reads with: strict JSON, no field given twice, numbers also as strings and with fractions or
// exponents that leave them whole, bytes in either base64 alphabet (line breaks and unused bits do
// not matter), unknown fields skipped however deep they are.
#ifndef QUORATE_SERVER_GATEWAY_JSON_READER_H_
#define QUORATE_SERVER_GATEWAY_JSON_READER_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"

namespace quorate::gateway {

// Messages in messages; the engine takes transactions nested 200 deep, each in an operation.
inline constexpr size_t kMaxMessageDepth = 500;

// `json` is one object. InvalidArgument if it is none, or does not fit; *out is undefined then.
absl::Status ReadJson(absl::string_view json, google::protobuf::Message* out);

}  // namespace quorate::gateway

#endif  // QUORATE_SERVER_GATEWAY_JSON_READER_H_
