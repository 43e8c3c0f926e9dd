// What every room leans on: shared bytes, integers on the wire, checksums, named
// draws and assertions that stay on.
#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "base/coding.h"
#include "base/crc32c.h"
#include "base/prng.h"
#include "base/strong_int.h"
#include "base/time.h"

namespace quorate {
namespace {

TEST(Bytes, SlicesShareAndOutliveTheWhole) {
  Bytes part;
  const char* at = nullptr;
  {
    Bytes whole = Bytes::Copy("hello world");
    part = whole.Slice(6, 5);
    at = whole.data() + 6;
  }
  EXPECT_EQ(part.data(), at);
  EXPECT_EQ(part.view(), "world");
}

TEST(Bytes, BuilderGrowsAndFreezesWithoutACopy) {
  BytesBuilder builder(16);
  std::string expected;
  for (int i = 0; i < 1000; ++i) {
    const std::string piece(static_cast<size_t>(i % 7), static_cast<char>('a' + i % 26));
    builder.Append(piece);
    expected += piece;
  }
  const char* at = builder.data();
  const Bytes frozen = std::move(builder).Finish();
  EXPECT_EQ(frozen.view(), expected);
  EXPECT_EQ(frozen.data(), at);
}

TEST(BytesDeathTest, ASliceOutsideTheBufferIsOurMistake) {
  const Bytes whole = Bytes::Copy("abc");
  EXPECT_DEATH(whole.Slice(2, 2), "CHECK failed");
}

TEST(Coding, VarintsRoundTripAtEveryWidth) {
  for (int bit = 0; bit < 64; ++bit) {
    for (const uint64_t v : {uint64_t{1} << bit, (uint64_t{1} << bit) - 1, ~uint64_t{0} >> bit}) {
      char buffer[kMaxVarint64Bytes];
      const char* end = StoreVarint(buffer, v);
      EXPECT_EQ(static_cast<size_t>(end - buffer), VarintSize(v));
      absl::string_view in(buffer, static_cast<size_t>(end - buffer));
      uint64_t back = 0;
      ASSERT_TRUE(GetVarint(&in, &back));
      EXPECT_EQ(back, v);
      EXPECT_TRUE(in.empty());
    }
  }
}

TEST(Coding, TruncatedAndOverlongVarintsAreRefusedAndLeaveTheInput) {
  const std::string truncated = "\x80\x80";
  const std::string overlong = std::string(9, '\xff') + "\x02";
  for (const std::string& bad : {truncated, overlong, std::string()}) {
    absl::string_view in(bad);
    uint64_t v = 0;
    EXPECT_FALSE(GetVarint(&in, &v));
    EXPECT_EQ(in.size(), bad.size());
  }
}

TEST(Coding, BigEndianIsMostSignificantFirst) {
  char buffer[8];
  StoreBe64(buffer, 0x0102030405060708ULL);
  EXPECT_EQ(std::string(buffer, 8), std::string("\x01\x02\x03\x04\x05\x06\x07\x08"));
  EXPECT_EQ(LoadBe64(buffer), 0x0102030405060708ULL);
}

TEST(Crc32c, MatchesTheCatalogueValueAndExtends) {
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(Crc32cExtend(Crc32c("1234"), "56789"), 0xE3069283U);
  EXPECT_EQ(Crc32c(""), 0U);
}

// However long, and wherever it lies: lengths are computed in different ways.
TEST(Crc32c, AnyLengthIsThatOfItsBits) {
  std::string data;
  for (int i = 0; i < 1100; ++i) data.push_back(static_cast<char>(i * 31 + i / 7));
  for (const size_t at : {0, 1, 5, 13}) {
    uint32_t state = ~0U;
    for (size_t size = 0; at + size < data.size(); ++size) {
      ASSERT_EQ(Crc32c(absl::string_view(data).substr(at, size)), ~state) << size;
      state ^= static_cast<unsigned char>(data[at + size]);
      for (int bit = 0; bit < 8; ++bit) state = state >> 1 ^ ((state & 1) != 0 ? 0x82F63B78U : 0);
    }
  }
}

TEST(Prng, TheSequenceOfASeedIsFixedForEver) {
  // Stored seeds replay only as long as these numbers stay.
  Prng prng(42);
  EXPECT_EQ(prng.Next(), 0xbe15272cdf80b6c2ULL);
  EXPECT_EQ(prng.Next(), 0xaf6e2ee49ff5d0e3ULL);
  EXPECT_EQ(prng.Next(), 0xca56edd0338a318fULL);
  EXPECT_EQ(NamedDraw(1, 2, 3, 4), 0xd55ccd4aeb3ccafbULL);
  Prng exponential(1);
  EXPECT_EQ(exponential.Exponential(Seconds(1)), Nanoseconds(105693197));
}

TEST(Prng, BelowAndBetweenStayInsideAndReachTheEnds) {
  Prng prng(7);
  std::set<int64_t> seen;
  for (int i = 0; i < 2000; ++i) {
    EXPECT_LT(prng.Below(5), 5U);
    const int64_t v = prng.Between(int64_t{-2}, int64_t{2});
    EXPECT_GE(v, -2);
    EXPECT_LE(v, 2);
    seen.insert(v);
  }
  EXPECT_EQ(seen.size(), 5U);
  EXPECT_EQ(prng.Between(int64_t{9}, int64_t{9}), 9);
}

TEST(Prng, ExponentialHasItsMeanAndMedian) {
  Prng prng(1);
  constexpr int kDraws = 200000;
  int64_t sum = 0;
  int below_median = 0;
  for (int i = 0; i < kDraws; ++i) {
    const int64_t v = prng.Exponential(Microseconds(1000)).nanos();
    ASSERT_GE(v, 0);
    sum += v;
    if (v < 693147) ++below_median;  // ln 2 means
  }
  EXPECT_NEAR(static_cast<double>(sum) / kDraws, 1e6, 1e4);
  EXPECT_NEAR(static_cast<double>(below_median) / kDraws, 0.5, 0.01);
}

TEST(NamedDraw, EachPartOfTheNameMatters) {
  const std::set<uint64_t> draws = {NamedDraw(1, 2, 3, 4), NamedDraw(2, 2, 3, 4),
                                    NamedDraw(1, 3, 3, 4), NamedDraw(1, 2, 4, 4),
                                    NamedDraw(1, 2, 3, 5), NamedDraw(1, 3, 2, 4)};
  EXPECT_EQ(draws.size(), 6U);
}

TEST(StrongInt, CountsAndPositionsAreDifferentThings) {
  const LogIndex last(7);
  EXPECT_EQ(last + 1, LogIndex(8));
  EXPECT_EQ(LogIndex(9) - last, 2U);
  static_assert(!std::is_convertible_v<LogIndex, Term>);
  static_assert(!std::is_convertible_v<uint64_t, LogIndex>);
}

TEST(Time, SpansAndMoments) {
  const Instant start = Instant::FromNanos(5);
  EXPECT_EQ((start + Milliseconds(2)) - start, Microseconds(2000));
  EXPECT_LT(start, start + Nanoseconds(1));
}

TEST(CheckDeathTest, AFailedCheckNamesItsPlaceAndOperands) {
  EXPECT_DEATH(CHECK_EQ(LogIndex(3), LogIndex(4)), "base_test.cc:[0-9]+.*3 vs 4");
}

}  // namespace
}  // namespace quorate
