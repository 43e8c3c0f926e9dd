#include "engine/raft/wire.h"

namespace quorate::raft::wire {

namespace {
constexpr int kMaxGroupDepth = 16;
}  // namespace

bool FieldReader::ReadTag() {
  uint64_t tag = 0;
  if (!GetVarint(&rest_, &tag)) return false;
  if (tag > ~uint32_t{0} || tag >> 3 == 0) return false;
  tag_ = static_cast<uint32_t>(tag);
  return true;
}

bool FieldReader::Skip(uint32_t tag, int depth) {
  switch (tag & 7) {
    case kVarint:
      return GetVarint(&rest_, &varint_);
    case kFixed64:
    case kFixed32: {
      const size_t size = (tag & 7) == kFixed64 ? 8 : 4;
      if (rest_.size() < size) return false;
      rest_.remove_prefix(size);
      return true;
    }
    case kLengthDelimited: {
      uint64_t size = 0;
      if (!GetVarint(&rest_, &size) || size > rest_.size()) return false;
      bytes_ = rest_.substr(0, size);
      rest_.remove_prefix(size);
      return true;
    }
    case kStartGroup:
      if (depth == kMaxGroupDepth) return false;
      while (ReadTag()) {
        if ((tag_ & 7) == kEndGroup) return tag_ >> 3 == tag >> 3;
        if (!Skip(tag_, depth + 1)) return false;
      }
      return false;
    default:
      return false;
  }
}

bool FieldReader::Next() {
  while (ok_ && !rest_.empty()) {
    if (!ReadTag()) return Fail();
    const uint32_t tag = tag_;
    if (!Skip(tag, 0)) return Fail();
    const uint32_t type = tag & 7;
    if (type != kVarint && type != kLengthDelimited) continue;
    tag_ = tag;
    return true;
  }
  return false;
}

void PieceSink::Finish(std::vector<Bytes>* pieces) && {
  const Bytes small = std::move(small_).Finish();
  size_t at = 0;
  for (auto& [place, payload] : payloads_) {
    if (place > at) pieces->push_back(small.Slice(at, place - at));
    at = place;
    pieces->push_back(std::move(payload));
  }
  if (small.size() > at) pieces->push_back(small.Slice(at, small.size() - at));
}

}  // namespace quorate::raft::wire
