// Protobuf messages as Bytes, and back.
#ifndef QUORATE_API_MESSAGES_H_
#define QUORATE_API_MESSAGES_H_

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/strings/string_view.h"
#include "base/bytes.h"

namespace quorate {

// False if the bytes are no such message; *out then has whatever could be read.
template <typename Message>
[[nodiscard]] bool ParseMessage(absl::string_view bytes, Message* out) {
  return out->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

// Encoded where it stays: without a copy.
template <typename Message>
Bytes SerializeMessage(const Message& message) {
  const size_t size = message.ByteSizeLong();
  BytesBuilder out(size);
  message.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(out.Grow(size)));
  return std::move(out).Finish();
}

}  // namespace quorate

#endif  // QUORATE_API_MESSAGES_H_
