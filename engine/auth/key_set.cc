#include "engine/auth/key_set.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

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

const KeySet::Interval* KeySet::At(absl::string_view key) const {
  const auto after = std::upper_bound(
      intervals_.begin(), intervals_.end(), key,
      [](absl::string_view k, const Interval& interval) { return k < interval.begin; });
  return after == intervals_.begin() ? nullptr : &*(after - 1);
}

bool KeySet::Covers(const KeyRange& range) const {
  const Interval* const interval = At(range.begin);
  if (interval == nullptr) return false;
  if (interval->endless) return true;
  if (range.kind == KeyRange::Kind::kFrom || interval->end <= range.begin) return false;
  return range.single() || range.end <= interval->end;
}

std::optional<std::string> KeySet::EndOfRunWith(absl::string_view key) const {
  const Interval* const interval = At(key);
  CHECK(interval != nullptr);
  if (interval->endless) return std::nullopt;
  return interval->end;
}

}  // namespace quorate::auth
