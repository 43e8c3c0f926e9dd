#include "server/grpc/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace quorate::grpc {
namespace {

constexpr int kGzipOnly = 16 + MAX_WBITS;  // zlib's way to ask for this format
constexpr size_t kPieceBytes = 32 * 1024;
constexpr int kMemoryLevel = 8;  // zlib's default

absl::Status Broken(absl::string_view why) {
  return absl::InternalError(absl::StrCat("grpc: failed to read decompressed data: ", why));
}

// zlib does not write through it.
Bytef* Input(absl::string_view bytes) {
  return reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
}

class Inflater {
 public:
  ~Inflater() {
    if (begun_) inflateEnd(&stream_);
  }

  absl::StatusOr<Bytes> Run(absl::string_view compressed, size_t max) {
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK) return Broken("out of memory");
    begun_ = true;
    stream_.next_in = Input(compressed);
    stream_.avail_in = static_cast<uInt>(compressed.size());
    BytesBuilder out(std::min(max, std::max(kPieceBytes, compressed.size() * 2)));
    char piece[kPieceBytes];
    bool more = true;
    while (more) {
      stream_.next_out = reinterpret_cast<Bytef*>(piece);
      stream_.avail_out = sizeof(piece);
      const int state = inflate(&stream_, Z_NO_FLUSH);
      if (state == Z_BUF_ERROR) return Broken("unexpected EOF");
      if (state != Z_OK && state != Z_STREAM_END) return Broken("not gzip");
      const size_t size = sizeof(piece) - stream_.avail_out;
      if (out.size() + size > max) {
        return absl::ResourceExhaustedError(
            absl::StrCat("grpc: received message after decompression larger than max ", max));
      }
      out.Append(absl::string_view(piece, size));
      more = state == Z_OK || stream_.avail_in > 0;
      if (state == Z_STREAM_END && more) inflateReset(&stream_);  // another member
    }
    return std::move(out).Finish();
  }

 private:
  z_stream stream_ = {};
  bool begun_ = false;
};

}  // namespace

absl::StatusOr<Bytes> Gunzip(absl::string_view compressed, size_t max) {
  return Inflater().Run(compressed, max);
}

Bytes Gzip(absl::Span<const Bytes> pieces) {
  z_stream stream = {};
  // Speed: the loop waits for it.
  CHECK_EQ(
      deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kGzipOnly, kMemoryLevel, Z_DEFAULT_STRATEGY),
      Z_OK);
  size_t size = 0;
  for (const Bytes& piece : pieces) size += piece.size();
  const size_t bound = deflateBound(&stream, static_cast<uLong>(size));
  BytesBuilder out(bound);
  stream.next_out = reinterpret_cast<Bytef*>(out.Grow(bound));
  stream.avail_out = static_cast<uInt>(bound);
  for (const Bytes& piece : pieces) {
    stream.next_in = Input(piece);
    stream.avail_in = static_cast<uInt>(piece.size());
    if (!piece.empty()) CHECK_EQ(deflate(&stream, Z_NO_FLUSH), Z_OK);
  }
  CHECK_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.Truncate(bound - stream.avail_out);
  deflateEnd(&stream);
  return std::move(out).Finish();
}

}  // namespace quorate::grpc
