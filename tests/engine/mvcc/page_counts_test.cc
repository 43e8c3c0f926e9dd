#include "engine/mvcc/page_counts.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace quorate::mvcc {
namespace {

TEST(PageCounts, NumbersAreOfOneEndAtOneRevisionAndTheOldestGoFirst) {
  PageCounts counts;
  const auto range = [](absl::string_view begin, absl::string_view end) {
    return KeyRange::FromRequest(begin, end);
  };
  const auto found = [&counts](const KeyRange& range, int64_t at) {
    const std::optional<PageCounts::Noted> noted = counts.Find(range, Revision(at));
    return noted.has_value() ? noted->begin + "=" + std::to_string(noted->count) : "";
  };
  const absl::string_view on("\0", 1);
  counts.Note(range("b", "xy"), Revision(5), 7);
  counts.Note(range("d", "xy"), Revision(5), 3);
  EXPECT_EQ(found(range("b", "xy"), 5), "b=7");
  EXPECT_EQ(found(range("c", "xy"), 5), "b=7");
  EXPECT_EQ(found(range("d", "xy"), 5), "d=3");
  EXPECT_EQ(found(range("e", "xy"), 5), "d=3");
  EXPECT_EQ(found(range("a", "xy"), 5), "");
  EXPECT_EQ(found(range("b", "xy"), 4), "");
  EXPECT_EQ(found(range("b", "xy"), 6), "");
  EXPECT_EQ(found(range("yb", "x"), 5), "") << "the same bytes, cut elsewhere";
  EXPECT_EQ(found(range("b", on), 5), "");
  const std::string long_key(PageCounts::kMaxKeyBytes + 1, 'k');
  counts.Note(range(long_key, on), Revision(5), 1);
  EXPECT_EQ(found(range(long_key, on), 5), "");
  for (size_t i = 0; i + 2 < PageCounts::kMaxCounts; ++i) {
    counts.Note(range("k", on), Revision(6 + static_cast<int64_t>(i)), i);
  }
  EXPECT_EQ(found(range("c", "xy"), 5), "b=7");
  counts.Note(range("k", on), Revision(5), 1);
  EXPECT_EQ(found(range("c", "xy"), 5), "");
  EXPECT_EQ(found(range("d", "xy"), 5), "d=3");
  counts.Clear();
  EXPECT_EQ(found(range("d", "xy"), 5), "");
}

}  // namespace
}  // namespace quorate::mvcc
