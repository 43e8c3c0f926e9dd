// The ways to write one and the same value that etcd takes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/config/flags.h"
#include "tests/server/config/parse.h"

namespace quorate::config {
namespace {

using ::testing::HasSubstr;

TEST(SpellingTest, NumbersMayBeSpelledAsInGo) {
  struct Case {
    absl::string_view text;
    int64_t number;
  };
  for (const Case& c : {Case{"1000", 1000},
                        {"1_000", 1000},
                        {"0x10", 16},
                        {"0X1_f", 31},
                        {"010", 8},
                        {"0o17", 15},
                        {"0b101", 5},
                        {"0_7", 7},
                        {"0", 0},
                        {"-0x10", -16},
                        {"+5", 5},
                        {"9223372036854775807", INT64_MAX},
                        {"-9223372036854775808", INT64_MIN}}) {
    const auto line = Parse({"--quota-backend-bytes", c.text});
    ASSERT_TRUE(line.ok()) << c.text << ": " << line.status();
    EXPECT_EQ(line->config.quota_backend_bytes, c.number) << c.text;
  }
  for (const absl::string_view bad : {"", " 1", "1 ", "1__0", "_1", "1_", "0x", "0x_", "08", "0b2",
                                      "1.5", "1e3", "--1", "9223372036854775808"}) {
    EXPECT_THAT(ErrorOf({absl::StrCat("--quota-backend-bytes=", bad)}),
                HasSubstr("for flag --quota-backend-bytes"))
        << bad;
  }
  EXPECT_THAT(ErrorOf({"--snapshot-count", "-1"}), HasSubstr("not a whole number"));
  EXPECT_THAT(ErrorOf({"--snapshot-count", "18446744073709551616"}),
              HasSubstr("value out of range"));
}

// Where etcd looks at a URL's path or host, and where it does not.
TEST(SpellingTest, OriginsThatEtcdTakes) {
  for (const absl::string_view good :
       {"HTTP://a:1", "httpS://a:1", "Unix://x", "unix:///tmp/x", "unixs://a/b/c", "unix://a:1/b",
        "unix:/x", "unix:x", "unixs:x", "unix:", "unix://", "http://a:1?x/y", "http://a:1#x"}) {
    EXPECT_EQ(ErrorOf({"--cors", good}), "no error") << good;
  }
  for (const absl::string_view bad : {"unix", "http:a:1", "http:/a:1", "HTTP://", "http://?x"}) {
    EXPECT_NE(ErrorOf({"--cors", bad}), "no error") << bad;
  }
}

TEST(SpellingTest, ValuesInTheSpellingsOfGo) {
  // The last two are U+00B5 and U+03BC, the micro sign and the Greek letter.
  for (const absl::string_view micros : {"5000000us", "5000000\u00b5s", "4s1000000\u03bcs"}) {
    const auto line = Parse({"--grpc-keepalive-min-time", micros});
    ASSERT_TRUE(line.ok()) << line.status();
    EXPECT_EQ(line->config.grpc_keepalive_min_time, Seconds(5)) << micros;
    const auto retention = Parse({"--auto-compaction-retention", micros});
    ASSERT_TRUE(retention.ok()) << retention.status();
    EXPECT_EQ(retention->config.ParsedAutoCompaction()->period, Seconds(5)) << micros;
  }
  EXPECT_FALSE(Parse({"--grpc-keepalive-min-time=5\u00b5"}).ok());
  struct Case {
    absl::string_view text;
    absl::string_view level;
  };
  for (const Case& c : {Case{"INFO", "info"},
                        {"Debug", "debug"},
                        {"iNFO", "info"},
                        {"warning", "warn"},
                        {"WARNING", "warn"},
                        {"dpanic", "panic"},
                        {"DPANIC", "panic"},
                        {"FATAL", "fatal"}}) {
    const auto line = Parse({"--log-level", c.text});
    ASSERT_TRUE(line.ok()) << line.status();
    EXPECT_EQ(line->config.log_level, c.level) << c.text;
  }
  for (const absl::string_view bad : {"trace", "off", "info "}) {
    EXPECT_FALSE(Parse({"--log-level", bad}).ok()) << bad;
  }
  for (const absl::string_view metrics : {"", "basic", "Basic", "Extensive", "x"}) {
    const auto line = Parse({"--metrics", metrics});
    ASSERT_TRUE(line.ok()) << line.status();
    EXPECT_FALSE(line->config.extensive_metrics) << metrics;
    EXPECT_EQ(line->config.notices.empty(), metrics.empty() || metrics == "basic") << metrics;
  }
}

}  // namespace
}  // namespace quorate::config
