#include "server/log/logger.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/utf8.h"

namespace quorate::log {
namespace {

constexpr absl::string_view kLevelNames[] = {"debug", "info", "warn", "error", "panic", "fatal"};
constexpr char kHexDigits[] = "0123456789abcdef";
constexpr absl::string_view kReplacement = "\\ufffd";

void AppendEscaped(unsigned char c, std::string* out) {
  switch (c) {
    case '"':
      out->append("\\\"");
      return;
    case '\\':
      out->append("\\\\");
      return;
    case '\n':
      out->append("\\n");
      return;
    case '\r':
      out->append("\\r");
      return;
    case '\t':
      out->append("\\t");
      return;
    default:
      out->append("\\u00");
      out->push_back(kHexDigits[c >> 4]);
      out->push_back(kHexDigits[c & 0xf]);
  }
}

// Text as it is, but for what would end or garble the line.
void AppendOneLine(absl::string_view text, std::string* out) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20) {
      AppendEscaped(static_cast<unsigned char>(c), out);
    } else {
      out->push_back(c);
    }
  }
}

bool IsPlain(unsigned char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

void AppendPadded(int64_t value, int width, std::string* out) {
  const std::string digits = absl::StrCat(value);
  for (int i = static_cast<int>(digits.size()); i < width; ++i) out->push_back('0');
  out->append(digits);
}

// "1.5" for (1500, 1000): a whole part and as many decimals as are needed.
void AppendFraction(uint64_t value, uint64_t unit, std::string* out) {
  absl::StrAppend(out, value / unit);
  uint64_t rest = value % unit;
  if (rest == 0) return;
  out->push_back('.');
  while (rest != 0) {
    unit /= 10;
    out->push_back(static_cast<char>('0' + rest / unit));
    rest %= unit;
  }
}

struct CivilDate {
  int64_t year;
  int64_t month;
  int64_t day;
};

// The proleptic Gregorian date of a count of days since 1970-01-01, by counting years
// from March, so that the leap day comes last.
CivilDate DateOfDays(int64_t days) {
  constexpr int64_t kDaysPerEra = 146097;  // 400 years
  days += 719468;                          // since 0000-03-01
  const int64_t era = (days >= 0 ? days : days - kDaysPerEra + 1) / kDaysPerEra;
  const int64_t day_of_era = days - era * kDaysPerEra;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t month_from_march = (5 * day_of_year + 2) / 153;
  const int64_t day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
  const int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
  return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month, day};
}

// The last two parts of a path: "room/file.cc".
absl::string_view ShortFile(absl::string_view file) {
  size_t slash = file.rfind('/');
  if (slash == absl::string_view::npos || slash == 0) return file;
  slash = file.rfind('/', slash - 1);
  return slash == absl::string_view::npos ? file : file.substr(slash + 1);
}

}  // namespace

absl::string_view LevelName(Level level) { return kLevelNames[static_cast<size_t>(level)]; }

absl::StatusOr<Level> ParseLevel(absl::string_view name) {
  for (size_t i = 0; i < std::size(kLevelNames); ++i) {
    if (kLevelNames[i] == name) return static_cast<Level>(i);
  }
  return absl::InvalidArgumentError(absl::StrCat("unrecognized level: \"", name, "\""));
}

void AppendJsonString(absl::string_view text, std::string* out) {
  out->push_back('"');
  while (!text.empty()) {
    size_t plain = 0;
    while (plain < text.size() && IsPlain(static_cast<unsigned char>(text[plain]))) ++plain;
    out->append(text.data(), plain);
    text.remove_prefix(plain);
    if (text.empty()) break;
    const size_t size = Utf8SequenceSize(text);
    if (size == 0) {
      out->append(kReplacement.data(), kReplacement.size());
      text.remove_prefix(1);
    } else if (size == 1) {
      AppendEscaped(static_cast<unsigned char>(text[0]), out);
      text.remove_prefix(1);
    } else {
      out->append(text.data(), size);
      text.remove_prefix(size);
    }
  }
  out->push_back('"');
}

