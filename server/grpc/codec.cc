#include "server/grpc/codec.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/utf8.h"

namespace quorate::grpc {
namespace {

constexpr size_t kMaxTimeoutDigits = 8;
constexpr absl::string_view kReplacementEscaped = "%EF%BF%BD";  // U+FFFD
constexpr char kUpperHex[] = "0123456789ABCDEF";

constexpr absl::string_view kCodeTexts[] = {"0", "1",  "2",  "3",  "4",  "5",  "6",  "7", "8",
                                            "9", "10", "11", "12", "13", "14", "15", "16"};

struct TimeoutUnit {
  char letter;
  int64_t nanos;
};
// From the finest to the coarsest.
constexpr TimeoutUnit kTimeoutUnits[] = {
    {'n', 1},
    {'u', 1'000},
    {'m', 1'000'000},
    {'S', 1'000'000'000},
    {'M', int64_t{60} * 1'000'000'000},
    {'H', int64_t{3600} * 1'000'000'000},
};

bool IsPlain(unsigned char c) { return c >= 0x20 && c <= 0x7e && c != '%'; }

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Bytes Frame(absl::string_view message) {
  BytesBuilder out(kFrameHeaderBytes + message.size());
  StoreFrameHeader(out.Grow(kFrameHeaderBytes), message.size());
  out.Append(message);
  return std::move(out).Finish();
}

std::optional<Duration> ParseTimeout(absl::string_view text) {
  if (text.size() < 2 || text.size() > kMaxTimeoutDigits + 1) return std::nullopt;
  int64_t value = 0;
  for (const char c : text.substr(0, text.size() - 1)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  for (const TimeoutUnit& unit : kTimeoutUnits) {
    if (unit.letter != text.back()) continue;
    // 99999999 hours do not fit: as good as for ever.
    constexpr int64_t kMax = std::numeric_limits<int64_t>::max() / 4;
    return Nanoseconds(value > kMax / unit.nanos ? kMax : value * unit.nanos);
  }
  return std::nullopt;
}

std::string FormatTimeout(Duration timeout) {
  const int64_t nanos = std::max<int64_t>(timeout.nanos(), 1);
  for (const TimeoutUnit& unit : kTimeoutUnits) {
    const int64_t count = nanos / unit.nanos + (nanos % unit.nanos != 0 ? 1 : 0);
    if (count <= 99'999'999) return absl::StrCat(count, std::string(1, unit.letter));
  }
  return "99999999H";
}

std::string EncodeStatusMessage(absl::string_view message) {
  std::string out;
  out.reserve(message.size());
  while (!message.empty()) {
    if (IsPlain(static_cast<unsigned char>(message[0]))) {
      out.push_back(message[0]);
      message.remove_prefix(1);
      continue;
    }
    const size_t size = Utf8SequenceSize(message);
    if (size == 0) {
      out.append(kReplacementEscaped.data(), kReplacementEscaped.size());
      message.remove_prefix(1);
      continue;
    }
    for (size_t i = 0; i < size; ++i) {
      const auto c = static_cast<unsigned char>(message[i]);
      out.push_back('%');
      out.push_back(kUpperHex[c >> 4]);
      out.push_back(kUpperHex[c & 0xf]);
    }
    message.remove_prefix(size);
  }
  return out;
}

std::string DecodeStatusMessage(absl::string_view encoded) {
  std::string out;
  out.reserve(encoded.size());
  for (size_t i = 0; i < encoded.size(); ++i) {
    if (encoded[i] == '%' && i + 2 < encoded.size()) {
      const int high = HexValue(encoded[i + 1]);
      const int low = HexValue(encoded[i + 2]);
      if (high >= 0 && low >= 0) {
        out.push_back(static_cast<char>(high * 16 + low));
        i += 2;
        continue;
      }
    }
    out.push_back(encoded[i]);
  }
  return out;
}

absl::string_view StatusCodeText(absl::StatusCode code) {
  const auto number = static_cast<size_t>(code);
  return number < std::size(kCodeTexts) ? kCodeTexts[number] : kCodeTexts[2];
}

absl::Status MakeStatus(absl::string_view code, absl::string_view encoded_message) {
  for (size_t i = 0; i < std::size(kCodeTexts); ++i) {
    if (kCodeTexts[i] != code) continue;
    if (i == 0) return absl::OkStatus();
    return absl::Status(static_cast<absl::StatusCode>(i), DecodeStatusMessage(encoded_message));
  }
  return absl::UnknownError(absl::StrCat(
      "grpc-status \"", code, "\" is not known; message: ", DecodeStatusMessage(encoded_message)));
}

void MessageReader::Reset(size_t max_message, bool gzip) {
  gzip_ = gzip;
  max_message_ = max_message;
  header_size_ = 0;
  message_size_ = 0;
  body_.reset();
}

absl::StatusOr<bool> MessageReader::TakeHeader(absl::string_view* data) {
  if (header_size_ == kFrameHeaderBytes) return true;
  const size_t n = std::min(kFrameHeaderBytes - header_size_, data->size());
  std::memcpy(header_ + header_size_, data->data(), n);
  header_size_ += n;
  data->remove_prefix(n);
  if (header_size_ < kFrameHeaderBytes) return false;
  RETURN_IF_ERROR(CheckHeader());
  return true;
}

absl::StatusOr<std::optional<MessageReader::Piece>> MessageReader::NextPiece(
    absl::string_view* data, size_t max) {
  ASSIGN_OR_RETURN(const bool begun, TakeHeader(data));
  if (!begun || (data->empty() && message_size_ > 0)) return std::nullopt;
  Piece piece;
  piece.bytes = data->substr(0, std::min(max, message_size_));
  data->remove_prefix(piece.bytes.size());
  message_size_ -= piece.bytes.size();
  piece.last = message_size_ == 0;
  if (piece.last) header_size_ = 0;
  return piece;
}

absl::StatusOr<std::optional<Bytes>> MessageReader::Next(absl::string_view* data) {
  ASSIGN_OR_RETURN(const bool begun, TakeHeader(data));
  if (!begun) return std::nullopt;
  if (!body_.has_value()) {
    if (data->size() >= message_size_) {  // the whole message is here
      Bytes message = Bytes::Copy(data->substr(0, message_size_));
      data->remove_prefix(message_size_);
      header_size_ = 0;
      return message;
    }
    if (data->empty()) return std::nullopt;
    body_.emplace(std::min(message_size_, std::max(kReserve, data->size())));
  }
  const size_t n = std::min(message_size_ - body_->size(), data->size());
  body_->Append(data->substr(0, n));
  data->remove_prefix(n);
  if (body_->size() < message_size_) return std::nullopt;
  Bytes message = std::move(*body_).Finish();
  body_.reset();
  header_size_ = 0;
  return message;
}

absl::Status MessageReader::CheckHeader() {
  message_size_ = LoadBe32(header_ + 1);
  if (static_cast<unsigned char>(header_[0]) > 1) {
    return absl::InternalError(absl::StrCat("grpc: received unexpected payload format ",
                                            static_cast<unsigned char>(header_[0])));
  }
  if (header_[0] == 1 && !gzip_) {
    // A coding that we do not have is refused before any message is read.
    return absl::InternalError("grpc: compressed flag set with identity or empty encoding");
  }
  if (message_size_ > max_message_) {
    return absl::ResourceExhaustedError(absl::StrCat("grpc: received message larger than max (",
                                                     message_size_, " vs. ", max_message_, ")"));
  }
  return absl::OkStatus();
}

}  // namespace quorate::grpc
