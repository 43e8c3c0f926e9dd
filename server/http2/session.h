// One HTTP/2 connection on a byte stream, server or client side: nghttp2 does framing,
// header compression and flow control; this class decides what enters and leaves it.
//
//  - One write a turn: whatever a turn queues is framed once, in FlushQueue's time.
//    Bodies leave by reference (small ones are copied beside the frame headers, where
//    that is cheaper).
//  - Back-pressure: framing stops while the socket's queue is above its high water; a
//    server then stops reading too, so that nothing can pile up.
//  - Policing: resets, pings, settings and other frames that cost and serve nothing are
//    counted here, on the loop's time. nghttp2's own limiter of resets would read the
//    system's clock: it is given no RST_STREAM of an open stream (see FrameScanner).
//
// Lifetime: the owner holds the session and gets rid of it with Dispose, or by destroying
// it in OnSessionClosed or outside of its callbacks.
#ifndef QUORATE_SERVER_HTTP2_SESSION_H_
#define QUORATE_SERVER_HTTP2_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/time.h"
#include "io/loop.h"
#include "io/network.h"
#include "server/http2/field_rules.h"
#include "server/http2/flush_queue.h"
#include "server/http2/frame_scanner.h"
#include "server/http2/options.h"
#include "server/http2/policing.h"
#include "server/http2/stream.h"

struct nghttp2_session;

namespace quorate::http2 {

enum class Side : uint8_t { kServer, kClient };

class Session final : private io::Stream::Handler, private FrameScanner::Sink {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    // Server: a request begins; the stream that is to take it (not attached), or null
    // to refuse it. Never called on a client.
    virtual Stream* OnRequest(Session* session) = 0;
    // Client: the server wants no new requests (GOAWAY). Those that it did not take
    // end with kRefusedStream.
    virtual void OnGoAway(Session* session, const absl::Status& why) {
      (void)session;
      (void)why;
    }
    // The connection is over and every stream has had OnClosed. The owner may destroy
    // the session here. OK after an orderly end.
    virtual void OnSessionClosed(Session* session, const absl::Status& status) = 0;
  };

  Session(Side side, io::Loop* loop, FlushQueue* flush_queue, std::unique_ptr<io::Stream> stream,
          const Options& options, Owner* owner);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  // Streams still open get OnClosed(kCancel).
  ~Session() override;

  // Gets rid of a session in any place, from inside a callback too (its end waits for
  // the end of the callback then). Its streams get OnClosed(kCancel), its owner nothing.
  static void Dispose(std::unique_ptr<Session> session);

  // Begins reading and sends our preface.
  void Start();

  // Client: opens `stream` with these header fields (pseudo-header fields first). With
  // `end` there is no body. False if the session takes no new requests; the stream is
  // not attached then.
  bool Request(Stream* stream, absl::Span<const Header> headers, bool end);

  // Tells the other side to open no new streams, lets open ones end, then closes.
  void Shutdown();

  // Frames and writes what is queued. Called by the FlushQueue.
  void Flush();

  // Internal (nghttp2's view of a body).
  int64_t ReadBody(Stream* stream, size_t room, uint32_t* flags);

  size_t open_streams() const { return open_streams_; }
  // Body bytes that left the streams' queues so far.
  uint64_t body_bytes_framed() const { return body_bytes_framed_; }
  const std::string& peer_address() const { return peer_address_; }
  bool closed() const { return closed_; }
  // Why it ended, for OnClosed of the streams that ended with it.
  const absl::Status& close_status() const { return close_status_; }

 private:
  friend class Stream;
  struct Callbacks;

  // io::Stream::Handler
  void OnData(absl::string_view data) override;
  void OnWritable() override;
  void OnEnd() override;
  void OnClose(const absl::Status& status) override;

  // FrameScanner::Sink
  bool OnBytes(absl::string_view bytes) override;
  bool OnReset(int32_t stream_id, uint32_t code, absl::string_view frame) override;
  bool OnIdleFrame() override;

