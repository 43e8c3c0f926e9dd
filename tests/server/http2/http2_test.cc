// The parts of an HTTP/2 session that decide without nghttp2.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/coding.h"
#include "base/prng.h"
#include "server/http2/field_rules.h"
#include "server/http2/frame_scanner.h"
#include "server/http2/policing.h"

namespace quorate::http2 {
namespace {

std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, absl::string_view payload) {
  std::string out(9, '\0');
  StoreBe32(&out[0], static_cast<uint32_t>(payload.size() << 8 | type));
  out[4] = static_cast<char>(flags);
  StoreBe32(&out[5], stream);
  return out.append(payload.data(), payload.size());
}

std::string Reset(uint32_t stream, uint32_t code) {
  std::string payload(4, '\0');
  StoreBe32(&payload[0], code);
  return Frame(3, 0, stream, payload);
}

class Recorder : public FrameScanner::Sink {
 public:
  bool OnBytes(absl::string_view bytes) override {
    passed.append(bytes.data(), bytes.size());
    return true;
  }
  bool OnReset(int32_t stream, uint32_t code, absl::string_view frame) override {
    EXPECT_EQ(frame.size(), 13u);
    absl::StrAppend(&resets, stream, ":", code, " ");
    return true;
  }
  bool OnIdleFrame() override {
    ++idle;
    return true;
  }
  std::string passed;
  std::string resets;
  int idle = 0;
};

// A preface, frames of every kind, and resets of open, closed and unopened streams;
// `kept` is what should pass.
std::string SomeInput(Prng* prng, std::string* kept, std::string* resets, int* idle) {
  std::string input = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  *kept = input;
  *idle = 0;
  uint32_t opened = 0;
  for (int i = 0; i < 40; ++i) {
    const uint64_t kind = prng->Below(7);
    std::string frame;
    if (kind == 0) {
      opened += 2;
      frame = Frame(1, 5, opened - 1, std::string(prng->Below(50), 'h'));
    } else if (kind == 1) {
      frame = Frame(0, 0, 1, std::string(prng->Below(300), '\3'));
      if (frame.size() == 9) ++*idle;
    } else if (kind == 2) {
      frame = Frame(4, 0, 0, "");
      ++*idle;
    } else if (kind == 3) {
      frame = Frame(8, 0, 0, "\1\1\1\1");
    } else if (kind == 4) {
      frame = Frame(3, 0, 1, "odd");
    } else {
      const auto stream = static_cast<uint32_t>(prng->Below(20));
      const auto code = static_cast<uint32_t>(prng->Below(10));
      if (stream % 2 == 1 && stream < opened) {
        input += Reset(stream, code);
        absl::StrAppend(resets, stream, ":", code, " ");
        continue;
      }
      frame = Reset(stream, code);
    }
    input += frame;
    *kept += frame;
  }
  return input;
}

TEST(FrameScanner, TakesOutResetsOfOpenedStreamsAndNothingElse) {
  Prng prng(1);
  for (int round = 0; round < 300; ++round) {
    std::string kept;
    std::string resets;
    int idle = 0;
    const std::string input = SomeInput(&prng, &kept, &resets, &idle);
    Recorder recorder;
    FrameScanner scanner(&recorder, true);
    absl::string_view rest = input;
    const size_t most = 1 + prng.Below(60);
    while (!rest.empty()) {
      const size_t n = std::min<size_t>(rest.size(), 1 + prng.Below(most));
      ASSERT_TRUE(scanner.Scan(rest.substr(0, n)));
      rest.remove_prefix(n);
    }
    ASSERT_EQ(recorder.passed, kept);
    ASSERT_EQ(recorder.resets, resets);
    ASSERT_EQ(recorder.idle, idle);
  }
}

TEST(TokenBucket, GivesTheBurstThenTheRate) {
  TokenBucket bucket(10, 5);
  Instant now = Instant::FromNanos(1'000'000'000);
  EXPECT_TRUE(bucket.Take(now));
  int taken = 1;
  while (bucket.Take(now)) ++taken;
  EXPECT_LE(taken, 20);  // at most a bucket that had not been looked at
  for (int i = 0; i < 50; ++i) {
    now = now + Milliseconds(200);
    EXPECT_TRUE(bucket.Take(now)) << i;
    EXPECT_FALSE(bucket.Take(now)) << i;
  }
  now = now + Seconds(1'000'000);
  taken = 0;
  while (bucket.Take(now)) ++taken;
  EXPECT_EQ(taken, 10);
}

TEST(PingPolicy, IsGrpcsRule) {
  Options options;
  Instant now = Instant::FromNanos(0);
  const auto later = [&](Duration by) { return now = now + by; };

  PingPolicy patient(options);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(patient.OnPing(later(Seconds(5)), true));

  PingPolicy hasty(options);
  EXPECT_TRUE(hasty.OnPing(now, true));
  EXPECT_TRUE(hasty.OnPing(later(Seconds(1)), true));
  EXPECT_TRUE(hasty.OnPing(later(Seconds(1)), true));
  EXPECT_FALSE(hasty.OnPing(later(Seconds(1)), true));

  PingPolicy forgiven(options);
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(forgiven.OnPing(later(Seconds(1)), true));
    EXPECT_TRUE(forgiven.OnPing(later(Seconds(1)), true));
    forgiven.OnSent();
  }

  PingPolicy idle(options);
  EXPECT_TRUE(idle.OnPing(now, false));
  EXPECT_TRUE(idle.OnPing(later(Seconds(60)), false));
  EXPECT_TRUE(idle.OnPing(later(Seconds(60)), false));
  EXPECT_FALSE(idle.OnPing(later(Seconds(60)), false));

  PingPolicy rare(options);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(rare.OnPing(later(Seconds(7200)), false));
}

using Fields = std::vector<std::pair<absl::string_view, absl::string_view>>;

bool Accepts(const Fields& fields, bool trailers = false) {
  FieldRules rules;
  rules.Begin(trailers);
  for (const auto& [name, value] : fields) {
    if (!rules.Field(name, value)) return false;
  }
  return rules.Complete();
}

TEST(FieldRules, ARequestHasMethodSchemeAndPathFirst) {
  const Fields usual = {{":method", "POST"}, {":scheme", "http"}, {":path", "/a"}};
  const auto with = [&](absl::string_view name, absl::string_view value) {
    Fields all = usual;
    all.emplace_back(name, value);
    return all;
  };
  EXPECT_TRUE(Accepts(usual));
  EXPECT_TRUE(Accepts(with(":authority", "localhost:2379")));
  EXPECT_TRUE(Accepts(with(":authority", "http://127.0.0.1:2379")));
  EXPECT_TRUE(Accepts(with("te", "trailers")));
  EXPECT_FALSE(Accepts(with(":path", "/b")));
  EXPECT_FALSE(Accepts(with(":protocol", "websocket")));
  EXPECT_FALSE(Accepts(with("Upper", "x")));
  EXPECT_FALSE(Accepts(with("", "x")));
  EXPECT_FALSE(Accepts(with("x", absl::string_view("\0", 1))));
  EXPECT_FALSE(Accepts(with(":authority", "a\r\nb")));
  for (const char* name : {"connection", "keep-alive", "transfer-encoding", "upgrade"}) {
    EXPECT_FALSE(Accepts(with(name, "x"))) << name;
  }
  for (size_t i = 0; i < usual.size(); ++i) {
    Fields less = usual;
    less.erase(less.begin() + static_cast<int64_t>(i));
    EXPECT_FALSE(Accepts(less)) << usual[i].first;
    less.emplace_back("x", "y");
    less.push_back(usual[i]);
    EXPECT_FALSE(Accepts(less)) << usual[i].first << " behind a regular field";
  }
}

TEST(FieldRules, TrailersHaveNoPseudoFields) {
  EXPECT_TRUE(Accepts({{"x", "y"}}, /*trailers=*/true));
  EXPECT_TRUE(Accepts({}, /*trailers=*/true));
  EXPECT_FALSE(Accepts({{":path", "/a"}}, /*trailers=*/true));
}

TEST(FieldRules, ContentLengthIsOneNumber) {
  FieldRules rules;
  rules.Begin(false);
  EXPECT_EQ(rules.content_length(), std::nullopt);
  EXPECT_TRUE(rules.Field("content-length", "12"));
  EXPECT_EQ(rules.content_length(), 12u);
  EXPECT_FALSE(rules.Field("content-length", "12"));
  for (const char* bad : {"", "+1", "1,2", "x", "99999999999999999999"}) {
    rules.Begin(false);
    EXPECT_FALSE(rules.Field("content-length", bad)) << bad;
  }
}

}  // namespace
}  // namespace quorate::http2
