// What goes out: frames of a turn in one buffer, large bodies by reference.
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/coding.h"
#include "server/http2/nv.h"
#include "server/http2/session.h"

namespace quorate::http2 {
namespace {

// Smaller pieces of a body are copied beside their frame header: a copy costs less than
// another entry in the list that the system call gathers.
constexpr size_t kReferenceBytes = 2048;
// Bounds of the buffer that a flush begins with.
constexpr size_t kMinOutput = 512;
constexpr size_t kMaxOutput = 64 * 1024;

constexpr size_t kResetFrameBytes = 13;

ssize_t ReadBodyCallback(nghttp2_session* nghttp2, int32_t id, uint8_t*, size_t room,
                         uint32_t* flags, nghttp2_data_source* source, void*) {
  auto* const stream = static_cast<Stream*>(nghttp2_session_get_stream_user_data(nghttp2, id));
  if (stream == nullptr) return NGHTTP2_ERR_DEFERRED;  // its reset is on the way
  return static_cast<Session*>(source->ptr)->ReadBody(stream, room, flags);
}

}  // namespace

void Session::SubmitResponse(Stream* stream, absl::Span<const Header> headers, bool end) {
  const NvList list = ToNvList(headers);
  nghttp2_data_provider body;
  body.source.ptr = this;
  body.read_callback = &ReadBodyCallback;
  // Fails only for a stream that nghttp2 has closed: its OnClosed is on the way.
  (void)nghttp2_submit_response(session_, stream->id_, list.data(), list.size(),
                                end ? nullptr : &body);
  ScheduleFlush();
}

int32_t Session::SubmitRequest(Stream* stream, absl::Span<const Header> headers, bool end) {
  const NvList list = ToNvList(headers);
  nghttp2_data_provider body;
  body.source.ptr = this;
  body.read_callback = &ReadBodyCallback;
  return nghttp2_submit_request(session_, nullptr, list.data(), list.size(), end ? nullptr : &body,
                                stream);
}

void Session::ResumeBody(Stream* stream) {
  if (stream->deferred_) {
    stream->deferred_ = false;
    (void)nghttp2_session_resume_data(session_, stream->id_);
  }
  ScheduleFlush();
}

// How many of the stream's bytes the next DATA frame carries.
int64_t Session::ReadBody(Stream* stream, size_t room, uint32_t* flags) {
  const size_t size = std::min(room, stream->queued_bytes_);
  if (size == stream->queued_bytes_ && stream->local_end_queued_) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (!stream->trailers_.empty()) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      const NvList list = ToNvList(stream->trailers_);
      (void)nghttp2_submit_trailer(session_, stream->id_, list.data(), list.size());
    }
  } else if (size == 0) {
    stream->deferred_ = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  return static_cast<int64_t>(size);
}

void Session::Flush() {
  flush_scheduled_ = false;
  if (closed_ || closing_) return;
  flushing_ = true;
  while (!closed_ && framed_bytes_ + stream_->write_queue_bytes() <= io::Stream::kWriteHighWater &&
         FrameOne()) {
  }
  WriteOut();
  TellWritable();
  flushing_ = false;
  if (owner_ == nullptr) return;  // disposed of meanwhile
  expected_output_ = std::clamp(framed_bytes_ + framed_bytes_ / 4, kMinOutput, kMaxOutput);
  framed_bytes_ = 0;
  if (terminating_ && !closed_ && !closing_) return BeginClose();
  FinishTurn();
}

// Those whose bodies may go on hear of it here: nghttp2 gives one frame of a body after the other
// without a pause, so that who was told in between could fill the socket's queue without end.
void Session::TellWritable() {
  if (closed_ || writable_.empty()) return;
  if (stream_->write_queue_bytes() > io::Stream::kWriteHighWater) return;
  std::vector<int32_t> told;
  std::swap(told, writable_);
  for (const int32_t id : told) {
    if (closed_) return;
    Stream* const stream = FindStream(id);
    if (stream != nullptr && !stream->above_high_water_) stream->OnWritable();
  }
}

