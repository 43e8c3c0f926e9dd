#include "engine/auth/key_set.h"

#include <algorithm>
#include <utility>

#include "absl/strings/string_view.h"

namespace quorate::auth {

using mvcc::KeyRange;

KeySet::KeySet(const std::vector<KeyRange>& ranges) {
  std::vector<Interval> pieces;
  pieces.reserve(ranges.size());
  for (const KeyRange& range : ranges) {
    Interval piece;
    piece.begin = std::string(range.begin);
    piece.endless = range.kind == KeyRange::Kind::kFrom;
    piece.end = range.single() ? piece.begin + '\0' : std::string(range.end);
    if (piece.endless || piece.begin < piece.end) pieces.push_back(std::move(piece));
  }
  std::sort(pieces.begin(), pieces.end(),
            [](const Interval& a, const Interval& b) { return a.begin < b.begin; });
  for (Interval& piece : pieces) {
    Interval* last = intervals_.empty() ? nullptr : &intervals_.back();
    if (last == nullptr || (!last->endless && last->end < piece.begin)) {
      intervals_.push_back(std::move(piece));
      continue;
    }
    last->endless |= piece.endless;
    if (last->end < piece.end) last->end = std::move(piece.end);
  }
}

bool KeySet::Covers(const KeyRange& range) const {
  // The last interval that begins at or before the range.
  const auto after = std::upper_bound(
      intervals_.begin(), intervals_.end(), range.begin,
      [](absl::string_view key, const Interval& interval) { return key < interval.begin; });
  if (after == intervals_.begin()) return false;
  const Interval& interval = *(after - 1);
  if (interval.endless) return true;
  if (range.kind == KeyRange::Kind::kFrom || interval.end <= range.begin) return false;
  return range.single() || range.end <= interval.end;
}

}  // namespace quorate::auth
