// A range of keys as requests name it: one key, [key, end), or every key from `key` on.
#ifndef QUORATE_ENGINE_MVCC_KEY_RANGE_H_
#define QUORATE_ENGINE_MVCC_KEY_RANGE_H_

#include "absl/strings/string_view.h"

namespace quorate::mvcc {

struct KeyRange {
  enum class Kind : unsigned char { kSingle, kHalfOpen, kFrom };

  absl::string_view begin;
  absl::string_view end;  // of kHalfOpen
  Kind kind = Kind::kSingle;

  // As in requests: no range_end = the one key, "\0" = all keys from `key` on. An
  // inverted range is empty.
  static KeyRange FromRequest(absl::string_view key, absl::string_view range_end) {
    if (range_end.empty()) return {key, {}, Kind::kSingle};
    if (range_end.size() == 1 && range_end[0] == '\0') return {key, {}, Kind::kFrom};
    return {key, range_end, Kind::kHalfOpen};
  }

  bool single() const { return kind == Kind::kSingle; }
  // Whether a key that is not before the range lies before its end.
  bool EndsAfter(absl::string_view key) const {
    switch (kind) {
      case Kind::kSingle:
        return key == begin;
      case Kind::kHalfOpen:
        return key < end;
      case Kind::kFrom:
        return true;
    }
    return false;
  }
  bool Contains(absl::string_view key) const { return key >= begin && EndsAfter(key); }
};

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_KEY_RANGE_H_
