#include "base/wire.h"

#include <cstring>

#include "base/check.h"

namespace quorate {
namespace {

// Groups are long dead; as many levels as protobuf's C++ library accepts.
constexpr int kMaxGroupDepth = 100;

// Most tags and lengths are one byte.
inline bool TakeVarint(absl::string_view* in, uint64_t* v) {
  if (in->empty() || static_cast<unsigned char>(in->front()) >= 0x80) return GetVarint(in, v);
  *v = static_cast<unsigned char>(in->front());
  in->remove_prefix(1);
  return true;
}

}  // namespace

bool WireReader::Next() {
  if (!ok_ || in_.empty()) return false;
  uint64_t tag = 0;
  if (!TakeVarint(&in_, &tag) || tag > UINT32_MAX || tag >> 3 == 0) return Fail();
  tag_ = static_cast<uint32_t>(tag);
  bytes_ = {};
  varint_ = 0;
  switch (tag_ & 7) {
    case kWireVarint:
      return TakeVarint(&in_, &varint_) || Fail();
    case kWireLen: {
      uint64_t size = 0;
      if (!TakeVarint(&in_, &size) || size > in_.size()) return Fail();
      bytes_ = in_.substr(0, size);
      in_.remove_prefix(size);
      return true;
    }
    case kWireFixed64:
      return Skip(8);
    case kWireFixed32:
      return Skip(4);
    case kWireStartGroup:
      return SkipGroup(tag_ >> 3);
    default:
      return Fail();
  }
}

bool WireReader::Skip(size_t n) {
  if (n > in_.size()) return Fail();
  in_.remove_prefix(n);
  return true;
}

bool WireReader::SkipGroup(uint32_t field) {
  uint32_t open[kMaxGroupDepth] = {field};
  int depth = 1;
  while (depth > 0) {
    uint64_t tag = 0;
    uint64_t size = 0;
    if (!GetVarint(&in_, &tag) || tag > UINT32_MAX || tag >> 3 == 0) return Fail();
    switch (tag & 7) {
      case kWireVarint:
        if (!GetVarint(&in_, &size)) return Fail();
        break;
      case kWireLen:
        if (!GetVarint(&in_, &size) || !Skip(size)) return Fail();
        break;
      case kWireFixed64:
        if (!Skip(8)) return Fail();
        break;
      case kWireFixed32:
        if (!Skip(4)) return Fail();
        break;
      case kWireStartGroup:
        if (depth == kMaxGroupDepth) return Fail();
        open[depth++] = static_cast<uint32_t>(tag >> 3);
        break;
      case kWireEndGroup:
        if (open[--depth] != tag >> 3) return Fail();
        break;
      default:
        return Fail();
    }
  }
  return true;
}

size_t BeginMessage(BytesBuilder* out, uint32_t field) {
  AppendVarint(out, LenTag(field));
  out->Append('\0');
  return out->size();
}

void EndMessage(BytesBuilder* out, size_t begin) {
  const size_t size = out->size() - begin;
  const size_t extra = VarintSize(size) - 1;
  if (extra > 0) {
    out->Grow(extra);
    char* body = out->data() + begin;
    std::memmove(body + extra, body, size);
  }
  StoreVarint(out->data() + begin - 1, size);
}

}  // namespace quorate
