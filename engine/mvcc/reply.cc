#include "engine/mvcc/reply.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/coding.h"
#include "base/wire.h"

namespace quorate::mvcc {

void Reply::Seal() {
  if (long_ == nullptr) long_ = std::make_shared<LongReply>();
  const size_t size = out_->size();
  sealed_bytes_ += size;
  long_->own_bytes_ += size;
  if (size < kPieceBytes / 2) {  // not worth the room that it would keep
    long_->pieces_.push_back({Bytes::Copy(out_->view()), 0});
    out_->Truncate(0);
  } else {
    long_->pieces_.push_back({std::move(*out_).Finish(), 0});
    out_.emplace(kPieceRoom);
  }
}

Reply::Mark Reply::Begin(uint32_t field) {
  const size_t at = BeginMessage(out(), field);
  // The byte that stands for the length is not part of the message.
  return {pieces(), at, size() + grown_};
}

void Reply::End(const Mark& begin) {
  if (begin.piece == pieces()) return EndMessage(out(), begin.at);
  const uint64_t length = this->size() + grown_ - begin.before;
  char bytes[kMaxVarint64Bytes];
  const size_t size = static_cast<size_t>(StoreVarint(bytes, length) - bytes);
  long_->patches_.push_back({begin.piece, begin.at - 1, 1, std::string(bytes, size)});
  grown_ += size - 1;
}

void Reply::Replace(const Mark& mark, size_t size, absl::string_view bytes) {
  if (mark.piece < pieces()) {
    long_->patches_.push_back({mark.piece, mark.at, size, std::string(bytes)});
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

void Reply::AppendRecord(absl::string_view record, const Bytes& segment, RecordForm form,
                         Work* work) {
  if (pins_ == nullptr || size() < pins_->copied_bytes()) {
    mvcc::AppendRecord(record, form, out());
    work->SpendBytes(record.size());
    return Roll();
  }
  if (out_->size() > 0 || long_ == nullptr) Seal();
  if (long_->records_.empty()) {
    long_->pins_.emplace(pins_);
    long_->form_ = form;
  }
  CHECK(long_->form_ == form);
  long_->pins_->Pin(segment);
  long_->records_.push_back(record.data());
  ++long_->pieces_.back().records;
  sealed_bytes_ += AppendedBytes(record, form);
}

void Reply::Complete() {
  if (!out_.has_value()) return;
  Seal();
  out_.reset();  // it lies behind the pieces
  std::vector<LongReply::Patch>& patches = long_->patches_;
  std::sort(patches.begin(), patches.end(), [](const auto& a, const auto& b) {
    return std::pair(a.piece, a.at) < std::pair(b.piece, b.at);
  });
  long_->size_ = sealed_bytes_;
  for (const auto& patch : patches) long_->size_ += patch.bytes.size() - patch.size;
  if (long_->pins_.has_value()) long_->pins_->Complete();
}

Answer Reply::Finish() {
  if (long_ == nullptr) return Answer(std::move(*out_).Finish());
  Complete();
  return Answer(std::move(long_));
}

bool Reply::Finish(Work* work, Bytes* bytes) {
  if (long_ == nullptr) {
    *bytes = std::move(*out_).Finish();
    return true;
  }
  Complete();
  CHECK(long_->records_.empty());
  if (!joined_.has_value()) joined_.emplace(long_->size_);
  for (; next_piece_ < long_->pieces_.size(); ++next_piece_) {
    if (work->spent()) return false;
    // Fresh memory costs as much again.
    work->SpendBytes(long_->pieces_[next_piece_].own.size() * 2);
    work->Spend(1);
    joined_->Append(long_->Own(next_piece_, &next_patch_));
  }
  if (!Release(work)) return false;
  *bytes = std::move(*joined_).Finish();
  return true;
}

}  // namespace quorate::mvcc
