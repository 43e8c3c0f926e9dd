// Valid UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF).
#ifndef QUORATE_BASE_UTF8_H_
#define QUORATE_BASE_UTF8_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace quorate {

// Bytes of the sequence at the front of `text`, which is not empty; 0 if it is not valid.
inline size_t Utf8SequenceSize(absl::string_view text) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = at(0);
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const size_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (text.size() < size) return 0;
  for (size_t i = 1; i < size; ++i) {
    if ((at(i) & 0xc0) != 0x80) return 0;
  }
  const bool overlong = (first == 0xe0 && at(1) < 0xa0) || (first == 0xf0 && at(1) < 0x90);
  const bool surrogate = first == 0xed && at(1) > 0x9f;
  const bool too_high = first == 0xf4 && at(1) > 0x8f;
  return overlong || surrogate || too_high ? 0 : size;
}

inline bool IsValidUtf8(absl::string_view text) {
  while (!text.empty()) {
    const size_t size = Utf8SequenceSize(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

}  // namespace quorate

#endif  // QUORATE_BASE_UTF8_H_