void AppendTimestamp(WallTime time, std::string* out) {
  constexpr int64_t kMicrosPerDay = int64_t{86400} * 1'000'000;
  int64_t micros = time.unix_nanos() / 1000;
  if (time.unix_nanos() % 1000 < 0) --micros;
  int64_t days = micros / kMicrosPerDay;
  int64_t rest = micros % kMicrosPerDay;
  if (rest < 0) {
    rest += kMicrosPerDay;
    --days;
  }
  const CivilDate date = DateOfDays(days);
  AppendPadded(date.year, 4, out);
  out->push_back('-');
  AppendPadded(date.month, 2, out);
  out->push_back('-');
  AppendPadded(date.day, 2, out);
  out->push_back('T');
  const int64_t seconds = rest / 1'000'000;
  AppendPadded(seconds / 3600, 2, out);
  out->push_back(':');
  AppendPadded(seconds / 60 % 60, 2, out);
  out->push_back(':');
  AppendPadded(seconds % 60, 2, out);
  out->push_back('.');
  AppendPadded(rest % 1'000'000, 6, out);
  out->push_back('Z');
}

void AppendGoDuration(Duration span, std::string* out) {
  uint64_t nanos = static_cast<uint64_t>(span.nanos());
  if (span.nanos() < 0) {
    out->push_back('-');
    nanos = ~nanos + 1;
  }
  if (nanos == 0) {
    out->append("0s");
  } else if (nanos < 1000) {
    absl::StrAppend(out, nanos, "ns");
  } else if (nanos < 1'000'000) {
    AppendFraction(nanos, 1000, out);
    out->append("µs");
  } else if (nanos < 1'000'000'000) {
    AppendFraction(nanos, 1'000'000, out);
    out->append("ms");
  } else {
    constexpr uint64_t kMinute = uint64_t{60} * 1'000'000'000;
    const uint64_t minutes = nanos / kMinute;
    if (minutes >= 60) absl::StrAppend(out, minutes / 60, "h");
    if (minutes > 0) absl::StrAppend(out, minutes % 60, "m");
    AppendFraction(nanos % kMinute, 1'000'000'000, out);
    out->push_back('s');
  }
}

void Field::AppendTo(std::string* line, absl::string_view space) const {
  AppendJsonString(key_, line);
  absl::StrAppend(line, ":", space);
  switch (kind_) {
    case Kind::kString:
      AppendJsonString(text_, line);
      return;
    case Kind::kBool:
      line->append(number_ != 0 ? "true" : "false");
      return;
    case Kind::kSigned:
      absl::StrAppend(line, static_cast<int64_t>(number_));
      return;
    case Kind::kUnsigned:
      absl::StrAppend(line, number_);
      return;
    case Kind::kDuration:
      line->push_back('"');
      AppendGoDuration(Duration::FromNanos(static_cast<int64_t>(number_)), line);
      line->push_back('"');
      return;
    case Kind::kStrings:
      line->push_back('[');
      for (size_t i = 0; i < strings_->size(); ++i) {
        if (i > 0) absl::StrAppend(line, ",", space);
        AppendJsonString((*strings_)[i], line);
      }
      line->push_back(']');
      return;
    case Kind::kStatus:
      if (status_->message().empty()) {
        AppendJsonString(absl::StatusCodeToString(status_->code()), line);
      } else {
        AppendJsonString(status_->message(), line);
      }
      return;
  }
}

void Logger::AppendHead(Level level, absl::string_view file, int line, absl::string_view message,
                        std::string* text) const {
  const bool json = format_ == Format::kJson;
  const std::string caller = sink_->wants_source_lines() ? absl::StrCat(ShortFile(file), ":", line)
                                                         : std::string(ShortFile(file));
  if (json) absl::StrAppend(text, "{\"level\":\"", LevelName(level), "\",\"ts\":\"");
  AppendTimestamp(loop_->WallNow(), text);
  if (!json) {
    absl::StrAppend(text, "\t", LevelName(level), "\t", caller, "\t");
    AppendOneLine(message, text);
    return;
  }
  text->append("\",\"caller\":");
  AppendJsonString(caller, text);
  text->append(",\"msg\":");
  AppendJsonString(message, text);
}

void Logger::Write(Level level, absl::string_view file, int line, absl::string_view message,
                   std::initializer_list<Field> fields) {
  // A sink may log itself: it finds an empty buffer then.
  std::string text = std::exchange(buffer_, std::string());
  text.clear();
  AppendHead(level, file, line, message, &text);
  const bool json = format_ == Format::kJson;
  absl::string_view before = json ? "," : "\t{";
  for (const Field& field : fields) {
    text.append(before.data(), before.size());
    field.AppendTo(&text, json ? "" : " ");
    before = json ? "," : ", ";
  }
  if (json || fields.size() > 0) text.push_back('}');
  sink_->WriteLine(text);
  buffer_ = std::move(text);
}

}  // namespace quorate::log
