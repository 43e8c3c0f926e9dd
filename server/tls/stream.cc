#include "server/tls/stream.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace quorate::tls {
namespace {

constexpr size_t kRecordBytes = 16 * 1024;
// Key updates and the like, each of which we must answer, without any data in between.
constexpr uint64_t kMaxReplies = 100;

// Null if it is gone. Keeps nothing alive: it may end during the call that follows.
TlsStream* Locked(const std::weak_ptr<TlsStream*>& weak) {
  const std::shared_ptr<TlsStream*> self = weak.lock();
  return self == nullptr ? nullptr : *self;
}

}  // namespace

TlsStream::TlsStream(io::Loop* loop, HandshakeQueue* queue, std::unique_ptr<io::Stream> below,
                     std::shared_ptr<Session> session, DoneCallback done)
    : loop_(loop),
      queue_(queue),
      below_(std::move(below)),
      session_(std::move(session)),
      done_(std::move(done)),
      self_(std::make_shared<TlsStream*>(this)) {}

TlsStream::~TlsStream() = default;

void TlsStream::Later(void (TlsStream::*function)()) {
  loop_->Defer([weak = std::weak_ptr<TlsStream*>(self_), function] {
    TlsStream* const self = Locked(weak);
    if (self != nullptr) (self->*function)();
  });
}

// ---- Handshake ----

void TlsStream::Handshake() {
  below_->Start(this);
  if (session_->speaks_first()) Step();
}

void TlsStream::Step() {
  step_running_ = true;
  // One step at a time, and nothing read meanwhile.
  below_->PauseReading();
  auto result = std::make_shared<absl::StatusOr<bool>>(false);
  queue_->Run([session = session_, result] { *result = session->Handshake(); },
              [weak = std::weak_ptr<TlsStream*>(self_), result] {
                TlsStream* const self = Locked(weak);
                if (self != nullptr) self->OnStep(*result);
              });
}

void TlsStream::OnStep(const absl::StatusOr<bool>& result) {
  step_running_ = false;
  Bytes output = session_->TakeOutput();
  if (!output.empty()) below_->Write(std::move(output));
  if (!result.ok()) return EndHandshake(result.status());
  if (*result) return EndHandshake(absl::OkStatus());
  if (session_->has_input()) return Step();
  if (below_ended_) {
    return EndHandshake(below_status_.ok() ? absl::UnavailableError("EOF") : below_status_);
  }
  below_->ResumeReading();
}

void TlsStream::EndHandshake(const absl::Status& status) {
  phase_ = status.ok() ? Phase::kOpen : Phase::kFailed;
  if (!status.ok()) below_->ResumeReading();
  // The owner may destroy this stream from there.
  const DoneCallback done = std::exchange(done_, nullptr);
  done(status);
}

void TlsStream::Linger(std::function<void()> ended) {
  lingered_ = std::move(ended);
  below_->CloseAfterFlush();
  if (below_ended_) Later(&TlsStream::ReadRecords);
}

// ---- Reading ----

void TlsStream::Start(io::Stream::Handler* handler) {
  CHECK(handler_ == nullptr && phase_ == Phase::kOpen);
  handler_ = handler;
  if (!paused_) below_->ResumeReading();
  ReadLater();
}

void TlsStream::OnData(absl::string_view data) {
  if (phase_ == Phase::kFailed) return;  // lingering
  session_->Put(data);
  phase_ == Phase::kHandshake ? Step() : ReadRecords();
}

// Gives the handler what has been decrypted, a record at a time, as long as it wants any.
void TlsStream::ReadRecords() {
  read_scheduled_ = false;
  if (phase_ == Phase::kFailed && below_ended_ && lingered_ != nullptr) {
    const std::function<void()> lingered = std::exchange(lingered_, nullptr);
    return lingered();
  }
  if (handler_ == nullptr || phase_ != Phase::kOpen) return;
  const std::weak_ptr<TlsStream*> alive = self_;
  char buffer[kRecordBytes];
  while (!paused_ && !end_told_) {
    size_t size = 0;
    const Session::ReadResult result = session_->Read(buffer, sizeof(buffer), &size);
    if (session_->output_bytes() > 0) {
      below_->Write(session_->TakeOutput());
      ++replies_;
    }
    if (result == Session::ReadResult::kData) {
      replies_ = 0;
      handler_->OnData(absl::string_view(buffer, size));
      if (alive.expired()) return;
      continue;
    }
    if (result == Session::ReadResult::kNothing && replies_ <= kMaxReplies) {
      return DeliverEnd();
    }
    end_told_ = true;
    if (result == Session::ReadResult::kEnded) return handler_->OnEnd();
    broken_ = true;
    return handler_->OnClose(result == Session::ReadResult::kFailed
                                 ? session_->error()
                                 : absl::UnavailableError("tls: too many key updates"));
  }
}

