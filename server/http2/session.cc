// Life of a session: creation, orderly and other ends, timers, policing. Its input is
// in session_input.cc, its output in session_output.cc.
#include "server/http2/session.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace quorate::http2 {

Session::Session(Side side, io::Loop* loop, FlushQueue* flush_queue,
                 std::unique_ptr<io::Stream> stream, const Options& options, Owner* owner)
    : side_(side),
      loop_(loop),
      flush_queue_(flush_queue),
      stream_(std::move(stream)),
      options_(options),
      owner_(owner),
      peer_address_(stream_->peer_address()),
      scanner_(this, side == Side::kServer),
      resets_(options.reset_burst, options.reset_rate),
      idle_frames_(options.idle_frame_burst, options.idle_frame_rate),
      pings_(options),
      timer_(loop->NewTimer([this] { OnTimer(); })),
      last_read_(loop->Now()) {
  CreateNghttp2();
}

Session::~Session() {
  CHECK(!in_callback());
  Abandon();
  nghttp2_session_del(session_);
}

void Session::Dispose(std::unique_ptr<Session> session) {
  if (session == nullptr) return;
  session->Abandon();
  if (!session->in_callback()) return;
  io::Loop* const loop = session->loop_;
  loop->Defer([last = std::shared_ptr<Session>(std::move(session))] {});
}

void Session::Abandon() {
  owner_ = nullptr;
  if (flush_queue_ != nullptr) flush_queue_->Remove(this);
  flush_queue_ = nullptr;
  timer_.reset();
  stream_.reset();
  closed_ = true;
  CloseAllStreams(ErrorCode::kCancel);
}

void Session::Start() {
  CHECK(!started_);
  started_ = true;
  SubmitSettings();
  ArmTimer();
  ScheduleFlush();
  stream_->Start(this);
}

void Session::SubmitSettings() {
  nghttp2_settings_entry entries[4];
  size_t count = 0;
  const auto add = [&](int32_t id, uint32_t value) { entries[count++] = {id, value}; };
  add(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options_.stream_window);
  add(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, options_.max_header_list_bytes);
  if (side_ == Side::kClient) {
    add(NGHTTP2_SETTINGS_ENABLE_PUSH, 0);
  } else if (options_.max_concurrent_streams < Options::kMaxStreams) {
    add(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options_.max_concurrent_streams);
  }
  // No priority tree: streams take turns.
  add(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1);
  CHECK_EQ(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, entries, count), 0);
  CHECK_EQ(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                                 static_cast<int32_t>(options_.connection_window)),
           0);
}

bool Session::Request(Stream* stream, absl::Span<const Header> headers, bool end) {
  CHECK(side_ == Side::kClient);
  CHECK(!stream->attached());
  if (closed_ || closing_ || terminating_ || shutdown_ || goaway_received_) return false;
  const int32_t id = SubmitRequest(stream, headers, end);
  if (id < 0) return false;  // stream ids are used up
  Link(stream, id);
  stream->local_end_queued_ = end;
  ScheduleFlush();
  return true;
}

void Session::Link(Stream* stream, int32_t id) {
  CHECK(!stream->attached());
  stream->session_ = this;
  stream->id_ = id;
  stream->began_ = false;
  stream->local_ended_ = false;
  stream->remote_ended_ = false;
  stream->previous_ = last_;
  stream->next_ = nullptr;
  (last_ != nullptr ? last_->next_ : first_) = stream;
  last_ = stream;
  ++open_streams_;
}

void Session::CloseStream(Stream* stream, ErrorCode code) {
  CHECK(stream->session_ == this);
  (stream->previous_ != nullptr ? stream->previous_->next_ : first_) = stream->next_;
  (stream->next_ != nullptr ? stream->next_->previous_ : last_) = stream->previous_;
  stream->previous_ = nullptr;
  stream->next_ = nullptr;
  --open_streams_;
  if (header_stream_ == stream) header_stream_ = nullptr;
  nghttp2_session_set_stream_user_data(session_, stream->id_, nullptr);
  stream->Detach();
  stream->OnClosed(code);
}

void Session::CloseAllStreams(ErrorCode code) {
  const bool outermost = !std::exchange(closing_streams_, true);
  while (first_ != nullptr) CloseStream(first_, code);
  if (outermost) closing_streams_ = false;
}

void Session::ResetStream(Stream* stream, ErrorCode code) {
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream->id_, static_cast<uint32_t>(code));
  ScheduleFlush();
  CloseStream(stream, code);
}

