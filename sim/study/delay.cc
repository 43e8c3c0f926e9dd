#include "sim/study/delay.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/check.h"
#include "base/status.h"

namespace quorate::sim::study {
namespace {

constexpr Duration kLongestSpan = Seconds(3600);
// Exponential draws are capped there (Prng::Exponential); one in 10^11 is above half.
constexpr int64_t kMeansToTheTail = 25;

absl::Status NotASpan(absl::string_view text) {
  return absl::InvalidArgumentError(
      absl::StrCat("'", text, "' is not a time like 150, 2.4ms, 30us or 1.5s (at most an hour)"));
}

absl::Status UnknownModel(absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat(
      "unknown delay model '", text,
      "'; there are: const:T, uniform:LOW..HIGH, exp:MEAN, exp:FIXED+MEAN, file:PATH"));
}

// Decimal digits with at most one point, exactly, in units of `unit` nanoseconds.
bool ParseDecimal(absl::string_view digits, int64_t unit, int64_t* nanos) {
  int64_t value = 0;
  bool point = false;
  bool any = false;
  int64_t scale = unit;
  for (const char c : digits) {
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
    any = true;
    if (point) {
      scale /= 10;
      value += (c - '0') * scale;
    } else {
      if (value > kLongestSpan.nanos()) return false;
      value = value * 10 + (c - '0') * unit;
    }
  }
  *nanos = value;
  return any && value <= kLongestSpan.nanos();
}

absl::StatusOr<std::vector<Duration>> ReadMeasured(const std::string& path) {
  std::ifstream in(path);
  if (!in) return absl::NotFoundError(absl::StrCat("cannot read the delays in ", path));
  std::vector<Duration> spans;
  for (std::string line; std::getline(in, line);) {
    const absl::string_view text = absl::StripAsciiWhitespace(line);
    if (text.empty() || text[0] == '#') continue;
    ASSIGN_OR_RETURN(const Duration span, ParseSpan(text));
    spans.push_back(span);
  }
  if (spans.empty()) return absl::InvalidArgumentError(absl::StrCat("no delays in ", path));
  std::sort(spans.begin(), spans.end());
  return spans;
}

}  // namespace

absl::StatusOr<Duration> ParseSpan(absl::string_view text) {
  static constexpr std::pair<absl::string_view, int64_t> kUnits[] = {
      {"ns", 1}, {"us", 1000}, {"ms", 1'000'000}, {"s", 1'000'000'000}};
  absl::string_view digits = text;
  int64_t unit = 1'000'000;
  for (const auto& [name, nanos] : kUnits) {
    if (absl::ConsumeSuffix(&digits, name)) {
      unit = nanos;
      break;
    }
  }
  int64_t nanos = 0;
  if (!ParseDecimal(digits, unit, &nanos)) return NotASpan(text);
  return Nanoseconds(nanos);
}

std::string Millis(Duration span) {
  const int64_t nanos = span.nanos();
  std::string text = absl::StrCat(nanos / 1'000'000);
  std::string fraction = absl::StrCat(1'000'000 + nanos % 1'000'000).substr(1);
  fraction.erase(fraction.find_last_not_of('0') + 1);
  if (!fraction.empty()) absl::StrAppend(&text, ".", fraction);
  return text;
}

absl::StatusOr<DelayModel> DelayModel::Parse(absl::string_view text) {
  DelayModel model;
  model.text_ = std::string(text);
  absl::string_view rest = text;
  if (absl::ConsumePrefix(&rest, "file:")) {
    model.kind_ = Kind::kMeasured;
    ASSIGN_OR_RETURN(std::vector<Duration> spans, ReadMeasured(std::string(rest)));
    model.measured_ = std::make_shared<const std::vector<Duration>>(std::move(spans));
    return model;
  }
  if (absl::ConsumePrefix(&rest, "uniform:")) {
    const size_t dots = rest.find("..");
    if (dots == absl::string_view::npos) return UnknownModel(text);
    model.kind_ = Kind::kUniform;
    ASSIGN_OR_RETURN(model.low_, ParseSpan(rest.substr(0, dots)));
    ASSIGN_OR_RETURN(model.high_, ParseSpan(rest.substr(dots + 2)));
    if (model.low_ > model.high_) {
      return absl::InvalidArgumentError(absl::StrCat("'", text, "': the range is upside down"));
    }
    return model;
  }
  if (absl::ConsumePrefix(&rest, "exp:")) {
    model.kind_ = Kind::kExponential;
    const size_t plus = rest.find('+');
    if (plus != absl::string_view::npos) {
      ASSIGN_OR_RETURN(model.low_, ParseSpan(rest.substr(0, plus)));
      rest.remove_prefix(plus + 1);
    }
    ASSIGN_OR_RETURN(model.high_, ParseSpan(rest));
    return model;
  }
  absl::ConsumePrefix(&rest, "const:");
  const absl::StatusOr<Duration> span = ParseSpan(rest);
  if (!span.ok()) return UnknownModel(text);
  model.low_ = *span;
  return model;
}

Duration DelayModel::Draw(Prng* prng) const {
  switch (kind_) {
    case Kind::kConstant:
      return low_;
    case Kind::kUniform:
      return prng->Between(low_, high_);
    case Kind::kExponential:
      return low_ + prng->Exponential(high_);
    case Kind::kMeasured:
      return (*measured_)[prng->Below(measured_->size())];
  }
  UNREACHABLE("delay model");
}

double DelayModel::Cdf(double nanos) const {
  const double low = static_cast<double>(low_.nanos());
  const double high = static_cast<double>(high_.nanos());
  switch (kind_) {
    case Kind::kConstant:
      return nanos >= low ? 1 : 0;
    case Kind::kUniform:
      if (high == low) return nanos >= low ? 1 : 0;
      return std::clamp((nanos - low) / (high - low), 0.0, 1.0);
    case Kind::kExponential:
      if (high == 0) return nanos >= low ? 1 : 0;
      return nanos <= low ? 0 : 1 - std::exp(-(nanos - low) / high);
    case Kind::kMeasured: {
      const auto above = std::upper_bound(
          measured_->begin(), measured_->end(), nanos,
          [](double value, Duration span) { return value < static_cast<double>(span.nanos()); });
      return static_cast<double>(above - measured_->begin()) /
             static_cast<double>(measured_->size());
    }
  }
  UNREACHABLE("delay model");
}

double DelayModel::MeanNanos() const {
  const double low = static_cast<double>(low_.nanos());
  const double high = static_cast<double>(high_.nanos());
  switch (kind_) {
    case Kind::kConstant:
      return low;
    case Kind::kUniform:
      return (low + high) / 2;
    case Kind::kExponential:
      return low + high;
    case Kind::kMeasured: {
      double sum = 0;
      for (const Duration span : *measured_) sum += static_cast<double>(span.nanos());
      return sum / static_cast<double>(measured_->size());
    }
  }
  UNREACHABLE("delay model");
}

Duration DelayModel::Longest() const {
  switch (kind_) {
    case Kind::kConstant:
      return low_;
    case Kind::kUniform:
      return high_;
    case Kind::kExponential:
      return low_ + high_ * kMeansToTheTail;
    case Kind::kMeasured:
      return measured_->back();
  }
  UNREACHABLE("delay model");
}

}  // namespace quorate::sim::study
