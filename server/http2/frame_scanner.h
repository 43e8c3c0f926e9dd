// Walks the frame headers of incoming HTTP/2 bytes ahead of nghttp2.
//
// Why: Debian's nghttp2 reads the system's clock whenever a server receives a
// RST_STREAM (a rate limiter that can be widened but not switched off), which would make
// a simulated server depend on real time. So RST_STREAM frames of the right length are
// taken out of the bytes here and handled by Session; everything else passes through
// untouched, in pieces as large as possible.
#ifndef QUORATE_SERVER_HTTP2_FRAME_SCANNER_H_
#define QUORATE_SERVER_HTTP2_FRAME_SCANNER_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace quorate::http2 {

class FrameScanner {
 public:
  // Each returns false to stop: the rest of the input is dropped.
  class Sink {
   public:
    virtual ~Sink() = default;
    // Bytes for nghttp2. They never end within a frame header.
    virtual bool OnBytes(absl::string_view bytes) = 0;
    // A RST_STREAM; `frame` is the whole frame.
    virtual bool OnReset(int32_t stream_id, uint32_t code, absl::string_view frame) = 0;
    // A frame that makes work and serves nothing has begun: SETTINGS, PING, PRIORITY,
    // empty DATA without END_STREAM, or one of unknown type.
    virtual bool OnIdleFrame() = 0;
  };

  static constexpr size_t kFrameHeaderBytes = 9;
  static constexpr size_t kResetFrameBytes = 13;
  static constexpr size_t kPrefaceBytes = 24;

  // `preface`: the input begins with a client's connection preface, which passes.
  FrameScanner(Sink* sink, bool preface) : sink_(sink), skip_(preface ? kPrefaceBytes : 0) {}

  // False if the sink stopped it.
  bool Scan(absl::string_view data);

 private:
  // Takes what is missing of a header that began in an earlier piece.
  bool CompleteHeader(absl::string_view* data);
  // Decides on a whole frame header; sets skip_ to the frame's payload.
  bool OnFrameHeader(const char* header);
  // A well-formed RST_STREAM of a stream that was opened: nghttp2 judges all others (and
  // does so without a look at the clock).
  bool IsReset(const char* header) const;

  Sink* const sink_;
  int32_t last_opened_ = 0;  // highest stream of a HEADERS frame
  size_t skip_;              // bytes that pass without a look: the preface or a payload
  // A header (or a RST_STREAM frame) of which not all bytes have come.
  char held_[kResetFrameBytes] = {};
  size_t held_size_ = 0;
};

}  // namespace quorate::http2

#endif  // QUORATE_SERVER_HTTP2_FRAME_SCANNER_H_
