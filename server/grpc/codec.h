// gRPC's framing on HTTP/2 as pure functions and one incremental reader.
//
// A message travels as one flag byte (1 = compressed), its length as four bytes, big
// endian, and its bytes; messages ignore the boundaries of DATA frames.
#ifndef QUORATE_SERVER_GRPC_CODEC_H_
#define QUORATE_SERVER_GRPC_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/coding.h"
#include "base/time.h"

namespace quorate::grpc {

inline constexpr size_t kFrameHeaderBytes = 5;

// What gRPC implementations are ready to send as one message: their lengths are signed.
inline constexpr size_t kMaxMessageBytes = std::numeric_limits<int32_t>::max();

// Writes the header of a message of `size` bytes, less than 4 GiB, at `at`.
inline void StoreFrameHeader(char* at, size_t size, bool compressed = false) {
  CHECK(size <= std::numeric_limits<uint32_t>::max());
  at[0] = compressed ? 1 : 0;
  StoreBe32(at + 1, static_cast<uint32_t>(size));
}

// A message with its header in one buffer.
Bytes Frame(absl::string_view message);

// "5S", "100m": at most 8 digits and one of H M S m u n. nullopt if malformed.
std::optional<Duration> ParseTimeout(absl::string_view text);
// The shortest form that is not less than `timeout` (at least "1n").
std::string FormatTimeout(Duration timeout);

// grpc-message: bytes 0x20 to 0x7E except '%' as they are, all others %XX; bytes that
// are no valid UTF-8 become U+FFFD first.
std::string EncodeStatusMessage(absl::string_view message);
// The reverse; malformed escapes stay as they are.
std::string DecodeStatusMessage(absl::string_view encoded);

// Decimal grpc-status of a code, as a literal ("0".."16").
absl::string_view StatusCodeText(absl::StatusCode code);
// The status from trailers. Codes that are not known become Unknown.
absl::Status MakeStatus(absl::string_view code, absl::string_view encoded_message);

// Takes messages out of a body that comes in arbitrary pieces.
//
// The bytes of a message are copied once, into a buffer of just its size if it comes
// in one piece (or is at most kReserve long); longer ones grow as their bytes really
// come, so that a length that only claims to be large costs nothing.
class MessageReader {
 public:
  static constexpr size_t kReserve = 32 * 1024;

  // Ready for the first message of a call. `max_message` in bytes; with `gzip` messages may be
  // compressed, which the caller undoes (gzip.h).
  void Reset(size_t max_message, bool gzip = false);

  // Takes bytes from the front of *data until a message is complete, or *data is empty
  // (nullopt), or there is an error, with gRPC's code and text: ResourceExhausted (too
  // large), Internal (compressed without a coding, unknown flag).
  absl::StatusOr<std::optional<Bytes>> Next(absl::string_view* data);

  // A message's bytes as they come, without a copy, for whoever passes them on.
  struct Piece {
    absl::string_view bytes;
    bool last = false;  // of its message
  };
  // Takes the next piece, of at most `max` bytes, from the front of *data; nullopt if *data ends
  // before it. Errors as above. A message is taken either so or by Next.
  absl::StatusOr<std::optional<Piece>> NextPiece(absl::string_view* data, size_t max);

  // Whether the message that came last is compressed.
  bool compressed() const { return header_[0] == 1; }
  // True between messages: the body may end here.
  bool at_boundary() const { return header_size_ == 0; }
  // Bytes held of an unfinished message.
  size_t buffered() const { return body_.has_value() ? body_->size() : 0; }

 private:
  // True once the header of a message is there; takes what is missing of it.
  absl::StatusOr<bool> TakeHeader(absl::string_view* data);
  absl::Status CheckHeader();

  size_t max_message_ = 0;
  bool gzip_ = false;
  char header_[kFrameHeaderBytes] = {};
  size_t header_size_ = 0;
  size_t message_size_ = 0;  // by pieces: what is left of it
  std::optional<BytesBuilder> body_;
};

}  // namespace quorate::grpc

#endif  // QUORATE_SERVER_GRPC_CODEC_H_
