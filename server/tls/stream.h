// A byte stream over TLS over another byte stream.
//
// Life: the handshake runs as soon as the stream is made, its steps on the queue; then it
// is an io::Stream for whoever gets it. What a writer queues is encrypted at the end of the
// turn, in whole records, and only as far as the stream below takes it: the bytes that wait
// are counted once, whichever side of the encryption they are on.
#ifndef QUORATE_SERVER_TLS_STREAM_H_
#define QUORATE_SERVER_TLS_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "io/loop.h"
#include "io/network.h"
#include "server/tls/handshake_queue.h"
#include "server/tls/session.h"

namespace quorate::tls {

class TlsStream final : public io::Stream, private io::Stream::Handler {
 public:
  using DoneCallback = std::function<void(const absl::Status&)>;

  // Takes over a fresh, not yet started stream. `done` comes once, later, with the
  // handshake's outcome, unless the stream is destroyed before; it may destroy the stream.
  TlsStream(io::Loop* loop, HandshakeQueue* queue, std::unique_ptr<io::Stream> below,
            std::shared_ptr<Session> session, DoneCallback done);
  ~TlsStream() override;

  // Begins. Not before the owner can find the stream again.
  void Handshake();
  // After a failed handshake: lets the alert go out and ends our side. The stream is to be
  // destroyed when `ended` comes (or any time).
  void Linger(std::function<void()> ended);

  // Once the handshake has succeeded.
  std::string alpn() const { return session_->alpn(); }
  std::string verified_name() const { return session_->verified_name(); }

  void Start(io::Stream::Handler* handler) override;
  void Write(Bytes data) override;
  size_t write_queue_bytes() const override;
  void PauseReading() override;
  void ResumeReading() override;
  void CloseAfterFlush() override;
  const std::string& peer_address() const override { return below_->peer_address(); }

 private:
  enum class Phase { kHandshake, kOpen, kFailed };

  void OnData(absl::string_view data) override;
  void OnWritable() override;
  void OnEnd() override;
  void OnClose(const absl::Status& status) override;

  void Step();
  void OnStep(const absl::StatusOr<bool>& result);
  void EndHandshake(const absl::Status& status);
  void ReadRecords();
  void DeliverEnd();
  void ReadLater();
  void FlushLater();
  void Flush();
  void EncryptSome();
  void TellWritable();
  // Runs a member function in an event of its own, if the stream still is there.
  void Later(void (TlsStream::*function)());

  io::Loop* const loop_;
  HandshakeQueue* const queue_;
  const std::unique_ptr<io::Stream> below_;
  const std::shared_ptr<Session> session_;  // also the running step's
  DoneCallback done_;
  std::function<void()> lingered_;
  Phase phase_ = Phase::kHandshake;
  bool step_running_ = false;
  bool below_ended_ = false;
  absl::Status below_status_;  // of its end

  io::Stream::Handler* handler_ = nullptr;
  bool paused_ = false;
  bool end_told_ = false;  // the handler will hear nothing more
  bool broken_ = false;    // and says nothing more
  bool read_scheduled_ = false;
  uint64_t replies_ = 0;  // records that reading made us send, since the last data

  std::deque<Bytes> plain_;  // to be encrypted
  size_t plain_bytes_ = 0;
  std::string record_;  // scratch
  bool flush_scheduled_ = false;
  bool close_after_flush_ = false;
  bool closed_ = false;
  bool above_high_water_ = false;
  std::shared_ptr<TlsStream*> self_;  // what deferred callbacks hold
};

}  // namespace quorate::tls

#endif  // QUORATE_SERVER_TLS_STREAM_H_
