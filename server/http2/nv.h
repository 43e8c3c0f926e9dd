// Our header fields as nghttp2's. Private to this room.
#ifndef QUORATE_SERVER_HTTP2_NV_H_
#define QUORATE_SERVER_HTTP2_NV_H_

#include <nghttp2/nghttp2.h>

#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "server/http2/stream.h"

namespace quorate::http2 {

using NvList = absl::InlinedVector<nghttp2_nv, 16>;

inline nghttp2_nv ToNv(const Header& header) {
  // nghttp2's API is not const-correct; it only reads.
  const auto bytes = [](absl::string_view text) {
    return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
  };
  const uint8_t flags = header.is_static
                            ? NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE
                            : NGHTTP2_NV_FLAG_NONE;
  return {bytes(header.name), bytes(header.value), header.name.size(), header.value.size(), flags};
}

inline NvList ToNvList(absl::Span<const Header> headers) {
  NvList list;
  for (const Header& header : headers) list.push_back(ToNv(header));
  return list;
}

}  // namespace quorate::http2

#endif  // QUORATE_SERVER_HTTP2_NV_H_
