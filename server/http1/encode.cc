#include "server/http1/encode.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace quorate::http1 {
namespace {

// Chunks up to this size are copied beside their framing.
constexpr size_t kCopyBytes = 4096;

void AppendText(absl::string_view text, std::string* out) {
  for (const char c : text) out->push_back(c == '\r' || c == '\n' || c == '\0' ? ' ' : c);
}

}  // namespace

void AppendFields(const Fields& fields, std::string* out) {
  for (const auto& [name, value] : fields) {
    AppendText(name, out);
    out->append(": ");
    AppendText(value, out);
    out->append("\r\n");
  }
}

size_t TotalSize(const std::vector<Bytes>& pieces) {
  size_t size = 0;
  for (const Bytes& piece : pieces) size += piece.size();
  return size;
}

void WriteChunk(std::vector<Bytes> pieces, io::Stream* stream) {
  const size_t size = TotalSize(pieces);
  if (size == 0) return;  // an empty chunk would end the body
  const std::string head = absl::StrCat(absl::Hex(size), "\r\n");
  if (size <= kCopyBytes) {
    BytesBuilder out(head.size() + size + 2);
    out.Append(head);
    for (const Bytes& piece : pieces) out.Append(piece.view());
    out.Append("\r\n");
    return stream->Write(std::move(out).Finish());
  }
  stream->Write(Bytes::Copy(head));
  for (Bytes& piece : pieces) stream->Write(std::move(piece));
  stream->Write(Bytes::Static("\r\n"));
}

}  // namespace quorate::http1
