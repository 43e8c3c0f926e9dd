// Bounds what strangers can make a server write into its log: of each remote address and cause
// one line goes out in an interval, and a line at its end says how many more there were.
//
//   if (throttle.Admits(remote, "cluster ID mismatch")) LOG_WARN(log, ...);
#ifndef QUORATE_SERVER_LOG_THROTTLE_H_
#define QUORATE_SERVER_LOG_THROTTLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/strings/string_view.h"
#include "base/time.h"
#include "io/loop.h"
#include "server/log/logger.h"

namespace quorate::log {

class Throttle {
 public:
  // Different addresses and causes that are told apart in one interval; what is beyond shares
  // one line.
  static constexpr size_t kMaxLines = 100;

  // Both borrowed. `message` is that of the lines that it bounds.
  Throttle(io::Loop* loop, Logger* log, std::string message, Duration interval = Seconds(60));

  // Whether the line may be written now. `remote` is "host:port": ports are not told apart.
  bool Admits(absl::string_view remote, absl::string_view cause);

 private:
  using Line = std::pair<std::string, std::string>;  // host, cause

  void OnIntervalEnd();

  io::Loop* const loop_;
  Logger* const log_;
  const std::string message_;
  const Duration interval_;
  absl::btree_map<Line, uint64_t> suppressed_;  // of this interval, by the line that went out
  std::unique_ptr<io::Timer> timer_;
};

}  // namespace quorate::log

#endif  // QUORATE_SERVER_LOG_THROTTLE_H_
