// WebSocket frames of a client, arbitrary bytes: what comes of them does not depend on how they are
// divided, and is never more than came in.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "server/http1/websocket.h"

namespace quorate {
namespace {

// Messages, one a line; frames that answer; how it ended.
std::string Read(absl::string_view input, size_t piece) {
  http1::FrameReader reader;
  std::string messages;
  std::string replies;
  const size_t size = input.size();
  while (!input.empty()) {
    const size_t taken = std::min(piece, input.size());
    absl::string_view rest = input.substr(0, taken);
    input.remove_prefix(taken);
    while (!rest.empty()) {
      http1::FrameReader::Result result;
      const size_t before = rest.size();
      const absl::Status status = reader.Put(&rest, &result);
      messages += result.payload;
      replies += result.replies;
      if (result.ended) messages += "\n";
      if (!status.ok()) return absl::StrCat(messages, "|", replies, "|", status.message());
      if (result.closed) return absl::StrCat(messages, "|", replies, "|closed");
      CHECK(rest.size() < before);
    }
  }
  CHECK(messages.size() + replies.size() <= size);
  return absl::StrCat(messages, "|", replies, "|");
}

}  // namespace
}  // namespace quorate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string whole = quorate::Read(input, size + 1);
  CHECK(whole == quorate::Read(input, 1));
  CHECK(whole == quorate::Read(input, 3));
  return 0;
}
