#include "server/peer/frame.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/coding.h"
#include "base/status.h"
#include "engine/raft/codec.h"

namespace quorate::peer {
namespace {

// Room for a frame's beginning; more is given as its bytes come.
constexpr size_t kReserveBytes = 256 * limits::kKiB;

bool HasSharedPayload(const raft::Message& message) {
  return std::any_of(message.entries.begin(), message.entries.end(), [](const raft::Entry& entry) {
    return entry.data.size() >= raft::kSharedPayloadBytes;
  });
}

}  // namespace

bool IsLinkHeartbeat(const raft::Message& message) {
  return message.type == raft::MessageType::kHeartbeat && message.from == MemberId(0) &&
         message.to == MemberId(0);
}

Bytes LinkHeartbeatFrame() {
  // Length 2; field 1 (type) = 8 (heartbeat).
  return Bytes::Static(absl::string_view("\0\0\0\0\0\0\0\x02\x08\x08", 10));
}

std::vector<Bytes> EncodePost(const raft::Message& message) {
  std::vector<Bytes> pieces;
  raft::EncodeMessagePieces(message, "", &pieces);
  return pieces;
}

void FrameWriter::Add(const raft::Message& message) {
  const size_t size = raft::EncodedSize(message);
  bytes_ += kFrameHeaderBytes + size;
  if (HasSharedPayload(message)) {
    char header[kFrameHeaderBytes];
    StoreBe64(header, size);
    CloseSmall();
    raft::EncodeMessagePieces(message, absl::string_view(header, sizeof(header)), &pieces_);
    return;
  }
  if (!small_.has_value()) small_.emplace(kFrameHeaderBytes + size);
  StoreBe64(small_->Grow(kFrameHeaderBytes), size);
  raft::EncodeMessage(message, &*small_);
}

void FrameWriter::CloseSmall() {
  if (!small_.has_value()) return;
  pieces_.push_back(std::move(*small_).Finish());
  small_.reset();
}

std::vector<Bytes> FrameWriter::Take() {
  CloseSmall();
  bytes_ = 0;
  return std::exchange(pieces_, {});
}

absl::Status FrameReader::CheckSize(uint64_t size) const {
  if (size <= max_frame_bytes_) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("message of ", size, " bytes is larger than ", max_frame_bytes_));
}

absl::Status FrameReader::Feed(absl::string_view data,
                               absl::FunctionRef<absl::Status(Bytes)> on_frame) {
  while (!data.empty()) {
    if (header_size_ == 0) RETURN_IF_ERROR(TakeWholeFrames(&data, on_frame));
    if (data.empty()) break;
    ASSIGN_OR_RETURN(const bool complete, Fill(&data));
    if (!complete) break;
    header_size_ = 0;
    Bytes frame = std::move(*body_).Finish();
    body_.reset();
    RETURN_IF_ERROR(on_frame(std::move(frame)));
  }
  return absl::OkStatus();
}

absl::Status FrameReader::TakeWholeFrames(absl::string_view* data,
                                          absl::FunctionRef<absl::Status(Bytes)> on_frame) {
  size_t end = 0;
  absl::Status status;  // of what follows the whole ones
  while (data->size() - end >= kFrameHeaderBytes) {
    const uint64_t size = LoadBe64(data->data() + end);
    status = CheckSize(size);
    if (!status.ok() || data->size() - end - kFrameHeaderBytes < size) break;
    end += kFrameHeaderBytes + size;
  }
  const Bytes whole = Bytes::Copy(data->substr(0, end));
  data->remove_prefix(end);
  for (size_t at = 0; at < end;) {
    const uint64_t size = LoadBe64(whole.data() + at);
    RETURN_IF_ERROR(on_frame(whole.Slice(at + kFrameHeaderBytes, size)));
    at += kFrameHeaderBytes + size;
  }
  return status;
}

absl::StatusOr<bool> FrameReader::Fill(absl::string_view* data) {
  if (header_size_ < kFrameHeaderBytes) {
    const size_t n = std::min(kFrameHeaderBytes - header_size_, data->size());
    std::memcpy(header_ + header_size_, data->data(), n);
    header_size_ += n;
    data->remove_prefix(n);
    if (header_size_ < kFrameHeaderBytes) return false;
    const uint64_t size = LoadBe64(header_);
    RETURN_IF_ERROR(CheckSize(size));
    body_size_ = size;
    body_.emplace(std::min(body_size_, kReserveBytes));
  }
  const size_t n = std::min(body_size_ - body_->size(), data->size());
  body_->Append(data->substr(0, n));
  data->remove_prefix(n);
  return body_->size() == body_size_;
}

}  // namespace quorate::peer
