#include "engine/mvcc/reply.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/coding.h"
#include "engine/mvcc/wire.h"

namespace quorate::mvcc {
namespace {

// Of giving back the memory of a piece.
constexpr uint64_t kPieceCost = 20;

}  // namespace

void Reply::Seal() {
  sealed_bytes_ += out_->size();
  pieces_.push_back(std::move(*out_).Finish());
  out_.emplace(kPieceRoom);
}

Reply::Mark Reply::Begin(uint32_t field) {
  const size_t at = BeginMessage(out(), field);
  // The byte that stands for the length is not part of the message.
  return {pieces_.size(), at, size() + grown_};
}

void Reply::End(const Mark& begin) {
  if (begin.piece == pieces_.size()) return EndMessage(out(), begin.at);
  const uint64_t length = this->size() + grown_ - begin.before;
  char bytes[kMaxVarint64Bytes];
  const size_t size = static_cast<size_t>(StoreVarint(bytes, length) - bytes);
  patches_.push_back({begin.piece, begin.at - 1, 1, std::string(bytes, size)});
  grown_ += patches_.back().bytes.size() - 1;
}

void Reply::Replace(const Mark& mark, size_t size, absl::string_view bytes) {
  if (mark.piece < pieces_.size()) {
    patches_.push_back({mark.piece, mark.at, size, std::string(bytes)});
    return;
  }
  if (bytes.size() > size) {
    const size_t rest = out_->size() - mark.at - size;
    out_->Grow(bytes.size() - size);
    std::memmove(out_->data() + mark.at + bytes.size(), out_->data() + mark.at + size, rest);
  }
  CHECK(bytes.size() >= size);
  std::memcpy(out_->data() + mark.at, bytes.data(), bytes.size());
}

void Reply::CopyPiece(BytesBuilder* to) {
  const absl::string_view piece = pieces_[next_piece_];
  size_t done = 0;
  for (; next_patch_ < patches_.size() && patches_[next_patch_].piece == next_piece_;
       ++next_patch_) {
    const Patch& patch = patches_[next_patch_];
    to->Append(piece.substr(done, patch.at - done));
    to->Append(patch.bytes);
    done = patch.at + patch.size;
  }
  to->Append(piece.substr(done));
  ++next_piece_;
}

bool Reply::Finish(Work* work, Bytes* bytes) {
  if (pieces_.empty()) {
    *bytes = std::move(*out_).Finish();
    return true;
  }
  if (!joined_.has_value()) {
    Seal();
    out_.reset();  // it lies behind the pieces
    std::sort(patches_.begin(), patches_.end(), [](const Patch& a, const Patch& b) {
      return std::pair(a.piece, a.at) < std::pair(b.piece, b.at);
    });
    uint64_t total = sealed_bytes_;
    for (const Patch& patch : patches_) total += patch.bytes.size() - patch.size;
    joined_.emplace(total);
  }
  while (next_piece_ < pieces_.size()) {
    if (work->spent()) return false;
    work->SpendBytes(pieces_[next_piece_].size() * 2);  // fresh memory costs as much again
    work->Spend(1);
    CopyPiece(&*joined_);
  }
  if (!Release(work)) return false;
  *bytes = std::move(*joined_).Finish();
  return true;
}

bool Reply::Release(Work* work) {
  while (!pieces_.empty()) {
    if (work->spent()) return false;
    work->Spend(kPieceCost);
    pieces_.pop_back();
  }
  return true;
}

}  // namespace quorate::mvcc
