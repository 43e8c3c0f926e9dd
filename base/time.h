// Moments and spans as different types, in nanoseconds. There is no now() here:
// the present comes in through an Input or from io::Loop.
//
//   Instant deadline = now + Milliseconds(150);
//   if (now >= deadline) ...
//   Duration late = now - deadline;
#ifndef QUORATE_BASE_TIME_H_
#define QUORATE_BASE_TIME_H_

#include <compare>
#include <cstdint>
#include <limits>

namespace quorate {

// A span of time; may be negative.
class Duration {
 public:
  constexpr Duration() = default;
  static constexpr Duration FromNanos(int64_t ns) { return Duration(ns); }
  static constexpr Duration Infinite() { return Duration(std::numeric_limits<int64_t>::max()); }

  constexpr int64_t nanos() const { return ns_; }
  constexpr int64_t micros() const { return ns_ / 1000; }
  constexpr int64_t millis() const { return ns_ / 1'000'000; }

  friend constexpr auto operator<=>(Duration, Duration) = default;
  friend constexpr Duration operator+(Duration a, Duration b) { return Duration(a.ns_ + b.ns_); }
  friend constexpr Duration operator-(Duration a, Duration b) { return Duration(a.ns_ - b.ns_); }
  friend constexpr Duration operator*(Duration a, int64_t n) { return Duration(a.ns_ * n); }
  friend constexpr Duration operator/(Duration a, int64_t n) { return Duration(a.ns_ / n); }

 private:
  constexpr explicit Duration(int64_t ns) : ns_(ns) {}
  int64_t ns_ = 0;
};

constexpr Duration Nanoseconds(int64_t n) { return Duration::FromNanos(n); }
constexpr Duration Microseconds(int64_t n) { return Duration::FromNanos(n * 1000); }
constexpr Duration Milliseconds(int64_t n) { return Duration::FromNanos(n * 1'000'000); }
constexpr Duration Seconds(int64_t n) { return Duration::FromNanos(n * 1'000'000'000); }

// A moment of a member's monotonic clock. Only comparable within one member.
class Instant {
 public:
  constexpr Instant() = default;
  static constexpr Instant FromNanos(int64_t ns) { return Instant(ns); }
  static constexpr Instant Infinite() { return Instant(std::numeric_limits<int64_t>::max()); }

  constexpr int64_t nanos() const { return ns_; }

  friend constexpr auto operator<=>(Instant, Instant) = default;
  friend constexpr Instant operator+(Instant a, Duration d) { return Instant(a.ns_ + d.nanos()); }
  friend constexpr Instant operator-(Instant a, Duration d) { return Instant(a.ns_ - d.nanos()); }
  friend constexpr Duration operator-(Instant a, Instant b) {
    return Duration::FromNanos(a.ns_ - b.ns_);
  }

 private:
  constexpr explicit Instant(int64_t ns) : ns_(ns) {}
  int64_t ns_ = 0;
};

// Wall-clock time, nanoseconds since 1970 UTC. For people and ids, never for protocol decisions.
class WallTime {
 public:
  constexpr WallTime() = default;
  static constexpr WallTime FromUnixNanos(int64_t ns) { return WallTime(ns); }
  constexpr int64_t unix_nanos() const { return ns_; }
  constexpr int64_t unix_millis() const { return ns_ / 1'000'000; }

  friend constexpr auto operator<=>(WallTime, WallTime) = default;

 private:
  constexpr explicit WallTime(int64_t ns) : ns_(ns) {}
  int64_t ns_ = 0;
};

}  // namespace quorate

#endif  // QUORATE_BASE_TIME_H_
