// What comes in: bytes, through the scanner and nghttp2, to streams.
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "server/http2/session.h"

namespace quorate::http2 {

// nghttp2's callbacks, each only a call of a Session's function.
struct Session::Callbacks {
  static absl::string_view View(const uint8_t* data, size_t size) {
    return absl::string_view(reinterpret_cast<const char*>(data), size);
  }
  static Session* Self(void* user) { return static_cast<Session*>(user); }

  static int OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    return Self(user)->OnBeginHeaders(frame->hd.stream_id,
                                      frame->headers.cat == NGHTTP2_HCAT_REQUEST);
  }
  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                      size_t name_size, const uint8_t* value, size_t value_size, uint8_t,
                      void* user) {
    (void)frame;
    return Self(user)->OnHeader(View(name, name_size), View(value, value_size));
  }
  static int OnDataChunk(nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size,
                         void* user) {
    Self(user)->OnDataChunk(id, View(data, size));
    return 0;
  }
  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Session* const self = Self(user);
    const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
        self->OnHeadersReceived(frame->hd.stream_id, end);
        break;
      case NGHTTP2_DATA:
        if (end) self->OnEndReceived(self->FindStream(frame->hd.stream_id));
        break;
      case NGHTTP2_PING:
        (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 ? self->OnPingAck() : self->OnPing();
        break;
      case NGHTTP2_GOAWAY:
        self->OnGoAwayReceived(frame->goaway.error_code,
                               View(frame->goaway.opaque_data, frame->goaway.opaque_data_len));
        break;
      default:
        break;
    }
    return 0;
  }
  static int OnStreamClose(nghttp2_session*, int32_t id, uint32_t code, void* user) {
    Session* const self = Self(user);
    Stream* const stream = self->FindStream(id);
    if (stream != nullptr) self->CloseStream(stream, static_cast<ErrorCode>(code));
    return 0;
  }
  static int OnFrameSent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    Self(user)->OnFrameSent(frame->hd.stream_id, frame->hd.type == NGHTTP2_HEADERS,
                            (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0);
    return 0;
  }
  static int OnFrameNotSent(nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
    if (frame->hd.type == NGHTTP2_HEADERS) Self(user)->OnFrameNotSent(frame->hd.stream_id);
    return 0;
  }
  static int SendData(nghttp2_session*, nghttp2_frame* frame, const uint8_t* header, size_t size,
                      nghttp2_data_source*, void* user) {
    Self(user)->AppendData(frame->hd.stream_id, View(header, 9), size);
    return 0;
  }
};

void Session::CreateNghttp2() {
  nghttp2_session_callbacks* callbacks = nullptr;
  CHECK_EQ(nghttp2_session_callbacks_new(&callbacks), 0);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, &Callbacks::OnBeginHeaders);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, &Callbacks::OnHeader);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, &Callbacks::OnDataChunk);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, &Callbacks::OnFrame);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, &Callbacks::OnStreamClose);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, &Callbacks::OnFrameSent);
  nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, &Callbacks::OnFrameNotSent);
  nghttp2_session_callbacks_set_send_data_callback(callbacks, &Callbacks::SendData);

  nghttp2_option* option = nullptr;
  CHECK_EQ(nghttp2_option_new(&option), 0);
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_no_auto_window_update(option, 1);
  if (side_ == Side::kServer) nghttp2_option_set_no_http_messaging(option, 1);  // FieldRules
  // OnBeginHeaders enforces the limit: nghttp2 still counts streams whose reset waits to
  // be flushed.
  nghttp2_option_set_peer_max_concurrent_streams(option, Options::kMaxStreams);
  CHECK_EQ(side_ == Side::kServer ? nghttp2_session_server_new2(&session_, callbacks, this, option)
                                  : nghttp2_session_client_new2(&session_, callbacks, this, option),
           0);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
}

Stream* Session::FindStream(int32_t id) const {
  return static_cast<Stream*>(nghttp2_session_get_stream_user_data(session_, id));
}

void Session::OnData(absl::string_view data) {
  if (closed_ || closing_ || terminating_) return;
  last_read_ = loop_->Now();
  ping_deadline_ = Instant::Infinite();
  handling_input_ = true;
  (void)scanner_.Scan(data);
  handling_input_ = false;
  if (owner_ == nullptr) return;  // disposed of meanwhile
  if (unconsumed_ > 0) {
    (void)nghttp2_session_consume_connection(session_, std::exchange(unconsumed_, 0));
  }
  FinishTurn();
}

