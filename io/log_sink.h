// Where log lines go: stderr in production, the trace in the simulator.
#ifndef QUORATE_IO_LOG_SINK_H_
#define QUORATE_IO_LOG_SINK_H_

#include "absl/strings/string_view.h"

namespace quorate::io {

class LogSink {
 public:
  virtual ~LogSink() = default;
  // One whole line without its newline.
  virtual void WriteLine(absl::string_view line) = 0;
  // False where lines must be the same in every build: compilers disagree about the line
  // number of a macro call that spans several lines.
  virtual bool wants_source_lines() const { return true; }
};

}  // namespace quorate::io

#endif  // QUORATE_IO_LOG_SINK_H_
