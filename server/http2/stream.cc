#include "server/http2/stream.h"

#include <nghttp2/nghttp2.h>

#include <cstring>
#include <utility>

#include "base/check.h"
#include "server/http2/nv.h"
#include "server/http2/session.h"

namespace quorate::http2 {

namespace {

// A pooled stream keeps room for so many pieces of a body.
constexpr size_t kMaxPooledPieces = 16;

}  // namespace

Stream::~Stream() { CHECK(session_ == nullptr); }

void Stream::Detach() {
  session_ = nullptr;
  local_end_queued_ = false;
  deferred_ = false;
  above_high_water_ = false;
  got_headers_ = false;
  pieces_.clear();
  if (pieces_.capacity() > kMaxPooledPieces) pieces_.shrink_to_fit();
  head_ = 0;
  head_offset_ = 0;
  queued_bytes_ = 0;
  body_left_.reset();
  trailers_.clear();
}

void Stream::SendHeaders(absl::Span<const Header> headers, bool end) {
  if (session_ == nullptr) return;
  session_->SubmitResponse(this, headers, end);
  local_end_queued_ = end;
}

void Stream::SendBody(Bytes data, absl::string_view prefix) {
  if (session_ == nullptr || (data.empty() && prefix.empty())) return;
  CHECK(!local_end_queued_);
  CHECK(prefix.size() <= kMaxPrefix);
  queued_bytes_ += prefix.size() + data.size();
  if (queued_bytes_ > kHighWater) above_high_water_ = true;
  Piece& piece = pieces_.emplace_back();
  piece.data = std::move(data);
  piece.prefix_size = static_cast<uint8_t>(prefix.size());
  if (!prefix.empty()) std::memcpy(piece.prefix, prefix.data(), prefix.size());
  session_->ResumeBody(this);
}

void Stream::EndBody() {
  if (session_ == nullptr) return;
  CHECK(!local_end_queued_);
  local_end_queued_ = true;
  session_->ResumeBody(this);
}

void Stream::EndBodyWithTrailers(absl::Span<const Header> trailers) {
  if (session_ == nullptr) return;
  size_t text_size = 0;
  for (const Header& header : trailers) {
    if (!header.is_static) text_size += header.name.size() + header.value.size();
  }
  trailer_text_.clear();
  trailer_text_.reserve(text_size);  // the views into it stay good
  const auto keep = [this](absl::string_view text) {
    const size_t at = trailer_text_.size();
    trailer_text_.append(text.data(), text.size());
    return absl::string_view(trailer_text_).substr(at);
  };
  for (const Header& header : trailers) {
    if (header.is_static) {
      trailers_.push_back(header);
    } else {
      const absl::string_view name = keep(header.name);
      trailers_.push_back({name, keep(header.value), false});
    }
  }
  EndBody();
}

void Stream::Reset(ErrorCode code) {
  if (session_ != nullptr) session_->ResetStream(this, code);
}

void Stream::Consume(size_t n) {
  if (session_ != nullptr && n > 0) session_->ConsumeStream(this, n);
}

}  // namespace quorate::http2
