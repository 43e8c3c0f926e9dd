#include "server/http2/frame_scanner.h"

#include <algorithm>
#include <cstring>

#include "base/coding.h"

namespace quorate::http2 {
namespace {

// RFC 9113 section 6, with ALTSVC's and others' types left to "unknown".
enum FrameType : uint8_t {
  kData = 0x0,
  kHeaders = 0x1,
  kPriority = 0x2,
  kRstStream = 0x3,
  kSettings = 0x4,
  kPing = 0x6,
  kGoAway = 0x7,
  kWindowUpdate = 0x8,
  kContinuation = 0x9,
};
constexpr uint8_t kEndStreamFlag = 0x1;
constexpr uint32_t kResetPayload = 4;

uint32_t PayloadSize(const char* header) {
  return static_cast<uint32_t>(static_cast<unsigned char>(header[0])) << 16 |
         static_cast<uint32_t>(static_cast<unsigned char>(header[1])) << 8 |
         static_cast<uint32_t>(static_cast<unsigned char>(header[2]));
}

int32_t StreamId(const char* header) {
  return static_cast<int32_t>(LoadBe32(header + 5) & 0x7fffffff);
}

bool IsIdleFrame(const char* header) {
  switch (static_cast<uint8_t>(header[3])) {
    case kHeaders:
    case kRstStream:
    case kGoAway:
    case kWindowUpdate:
    case kContinuation:
      return false;
    case kData:
      return PayloadSize(header) == 0 && (header[4] & kEndStreamFlag) == 0;
    default:
      return true;
  }
}

}  // namespace

bool FrameScanner::IsReset(const char* header) const {
  if (static_cast<uint8_t>(header[3]) != kRstStream || PayloadSize(header) != kResetPayload) {
    return false;
  }
  const int32_t id = StreamId(header);
  return id % 2 == 1 && id <= last_opened_;
}

bool FrameScanner::Scan(absl::string_view data) {
  if (held_size_ > 0 && !CompleteHeader(&data)) return false;
  if (held_size_ > 0) return true;  // still incomplete: all of the data is held
  // [0, passing) of the data goes on as one piece.
  size_t passing = 0;
  while (true) {
    const size_t left = data.size() - passing;
    if (skip_ >= left) {
      skip_ -= left;
      return data.empty() || sink_->OnBytes(data);
    }
    passing += skip_;
    skip_ = 0;
    const char* const header = data.data() + passing;
    const size_t available = data.size() - passing;
    if (available < kFrameHeaderBytes || (IsReset(header) && available < kResetFrameBytes)) {
      if (passing > 0 && !sink_->OnBytes(data.substr(0, passing))) return false;
      std::memcpy(held_, header, available);
      held_size_ = available;
      return true;
    }
    if (IsReset(header)) {
      if (passing > 0 && !sink_->OnBytes(data.substr(0, passing))) return false;
      if (!sink_->OnReset(StreamId(header), LoadBe32(header + 9),
                          data.substr(passing, kResetFrameBytes))) {
        return false;
      }
      data.remove_prefix(passing + kResetFrameBytes);
      passing = 0;
      continue;
    }
    if (!OnFrameHeader(header)) return false;
    passing += kFrameHeaderBytes;
  }
}

bool FrameScanner::OnFrameHeader(const char* header) {
  skip_ = PayloadSize(header);
  if (static_cast<uint8_t>(header[3]) == kHeaders) {
    last_opened_ = std::max(last_opened_, StreamId(header));
  }
  return !IsIdleFrame(header) || sink_->OnIdleFrame();
}

bool FrameScanner::CompleteHeader(absl::string_view* data) {
  const auto fill = [&](size_t size) {
    if (held_size_ >= size) return true;
    const size_t n = std::min(size - held_size_, data->size());
    std::memcpy(held_ + held_size_, data->data(), n);
    held_size_ += n;
    data->remove_prefix(n);
    return held_size_ >= size;
  };
  if (!fill(kFrameHeaderBytes)) return true;
  if (IsReset(held_)) {
    if (!fill(kResetFrameBytes)) return true;
    held_size_ = 0;
    return sink_->OnReset(StreamId(held_), LoadBe32(held_ + 9),
                          absl::string_view(held_, kResetFrameBytes));
  }
  held_size_ = 0;
  return OnFrameHeader(held_) && sink_->OnBytes(absl::string_view(held_, kFrameHeaderBytes));
}

}  // namespace quorate::http2
