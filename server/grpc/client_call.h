// One call on the client's side. Private to this room.
#ifndef QUORATE_SERVER_GRPC_CLIENT_CALL_H_
#define QUORATE_SERVER_GRPC_CLIENT_CALL_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/time.h"
#include "server/grpc/channel.h"
#include "server/grpc/codec.h"
#include "server/http2/stream.h"

namespace quorate::grpc {

// Objects are pooled by their Channel. Active from Prepare to Complete or Drop.
class ClientCall final : public http2::Stream {
 public:
  ClientCall(Channel* channel, uint32_t slot) : channel_(channel), slot_(slot) {}

  void Prepare(uint64_t id, absl::string_view path, const CallOptions& options, Instant deadline);
  // What the application wants of it: one of these.
  void SetUnary(Bytes request, ResultCallback callback);
  void SetStream(ClientStream* stream, ClientStreamHandler* handler);

  // Opens it on the session. False if the session takes no more requests.
  bool Open(http2::Session* session);
  // Ends it for the application, whose callback is the last thing that happens.
  void Complete(const absl::Status& status, bool unprocessed);
  // Ends it without a word.
  void Drop();
  // The channel is gone.
  void Orphan();

  // ClientStream's actions.
  void SendMessage(Bytes message);
  void HalfClose();
  void PauseReading() { paused_ = true; }
  void ResumeReading();
  size_t unsent_bytes() const { return queued_bytes() + early_bytes_; }

  // True if the server may have seen something of it.
  bool sent() const { return attached() && began(); }
  uint64_t id() const { return id_; }
  uint32_t slot() const { return slot_; }
  uint64_t NextGeneration() { return ++generation_; }
  Instant deadline() const { return deadline_; }

 private:
  bool OnHeader(absl::string_view name, absl::string_view value) override;
  void OnHeadersEnd(bool trailers) override;
  void OnBody(absl::string_view data) override;
  void OnEnd() override;
  void OnWritable() override;
  void OnClosed(http2::ErrorCode code) override;

  void ReadMessages(absl::string_view data);
  // Takes a message, or a piece of one, off the front.
  absl::Status TakeMessage(absl::string_view* data);
  void OnMessage(Bytes message);
  void OnResume();
  void Finish();
  absl::Status FinalStatus() const;
  void Clear();

  Channel* channel_;  // null once the channel is gone
  const uint32_t slot_;
  uint64_t generation_ = 0;
  uint64_t id_ = 0;  // 0 = not active
  std::string path_;
  std::vector<std::pair<std::string, std::string>> metadata_;
  Duration timeout_;
  Instant deadline_ = Instant::Infinite();

  ResultCallback callback_;         // unary
  ClientStream* stream_ = nullptr;  // streaming
  ClientStreamHandler* handler_ = nullptr;
  bool by_pieces_ = false;
  // Messages sent before the call was opened.
  std::vector<Bytes> early_;
  size_t early_bytes_ = 0;
  bool half_closed_ = false;

  MessageReader reader_;
  Bytes message_;
  size_t messages_ = 0;
  absl::Status read_error_;
  bool paused_ = false;
  bool ended_ = false;  // the server has sent everything
  std::string held_;    // input of a paused call
  size_t unconsumed_ = 0;

  int http_status_ = 0;
  bool has_status_ = false;
  std::string status_code_;
  std::string status_message_;
  std::string encoding_;
};

}  // namespace quorate::grpc

#endif  // QUORATE_SERVER_GRPC_CLIENT_CALL_H_
