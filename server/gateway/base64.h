// The alphabet of base64 (RFC 4648, section 4) and what each character stands for.
#ifndef QUORATE_SERVER_GATEWAY_BASE64_H_
#define QUORATE_SERVER_GATEWAY_BASE64_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace quorate::gateway {

inline constexpr char kBase64Alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

inline constexpr uint8_t kNoBase64 = 64;

// By character; kNoBase64 for those of no alphabet. The two that differ in URLs stand for the same
// (section 5).
inline constexpr auto kBase64Values = [] {
  std::array<uint8_t, 256> values = {};
  values.fill(kNoBase64);
  for (uint8_t value = 0; value < kNoBase64; ++value) {
    values[static_cast<unsigned char>(kBase64Alphabet[value])] = value;
  }
  values['-'] = values['+'];
  values['_'] = values['/'];
  return values;
}();

}  // namespace quorate::gateway

#endif  // QUORATE_SERVER_GATEWAY_BASE64_H_
