#include "server/http2/policing.h"

#include <algorithm>

namespace quorate::http2 {

void TokenBucket::Refill(Instant now) {
  const Duration passed = now - filled_at_;
  if (rate_ == 0 || passed <= Duration()) return;
  // A bucket is full after burst / rate seconds: no product below can overflow.
  const uint64_t full_ms = uint64_t{1000} * burst_ / rate_ + 1;
  const uint64_t passed_ms = static_cast<uint64_t>(passed.millis());
  const uint64_t gained = passed_ms >= full_ms ? burst_ : passed_ms * rate_ / 1000;
  if (gained == 0) return;
  tokens_ = std::min<uint64_t>(burst_, tokens_ + gained);
  filled_at_ = now;
}

bool PingPolicy::OnPing(Instant now, bool has_streams) {
  if (min_interval_ == Duration()) return true;
  const Instant previous = last_ping_;
  const bool had_ping = had_ping_;
  last_ping_ = now;
  had_ping_ = true;
  if (forgiven_) {
    forgiven_ = false;
    strikes_ = 0;
    return true;
  }
  const Duration wanted = has_streams ? min_interval_ : idle_interval_;
  if (had_ping && now - previous < wanted) ++strikes_;
  return strikes_ <= max_strikes_;
}

}  // namespace quorate::http2
