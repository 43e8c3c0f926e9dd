// A line on stderr now and then that says how far a long run is.
#ifndef QUORATE_SIM_PROGRESS_LINE_H_
#define QUORATE_SIM_PROGRESS_LINE_H_

#include <functional>

#include "absl/strings/string_view.h"
#include "base/time.h"

namespace quorate::sim {

// On a terminal one line that is written over every second; else a new line every ten seconds.
class ProgressLine {
 public:
  // `now` is what the tool takes for time; the run starts with the construction.
  explicit ProgressLine(std::function<Duration()> now);
  // Takes the line off the terminal.
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // Since the start; `seconds` the same as a number.
  Duration elapsed() const { return now_() - start_; }
  double seconds() const;

  // Whether it is time for a line; then Show() is to follow.
  bool Due();
  void Show(absl::string_view text);
  // Before other output, which would otherwise follow on the same line of a terminal.
  void Clear();

 private:
  const std::function<Duration()> now_;
  const Duration start_;
  Duration last_;  // since the start
  const bool terminal_;
  bool shown_ = false;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_PROGRESS_LINE_H_
