// What the models of the store have in common: which keys a range holds, and how things compare.
#ifndef QUORATE_SIM_MODEL_RULES_H_
#define QUORATE_SIM_MODEL_RULES_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "base/check.h"

namespace quorate::sim {

// True if `key` is in [from, range_end) by etcd's rules for ranges: an empty end means the one key,
// a zero byte all keys from `from` on.
inline bool InRange(absl::string_view key, absl::string_view from, absl::string_view range_end) {
  if (range_end.empty()) return key == from;
  if (key < from) return false;
  if (range_end == absl::string_view("\0", 1)) return true;
  return key < range_end;
}

// Numbered as etcdserverpb.Compare.CompareResult.
enum class Relation : uint8_t { kEqual = 0, kGreater = 1, kLess = 2, kNotEqual = 3 };

template <typename T>
bool Stands(const T& left, Relation relation, const T& right) {
  switch (relation) {
    case Relation::kEqual:
      return left == right;
    case Relation::kGreater:
      return left > right;
    case Relation::kLess:
      return left < right;
    case Relation::kNotEqual:
      return left != right;
  }
  UNREACHABLE("every relation is handled");
}

}  // namespace quorate::sim

#endif  // QUORATE_SIM_MODEL_RULES_H_
