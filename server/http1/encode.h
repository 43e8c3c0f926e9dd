// Bytes of HTTP/1.1 messages. Private to this room.
#ifndef QUORATE_SERVER_HTTP1_ENCODE_H_
#define QUORATE_SERVER_HTTP1_ENCODE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "io/network.h"
#include "server/http1/message.h"

namespace quorate::http1 {

// Appends "Name: value\r\n" for each. Line breaks in values become spaces, so that no
// text of ours can begin another field.
void AppendFields(const Fields& fields, std::string* out);

// Writes one chunk of a chunked body: small pieces in one buffer, large by reference.
void WriteChunk(std::vector<Bytes> pieces, io::Stream* stream);

inline constexpr absl::string_view kLastChunk = "0\r\n\r\n";

size_t TotalSize(const std::vector<Bytes>& pieces);

}  // namespace quorate::http1

#endif  // QUORATE_SERVER_HTTP1_ENCODE_H_
