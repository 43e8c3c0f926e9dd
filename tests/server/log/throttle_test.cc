#include "server/log/throttle.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/server/fakes/memory_world.h"

namespace quorate::log {
namespace {

class ThrottleTest : public testing::Test {
 protected:
  // What a server does with a connection that it refuses.
  void Refuse(const std::string& remote, const std::string& cause) {
    if (throttle_.Admits(remote, cause)) LOG_WARN(&logger_, "refused", {"error", cause});
  }
  nlohmann::json Line(size_t number) { return nlohmann::json::parse(sink_.lines.at(number)); }

  fakes::MemoryWorld world_;
  fakes::MemoryLogSink sink_;
  Logger logger_{&sink_, &world_};
  Throttle throttle_{&world_, &logger_, "refused", Seconds(60)};
};

TEST_F(ThrottleTest, OneLineOfAnAddressAndCauseThenHowManyMoreThereWere) {
  for (int port = 1000; port < 1010; ++port) Refuse(absl::StrCat("10.0.0.1:", port), "EOF");
  ASSERT_EQ(sink_.lines.size(), 1u);
  Refuse("10.0.0.2:1000", "EOF");
  Refuse("10.0.0.1:1000", "bad certificate");
  ASSERT_EQ(sink_.lines.size(), 3u);
  world_.Advance(Seconds(60));
  ASSERT_EQ(sink_.lines.size(), 4u) << "of the others there is nothing to add";
  EXPECT_EQ(Line(3)["msg"], "refused, again and again");
  EXPECT_EQ(Line(3)["remote-host"], "10.0.0.1");
  EXPECT_EQ(Line(3)["error"], "EOF");
  EXPECT_EQ(Line(3)["not-logged"], 9);
  EXPECT_EQ(Line(3)["interval"], "1m0s");
}

TEST_F(ThrottleTest, TheNextIntervalBeginsAnew) {
  Refuse("10.0.0.1:1", "EOF");
  world_.Advance(Seconds(59));
  Refuse("10.0.0.1:1", "EOF");
  ASSERT_EQ(sink_.lines.size(), 1u);
  world_.Advance(Seconds(2));
  ASSERT_EQ(sink_.lines.size(), 2u);
  Refuse("10.0.0.1:1", "EOF");
  ASSERT_EQ(sink_.lines.size(), 3u);
  world_.Advance(Seconds(600));
  EXPECT_EQ(sink_.lines.size(), 3u) << "silence says nothing";
}

TEST_F(ThrottleTest, WhoeverVariesAddressesOrCausesGainsNoMoreThanAHundredLines) {
  for (int i = 0; i < 10'000; ++i) Refuse(absl::StrCat("10.0.0.1:", i), absl::StrCat("cause ", i));
  for (int i = 0; i < 10'000; ++i) Refuse(absl::StrCat("10.0.", i, ".1:1"), "EOF");
  EXPECT_EQ(sink_.lines.size(), Throttle::kMaxLines + 1);
  world_.Advance(Seconds(60));
  ASSERT_EQ(sink_.lines.size(), Throttle::kMaxLines + 2);
  EXPECT_EQ(Line(Throttle::kMaxLines + 1)["not-logged"], 20'000 - Throttle::kMaxLines - 1);
}

TEST_F(ThrottleTest, HostsOfTheSixthVersionKeepTheirColons) {
  Refuse("[2001:db8::1]:1000", "EOF");
  Refuse("[2001:db8::2]:1000", "EOF");
  EXPECT_EQ(sink_.lines.size(), 2u);
}

}  // namespace
}  // namespace quorate::log
