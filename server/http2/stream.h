// One HTTP/2 stream: a request and its response, on either side.
//
// An application derives from it and keeps the objects pooled: a Session only refers
// to them. The callbacks run inside the session's handling of input; they may use
// every action of any stream of the session, but may not destroy the session.
#ifndef QUORATE_SERVER_HTTP2_STREAM_H_
#define QUORATE_SERVER_HTTP2_STREAM_H_

#include <cstddef>
#include <cstdint>
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
  // queued_bytes() fell to kLowWater or below after it was above kHighWater.
  virtual void OnWritable() {}
  // The stream is over; the session has forgotten it. kNoError after a complete
  // exchange, else the code of the reset (kRefusedStream: certainly not processed).
  virtual void OnClosed(ErrorCode code) = 0;

  // --- Actions; all of them do nothing once the stream is closed. ---

  // The response's header fields (server). With `end` there is nothing after them.
  void SendHeaders(absl::Span<const Header> headers, bool end);
  // Queues a part of the body, by reference.
  void SendBody(Bytes data);
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

  static constexpr size_t kHighWater = 256 * 1024;
  static constexpr size_t kLowWater = 64 * 1024;

 private:
  friend class Session;

  // Empties the object for its next use, keeping buffers.
  void Detach();

  Session* session_ = nullptr;
  int32_t id_ = 0;
  bool headers_sent_ = false;
  bool local_end_queued_ = false;  // no more SendBody
  bool local_ended_ = false;       // END_STREAM has left
  bool remote_ended_ = false;
  bool deferred_ = false;  // nghttp2 waits to be told of new body bytes
  bool above_high_water_ = false;
  bool in_headers_ = false;
  // Doubly linked in order of opening.
  Stream* previous_ = nullptr;
  Stream* next_ = nullptr;
  // Body pieces not yet framed: pieces_[head_] from head_offset_ on.
  std::vector<Bytes> pieces_;
  size_t head_ = 0;
  size_t head_offset_ = 0;
  size_t queued_bytes_ = 0;
  size_t header_bytes_ = 0;
  // Trailers that wait for the body: name and value alternate.
  std::vector<std::string> trailers_;
};

}  // namespace quorate::http2

#endif  // QUORATE_SERVER_HTTP2_STREAM_H_
