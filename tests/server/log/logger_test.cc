#include "server/log/logger.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "base/prng.h"
#include "base/utf8.h"
#include "tests/server/fakes/memory_world.h"

namespace quorate::log {
namespace {

class LoggerTest : public testing::Test {
 protected:
  nlohmann::json Last() { return nlohmann::json::parse(sink_.lines.back()); }

  fakes::MemoryWorld world_;
  fakes::MemoryLogSink sink_;
  Logger logger_{&sink_, &world_};
};

TEST_F(LoggerTest, ALineIsOneJsonObjectInZapsShape) {
  const std::string name = "m1";
  LOG_INFO(&logger_, "became leader", {"term", uint64_t{7}}, {"behind", -3}, {"name", name},
           {"ok", true}, {"took", Microseconds(1500)}, {absl::UnavailableError("no route")});
  ASSERT_EQ(sink_.lines.size(), 1u);
  EXPECT_EQ(sink_.lines[0].find(R"({"level":"info","ts":"2023-11-14T22:13:21.000000Z","caller":)"
                                R"("log/logger_test.cc:)"),
            0u)
      << sink_.lines[0];
  const nlohmann::json line = Last();
  EXPECT_EQ(line["msg"], "became leader");
  EXPECT_EQ(line["term"], 7);
  EXPECT_EQ(line["behind"], -3);
  EXPECT_EQ(line["name"], "m1");
  EXPECT_EQ(line["ok"], true);
  EXPECT_EQ(line["took"], "1.5ms");
  EXPECT_EQ(line["error"], "no route");
}

TEST_F(LoggerTest, AConsoleLineIsTextWithItsFieldsAsSpacedJson) {
  Logger console(&sink_, &world_, Level::kInfo, Format::kConsole);
  const std::vector<std::string> urls = {"http://a:1", "http://b:2"};
  LOG_WARN(&console, "two\nurls", {"urls", urls}, {"n", 2});
  const std::string& line = sink_.lines.back();
  EXPECT_EQ(line.find("2023-11-14T22:13:21.000000Z\twarn\tlog/logger_test.cc:"), 0u) << line;
  EXPECT_TRUE(
      absl::EndsWith(line, "\ttwo\\nurls\t{\"urls\": [\"http://a:1\", \"http://b:2\"], \"n\": 2}"))
      << line;
  LOG_INFO(&console, "nothing more");
  EXPECT_TRUE(absl::EndsWith(sink_.lines.back(), "\tnothing more")) << sink_.lines.back();
}

TEST_F(LoggerTest, ListsAreArrays) {
  const std::vector<std::string> urls = {"http://a:1", "http://b:2"};
  LOG_WARN(&logger_, "urls", {"urls", urls}, {"none", std::vector<std::string>()});
  EXPECT_EQ(Last()["urls"], nlohmann::json(urls));
  EXPECT_TRUE(Last()["none"].empty());
}

TEST_F(LoggerTest, FieldsOfAFilteredLineAreNotEvaluated) {
  int evaluated = 0;
  const auto count = [&] { return ++evaluated; };
  LOG_DEBUG(&logger_, "hidden", {"n", count()});
  EXPECT_EQ(evaluated, 0);
  logger_.set_level(Level::kDebug);
  LOG_DEBUG(&logger_, "shown", {"n", count()});
  EXPECT_EQ(evaluated, 1);
  EXPECT_EQ(Last()["level"], "debug");
  logger_.set_level(Level::kError);
  LOG_WARN(&logger_, "hidden");
  LOG_ERROR(&logger_, "shown");
  EXPECT_EQ(sink_.lines.size(), 2u);
}

TEST_F(LoggerTest, AnyBytesGiveValidJson) {
  Prng prng(1);
  for (int i = 0; i < 3000; ++i) {
    std::string text(prng.Below(30), '\0');
    for (char& c : text) c = static_cast<char>(prng.Below(256));
    LOG_INFO(&logger_, text, {text, text});
    ASSERT_EQ(sink_.lines.back().find('\n'), std::string::npos);
    const nlohmann::json line = Last();
    if (IsValidUtf8(text)) {
      ASSERT_EQ(line["msg"], text);
    }
  }
}

TEST(Json, InvalidUtf8BecomesTheReplacementCharacter) {
  std::string out;
  AppendJsonString("a\xff\x62\xc3\xa4\xed\xa0\x80\"\\\n\x01", &out);
  EXPECT_EQ(out, "\"a\\ufffdb\xc3\xa4\\ufffd\\ufffd\\ufffd\\\"\\\\\\n\\u0001\"");
}

TEST(Timestamp, IsTheCivilTimeInUtc) {
  const auto text = [](int64_t seconds, int64_t nanos = 0) {
    std::string out;
    AppendTimestamp(WallTime::FromUnixNanos(seconds * 1'000'000'000 + nanos), &out);
    return out;
  };
  EXPECT_EQ(text(0), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(text(-1, 999'999'999), "1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(text(951782400), "2000-02-29T00:00:00.000000Z");
  EXPECT_EQ(text(4107542400), "2100-03-01T00:00:00.000000Z");
  EXPECT_EQ(text(1136214245, 123'456'789), "2006-01-02T15:04:05.123456Z");
}

TEST(GoDuration, PrintsAsGoDoes) {
  const auto text = [](Duration span) {
    std::string out;
    AppendGoDuration(span, &out);
    return out;
  };
  EXPECT_EQ(text(Duration()), "0s");
  EXPECT_EQ(text(Nanoseconds(350)), "350ns");
  EXPECT_EQ(text(Nanoseconds(1500)), "1.5\xc2\xb5s");
  EXPECT_EQ(text(Milliseconds(100)), "100ms");
  EXPECT_EQ(text(Microseconds(2000001)), "2.000001s");
  EXPECT_EQ(text(Seconds(60)), "1m0s");
  EXPECT_EQ(text(Seconds(7384) + Milliseconds(500)), "2h3m4.5s");
  EXPECT_EQ(text(Milliseconds(-5)), "-5ms");
}

TEST(Levels, AreNamedAsZapNamesThem) {
  for (const char* name : {"debug", "info", "warn", "error", "panic", "fatal"}) {
    EXPECT_EQ(LevelName(*ParseLevel(name)), name);
  }
  EXPECT_EQ(ParseLevel("loud").status().message(), "unrecognized level: \"loud\"");
}

}  // namespace
}  // namespace quorate::log
