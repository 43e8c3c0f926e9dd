#include "server/http1/websocket.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/check.h"
#include "base/status.h"

namespace quorate::http1 {
namespace {

// Section 1.3.
constexpr absl::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
constexpr absl::string_view kBearer = "Bearer";
constexpr size_t kMaxControlBytes = 125;  // section 5.5
constexpr uint8_t kLastFrame = 0x80;
constexpr uint8_t kMasked = 0x80;
constexpr uint8_t kSize16 = 126;
constexpr uint8_t kSize64 = 127;

// Whether a list field has an element, whatever its case.
bool Lists(const Request& request, absl::string_view name, absl::string_view wanted) {
  for (const auto& [field, value] : request.fields) {
    if (!absl::EqualsIgnoreCase(field, name)) continue;
    for (const absl::string_view element : absl::StrSplit(value, ',')) {
      if (absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(element), wanted)) return true;
    }
  }
  return false;
}

std::string AcceptKey(absl::string_view key) {
  const std::string text = absl::StrCat(key, kGuid);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  CHECK(EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha1(), nullptr) == 1);
  return absl::Base64Escape(absl::string_view(reinterpret_cast<const char*>(digest), size));
}

absl::Status BadFrame(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("websocket: ", what));
}

}  // namespace

bool WantsWebSocket(const Request& request) {
  return Lists(request, "connection", "upgrade") && Lists(request, "upgrade", "websocket");
}

absl::StatusOr<std::string> AcceptWebSocket(const Request& request) {
  if (request.method != "GET") return BadFrame("the request method is not GET");
  if (request.fields.Get("sec-websocket-version") != "13") {
    return BadFrame("unsupported version: 13 not found in Sec-WebSocket-Version");
  }
  std::string nonce;
  const absl::string_view key = request.fields.Get("sec-websocket-key");
  if (!absl::Base64Unescape(key, &nonce) || nonce.size() != 16) {
    return BadFrame("Sec-WebSocket-Key must be 16 bytes in base64");
  }
  return absl::StrCat("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n",
                      "Connection: Upgrade\r\nSec-WebSocket-Accept: ", AcceptKey(key), "\r\n",
                      TokenOfProtocols(request).empty() ? "" : "Sec-WebSocket-Protocol: Bearer\r\n",
                      "\r\n");
}

std::string TokenOfProtocols(const Request& request) {
  absl::string_view protocols = request.fields.Get("sec-websocket-protocol");
  if (!absl::ConsumePrefix(&protocols, kBearer) || !absl::ConsumePrefix(&protocols, ",")) return "";
  return std::string(absl::StripAsciiWhitespace(protocols));
}

void AppendFrameHead(Opcode opcode, bool last, size_t size, std::string* out) {
  out->push_back(static_cast<char>((last ? kLastFrame : 0) | static_cast<uint8_t>(opcode)));
  int length_bytes = 0;
  if (size < kSize16) {
    out->push_back(static_cast<char>(size));
  } else if (size <= 0xffff) {
    out->push_back(static_cast<char>(kSize16));
    length_bytes = 2;
  } else {
    out->push_back(static_cast<char>(kSize64));
    length_bytes = 8;
  }
  for (int i = length_bytes - 1; i >= 0; --i) out->push_back(static_cast<char>(size >> (8 * i)));
}

std::string CloseFrame(uint16_t code) {
  std::string frame;
  AppendFrameHead(Opcode::kClose, true, 2, &frame);
  frame.push_back(static_cast<char>(code >> 8));
  frame.push_back(static_cast<char>(code));
  return frame;
}

// Of the first two bytes.
absl::Status FrameReader::CheckHead() const {
  const auto first = static_cast<uint8_t>(head_[0]);
  const auto second = static_cast<uint8_t>(head_[1]);
  const uint8_t opcode = first & 0x0f;
  if ((first & 0x70) != 0) return BadFrame("reserved bits are set");
  if ((second & kMasked) == 0) return BadFrame("a client's frame is not masked");
  if (opcode <= static_cast<uint8_t>(Opcode::kBinary)) {
    if (in_message_ == (opcode == static_cast<uint8_t>(Opcode::kContinuation))) {
      return absl::OkStatus();
    }
    return BadFrame("a message within another");
  }
  if (opcode < static_cast<uint8_t>(Opcode::kClose) ||
      opcode > static_cast<uint8_t>(Opcode::kPong)) {
    return BadFrame("unknown opcode");
  }
  const bool whole = (first & kLastFrame) != 0 && (second & ~kMasked) <= kMaxControlBytes;
  return whole ? absl::OkStatus() : BadFrame("a control frame is too long, or cut");
}

// Once all of it has come.
absl::Status FrameReader::TakeHead() {
  const auto byte = [this](size_t at) { return static_cast<uint8_t>(head_[at]); };
  last_ = (byte(0) & kLastFrame) != 0;
  opcode_ = byte(0) & 0x0f;
  left_ = byte(1) & ~kMasked;
  const size_t length_bytes = left_ == kSize64 ? 8 : left_ == kSize16 ? 2 : 0;
  if (length_bytes > 0) left_ = 0;
  for (size_t i = 0; i < length_bytes; ++i) left_ = left_ << 8 | byte(2 + i);
  if (left_ >> 63 != 0) return BadFrame("a frame is too long");
  std::memcpy(mask_, head_.data() + 2 + length_bytes, sizeof(mask_));
  if (!control()) in_message_ = true;
  in_frame_ = true;
  masked_ = 0;
  control_.clear();
  return absl::OkStatus();
}

void FrameReader::FinishFrame(Result* result) {
  in_frame_ = false;
  head_.clear();
  if (!control()) {
    if (last_) in_message_ = false;
    result->ended = last_;
  } else if (opcode_ == static_cast<uint8_t>(Opcode::kClose)) {
    result->closed = true;
  } else if (opcode_ == static_cast<uint8_t>(Opcode::kPing)) {
    AppendFrameHead(Opcode::kPong, true, control_.size(), &result->replies);
    result->replies += control_;
  }
}

absl::Status FrameReader::Put(absl::string_view* data, Result* result) {
  *result = Result();
  while (!data->empty() && !result->ended && !result->closed) {
    if (!in_frame_) {
      head_.push_back(data->front());
      data->remove_prefix(1);
      if (head_.size() < 2) continue;
      if (head_.size() == 2) RETURN_IF_ERROR(CheckHead());
      const uint8_t size = static_cast<uint8_t>(head_[1]) & ~kMasked;
      const size_t whole = 6 + (size == kSize64 ? 8 : size == kSize16 ? 2 : 0);
      if (head_.size() < whole) continue;
      RETURN_IF_ERROR(TakeHead());
    } else {
      const size_t taken = std::min<uint64_t>(left_, data->size());
      std::string* const out = control() ? &control_ : &result->payload;
      for (size_t i = 0; i < taken; ++i) {
        out->push_back(static_cast<char>((*data)[i] ^ mask_[masked_++ % sizeof(mask_)]));
      }
      data->remove_prefix(taken);
      left_ -= taken;
    }
    if (in_frame_ && left_ == 0) FinishFrame(result);
  }
  return absl::OkStatus();
}

}  // namespace quorate::http1
