#include <algorithm>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "server/config/flag.h"
#include "server/config/flags.h"

namespace quorate::config {
namespace {

// Takes what says the base of a number off its front: 0x, 0o, 0b, or a mere 0 for octal ones.
unsigned TakeBase(absl::string_view* digits) {
  if (digits->size() < 2 || digits->front() != '0') return 10;
  const char letter = absl::ascii_tolower((*digits)[1]);
  const unsigned base = letter == 'x' ? 16 : letter == 'b' ? 2 : 8;
  digits->remove_prefix(letter == 'x' || letter == 'b' || letter == 'o' ? 2 : 1);
  return base;
}

unsigned DigitOf(char c) {
  if (absl::ascii_isdigit(c)) return static_cast<unsigned>(c - '0');
  const char letter = absl::ascii_tolower(c);
  return letter >= 'a' && letter <= 'f' ? static_cast<unsigned>(letter - 'a') + 10 : 16;
}

// A whole number without a sign as Go writes them: 1000, 1_000, 0x3e8, 0o1750, 01750, 0b1111101000.
absl::StatusOr<uint64_t> ParseMagnitude(absl::string_view text) {
  const absl::Status wrong = absl::InvalidArgumentError("not a whole number");
  if (text.empty() || !absl::ascii_isdigit(text.front())) return wrong;
  absl::string_view digits = text;
  const unsigned base = TakeBase(&digits);
  if (digits.empty()) return wrong;
  uint64_t number = 0;
  bool after_digit = base != 10;  // what says the base is as good as one
  bool overflow = false;
  for (const char c : digits) {
    if (c == '_' && after_digit) {
      after_digit = false;
      continue;
    }
    const unsigned digit = DigitOf(c);
    if (digit >= base) return wrong;
    overflow |= number > (std::numeric_limits<uint64_t>::max() - digit) / base;
    number = number * base + digit;
    after_digit = true;
  }
  if (!after_digit) return wrong;
  if (overflow) return absl::InvalidArgumentError("value out of range");
  return number;
}

}  // namespace

absl::StatusOr<uint64_t> ParseCount(absl::string_view value) { return ParseMagnitude(value); }

absl::StatusOr<int64_t> ParseNumber(absl::string_view value) {
  const bool negative = !value.empty() && value.front() == '-';
  if (negative || (!value.empty() && value.front() == '+')) value.remove_prefix(1);
  ASSIGN_OR_RETURN(const uint64_t magnitude, ParseMagnitude(value));
  constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
  if (magnitude > kMost + (negative ? 1 : 0)) {
    return absl::InvalidArgumentError("value out of range");
  }
  return static_cast<int64_t>(negative ? 0 - magnitude : magnitude);
}

absl::StatusOr<absl::Duration> ParseSpan(absl::string_view value) {
  // Go itself writes a microsecond as U+00B5 s, and reads U+03BC s, too.
  const std::string text = absl::StrReplaceAll(value, {{"\u00b5s", "us"}, {"\u03bcs", "us"}});
  absl::Duration parsed;
  if (!absl::ParseDuration(text, &parsed) || parsed == absl::InfiniteDuration() ||
      parsed == -absl::InfiniteDuration()) {
    return absl::InvalidArgumentError("not a duration like 10m or 500ms");
  }
  return parsed;
}

Setter Text(std::string Config::*field) {
  return [field](absl::string_view value, Config* config) {
    config->*field = std::string(value);
    return absl::OkStatus();
  };
}

Setter OptionalUrls(std::vector<Url> Config::*field) {
  return [field](absl::string_view value, Config* config) -> absl::Status {
    (config->*field).clear();
    if (!value.empty()) {
      ASSIGN_OR_RETURN(config->*field, ParseUrls(value));
    }
    return absl::OkStatus();
  };
}

Setter TextList(std::vector<std::string> Config::*field) {
  return [field](absl::string_view value, Config* config) {
    (config->*field) = absl::StrSplit(value, ',', absl::SkipWhitespace());
    return absl::OkStatus();
  };
}

Setter Urls(std::vector<Url> Config::*field) {
  return [field](absl::string_view value, Config* config) -> absl::Status {
    ASSIGN_OR_RETURN(config->*field, ParseUrls(value));
    return absl::OkStatus();
  };
}

Setter Count(size_t Config::*field) {
  return [field](absl::string_view value, Config* config) -> absl::Status {
    ASSIGN_OR_RETURN(config->*field, ParseCount(value));
    return absl::OkStatus();
  };
}

Setter Number(int64_t Config::*field) {
  return [field](absl::string_view value, Config* config) -> absl::Status {
    ASSIGN_OR_RETURN(config->*field, ParseNumber(value));
    return absl::OkStatus();
  };
}

Setter Span(Duration Config::*field) {
  return [field](absl::string_view value, Config* config) -> absl::Status {
    ASSIGN_OR_RETURN(const absl::Duration parsed, ParseSpan(value));
    config->*field = Nanoseconds(std::max<int64_t>(0, absl::ToInt64Nanoseconds(parsed)));
    return absl::OkStatus();
  };
}

// Go's spellings of a boolean.
absl::StatusOr<bool> ParseBoolean(absl::string_view value) {
  for (const absl::string_view yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (value == yes) return true;
  }
  for (const absl::string_view no : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (value == no) return false;
  }
  return absl::InvalidArgumentError("not a boolean");
}

Setter Boolean(bool Config::*field) {
  return [field](absl::string_view value, Config* config) -> absl::Status {
    ASSIGN_OR_RETURN(config->*field, ParseBoolean(value));
    return absl::OkStatus();
  };
}

}  // namespace quorate::config