// The stream below is over without a goodbye: whatever was still to come is missing.
void TlsStream::DeliverEnd() {
  if (!below_ended_ || end_told_) return;
  end_told_ = true;
  broken_ = true;
  handler_->OnClose(below_status_.ok() ? absl::UnavailableError("tls: unexpected end of stream")
                                       : below_status_);
}

void TlsStream::ReadLater() {
  if (std::exchange(read_scheduled_, true)) return;
  Later(&TlsStream::ReadRecords);
}

void TlsStream::PauseReading() {
  paused_ = true;
  below_->PauseReading();
}

void TlsStream::ResumeReading() {
  if (!std::exchange(paused_, false)) return;
  below_->ResumeReading();
  ReadLater();
}

void TlsStream::OnEnd() { OnClose(absl::OkStatus()); }

void TlsStream::OnClose(const absl::Status& status) {
  below_ended_ = true;
  below_status_ = status;
  if (phase_ == Phase::kHandshake) {
    if (step_running_) return;
    return EndHandshake(status.ok() ? absl::UnavailableError("EOF") : status);
  }
  ReadRecords();
}

// ---- Writing ----

void TlsStream::Write(Bytes data) {
  if (data.empty() || close_after_flush_ || broken_) return;
  plain_bytes_ += data.size();
  plain_.push_back(std::move(data));
  if (write_queue_bytes() > kWriteHighWater) above_high_water_ = true;
  FlushLater();
}

size_t TlsStream::write_queue_bytes() const { return plain_bytes_ + below_->write_queue_bytes(); }

void TlsStream::FlushLater() {
  if (std::exchange(flush_scheduled_, true)) return;
  Later(&TlsStream::Flush);
}

void TlsStream::Flush() {
  flush_scheduled_ = false;
  if (phase_ != Phase::kOpen) return;
  while (plain_bytes_ > 0 && below_->write_queue_bytes() <= kWriteHighWater) EncryptSome();
  if (plain_bytes_ > 0) return;  // OnWritable goes on
  if (close_after_flush_ && !std::exchange(closed_, true)) {
    session_->Shutdown();
    if (session_->output_bytes() > 0) below_->Write(session_->TakeOutput());
    below_->CloseAfterFlush();
  }
  // Else the stream below tells when it has room again.
  if (above_high_water_ && below_->write_queue_bytes() <= kWriteHighWater) {
    Later(&TlsStream::TellWritable);
  }
}

// A few records, of small pieces together.
void TlsStream::EncryptSome() {
  constexpr size_t kAtOnce = 8 * kRecordBytes;
  while (plain_bytes_ > 0 && session_->output_bytes() < kAtOnce) {
    record_.clear();
    while (!plain_.empty() && record_.size() < kRecordBytes) {
      Bytes& piece = plain_.front();
      const size_t taken = std::min(piece.size(), kRecordBytes - record_.size());
      record_.append(piece.data(), taken);
      if (taken == piece.size()) {
        plain_.pop_front();
      } else {
        piece = piece.Slice(taken, piece.size() - taken);
      }
    }
    plain_bytes_ -= record_.size();
    session_->Write(record_);
  }
  below_->Write(session_->TakeOutput());
}

void TlsStream::OnWritable() {
  if (phase_ != Phase::kOpen) return;
  Flush();
  if (plain_bytes_ == 0) TellWritable();
}

void TlsStream::TellWritable() {
  if (!above_high_water_ || handler_ == nullptr || broken_) return;
  if (write_queue_bytes() > kWriteHighWater) return;
  above_high_water_ = false;
  handler_->OnWritable();
}

void TlsStream::CloseAfterFlush() {
  close_after_flush_ = true;
  FlushLater();
}

}  // namespace quorate::tls
