// Sizes, rates and times of an HTTP/2 session.
#ifndef QUORATE_SERVER_HTTP2_OPTIONS_H_
#define QUORATE_SERVER_HTTP2_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <limits>

#include "base/time.h"

namespace quorate::http2 {

struct Options {
  // Bytes that the other side may send before we take them in (SETTINGS and the first
  // WINDOW_UPDATE tell it).
  uint32_t stream_window = 1024 * 1024;
  uint32_t connection_window = 16 * 1024 * 1024;
  // Streams that the other side may have open; the next one is refused. Told in SETTINGS
  // only if it is less than the default.
  static constexpr uint32_t kMaxStreams = 100'000;
  uint32_t max_concurrent_streams = kMaxStreams;
  // Names, values and 32 for each field of one header block (RFC 9113 section 6.5.2).
  uint32_t max_header_list_bytes = 64 * 1024;
  // A block so many times larger ends the connection: a few bytes can stand for a long
  // field that is known already, and reading over a block takes as long as reading it.
  static constexpr uint32_t kHeaderBlockExcess = 4;

  // Client pings closer together than this, or within idle_ping_interval while no stream
  // is open, are strikes; one strike more than max_ping_strikes ends the connection
  // with ENHANCE_YOUR_CALM "too_many_pings". Zero switches the policing off.
  Duration min_ping_interval = Seconds(5);
  Duration idle_ping_interval = Seconds(2 * 3600);
  int max_ping_strikes = 2;

  // After that much silence we ping, and close if nothing comes within the timeout.
  Duration keepalive_interval = Seconds(2 * 3600);
  Duration keepalive_timeout = Seconds(20);

  // Resets by the other side: a bucket of `burst`, filled at `rate` per second. An
  // empty one ends the connection with ENHANCE_YOUR_CALM (rapid reset, CVE-2023-44487).
  uint32_t reset_burst = 4096;
  uint32_t reset_rate = 512;
  // The same for frames that make us work and serve nothing: SETTINGS, PING, PRIORITY,
  // empty DATA and unknown frames.
  uint32_t idle_frame_burst = 4096;
  uint32_t idle_frame_rate = 1024;

  // How long a connection that we have closed may take to accept our last bytes.
  Duration close_timeout = Seconds(5);

  static Options Client() {
    Options options;
    options.stream_window = 4 * 1024 * 1024;
    options.min_ping_interval = Duration();
    options.keepalive_interval = Duration::Infinite();
    return options;
  }
};

}  // namespace quorate::http2

#endif  // QUORATE_SERVER_HTTP2_OPTIONS_H_
