// Framing of a raft message stream: eight bytes of length, big endian, and a
// raftpb.Message.
#ifndef QUORATE_SERVER_PEER_FRAME_H_
#define QUORATE_SERVER_PEER_FRAME_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "engine/raft/message.h"

namespace quorate::peer {

inline constexpr size_t kFrameHeaderBytes = 8;

// The message that only says "this stream is alive": a heartbeat from and to nobody.
bool IsLinkHeartbeat(const raft::Message& message);
// Its frame.
Bytes LinkHeartbeatFrame();

// A message as the body of POST /raft, in pieces.
std::vector<Bytes> EncodePost(const raft::Message& message);

// Gathers one turn's messages for one stream into few pieces. Small messages share a
// buffer; large entry payloads are referred to, not copied.
class FrameWriter {
 public:
  void Add(const raft::Message& message);
  bool empty() const { return bytes_ == 0; }
  size_t bytes() const { return bytes_; }
  // What was gathered; the writer is empty afterwards.
  std::vector<Bytes> Take();

 private:
  void CloseSmall();

  std::vector<Bytes> pieces_;
  std::optional<BytesBuilder> small_;  // what comes after pieces_
  size_t bytes_ = 0;
};

// Takes frames out of bytes that come in arbitrary pieces. Frames that come whole share
// one buffer with those that came with them; a longer one grows as its bytes really
// come, so that a length that only claims to be large costs nothing.
class FrameReader {
 public:
  explicit FrameReader(size_t max_frame_bytes = limits::kMaxPeerMessageBytes)
      : max_frame_bytes_(max_frame_bytes) {}

  // Calls on_frame for each frame's content, in order, and stops at its first error.
  // InvalidArgument for a frame that is too large; the reader must not be used after an
  // error.
  absl::Status Feed(absl::string_view data, absl::FunctionRef<absl::Status(Bytes)> on_frame);

 private:
  absl::Status TakeWholeFrames(absl::string_view* data,
                               absl::FunctionRef<absl::Status(Bytes)> on_frame);
  absl::Status CheckSize(uint64_t size) const;
  // Fills the unfinished frame from *data; true if that completed it.
  absl::StatusOr<bool> Fill(absl::string_view* data);

  const size_t max_frame_bytes_;
  char header_[kFrameHeaderBytes] = {};
  size_t header_size_ = 0;
  size_t body_size_ = 0;
  std::optional<BytesBuilder> body_;
};

}  // namespace quorate::peer

#endif  // QUORATE_SERVER_PEER_FRAME_H_
