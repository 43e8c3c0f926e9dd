// WebSocket (RFC 6455), the server's side and without I/O: the handshake's answer, the client's
// frames in, the head of ours out. No extensions.
#ifndef QUORATE_SERVER_HTTP1_WEBSOCKET_H_
#define QUORATE_SERVER_HTTP1_WEBSOCKET_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/http1/message.h"

namespace quorate::http1 {

// Whether the request asks for its connection to become a WebSocket.
bool WantsWebSocket(const Request& request);

// The whole head of the answer that agrees. InvalidArgument: the request does not do it as
// section 4.2.1 says.
absl::StatusOr<std::string> AcceptWebSocket(const Request& request);

// Browsers can give a WebSocket no Authorization field: "Sec-WebSocket-Protocol: Bearer, TOKEN" is
// its usual substitute. Empty if there is none.
std::string TokenOfProtocols(const Request& request);

enum class Opcode : uint8_t {
  kContinuation = 0,
  kText = 1,
  kBinary = 2,
  kClose = 8,
  kPing = 9,
  kPong = 10,
};

// Close codes (section 7.4.1).
inline constexpr uint16_t kNormalClosure = 1000;
inline constexpr uint16_t kProtocolError = 1002;
inline constexpr uint16_t kPolicyViolation = 1008;

// The head of an unmasked frame with so many bytes of payload.
void AppendFrameHead(Opcode opcode, bool last, size_t size, std::string* out);
// A whole close frame.
std::string CloseFrame(uint16_t code);

// Undoes the client's frames, in whatever pieces they come.
class FrameReader {
 public:
  // What became of some input.
  struct Result {
    std::string payload;  // of messages; text and binary alike
    bool ended = false;   // a message ended behind it
    std::string replies;  // whole frames that are due to the client: pongs
    bool closed = false;  // the client has closed: no input counts any more
  };

  // Takes bytes off the front of *data until a message ends, the client closes, or there are none
  // left. InvalidArgument: no frames of a client, and nothing more is to be taken.
  absl::Status Put(absl::string_view* data, Result* result);

 private:
  absl::Status CheckHead() const;
  absl::Status TakeHead();
  bool control() const { return opcode_ >= static_cast<uint8_t>(Opcode::kClose); }
  void FinishFrame(Result* result);

  std::string head_;       // of the frame, as far as it has come
  bool in_frame_ = false;  // the head is complete
  bool in_message_ = false;
  bool last_ = false;
  uint8_t opcode_ = 0;
  char mask_[4] = {};
  uint64_t left_ = 0;  // of the frame's payload
  size_t masked_ = 0;  // bytes of it that were undone
  std::string control_;
};

}  // namespace quorate::http1

#endif  // QUORATE_SERVER_HTTP1_WEBSOCKET_H_