  void CreateNghttp2();
  void SubmitSettings();
  void Link(Stream* stream, int32_t id);
  void CloseStream(Stream* stream, ErrorCode code);
  void CloseAllStreams(ErrorCode code);
  Stream* FindStream(int32_t id) const;
  bool in_callback() const { return handling_input_ || flushing_ || closing_streams_; }

  // Actions of streams.
  void SubmitResponse(Stream* stream, absl::Span<const Header> headers, bool end);
  int32_t SubmitRequest(Stream* stream, absl::Span<const Header> headers, bool end);
  void ResumeBody(Stream* stream);
  void ResetStream(Stream* stream, ErrorCode code);
  void ConsumeStream(Stream* stream, size_t n);

  // What nghttp2 found in the input.
  int OnBeginHeaders(int32_t id, bool request);
  Stream* BeginRequest(int32_t id);
  int OnHeader(absl::string_view name, absl::string_view value);
  void OnHeadersReceived(int32_t id, bool end);
  void OnDataChunk(int32_t id, absl::string_view data);
  void OnEndReceived(Stream* stream);
  void OnGoAwayReceived(uint32_t code, absl::string_view debug);
  void OnPing();
  void OnPingAck();

  // Output.
  // False if nghttp2 has nothing more to send, or failed (pending_close_ is set).
  bool FrameOne();
  void TellWritable();
  // One frame of nghttp2's, unless it answers a reset.
  void AppendFrame(absl::string_view frame);
  void AppendOutput(absl::string_view bytes);
  void AppendData(int32_t id, absl::string_view header, size_t size);
  void AppendPiece(const Stream::Piece& piece, size_t offset, size_t size);
  void WriteOut();
  void OnFrameSent(int32_t id, bool headers, bool end);
  void OnFrameNotSent(int32_t id);
  void ScheduleFlush();

  void FinishTurn();
  void UpdateReading();
  // Ends the connection for the other side's fault, with GOAWAY.
  void Terminate(ErrorCode code, absl::string_view debug);
  bool Done() const;
  void BeginClose();
  void Close(const absl::Status& status);
  void Abandon();
  void OnTimer();
  void ArmTimer();

  const Side side_;
  io::Loop* const loop_;
  FlushQueue* flush_queue_;
  std::unique_ptr<io::Stream> stream_;
  const Options options_;
  Owner* owner_;
  const std::string peer_address_;
  nghttp2_session* session_ = nullptr;
  FrameScanner scanner_;

  // Streams in order of opening.
  Stream* first_ = nullptr;
  Stream* last_ = nullptr;
  size_t open_streams_ = 0;
  // The stream whose header block is being read; null if it was refused.
  Stream* header_stream_ = nullptr;
  size_t header_bytes_ = 0;  // of that block, refused or not
  FieldRules rules_;         // judges it, on the server's side

  bool started_ = false;
  bool handling_input_ = false;
  bool flush_scheduled_ = false;
  bool flushing_ = false;
  bool closing_streams_ = false;
  bool reading_paused_ = false;
  bool shutdown_ = false;
  bool goaway_received_ = false;
  bool terminating_ = false;  // a GOAWAY for the other side's fault is queued
  bool closing_ = false;      // our last bytes are on their way
  bool closed_ = false;
  std::optional<absl::Status> pending_close_;  // found inside a callback
  absl::Status close_status_;

  size_t unconsumed_ = 0;  // received body bytes to give back to the connection's window
  // Output of the current flush.
  std::optional<BytesBuilder> out_;
  size_t framed_bytes_ = 0;
  uint64_t body_bytes_framed_ = 0;
  size_t expected_output_ = 512;
  // Streams that have sent most of what they had, and are to be told.
  std::vector<int32_t> writable_;
  // Resets that the other side sent: nghttp2's answers to them are left out.
  std::vector<int32_t> silent_resets_;

  TokenBucket resets_;
  TokenBucket idle_frames_;
  PingPolicy pings_;

  std::unique_ptr<io::Timer> timer_;
  Instant last_read_;
  Instant close_deadline_ = Instant::Infinite();
  Instant ping_deadline_ = Instant::Infinite();
  Instant timer_at_ = Instant::Infinite();
};

}  // namespace quorate::http2

#endif  // QUORATE_SERVER_HTTP2_SESSION_H_
