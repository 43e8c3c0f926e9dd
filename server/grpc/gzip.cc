#include "server/grpc/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"

namespace quorate::grpc {
namespace {

constexpr int kGzipOnly = 16 + MAX_WBITS;  // zlib's way to ask for this format
constexpr size_t kPieceBytes = 32 * 1024;

absl::Status Broken(absl::string_view why) {
  return absl::InternalError(
      absl::StrCat("grpc: failed to decompress the received message: ", why));
}

class Inflater {
 public:
  ~Inflater() {
    if (begun_) inflateEnd(&stream_);
  }

  absl::StatusOr<Bytes> Run(absl::string_view compressed, size_t max) {
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK) return Broken("out of memory");
    begun_ = true;
    // zlib does not write through it.
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data()));
    stream_.avail_in = static_cast<uInt>(compressed.size());
    BytesBuilder out(std::min(max, std::max(kPieceBytes, compressed.size() * 2)));
    char piece[kPieceBytes];
    for (int state = Z_OK; state != Z_STREAM_END;) {
      stream_.next_out = reinterpret_cast<Bytef*>(piece);
      stream_.avail_out = sizeof(piece);
      state = inflate(&stream_, Z_NO_FLUSH);
      if (state == Z_BUF_ERROR) return Broken("unexpected EOF");
      if (state != Z_OK && state != Z_STREAM_END) return Broken("not gzip");
      const size_t size = sizeof(piece) - stream_.avail_out;
      if (out.size() + size > max) {
        return absl::ResourceExhaustedError(
            absl::StrCat("grpc: received message after decompression larger than max ", max));
      }
      out.Append(absl::string_view(piece, size));
    }
    if (stream_.avail_in > 0) return Broken("bytes after its end");
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

}  // namespace quorate::grpc
