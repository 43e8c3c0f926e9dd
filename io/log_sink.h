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
};

}  // namespace quorate::io

#endif  // QUORATE_IO_LOG_SINK_H_