bool Session::OnBytes(absl::string_view bytes) {
  const ssize_t taken = nghttp2_session_mem_recv(
      session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  if (terminating_) return false;  // says goodbye first
  if (taken < 0) {
    pending_close_ = absl::InvalidArgumentError(absl::StrCat(
        "bad HTTP/2 input from ", peer_address_, ": ", nghttp2_strerror(static_cast<int>(taken))));
    return false;
  }
  return !closed_;
}

// Debian's nghttp2 would look at the clock here. We close the stream for the application
// at once; for nghttp2 a reset of our own does, which then is not let out.
bool Session::OnReset(int32_t stream_id, uint32_t code, absl::string_view frame) {
  if (side_ == Side::kClient) return OnBytes(frame);  // clients have no such limiter
  if (!resets_.Take(last_read_)) {
    Terminate(ErrorCode::kEnhanceYourCalm, "too_many_resets");
    return false;
  }
  if (nghttp2_session_find_stream(session_, stream_id) == nullptr) return true;
  Stream* const stream = FindStream(stream_id);
  silent_resets_.push_back(stream_id);
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream_id, code);
  if (stream != nullptr) CloseStream(stream, static_cast<ErrorCode>(code));
  return !closed_;
}

bool Session::OnIdleFrame() {
  if (idle_frames_.Take(last_read_)) return true;
  Terminate(ErrorCode::kEnhanceYourCalm, "too_many_idle_frames");
  return false;
}

int Session::OnBeginHeaders(int32_t id, bool request) {
  header_bytes_ = 0;
  rules_.Begin(/*trailers=*/!request);
  // What is no request is a response, or trailers.
  header_stream_ = request ? BeginRequest(id) : FindStream(id);
  return 0;
}

Stream* Session::BeginRequest(int32_t id) {
  Stream* stream = nullptr;
  if (owner_ != nullptr && open_streams_ < options_.max_concurrent_streams) {
    stream = owner_->OnRequest(this);
  }
  if (stream == nullptr) {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
    return nullptr;  // the rest of it is read over
  }
  Link(stream, id);
  nghttp2_session_set_stream_user_data(session_, id, stream);
  return stream;
}

int Session::OnHeader(absl::string_view name, absl::string_view value) {
  header_bytes_ += name.size() + value.size() + 32;
  if (header_bytes_ / Options::kHeaderBlockExcess > options_.max_header_list_bytes) {
    Terminate(ErrorCode::kEnhanceYourCalm, "header_list_too_large");
    return NGHTTP2_ERR_CALLBACK_FAILURE;  // nothing more of the input is read
  }
  Stream* const stream = header_stream_;
  if (stream == nullptr) return 0;
  if (header_bytes_ > options_.max_header_list_bytes) {
    ResetStream(stream, ErrorCode::kEnhanceYourCalm);
  } else if ((side_ == Side::kServer && !rules_.Field(name, value)) ||
             (!stream->OnHeader(name, value) && stream->attached())) {
    ResetStream(stream, ErrorCode::kProtocolError);
  }
  return 0;
}

void Session::OnHeadersReceived(int32_t id, bool end) {
  Stream* const stream = std::exchange(header_stream_, nullptr);
  if (stream == nullptr) return;
  // A client sees interim blocks (1xx) as headers too; it knows by their status. A server
  // gets two blocks at most, the second one behind the body.
  const bool trailers = end && stream->got_headers_;
  if (side_ == Side::kServer) {
    const bool second = std::exchange(stream->got_headers_, true);
    if (!rules_.Complete() || (second && !end)) {
      return ResetStream(stream, ErrorCode::kProtocolError);
    }
    if (!second) stream->body_left_ = rules_.content_length();
  }
  stream->got_headers_ = true;
  stream->OnHeadersEnd(trailers);
  if (end && FindStream(id) == stream) OnEndReceived(stream);
}

void Session::OnDataChunk(int32_t id, absl::string_view data) {
  unconsumed_ += data.size();
  Stream* const stream = FindStream(id);
  if (stream == nullptr) return;
  if (stream->body_left_.has_value()) {
    if (data.size() > *stream->body_left_) return ResetStream(stream, ErrorCode::kProtocolError);
    *stream->body_left_ -= data.size();
  }
  stream->OnBody(data);
}

void Session::OnEndReceived(Stream* stream) {
  if (stream == nullptr) return;
  if (stream->body_left_.value_or(0) != 0) return ResetStream(stream, ErrorCode::kProtocolError);
  stream->remote_ended_ = true;
  stream->OnEnd();
}

void Session::OnGoAwayReceived(uint32_t code, absl::string_view debug) {
  if (side_ == Side::kServer) return;  // a client that leaves: its streams end first
  const bool first = !std::exchange(goaway_received_, true);
  if (first && owner_ != nullptr) {
    owner_->OnGoAway(this, absl::UnavailableError(absl::StrCat(
                               peer_address_, " sent GOAWAY: ", nghttp2_http2_strerror(code),
                               debug.empty() ? "" : ", ", debug)));
  }
}

void Session::OnEnd() {
  if (closed_) return;
  Close(closing_ || open_streams_ == 0
            ? absl::OkStatus()
            : absl::UnavailableError(absl::StrCat("connection closed by ", peer_address_)));
}

void Session::OnClose(const absl::Status& status) {
  if (closed_) return;
  Close(status.ok() || closing_
            ? status
            : absl::UnavailableError(
                  absl::StrCat("connection to ", peer_address_, " failed: ", status.message())));
}

}  // namespace quorate::http2
