// How long a message or a write takes: a distribution as a value, written as text.
//
//   const:2.4ms        always so long; the word may be left out: 2.4ms
//   uniform:30ms..40ms
//   exp:15ms           exponential with this mean
//   exp:1ms+14ms       a fixed part and an exponential one
//   file:PATH          measured values, one a line, each as likely as the others
//
// Draws are integers, equal in every build; only the analytic side (Cdf) counts in
// floating point.
#ifndef QUORATE_SIM_STUDY_DELAY_H_
#define QUORATE_SIM_STUDY_DELAY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/prng.h"
#include "base/time.h"

namespace quorate::sim::study {

// "150", "2.4ms", "1.5s", "30us", "7ns": a span that is not negative, at most an hour.
// Without a unit: milliseconds. InvalidArgument, quoting the text.
absl::StatusOr<Duration> ParseSpan(absl::string_view text);
// In milliseconds, exactly, without trailing zeros: "2.4".
std::string Millis(Duration span);

class DelayModel {
 public:
  DelayModel() = default;  // nothing takes any time
  // InvalidArgument names the model and the ones there are; NotFound: no such file.
  static absl::StatusOr<DelayModel> Parse(absl::string_view text);

  Duration Draw(Prng* prng) const;
  bool IsNone() const { return kind_ == Kind::kConstant && low_ == Duration(); }
  // Probability that a draw is at most so long.
  double Cdf(double nanos) const;
  double MeanNanos() const;
  // A span that next to no draw exceeds.
  Duration Longest() const;
  // As it was given to Parse.
  const std::string& text() const { return text_; }

 private:
  enum class Kind : uint8_t { kConstant, kUniform, kExponential, kMeasured };

  Kind kind_ = Kind::kConstant;
  Duration low_;                                           // constant; least; fixed part
  Duration high_;                                          // most; mean of the exponential part
  std::shared_ptr<const std::vector<Duration>> measured_;  // sorted
  std::string text_ = "const:0ms";
};

}  // namespace quorate::sim::study

#endif  // QUORATE_SIM_STUDY_DELAY_H_
