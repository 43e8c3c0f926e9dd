// Who asks for much and reads little: the rule by which servers tell a client that has stopped
// reading, or takes a few bytes now and then, from one whose line is slow.
#ifndef QUORATE_SERVER_FLOW_READER_WATCH_H_
#define QUORATE_SERVER_FLOW_READER_WATCH_H_

#include <cstdint>
#include <optional>

#include "base/time.h"

namespace quorate::flow {

struct ReaderRule {
  Duration patience = Seconds(10);
  int64_t least_rate = 64 * 1024;  // bytes a second
};

// Of one connection.
class ReaderWatch {
 public:
  // Nothing worth the trouble waits for the client.
  void Rest() {
    since_.reset();
    stalls_ = false;
  }
  // To be asked again and again while answers wait, with the number of bytes that have left so far.
  // True if over the last `patience` or longer, without a Rest, less left than the rule wants. The
  // first question only begins to watch: what left before shows how much the client's buffers take,
  // not that it reads.
  bool Stalls(const ReaderRule& rule, Instant now, int64_t left) {
    if (!since_.has_value()) {
      since_ = now;
      left_before_ = left;
    } else if (const Duration time = now - *since_; time >= rule.patience) {
      stalls_ = left - left_before_ < rule.least_rate * time.millis() / 1000;
      since_ = now;
      left_before_ = left;
    }
    return stalls_;
  }

 private:
  std::optional<Instant> since_;  // this period began
  int64_t left_before_ = 0;       // by then
  bool stalls_ = false;           // over the last whole one
};

}  // namespace quorate::flow

#endif  // QUORATE_SERVER_FLOW_READER_WATCH_H_