void Session::ConsumeStream(Stream* stream, size_t n) {
  // Fails only for a stream that nghttp2 has closed, whose window is of no interest.
  (void)nghttp2_session_consume_stream(session_, stream->id_, n);
  if (!handling_input_) ScheduleFlush();
}

void Session::Shutdown() {
  if (shutdown_ || closed_ || closing_ || terminating_) return;
  shutdown_ = true;
  if (side_ == Side::kClient) {
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, nullptr, 0);
  } else {
    // Requests that are under way are still served: the notice goes first, and the final
    // GOAWAY when the client has surely seen it (RFC 9113 section 6.8).
    nghttp2_submit_shutdown_notice(session_);
    nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
  }
  ScheduleFlush();
}

void Session::Terminate(ErrorCode code, absl::string_view debug) {
  if (terminating_ || closing_ || closed_) return;
  terminating_ = true;
  close_status_ = absl::ResourceExhaustedError(debug);
  nghttp2_submit_goaway(
      session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
      static_cast<uint32_t>(code), reinterpret_cast<const uint8_t*>(debug.data()), debug.size());
}

void Session::ScheduleFlush() {
  if (flush_scheduled_ || flushing_ || closed_ || !started_) return;
  flush_scheduled_ = true;
  flush_queue_->Schedule(this);
}

// At the end of whatever the stream, the flush queue or the timer called.
void Session::FinishTurn() {
  if (closed_) return;
  if (pending_close_.has_value()) return Close(*pending_close_);
  if (closing_) return;
  if (Done()) return BeginClose();
  UpdateReading();
  if (nghttp2_session_want_write(session_) != 0) {
    // Above the high water OnWritable flushes.
    if (stream_->write_queue_bytes() <= io::Stream::kWriteHighWater) ScheduleFlush();
  }
}

bool Session::Done() const {
  return nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
}

// Everything is said: lets the last bytes out, which the peer may be slow to take.
void Session::BeginClose() {
  closing_ = true;
  CloseAllStreams(ErrorCode::kCancel);
  if (closed_) return;  // disposed of meanwhile
  close_deadline_ = loop_->Now() + options_.close_timeout;
  ArmTimer();
  if (std::exchange(reading_paused_, false)) stream_->ResumeReading();
  stream_->CloseAfterFlush();
}

void Session::Close(const absl::Status& status) {
  if (closed_) return;
  closed_ = true;
  if (close_status_.ok()) close_status_ = status;
  stream_.reset();
  timer_.reset();
  flush_queue_->Remove(this);
  CloseAllStreams(ErrorCode::kCancel);
  if (owner_ != nullptr) owner_->OnSessionClosed(this, close_status_);
}

// A server that cannot get rid of its answers takes no more requests. A client always
// reads: two sides that wait for each other to read would wait for ever.
void Session::UpdateReading() {
  if (side_ == Side::kClient) return;
  const bool pause = stream_->write_queue_bytes() > io::Stream::kWriteHighWater;
  if (pause == reading_paused_) return;
  reading_paused_ = pause;
  pause ? stream_->PauseReading() : stream_->ResumeReading();
}

void Session::OnPing() {
  if (side_ == Side::kClient) return;
  if (!pings_.OnPing(loop_->Now(), open_streams_ > 0)) {
    Terminate(ErrorCode::kEnhanceYourCalm, "too_many_pings");
  }
}

void Session::OnPingAck() {
  if (!shutdown_ || side_ == Side::kClient) return;
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                        nullptr, 0);
}

void Session::ArmTimer() {
  Instant next = std::min(close_deadline_, ping_deadline_);
  if (options_.keepalive_interval != Duration::Infinite()) {
    next = std::min(next, last_read_ + options_.keepalive_interval);
  }
  if (next >= timer_at_) return;  // it fires early and is set again then
  timer_at_ = next;
  timer_->Set(next);
}

void Session::OnTimer() {
  timer_at_ = Instant::Infinite();
  const Instant now = loop_->Now();
  if (now >= close_deadline_) return Close(absl::OkStatus());
  if (now >= ping_deadline_) {
    return Close(absl::UnavailableError(
        absl::StrCat("keepalive ping to ", peer_address_, " was not answered in time")));
  }
  if (!closing_ && ping_deadline_ == Instant::Infinite() &&
      options_.keepalive_interval != Duration::Infinite() &&
      now - last_read_ >= options_.keepalive_interval) {
    nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
    ping_deadline_ = now + options_.keepalive_timeout;
    ScheduleFlush();
  }
  ArmTimer();
}

}  // namespace quorate::http2
