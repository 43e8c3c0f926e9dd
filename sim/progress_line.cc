#include "sim/progress_line.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

#include "absl/strings/str_format.h"

namespace quorate::sim {

ProgressLine::ProgressLine(std::function<Duration()> now)
    : now_(std::move(now)), start_(now_()), terminal_(isatty(STDERR_FILENO) != 0) {}

ProgressLine::~ProgressLine() { Clear(); }

double ProgressLine::seconds() const { return static_cast<double>(elapsed().millis()) / 1000.0; }

bool ProgressLine::Due() {
  const Duration now = elapsed();
  if (now - last_ < (terminal_ ? Seconds(1) : Seconds(10))) return false;
  last_ = now;
  return true;
}

void ProgressLine::Show(absl::string_view text) {
  absl::FPrintF(stderr, "%s%s%s", terminal_ ? "\r\x1b[K" : "", text, terminal_ ? "" : "\n");
  std::fflush(stderr);
  shown_ = true;
}

void ProgressLine::Clear() {
  if (terminal_ && shown_) absl::FPrintF(stderr, "\r\x1b[K");
  shown_ = false;
}

}  // namespace quorate::sim
