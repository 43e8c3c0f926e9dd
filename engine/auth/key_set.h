// A set of keys made of ranges: what a user may read, or write.
//
// Ranges that overlap or touch become one, so a request that spans several permissions
// is covered if together they leave no gap. A single key k is the range [k, k + "\0").
#ifndef QUORATE_ENGINE_AUTH_KEY_SET_H_
#define QUORATE_ENGINE_AUTH_KEY_SET_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/mvcc/key_range.h"

namespace quorate::auth {

class KeySet {
 public:
  KeySet() = default;
  // The union of `ranges`. O(n log n).
  explicit KeySet(const std::vector<mvcc::KeyRange>& ranges);

  // Whether every key of `range` is in the set. A range without keys (its end is not
  // after its begin) counts as its first key, so that it is nobody's for free. O(log n).
  bool Covers(const mvcc::KeyRange& range) const;
  // The first key behind those that are in the set together with `key`, which is in it;
  // nothing if all that follow are.
  std::optional<std::string> EndOfRunWith(absl::string_view key) const;

 private:
  struct Interval {
    std::string begin;
    std::string end;       // exclusive
    bool endless = false;  // every key from `begin` on; `end` does not count
  };
  // The last one that begins at or before the key; null if there is none.
  const Interval* At(absl::string_view key) const;

  std::vector<Interval> intervals_;  // ascending, with gaps between them
};

}  // namespace quorate::auth

#endif  // QUORATE_ENGINE_AUTH_KEY_SET_H_
