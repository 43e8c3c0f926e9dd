// One HTTP/2 stream: a request and its response, on either side.
//
// An application derives from it and keeps the objects pooled: a Session only refers
// to them. The callbacks run inside the session's handling of input; they may use
// every action of any stream of the session, but may not destroy the session.
#ifndef QUORATE_SERVER_HTTP2_STREAM_H_
#define QUORATE_SERVER_HTTP2_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/bytes.h"

namespace quorate::http2 {

class Session;

// RFC 9113 section 7.
enum class ErrorCode : uint32_t {
  kNoError = 0x0,
  kProtocolError = 0x1,
  kInternalError = 0x2,
  kFlowControlError = 0x3,
  kStreamClosed = 0x5,
  kRefusedStream = 0x7,
  kCancel = 0x8,
  kEnhanceYourCalm = 0xb,
};

// A header field to send. Names are lower case.
struct Header {
  absl::string_view name;
  absl::string_view value;
  // Name and value outlive the session (literals): they are not copied.
  bool is_static = false;
};

class Stream {
 public:
  Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  // Must be detached (OnClosed was called, or it never was opened).
  virtual ~Stream();

  // --- What happens to it, in this order. ---

  // A field of a header block (pseudo-header fields first); the views last for the
  // call. False refuses the stream (it is reset).
  virtual bool OnHeader(absl::string_view name, absl::string_view value) = 0;
  // The block is complete: the request's, the response's (interim 1xx blocks too), or
  // the trailers.
  virtual void OnHeadersEnd(bool trailers) = 0;
  // Part of the body; the view lasts for the call. The receiver gives the bytes back
  // to the flow-control window with Consume, now or later.
  virtual void OnBody(absl::string_view data) = 0;
  // The other side has ended its half.
  virtual void OnEnd() = 0;
  // queued_bytes() fell to kLowWater or below after it was above kHighWater, and the socket takes
  // more.
  virtual void OnWritable() {}
  // Parts of the body, of so many bytes, have left whole: their buffers are ours no longer. Inside
  // of a flush: no action may follow from it.
  virtual void OnBodySent(size_t bytes) { (void)bytes; }
  // The stream is over; the session has forgotten it. kNoError after a complete
  // exchange, else the code of the reset (kRefusedStream: certainly not processed).
  // If the session itself ended, its close_status() says why.
  virtual void OnClosed(ErrorCode code) = 0;

  // --- Actions; all of them do nothing once the stream is closed. ---

  // The response's header fields (server). With `end` there is nothing after them.
  void SendHeaders(absl::Span<const Header> headers, bool end);
  // Queues a part of the body, by reference; `prefix` (at most kMaxPrefix bytes, copied)
  // goes before it.
  void SendBody(Bytes data, absl::string_view prefix = absl::string_view());
  // Ends our half once the body is sent, without or with trailers.
  void EndBody();
  void EndBodyWithTrailers(absl::Span<const Header> trailers);
  // Drops what is queued and resets the stream. OnClosed follows at once.
  void Reset(ErrorCode code);
  // Allows the other side to send `n` more bytes on this stream.
  void Consume(size_t n);

  int32_t stream_id() const { return id_; }
  bool attached() const { return session_ != nullptr; }
  Session* session() const { return session_; }
  // Body bytes that wait for flow control or for the socket.
  size_t queued_bytes() const { return queued_bytes_; }
  // True once the other side ended its half.
  bool remote_ended() const { return remote_ended_; }
  // True once END_STREAM of our half was given to the socket.
  bool local_ended() const { return local_ended_; }
  // True once the first header block was given to the socket.
  bool began() const { return began_; }

  static constexpr size_t kMaxPrefix = 7;
  static constexpr size_t kHighWater = 256 * 1024;
  static constexpr size_t kLowWater = 64 * 1024;

 private:
  friend class Session;

  // Empties the object for its next use, keeping buffers.
  void Detach();

  Session* session_ = nullptr;
  int32_t id_ = 0;
  bool local_end_queued_ = false;  // no more SendBody
  bool local_ended_ = false;
  bool began_ = false;  // its first HEADERS have left
  bool remote_ended_ = false;
  bool deferred_ = false;  // nghttp2 waits to be told of new body bytes
  bool above_high_water_ = false;
  bool got_headers_ = false;  // a header block (no interim one) has come
  // Doubly linked in order of opening.
  Stream* previous_ = nullptr;
  Stream* next_ = nullptr;
  struct Piece {
    Bytes data;
    uint8_t prefix_size = 0;
    char prefix[kMaxPrefix] = {};

    size_t size() const { return prefix_size + data.size(); }
  };
  // Body pieces not yet framed: pieces_[head_] from head_offset_ on.
  std::vector<Piece> pieces_;
  size_t head_ = 0;
  size_t head_offset_ = 0;
  size_t queued_bytes_ = 0;
  // Body bytes that are still to come, if the other side told how many (server).
  std::optional<uint64_t> body_left_;
  // Trailers that wait for the body; texts that are not static are in trailer_text_.
  std::vector<Header> trailers_;
  std::string trailer_text_;
};

}  // namespace quorate::http2

#endif  // QUORATE_SERVER_HTTP2_STREAM_H_
