// What a node did lately that can have held up requests: told with the log line of a slow one.
#ifndef QUORATE_SERVER_NODE_TRACE_H_
#define QUORATE_SERVER_NODE_TRACE_H_

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "base/time.h"

namespace quorate::node {

class Trace {
 public:
  // Shorter writes and turns are nothing to tell of.
  static constexpr Duration kLong = Milliseconds(10);
  // The newest so many are kept, and as many told of one request.
  static constexpr size_t kKept = 64;
  static constexpr size_t kTold = 12;

  // A write of the log with its sync.
  void NoteWrite(Instant begun, Instant ended);
  // A turn of the engine.
  void NoteTurn(Instant now, Duration took);
  void NoteLeader(Instant now, bool known);

  // What has gone on since then, oldest first: "+12ms a write of the log, took 310ms".
  std::vector<std::string> Since(Instant begun) const;

 private:
  enum class Kind { kWrite, kTurn, kLeaderLost, kLeaderKnown };
  struct Event {
    Kind kind;
    Instant begun;
    Duration took;
  };

  void Add(const Event& event);
  static std::string Tell(const Event& event, Instant begun);

  std::deque<Event> events_;
  bool leaderless_ = true;
};

}  // namespace quorate::node

#endif  // QUORATE_SERVER_NODE_TRACE_H_