bool Session::FrameOne() {
  const uint8_t* data = nullptr;
  const ssize_t size = nghttp2_session_mem_send(session_, &data);
  if (size < 0) {
    pending_close_ = absl::InternalError(
        absl::StrCat("cannot frame output: ", nghttp2_strerror(static_cast<int>(size))));
    return false;
  }
  if (size == 0) {
    // nghttp2 has said everything; a reset that it found to be needless never comes.
    silent_resets_.clear();
    return false;
  }
  AppendFrame(absl::string_view(reinterpret_cast<const char*>(data), static_cast<size_t>(size)));
  return true;
}

void Session::AppendFrame(absl::string_view frame) {
  if (!silent_resets_.empty() && frame.size() == kResetFrameBytes &&
      frame[3] == NGHTTP2_RST_STREAM) {
    const auto id = static_cast<int32_t>(LoadBe32(frame.data() + 5));
    const auto found = std::find(silent_resets_.begin(), silent_resets_.end(), id);
    if (found != silent_resets_.end()) {
      silent_resets_.erase(found);
      return;
    }
  }
  AppendOutput(frame);
}

void Session::AppendOutput(absl::string_view bytes) {
  if (closed_) return;
  if (!out_.has_value()) out_.emplace(expected_output_);
  out_->Append(bytes);
  framed_bytes_ += bytes.size();
}

// A DATA frame: its header, then `size` bytes off the front of the stream's body.
void Session::AppendData(int32_t id, absl::string_view header, size_t size) {
  AppendOutput(header);
  Stream* const stream = FindStream(id);
  CHECK(stream != nullptr);
  CHECK(size <= stream->queued_bytes_);
  stream->queued_bytes_ -= size;
  body_bytes_framed_ += size;
  size_t sent = 0;
  while (size > 0) {
    Stream::Piece& piece = stream->pieces_[stream->head_];
    const size_t n = std::min(size, piece.size() - stream->head_offset_);
    AppendPiece(piece, stream->head_offset_, n);
    size -= n;
    stream->head_offset_ += n;
    if (stream->head_offset_ == piece.size()) {
      sent += piece.size();
      piece.data = Bytes();
      ++stream->head_;
      stream->head_offset_ = 0;
    }
  }
  if (stream->queued_bytes_ == 0) {
    stream->pieces_.clear();
    stream->head_ = 0;
  } else if (stream->head_ >= 64 && stream->head_ * 2 >= stream->pieces_.size()) {
    stream->pieces_.erase(stream->pieces_.begin(),
                          stream->pieces_.begin() + static_cast<ptrdiff_t>(stream->head_));
    stream->head_ = 0;
  }
  if (sent > 0) stream->OnBodySent(sent);
  if (stream->above_high_water_ && stream->queued_bytes_ <= Stream::kLowWater) {
    stream->above_high_water_ = false;
    writable_.push_back(id);
  }
}

void Session::AppendPiece(const Stream::Piece& piece, size_t offset, size_t size) {
  if (offset < piece.prefix_size) {
    const size_t n = std::min(size, piece.prefix_size - offset);
    AppendOutput(absl::string_view(piece.prefix + offset, n));
    offset += n;
    size -= n;
  }
  if (size == 0) return;
  offset -= piece.prefix_size;
  if (size < kReferenceBytes) {
    AppendOutput(piece.data.view().substr(offset, size));
  } else if (!closed_) {
    WriteOut();
    framed_bytes_ = 0;
    stream_->Write(piece.data.Slice(offset, size));
  }
}

void Session::WriteOut() {
  if (!out_.has_value() || closed_) return;
  stream_->Write(std::move(*out_).Finish());
  out_.reset();
}

void Session::OnFrameSent(int32_t id, bool headers, bool end) {
  pings_.OnSent();
  if (!headers && !end) return;
  Stream* const stream = FindStream(id);
  if (stream == nullptr) return;
  stream->began_ = true;
  if (end) stream->local_ended_ = true;
  // The answer is complete: a client that still talks is told to stop (RFC 9113 section 8.1).
  if (end && side_ == Side::kServer && !stream->remote_ended_) {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
  }
}

// A header block that cannot be sent (too large): the stream cannot go on without it. A
// client's request is closed by nghttp2 itself then.
void Session::OnFrameNotSent(int32_t id) {
  if (side_ == Side::kClient) return;
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_INTERNAL_ERROR);
}

void Session::OnWritable() {
  if (closed_ || closing_) return;
  UpdateReading();
  Flush();
}

}  // namespace quorate::http2
