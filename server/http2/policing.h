// What a client may ask for that costs us and serves nobody: how much of it, on the
// loop's time.
#ifndef QUORATE_SERVER_HTTP2_POLICING_H_
#define QUORATE_SERVER_HTTP2_POLICING_H_

#include <cstddef>
#include <cstdint>

#include "base/time.h"
#include "server/http2/options.h"

namespace quorate::http2 {

// `burst` tokens, `rate` new ones a second.
class TokenBucket {
 public:
  TokenBucket(uint32_t burst, uint32_t rate) : burst_(burst), rate_(rate), tokens_(burst) {}

  // Takes one token; false if there is none.
  bool Take(Instant now) {
    if (tokens_ == 0) Refill(now);
    if (tokens_ == 0) return false;
    --tokens_;
    return true;
  }

 private:
  // Lazily, so that the common case is a decrement.
  void Refill(Instant now);

  uint32_t burst_;
  uint32_t rate_;
  uint64_t tokens_;
  Instant filled_at_;
};

// gRPC's rule for keepalive pings (its proposal A8, with etcd's numbers): pings that come
// too soon are strikes; what we send on a stream forgives them.
class PingPolicy {
 public:
  explicit PingPolicy(const Options& options)
      : min_interval_(options.min_ping_interval),
        idle_interval_(options.idle_ping_interval),
        max_strikes_(options.max_ping_strikes) {}

  // HEADERS or DATA left: the next ping is free and strikes are forgotten.
  void OnSent() { forgiven_ = true; }
  // A ping came. False if it was one strike too many.
  bool OnPing(Instant now, bool has_streams);

 private:
  Duration min_interval_;
  Duration idle_interval_;
  int max_strikes_;
  bool forgiven_ = false;
  bool had_ping_ = false;
  int strikes_ = 0;
  Instant last_ping_;
};

}  // namespace quorate::http2

#endif  // QUORATE_SERVER_HTTP2_POLICING_H_
