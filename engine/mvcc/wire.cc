#include "engine/mvcc/wire.h"

#include <cstring>

#include "base/check.h"

namespace quorate::mvcc {
namespace {

constexpr uint32_t kVarint = 0;
constexpr uint32_t kFixed64 = 1;
constexpr uint32_t kLen = 2;
constexpr uint32_t kStartGroup = 3;
constexpr uint32_t kEndGroup = 4;
constexpr uint32_t kFixed32 = 5;
// Groups are long dead; as many levels as protobuf's C++ library accepts.
constexpr int kMaxGroupDepth = 100;

}  // namespace

bool WireReader::Next() {
  if (!ok_ || in_.empty()) return false;
  uint64_t tag = 0;
  if (!GetVarint(&in_, &tag) || tag > UINT32_MAX || tag >> 3 == 0) return Fail();
  tag_ = static_cast<uint32_t>(tag);
  switch (tag_ & 7) {
    case kVarint:
      return GetVarint(&in_, &varint_) || Fail();
    case kLen: {
      uint64_t size = 0;
      if (!GetVarint(&in_, &size) || size > in_.size()) return Fail();
      bytes_ = in_.substr(0, size);
      in_.remove_prefix(size);
      return true;
    }
    case kFixed64:
      return Skip(8);
    case kFixed32:
      return Skip(4);
    case kStartGroup:
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
      case kVarint:
        if (!GetVarint(&in_, &size)) return Fail();
        break;
      case kLen:
        if (!GetVarint(&in_, &size) || !Skip(size)) return Fail();
        break;
      case kFixed64:
        if (!Skip(8)) return Fail();
        break;
      case kFixed32:
        if (!Skip(4)) return Fail();
        break;
      case kStartGroup:
        if (depth == kMaxGroupDepth) return Fail();
        open[depth++] = static_cast<uint32_t>(tag >> 3);
        break;
      case kEndGroup:
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

}  // namespace quorate::mvcc
