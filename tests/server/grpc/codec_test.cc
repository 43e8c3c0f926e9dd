// Time-outs and status messages as they travel in header fields.
#include "server/grpc/codec.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "base/prng.h"
#include "base/time.h"

namespace quorate::grpc {
namespace {

TEST(Codec, TimeoutsInBothDirections) {
  EXPECT_EQ(ParseTimeout("5S"), Seconds(5));
  EXPECT_EQ(ParseTimeout("100m"), Milliseconds(100));
  EXPECT_EQ(ParseTimeout("7u"), Microseconds(7));
  EXPECT_EQ(ParseTimeout("99999999n"), Nanoseconds(99999999));
  EXPECT_EQ(ParseTimeout("2M"), Seconds(120));
  EXPECT_EQ(ParseTimeout("2H"), Seconds(7200));
  EXPECT_GT(*ParseTimeout("99999999H"), Seconds(1'000'000'000));
  for (const char* bad : {"", "S", "5", "5s", "-5S", "5 S", "123456789S", "+1S"}) {
    EXPECT_EQ(ParseTimeout(bad), std::nullopt) << bad;
  }
  Prng prng(3);
  for (int i = 0; i < 2000; ++i) {
    const Duration timeout = Nanoseconds(prng.Between(int64_t{1}, int64_t{1} << prng.Below(62)));
    const std::optional<Duration> back = ParseTimeout(FormatTimeout(timeout));
    ASSERT_TRUE(back.has_value()) << timeout.nanos();
    EXPECT_GE(*back, timeout);
    EXPECT_LE(*back, timeout + timeout / 100'000 + Nanoseconds(1)) << FormatTimeout(timeout);
  }
}

TEST(Codec, StatusMessagesSurviveTheWire) {
  Prng prng(5);
  for (int i = 0; i < 2000; ++i) {
    std::string text(prng.Below(40), '\0');
    for (char& c : text) c = static_cast<char>(prng.Below(128));
    EXPECT_EQ(DecodeStatusMessage(EncodeStatusMessage(text)), text);
    for (const char c : EncodeStatusMessage(text)) {
      ASSERT_GE(c, 0x20);
      ASSERT_LE(c, 0x7e);
    }
  }
}

}  // namespace
}  // namespace quorate::grpc
